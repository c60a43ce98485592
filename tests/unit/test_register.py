"""The register of disagreements: its rows are whole, its options exist, the rest is documented."""

import dataclasses
import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest

from bench import registry
from bench.api import Recipe, Task
from bench.errors import UnknownName
from bench.options import coerce
from bench.register import REGISTER, concerning, deciding, find
from bench.tasks import PRESETS

METHODS = registry.METHODS.catalogue()
TASK_FIELDS = typing.get_type_hints(Task) | typing.get_type_hints(Recipe)


def settings(option):
    """(plugin, or TASK; parameter -> value, None where every value is meant) of an option such as `swift:scope=x`."""
    name, _, given = option.partition(":")
    pieces = (piece.partition("=") for piece in given.split(","))
    return name, {key: value if equals else None for key, equals, value in pieces}


def kind_of(name):
    return registry.METHODS if name in METHODS else registry.DATASETS


def test_rows_are_numbered_without_a_gap():
    assert list(REGISTER) == [f"D{number:02d}" for number in range(1, len(REGISTER) + 1)]


@pytest.mark.parametrize("row", REGISTER.values(), ids=REGISTER)
def test_a_row_says_what_differs_and_how_to_get_it(row):
    assert all((row.topic, row.paper, row.code, row.default))
    assert bool(row.options) is not bool(row.documented)
    assert set(row.methods) <= set(METHODS)
    named = {settings(option)[0] for option in row.options} & set(METHODS)
    assert named <= set(row.methods), "an option of a method that the row does not name"


@pytest.mark.parametrize(
    ("row", "option"), [(row, option) for row in REGISTER.values() for option in row.options], ids=lambda v: str(v)[:60]
)
def test_an_option_exists_and_its_parameters_name_the_row(row, option):
    name, given = settings(option)
    assert all(row.id in deciding(name, key) for key in given)
    if name == "TASK":
        for key, value in given.items():
            assert key in TASK_FIELDS
            if value is not None:
                coerce(key, value, TASK_FIELDS[key])
        return
    cls = kind_of(name).load(name)
    if None in given.values():
        assert set(given) <= {field.name for field in dataclasses.fields(cls)}
    else:
        assert kind_of(name).build(option) != cls(), "the option is the default"


@pytest.mark.parametrize("row", [row for row in REGISTER.values() if row.documented], ids=lambda row: row.id)
def test_a_row_without_an_option_is_documented(row):
    page = Path(__file__).parents[2] / row.documented
    text = (
        page.read_text(encoding="utf-8") if page.is_file() else inspect.getdoc(importlib.import_module(row.documented))
    )
    assert re.search(rf"\b{row.id}\b", text or "")


def test_rows_are_found():
    assert find("d05") is find("D05") is REGISTER["D05"]
    with pytest.raises(UnknownName, match="unknown row of the register 'D999': did you mean D"):
        find("D999")
    assert {row.id for row in concerning("diff_prune")} >= {"D34", "D35", "D43"}
    assert [row.id for row in concerning("fitzpatrick17k")] == ["D41", "D53", "D54"]
    assert deciding("swift", "apply") == ["D15", "D16"]
    assert deciding("bmft", "apply") == []


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_all_that_a_preset_changes_has_a_row(preset):
    loaded = {name: registry.METHODS.load(name) for name in METHODS}
    # The register is of the paper and its public code; comparators number the departures from their own sources.
    changes = [(name, key) for name, of in loaded.items() if not of.comparator for key in of.presets[preset]]
    changes += [("TASK", key) for fields in PRESETS[preset].values() for key in fields]
    assert len(changes) > 5
    assert [(name, key) for name, key in changes if not deciding(name, key)] == []


@pytest.mark.parametrize("name", sorted(registry.METHODS.catalogue()))
def test_every_option_of_a_method_says_where_it_comes_from(name):
    fields = dataclasses.fields(registry.METHODS.load(name))
    assert [field.name for field in fields if not field.metadata["source"] or not field.metadata["says"]] == []
