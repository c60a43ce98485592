"""A method that needs the attribute at prediction is marked wherever it is shown."""

import io

import msgspec
import pandas as pd
from inline_snapshot import snapshot

from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.answer import answer
from bench.reporting.render import document
from bench.reporting.tables import group_table, main_table, terminal
from bench.share.privacy import permitted
from tests import factory
from tests.prose import lines_with
from tests.unit.report_cells import INFO

SPECS = ("baseline", "swift", "group_thresholds")
CELLS = [factory.record(spec, fold) for spec in SPECS for fold in (0, 1)]


def test_the_record_says_so_and_those_of_other_methods_are_as_before():
    stored = {item.cell.spec: msgspec.to_builtins(item.cell).get("needs_attribute", "not stored") for item in CELLS}
    assert stored == {"baseline": "not stored", "swift": "not stored", "group_thresholds": True}
    assert [permitted(item).cell.needs_attribute for item in CELLS[::2]] == [False, False, True]


def test_tables_have_a_mark_and_a_note():
    made = main_table.files(collect(CELLS, [], INFO))
    assert {line.split(" | ")[0] for line in lines_with(made["md"], "◆") if line.startswith("|")} == {
        "| GroupThresholds ◆"
    }
    assert [line for line in lines_with(made["md"], "◆") if not line.startswith("|")] == snapshot(
        ["- ◆ Needs age of every future patient, because decisions depend on it: GroupThresholds."]
    )
    assert "GroupThresholds $\\diamond$ &" in made["tex"]
    rows = pd.read_csv(io.StringIO(made["csv"]))
    assert rows.groupby("label")["needs_attribute"].unique().map(list).to_dict() == {
        "Baseline": [False],
        "SWiFT": [False],
        "GroupThresholds": [True],
    }
    plain = main_table.files(collect(CELLS[:4], [], INFO))
    assert "◆" not in plain["md"] + plain["tex"]


def test_so_have_the_table_of_groups_and_the_terminal():
    results, stream = collect(CELLS, [], INFO), io.StringIO()
    groups = group_table.section(results, group_table.frame(results, CELLS))
    terminal.show(results, stream)
    for text in (document.written(groups)["md"], stream.getvalue()):
        rows = [line for line in text.splitlines() if "GroupThresholds" in line and "Needs" not in line]
        assert rows
        assert all("GroupThresholds ◆" in line for line in rows)
        assert "SWiFT ◆" not in text


def test_the_answer_has_the_fact_that_the_first_screen_and_the_forest_plot_show():
    for place in answer(collect(CELLS, [], INFO), CELLS):
        assert {line.label: line.needs_attribute for line in place.lines} == {"SWiFT": False, "GroupThresholds": True}
