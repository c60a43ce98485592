"""What `bench ls` says of a method, a dataset and the register; that it imports no torch."""

import re
import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from bench import registry
from bench.listing import show
from bench.register import REGISTER
from tests.prose import sentences_with

PLUGIN = '''"""Shrink: halve the head.

Paper: none. Code: none. Departures: none.
"""
from dataclasses import dataclass
from typing import Literal
from bench.api import Method, option

@dataclass(frozen=True, kw_only=True)
class Shrink(Method):
    title = "Shrink"
    uses = frozenset()
    presets = {"suite": {}, "paper": {"kind": "some", "share": 0.2}}
    ablations = {"kind": ("kind=some,share=0.1", "kind=some,share=0.9")}
    search = {"share": (0.1, 0.2)}
    kind: Literal["all", "some"] = option("all", "What is halved.", source="Eq. 9")
    share: float | None = option(None, "How much of it.", low=0, high=1, when={"kind": ("some", "all")}, needed=False)
    seed: int | None = option(None, "Of the choice.", when={"kind": "some"}, needed=True)

    def fit(self, run):
        return run.model
'''


def lines(text):
    """Lines without their padding."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture
def listed(tmp_path):
    file = tmp_path / "shrink.py"
    file.write_text(PLUGIN)
    return lines(show("methods", "Shrink", [file]))


def after(listed, *expected):
    """The expected lines stand one after the other."""
    start = listed.index(expected[0])
    assert listed[start : start + len(expected)] == list(expected)


def test_a_method_with_its_parameters(listed):
    assert listed[0] == snapshot("Shrink: halve the head.")
    after(
        listed,
        "parameters",
        "kind=all What is halved. One of all, some.",
        "source: Eq. 9",
        "share=None How much of it. 0 to 1.",
        "read with kind=some or all",
        "seed=None Of the choice.",
        "read with kind=some (required then)",
    )


def test_a_method_with_its_bundles(listed):
    after(listed, "presets", "preset=suite the defaults", "preset=paper kind=some,share=0.2")
    after(listed, "ablations", "kind kind=some,share=0.1; kind=some,share=0.9")
    after(listed, "search", "share 0.1; 0.2")


def test_a_method_with_the_rows_that_its_options_decide():
    listed = lines(show("methods", "BMFT"))
    assert "source: BMFT's driver; register: D24" in listed
    rows = [line.split()[0] for line in listed[listed.index("register") :] if re.match(r"D\d\d ", line)]
    assert {"D04", "D13", "D24", "D25", "D26"} <= set(rows)
    assert "register: D12" in "".join(lines(show("tasks", "phantom-cxr-age")))


@pytest.mark.parametrize("name", registry.METHODS.catalogue())
def test_a_method_with_the_rows_that_name_it(name):
    text = show("methods", name)
    for row in REGISTER.values():
        assert (f"{row.topic}: {row.default}" in text) or name not in row.methods


def test_the_register():
    listed = lines(show("register", None))
    assert [line.split()[0] for line in listed[1::2]] == list(REGISTER)
    assert lines(show("register", "d20")) == [
        f"D20: {REGISTER['D20'].topic}",
        f"paper {REGISTER['D20'].paper}",
        f"code {REGISTER['D20'].code}",
        f"default {REGISTER['D20'].default}",
        "option swift:mask=random,random=reference",
        "methods swift",
    ]
    assert sentences_with(show("register", "D28"), "bench.methods.bmft") == snapshot(
        ["option   none; documented in bench.methods.bmft"]
    )


def test_a_metric_with_its_threshold_and_version():
    after(
        lines(show("metrics", "eodds_tuned_threshold")),
        "formula (|dT| + |dF|) / 2",
        "lower is better",
        "threshold tuned on validation, see bench/scoring/threshold.py",
        "version 3",
    )
    after(lines(show("metrics", "auc")), "threshold none", "version 1")
    after(lines(show("metrics", "spd")), "threshold 0.5", "version 1")


@pytest.mark.parametrize("words", [[], ["methods", "swift"], ["register"], ["register", "D05"], ["metrics", "eodds"]])
def test_no_torch_is_imported(words):
    code = f"import sys; from bench.cli import main; sys.exit(main({['ls', *words]!r}) or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
