"""Files of a report from fabricated cells: tables, figures, their bytes, and the terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench.errors import NotWritten
from bench.reporting.figures import style, trade_off
from bench.reporting.numbers import frames
from bench.reporting.numbers.aggregate import SYNTHETIC, collect
from bench.reporting.render import text
from bench.reporting.reports import write
from bench.reporting.tables import main_table, terminal
from bench.scoring.definitions import METRICS
from tests import factory
from tests.factory import changed
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with, plain
from tests.unit.as_tested import as_tested
from tests.unit.fabricated import task_results
from tests.unit.report_cells import INFO, TITLES, cell, constant, noise, scores, table


def test_tables_hold_the_marks_the_spread_and_the_warning() -> None:
    cells = table({"Baseline": [scores(eodds=0.2), scores(eodds=0.3)], "A": constant(2, eodds=0.125)})
    results = collect(cells, [], INFO)
    tex, page = main_table.latex(results), main_table.files(results)["md"]
    assert r"\textbf{0.125}{\scriptsize$\pm$0.000}" in tex
    assert r"\underline{0.250}{\scriptsize$\pm$0.071}" in tex
    assert "**0.125 ± 0.000**" in page
    assert "<ins>0.250 ± 0.071</ins>" in page
    for content in (tex, page):
        assert SYNTHETIC in content
        assert "over 2 folds (ddof 1)." in content
        assert "second" not in content.replace("second best", "")
    assert [lines_with(content, "val", "in-domain") for content in (tex, page)] == snapshot(
        [
            ["\\textit{val: in-domain, partly seen by the methods; not a test}\\\\[2pt]"],
            ["### val: in-domain, partly seen by the methods; not a test (n 200)"],
        ]
    )
    in_domain = page.partition("val: in-domain")[2].partition("## How")[0]
    assert "**" not in in_domain
    assert "<ins>" not in in_domain
    real = dataclasses.replace(INFO, synthetic=False)
    assert (
        "SYNTHETIC" not in main_table.files(collect([changed(item, synthetic=False) for item in cells], [], real))["md"]
    )


def test_csv_keeps_full_precision() -> None:
    results = as_tested(collect(noise(3), [], INFO))
    lines = list(csv.DictReader(io.StringIO(main_table.csv(results))))
    assert list(lines[0]) == main_table.CSV
    assert len(lines) == 10 * (3 * len(METRICS) + 1)
    for name in ("mean", "std", "p_holm"):
        stored = [float(line[name] or "nan") for line in lines]
        np.testing.assert_array_equal(stored, [getattr(row, name) for row in results.rows])
    assert list(dict.fromkeys(line["role"] for line in lines)) == ["ood", "val", ""]


def test_escapes() -> None:
    assert text.tex("50 % of a_b & c#1 {x} $y ~^\\") == (
        r"50 \% of a\_b \& c\#1 \{x\} \$y \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert text.tex("a ± b → é\n<c>") == r"a $\pm$ b $\rightarrow$ \'{e} $<$c$>$"
    assert text.md_prose("a_b: `bench run --x_y` it, 3 ` and 4") == r"a\_b: `bench run --x_y` it, 3 \` and 4"
    assert text.tex_prose("a_b: `bench run x_y` it") == r"a\_b: \texttt{bench run x\_y} it"
    assert text.md("a|b *c* <d> _e_ & $f$") == r"a\|b \*c\* &lt;d&gt; \_e\_ &amp; \$f\$"


@needs_latex
@pytest.mark.parametrize("sets", [("near", "far"), ("near", "far", "third_set")])
def test_latex_compiles(tmp_path: Path, sets: tuple[str, ...]) -> None:
    cells = [
        changed(cell(title, 0, third_set=scores(True)), backbone=backbone)
        for title in ("Baseline", "A&B_%$#{}~^\\<>|\"'é→≤œ", "A")
        for backbone in ("small", "res_net")
    ]
    failed = [factory.failure(cell("B", 3), "E", "/a_b: 5 % ✗ \x00 \\end{table}")]
    (tmp_path / "main.tex").write_text(main_table.latex(collect(cells, failed, dataclasses.replace(INFO, ood=sets))))
    compile_tables([tmp_path / "main.tex"], tmp_path)


def test_files_are_the_same_bytes_again(tmp_path: Path) -> None:
    cells = noise(1)
    first = write(task_results(cells, [], INFO), tmp_path / "one")
    assert [file.name for file in first][:5] == ["main.tex", "main.md", "main.csv", "trade-off.pdf", "trade-off.png"]
    assert sorted(tmp_path.glob("one/.*")) == []
    stored = tmp_path / "cells.pickle"
    stored.write_bytes(pickle.dumps(cells[::-1]))
    code = (
        "import json, pathlib, pickle, sys; from bench.reporting.numbers.task_info import TaskInfo; from bench.reporting.reports import write;"
        "from tests.unit.fabricated import task_results; cells, info, folder = sys.argv[1:];"
        "cells = pickle.loads(pathlib.Path(cells).read_bytes());"
        "write(task_results(cells, [], TaskInfo(**json.loads(info))), pathlib.Path(folder))"
    )
    info = json.dumps(dataclasses.asdict(INFO) | {"ood": ["near", "far"]})
    environment = os.environ | {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    # JSON turns tuples to lists: the report must not depend on which it is given.
    command = [sys.executable, "-c", code, str(stored), info, str(tmp_path / "two")]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    for file in first:
        if file.stem == "cost-gain":
            continue  # it shows seconds
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_nothing_is_replaced_unless_all_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.md").write_text("before")
    monkeypatch.setattr(trade_off, "draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(task_results(noise(1), [], INFO), tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten) as error:
        write(task_results(noise(1), [], INFO), tmp_path / "file")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/file cannot be written: File exists. Finished cells are kept; run the same command again to resume."
    )


def test_a_file_is_replaced_never_written_over(tmp_path: Path) -> None:
    write(task_results(noise(1), [], INFO), tmp_path)
    before = (tmp_path / "main.csv").read_bytes()
    (tmp_path / "open.csv").hardlink_to(tmp_path / "main.csv")
    write(task_results(noise(2), [], INFO), tmp_path)
    assert (tmp_path / "open.csv").read_bytes() == before
    assert (tmp_path / "main.csv").read_bytes() != before


def test_the_figure_has_a_panel_per_set_and_says_what_is_synthetic() -> None:
    cells = table({"Baseline": constant(eodds=0.2), "A": constant(eodds=0.1), "B": constant(eodds=math.nan)})
    results = collect(cells, [], INFO)
    figure = trade_off.draw(frames.by_fold(results), INFO, results.backbones)
    assert [panel.get_title() for panel in figure.axes] == ["near", "far"]
    assert figure.axes[0].get_ylabel() == snapshot("EOdds (lower is better)")
    assert figure.get_suptitle() == SYNTHETIC
    named = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert named == [["Baseline", "A"], ["Baseline", "A", "B"]], "without a mean there is no point"


def test_a_method_looks_the_same_whichever_others_are_there() -> None:
    def looks(*titles: str) -> dict[str, style.Style]:
        return style.styles_of(style.names(frames.by_fold(collect([cell(title, 0) for title in titles], [], INFO))))

    everything, some = looks(*TITLES, "Own"), looks("C", "C:x=1")
    assert some["C"] == everything["C"]
    assert some["C (x 1)"] == everything["C"] | {"fillstyle": "none"}
    assert len({style["marker"] for style in everything.values()}) == 5


def printed(results) -> list[str]:
    stream = io.StringIO()
    terminal.show(results, stream)
    return stream.getvalue().splitlines()


def test_the_terminal_shows_each_change_with_its_interval() -> None:
    lines = printed(as_tested(collect(noise(0, M1=(-0.25, 0)), [], INFO)))
    assert lines == snapshot(
        [
            "SYNTHETIC  near (n 200)                                           far (n 200)",
            "method     EOdds                       AUC                        EOdds                       AUC",
            "Baseline   0.295                       0.798                      0.284                       0.815",
            "M0         +0.017 (−0.083 to +0.117)   +0.014 (−0.086 to +0.114)  +0.006 (−0.094 to +0.106)   −0.021 (−0.121 to +0.079)",
            "M1         −0.233* (−0.333 to −0.133)  +0.009 (−0.091 to +0.109)  −0.260* (−0.360 to −0.160)  +0.000 (−0.100 to +0.100)",
            "M2         +0.006 (−0.094 to +0.106)   −0.002 (−0.102 to +0.098)  −0.013 (−0.113 to +0.087)   −0.014 (−0.114 to +0.086)",
            "M3         +0.008 (−0.092 to +0.108)   +0.002 (−0.098 to +0.102)  −0.008 (−0.108 to +0.092)   +0.004 (−0.096 to +0.104)",
            "M4         −0.001 (−0.101 to +0.099)   +0.006 (−0.094 to +0.106)  −0.005 (−0.105 to +0.095)   −0.034 (−0.134 to +0.066)",
            "M5         +0.025 (−0.075 to +0.125)   +0.001 (−0.099 to +0.101)  −0.011 (−0.111 to +0.089)   −0.014 (−0.114 to +0.086)",
            "M6         −0.004 (−0.104 to +0.096)   +0.003 (−0.097 to +0.103)  −0.006 (−0.106 to +0.094)   −0.005 (−0.105 to +0.095)",
            "M7         +0.001 (−0.099 to +0.101)   +0.009 (−0.091 to +0.109)  −0.003 (−0.103 to +0.097)   −0.025 (−0.125 to +0.075)",
            "M8         +0.010 (−0.090 to +0.110)   +0.005 (−0.095 to +0.105)  +0.001 (−0.099 to +0.101)   −0.006 (−0.106 to +0.094)",
            "near: EOdds between younger and older is 0.30 at an AUC of 0.80. Nothing is tested: there are no predictions to draw patients from. far: EOdds between younger and older is 0.28 at an AUC of 0.82. Nothing is tested: there are no predictions to draw patients from.",
            "SYNTHETIC PHANTOM DATA: these numbers say nothing about patients. Methods: change against Baseline, mean over 5 folds, with 95 % intervals over patients. * supported.",
        ]
    )


def test_without_predictions_there_is_no_interval_and_no_claim() -> None:
    cells = table({"Baseline": constant(eodds=0.25, auc=1.0), "A": constant(3, eodds=0.125)})
    assert printed(collect(cells, [], INFO)) == snapshot(
        [
            "SYNTHETIC  near (n 200)           far (n 200)",
            "method     EOdds          AUC     EOdds          AUC",
            "Baseline   0.250          1.000   0.200          0.800",
            "A          folds missing  −0.200  folds missing  +0.000",
            "near: EOdds between younger and older is 0.25 at an AUC of 1.00. Nothing is tested: there are no predictions to draw patients from. far: EOdds between younger and older is 0.20 at an AUC of 0.80. Nothing is tested: there are no predictions to draw patients from.",
            "SYNTHETIC PHANTOM DATA: these numbers say nothing about patients. Methods: change against Baseline, mean over 5 folds. ‡ Gaps not ranked and not compared, fewer folds than other rows: A (near 3, far 3, val 3 of 5 folds). Missing: A 3 of 5 folds.",
        ]
    )


def test_the_answer_of_many_methods_has_fifteen_lines() -> None:
    cells = table({"Baseline": constant(eodds=0.25), **{f"M{n}": constant(eodds=0.1 + n / 1000) for n in range(30)}})
    lines = printed(collect(cells, [], INFO))
    assert len(lines) == 15
    assert lines[-3].strip() == "and 21 more, in the report"


@pytest.mark.parametrize(("width", "ends"), [("70", False), ("160", True)])
def test_a_narrow_terminal_leaves_out_the_intervals(monkeypatch: pytest.MonkeyPatch, width: str, ends: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    terminal.show(as_tested(collect(noise(0, M1=(-0.25, 0)), [], INFO)), stream)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= int(width)
    (row,) = (line for line in lines if line.startswith("M1"))
    assert (" to " in row) == ends


def test_no_module_imports_torch() -> None:
    code = (
        "import sys, bench.scoring.metrics, bench.reporting.figures.style,"
        "bench.reporting.tables.terminal, bench.reporting.tables.main_table;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
