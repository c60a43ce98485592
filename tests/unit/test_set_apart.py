"""Comparators stand below a rule in every form of a table, and a note says how the AUC of one that decides is read."""

import io

from inline_snapshot import snapshot

from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.answer import answer
from bench.reporting.render import document
from bench.reporting.render.table import Column, Table, latex, markdown, terminal
from bench.reporting.tables import main_table
from bench.reporting.tables.terminal import show
from tests import factory
from tests.prose import lines_with
from tests.unit.report_cells import INFO

SPECS = ("baseline", "dfr", "swift", "group_thresholds", "bmft")
CELLS = [factory.record(spec, fold) for spec in SPECS for fold in (0, 1)]
TABLE = Table([Column("method", "left"), Column("gap")], [["SWiFT", 0.1], ["DFR", 0.2]], apart=1)


def test_every_writer_has_the_rule():
    assert markdown(TABLE).splitlines()[2:] == ["| SWiFT | 0.100 |", "| *comparators* |  |", "| DFR | 0.200 |"]
    assert latex(TABLE).splitlines()[3:7] == [r"\midrule", r"SWiFT & 0.100 \\", r"\midrule", r"DFR & 0.200 \\"]
    assert [line.plain for line in terminal(TABLE)] == ["method    gap", "SWiFT   0.100", "─" * 13, "DFR     0.200"]
    html = document.page_part(document.Section("", [TABLE]))
    assert html.count("<tr") == 3
    assert '<tr class="apart"><th scope="row">DFR' in html


def test_a_table_of_comparators_alone_or_of_none_has_no_rule():
    plain = Table(TABLE.columns, TABLE.rows)
    assert "comparators" not in markdown(plain)
    assert latex(plain).count("midrule") == 1
    assert len(terminal(plain)) == 3


def test_the_main_table_puts_comparators_last_and_says_how_to_read_them():
    results = collect(CELLS, [], INFO)
    text = document.written(main_table.section(results))["md"]
    names = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("|")]
    assert names[2:8] == ["Baseline", "BMFT", "SWiFT", "*comparators*", "DFR", "GroupThresholds ◆"]
    assert lines_with(text, "comparators, simple") + lines_with(text, "AUC of Group") == snapshot(
        [
            "- Below the rule: comparators, simple methods that others have to beat: DFR and GroupThresholds.",
            "- AUC of GroupThresholds: it decides and ranks no two patients of a group anew. The AUC within a group is Baseline's, and that of all images is of logits that were shifted by group.",
        ]
    )


def test_so_do_the_terminal_and_the_first_screen():
    results, stream = collect(CELLS, [], INFO), io.StringIO()
    show(results, stream)
    lines = stream.getvalue().splitlines()
    assert lines[[line[:3] for line in lines].index("───") + 1].startswith("DFR")
    for place in answer(results, CELLS):
        assert [line.label for line in place.ordered][-2:] in (["DFR", "GroupThresholds"], ["GroupThresholds", "DFR"])
