"""What is kept of the numbers of a task where only some of its test sets are shown, under other names."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping

import pytest

from bench.data.set_facts import SetFacts
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.shown_sets import of_sets, with_display_names
from tests.unit.test_patients import bootstrapped

SETS = ("", "source", "val", "near", "far")
BY_SET = ("sizes", "left_out", "without_group", "suppressed", "patients")
"""Fields of the results whose key is a set; the keys of the others are longer."""


NO_SET = {"failures", "folds", "found", "seeds", "pairs", "remarks", "outdated", "parts"}


@pytest.fixture(scope="module", name="results")
def whole() -> Results:
    """Results over patients in which every field holds something of every set; the numbers of a field differ."""
    found = bootstrapped()
    size = found.sizes["near"]
    filled: dict[str, object] = {
        "sizes": {name: dataclasses.replace(size, low=at) for at, name in enumerate(SETS)},
        "left_out": {name: {"reason": at} for at, name in enumerate(SETS)},
        "without_group": {name: {"unknown": at} for at, name in enumerate(SETS)},
        "suppressed": {name: frozenset({name}) for name in SETS},
        "patients": {name: (at, at) for at, name in enumerate(SETS)},
        "facts": tuple((name, SetFacts(at, at, "ill", None)) for at, name in enumerate(SETS)),
        "rates": {(backbone, name): (0.1, at) for at, name in enumerate(SETS) for backbone in ("small", "large")},
    }
    info = dataclasses.replace(found.info, inside=("far", "near"))
    return dataclasses.replace(found, info=info, **filled)  # type: ignore[arg-type]


def by_set(results: Results) -> dict[str, Mapping[Hashable, object]]:
    """Every field that belongs to sets as one mapping, whose keys hold the set."""
    assert results.family
    return {
        **{name: getattr(results, name) for name in (*BY_SET, "rates", "leaning", "auc_intervals")},
        "draws": results.family.draws,
        "rows": {(row.backbone, row.set, row.metric, row.spec): row.mean for row in results.rows},
        "facts": {(name, at): facts for at, (name, facts) in enumerate(results.facts)},
    }


def renamed(key: Hashable, names: Mapping[str, str]) -> Hashable | None:
    """The key under its new name, or None if its set is not shown; a longer key holds one set, first or second."""
    parts = key if isinstance(key, tuple) else (key,)
    (at,) = (at for at, part in enumerate(parts) if part in SETS)
    if parts[at] not in names:
        return None
    return (*parts[:at], names[parts[at]], *parts[at + 1 :]) if isinstance(key, tuple) else names[parts[at]]


@pytest.mark.parametrize("shown", [{"near": "Near hospital"}, {"far": "Far", "val": "Inside"}, {}])
def test_the_shown_sets_keep_their_numbers_and_the_others_go(results, shown):
    kept, names = of_sets(results, shown), {**shown, "": "", "source": "source"}
    before, after = by_set(results), by_set(kept)
    for field, values in before.items():
        assert values, field
        expected = {new: value for key, value in values.items() if (new := renamed(key, names)) is not None}
        if field == "facts":  # places in a list
            assert list(after[field].values()) == list(expected.values())
            continue
        assert dict(after[field]) == expected, field
    assert kept.info.ood == tuple(shown[name] for name in results.info.ood if name in shown)
    assert kept.info.inside == tuple(shown[name] for name in ("far", "near") if name in shown)


def test_every_field_of_the_results_is_one_that_these_tests_know(results):
    """So that a new field that belongs to sets is not forgotten."""
    known = {*by_set(results), *NO_SET, "info", "family"} - {"draws"}
    assert {field.name for field in dataclasses.fields(Results)} == known


def test_what_belongs_to_no_set_stays(results):
    kept = of_sets(results, {"near": "Near hospital"})
    for name in NO_SET:
        assert getattr(kept, name) == getattr(results, name)
    assert kept.family
    assert results.family
    assert kept.family.size == results.family.size
    assert dataclasses.replace(of_sets(dataclasses.replace(results, family=None), {}), family=None).family is None


def test_display_names_keep_every_set_and_the_validation_set(results, monkeypatch):
    names = {"near": "Near hospital", "far": "Far hospital"}
    monkeypatch.setattr("bench.reporting.numbers.shown_sets.display_name", names.get)
    kept = with_display_names(results)
    assert kept.info.ood == ("Near hospital", "Far hospital")
    assert {row.set for row in kept.rows} == {"", "val", *names.values()} & {row.set for row in kept.rows}
    assert len(kept.rows) == len(results.rows)
    assert set(kept.sizes) == {"", "source", "val", *names.values()}
