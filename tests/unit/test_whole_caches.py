"""What cells share, in a folder and in a process, changes nothing: every setting after every other, and alone."""

import dataclasses
import hashlib
import multiprocessing

import pytest

from bench import registry
from bench.checks.setting_checks import completed, other_choices, other_values, presets
from bench.running.context import SharedCache
from bench.spec import describe
from tests.unit import whole

RECIPE = dataclasses.replace(whole.SGD, epochs=2, batch=16)
METHODS = sorted(registry.METHODS.catalogue())
MOST_SETTINGS = ("bmft", "diff_gda", "llft", "swift")
"""Methods with so many settings that CI leaves them out."""


def settings(name):
    """The specs of the defaults, of every other choice, number and switch, and of the presets."""
    default = registry.METHODS.build(name)
    found = [default, *presets(default).values(), *(completed(default, choice) for choice in other_choices(default))]
    for field in dataclasses.fields(default):
        if field.name not in {key for choice in other_choices(default) for key in choice}:
            value = next(other_values(default, field, getattr(default, field.name)))
            found.append(completed(default, {field.name: value}, reading=field.name))
    return list(dict.fromkeys(describe(name, method) for method in found))


def result(spec, folder=None):
    """Return a hash of what a setting makes: every weight and buffer, and what it logs."""
    method = registry.METHODS.build(spec)
    cache = folder and SharedCache(folder, {"baseline": "tiny", "version": method.version})
    run = whole.run_of(method, RECIPE, whole.net(1, dropout=0.5), cache, side=2)
    digest = hashlib.sha256()
    for name, tensor in method.fit(run).state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    digest.update(repr((run.facts, run.warnings, dataclasses.asdict(run.passes))).encode())
    return digest.hexdigest()


def alone(specs):
    """Return the result of each setting in a process that computed nothing before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.test_whole_caches"])
    with context.Pool(1, maxtasksperchild=1) as pool:
        return dict(zip(specs, pool.map(result, specs, chunksize=1), strict=True))


def test_a_few_settings_over_one_cache_are_those_alone(tmp_path):
    """Those of which one would take the other's importances, first step or features."""
    specs = [
        "swift",
        "swift:mask_data=val",
        "swift:mask=ones",
        "swift:epsilon=0.5",
        "swift",
        "bmft",
        "bmft:data=reference",
        "bmft:proxy=signed_half_logit",
    ]
    specs += ["fullft_rw:params=head", "fair_prune", "fair_prune:curvature=exact", "fair_prune:prediction=weighted"]
    fresh = {spec: result(spec, tmp_path / str(at)) for at, spec in enumerate(specs)}
    assert [result(spec, tmp_path / "shared") for spec in specs] == [fresh[spec] for spec in specs]
    assert [result(spec, tmp_path / "shared") for spec in reversed(specs)] == [fresh[spec] for spec in reversed(specs)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in MOST_SETTINGS else name for name in METHODS]
)
def test_every_setting_after_every_other_is_that_alone(name, tmp_path):
    specs = settings(name)
    fresh = alone(specs)
    assert len(set(fresh.values())) > len(specs) / 2  # most options change something
    assert [spec for spec in pairs(specs) if result(spec, tmp_path) != fresh[spec]] == []


def pairs(specs):
    """Yield the specs in an order in which each follows each other."""
    for at, first in enumerate(specs):
        yield first
        for second in specs[at + 1 :]:
            yield second
            yield first


@pytest.mark.slow
@pytest.mark.long
def test_all_settings_of_all_methods_over_one_cache_are_those_alone(tmp_path):
    specs = [spec for name in METHODS for spec in settings(name)]
    fresh = alone(specs)
    for order in (specs, specs[::-1], specs[::2] + specs[1::2]):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        assert [spec for spec in order if result(spec, folder) != fresh[spec]] == []
