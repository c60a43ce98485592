"""Selection: the settings that are tried."""

from zlib import crc32

import pytest
from inline_snapshot import snapshot

from bench import registry
from bench.errors import UnknownName, UsageError
from bench.running.plan import method_specs
from bench.running.tune import candidates

PLUGIN = """
from dataclasses import dataclass
from typing import Literal

from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class Gridded(Method):
    title = "Gridded"
    uses = frozenset({"external"})
    search = {SEARCH}

    lr: float = option(0.1, "Rate.")
    mask: Literal["soft", "hard"] = option("soft", "Mask.")
    share: float | None = option(None, "Share.", low=0, high=1, when={"mask": "hard"}, needed=True)

    def fit(self, run):
        return run.model
"""


def gridded(tmp_path, search):
    # A module is imported once per name.
    file = tmp_path / f"gridded_{crc32(search.encode())}.py"
    file.write_text(PLUGIN.replace("{SEARCH}", search))
    return file.stem, (file,)


def test_the_defaults_come_first_then_the_grid(tmp_path):
    name, plugins = gridded(tmp_path, '{"lr": (0.01, 0.1, 1.0)}')
    assert candidates(name, 8, plugins) == [name, f"{name}:lr=0.01", f"{name}:lr=1.0"]
    assert candidates(name, 1, plugins) == [name]
    assert candidates(f"{name}:lr=0.5", 8, plugins) == [f"{name}:lr=0.5"]
    mask = ",mask=hard,share=0.5"
    assert candidates(f"{name}:lr=0.1{mask}", 8, plugins)[0] == f"{name}:lr=0.1{mask}"


def test_a_parameter_is_left_out_where_it_is_not_read(tmp_path):
    name, plugins = gridded(tmp_path, '{"mask": ("soft", "hard"), "share": (0.2, 0.4)}')
    assert candidates(name, 8, plugins) == [name, f"{name}:mask=hard,share=0.2", f"{name}:mask=hard,share=0.4"]


def test_a_parameter_that_is_needed_and_left_open_is_tried_over_its_grid(tmp_path):
    name, plugins = gridded(tmp_path, '{"share": (0.2, 0.4)}')
    assert candidates(f"{name}:mask=hard", 8, plugins) == [
        f"{name}:mask=hard,share=0.2",
        f"{name}:mask=hard,share=0.4",
    ]
    assert method_specs(f"{name}:mask=hard@tuned", plugins) == [f"{name}:mask=hard@tuned"]
    with pytest.raises(UsageError, match="share is missing"):
        method_specs(f"{name}:mask=hard", plugins)
    rates = {spec.rpartition("=")[2] for spec in candidates("swift:mask=hard,epsilon=0.1", 20)}
    assert rates == {"0.1", "0.3", "0.5", "0.7", "0.9"}, "the paper tuned the rate of the hard mask"


def test_of_a_large_grid_a_fixed_sample_is_tried_that_grows_with_the_budget(tmp_path):
    name, plugins = gridded(tmp_path, '{"lr": tuple(float(i) for i in range(2, 40))}')
    grid = [f"{name}:lr={float(i)}" for i in range(2, 40)]
    few, more = candidates(name, 6, plugins), candidates(name, 12, plugins)
    assert (len(few), len(more), few[0]) == (6, 12, name)
    assert set(few) < set(more)
    assert more[1:] == [spec for spec in grid if spec in more]
    assert more[1:] != grid[:11]
    assert candidates(name, 39, plugins) == [name, *grid]


def test_every_method_of_the_suite_has_candidates():
    for name in registry.METHODS.catalogue():
        specs = candidates(name, 8)
        assert specs[0] == name
        assert 1 <= len(specs) <= 8
        assert method_specs(",".join(specs)) == specs


def test_a_grid_with_a_misspelt_parameter_or_a_wrong_value(tmp_path):
    name, plugins = gridded(tmp_path, '{"rl": (0.1,)}')
    with pytest.raises(UnknownName) as error:
        candidates(name, 8, plugins)
    assert str(error.value) == snapshot(
        "unknown parameter 'rl' in the search of gridded_2841361579: did you mean lr? allowed: lr, mask, share"
    )
    name, plugins = gridded(tmp_path, '{"mask": ("hard",), "share": (2.0,)}')
    with pytest.raises(UsageError, match="a number from 0 to 1 expected"):
        candidates(name, 8, plugins)
