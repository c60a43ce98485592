"""What reports and exports say of the tables of a task: sizes, label rates, and what became of each value."""

import dataclasses

import pytest
from inline_snapshot import snapshot

from bench.data.set_facts import SetFacts, Value, most_frequent
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.suppression import shown_facts
from bench.reporting.tables import main_table
from bench.reporting.tables.data_table import sections
from bench.share.privacy import leaving
from tests.factory import WIDE, changed, record, scores, task_info

FACTS = {
    "source": SetFacts(
        240,
        200,
        "ill",
        50,
        (
            Value("finding", "None", 150, "healthy"),
            Value("finding", "opacity|effusion", 47, "ill"),
            Value("finding", "seen by Dr Zqname", 3, "ill"),
            Value("age", "18 to 65", 120, "younger", span=True),
            Value("age", "66 to 104", 80, "older", span=True),
            Value("age", "", 40, "missing"),
        ),
    ),
    "near": SetFacts(100, 100, "ill", 40, (Value("finding", "None", 60, "healthy"),)),
}
INFO = task_info(synthetic=False)
SMALL = {"younger": (131, 67), "older": (59, 7)}


def cells(facts=FACTS, **sets):
    by_set = {name: scores(sets.get(name, WIDE)) for name in ("near", "far", "val")}
    return [changed(record(spec, synthetic=False, scores=by_set), facts=facts) for spec in ("baseline", "swift")]


def said(items, **info):
    """The section as Markdown, without its title."""
    text = main_table.files(collect(items, [], dataclasses.replace(INFO, **info)))["md"]
    return text.partition("## Data as read\n\n")[2].partition("\n## ")[0]


def test_the_report_says_what_became_of_each_value():
    assert said(cells()) == snapshot("""\
- source: 240 rows, 200 images used, 50 of them ill (25.0%).
- near: 100 rows, 100 images used, 40 of them ill (40.0%).

| set | column | value as written | rows | became |
| --- | --- | --- | ---: | --- |
| source | finding | 'None' | 150 | healthy |
| source | finding | 'opacity\\|effusion' | 47 | ill |
| source | finding | 'seen by Dr Zqname' | 3 | ill |
| source | age | '18 to 65' | 120 | younger |
| source | age | '66 to 104' | 80 | older |
| source | age | '' | 40 | missing |
| near | finding | 'None' | 60 | healthy |
""")
    assert sections(collect(cells(facts={}), [], INFO)) == [], "older cells do not say"


def test_sets_that_were_read_from_several_tables_are_all_shown():
    other = dataclasses.replace(FACTS["source"], rows=241)
    text = said([cells()[0], cells(FACTS | {"source": other})[1]])
    assert "- source: 240 rows" in text
    assert "- source: 241 rows" in text


def test_values_of_few_rows_are_counted_together():
    text = said(cells(), min_cell=10)
    assert "Zqname" not in text
    assert "104" not in text, "the oldest is one person"
    assert "| source | age | '' | 40 | missing |" in text
    assert "2 other values | 50 | ill" in text, "3 alone are few, and follow from the rows of the class"
    assert "opacity" not in text


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ((30, 20), [("30", 30), ("20", 20)]),
        ((30, 20, 4, 3), [("30", 30), ("", 27)]),
        ((30, 20, 7, 5), [("30", 30), ("20", 20), ("", 12)]),
        ((30, 3), [("", 33)]),
        ((4, 3), []),
    ],
)
def test_no_value_and_no_number_of_others_is_of_few_rows(rows, shown):
    given = SetFacts(100, 100, "ill", 40, tuple(Value("finding", str(n), n, "ill") for n in rows))
    found = shown_facts("near", given, {}, 10).values
    assert [(value.value, value.rows) for value in found] == shown


@pytest.mark.parametrize("small", ["near", "val"])
def test_of_a_suppressed_set_the_size_alone_is_shown(small):
    """The source is suppressed with the validation set, which is a part of it."""
    name = {"val": "source"}.get(small, small)
    lines = said(cells(**{small: SMALL}), min_cell=10).splitlines()
    of_set = [line for line in lines if line.startswith((f"- {name}:", f"| {name} |"))]
    assert of_set == [f"- {name}: {FACTS[name].rows} rows, {FACTS[name].images} images used."]
    tiny = {name: dataclasses.replace(FACTS[name], rows=9, images=9, positives=4)}
    assert said(cells(tiny, **{small: {"younger": (2, 1), "older": (1, 2)}}), min_cell=10) == ""


@pytest.mark.parametrize("min_cell", [0, 10])
def test_an_export_has_sizes_and_no_value(min_cell):
    (one, _) = leaving(cells(near=SMALL), dataclasses.replace(INFO, min_cell=min_cell))
    assert one.facts == {
        "source": SetFacts(240, 200, "ill", 50),
        "near": SetFacts(100, 100, "ill", None if min_cell else 40),
    }
    assert leaving(cells(), dataclasses.replace(INFO, min_cell=101))[0].facts == {
        "source": SetFacts(240, 200, "ill", None)
    }


def test_the_most_frequent_values_of_a_group_are_named_and_long_ones_are_cut():
    found = [Value("finding", f"v{i}", i, "ill") for i in range(1, 12)]
    values = most_frequent([*found, Value("finding", "x" * 100, 5, "healthy")])
    assert [(value.text, value.rows) for value in values] == [
        *((f"'v{i}'", i) for i in range(11, 3, -1)),
        ("3 other values", 6),
        (f"'{'x' * 59}…'", 5),
    ]
