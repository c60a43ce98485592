"""Reports from fabricated cells with known numbers: marks, notes, claims, files."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench.cells.record import decode
from bench.errors import BenchError, NotWritten
from bench.files import to_json
from bench.report.figures import style, trade_off
from bench.report.numbers import frames
from bench.report.numbers.aggregate import SYNTHETIC, Results, collect
from bench.report.numbers.task_info import TaskInfo
from bench.report.render import text
from bench.report.render.table import Column, Table, markdown
from bench.report.reports import write
from bench.report.tables import main_table, terminal
from bench.report.words.conclusions import NO_GAIN, findings
from bench.report.words.notes import reading
from bench.score.definitions import METRICS
from tests import factory
from tests.factory import Record, changed, record, task_info
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with, plain, sentences_with
from tests.unit.fabricated import task_results

INFO = task_info(says="Finding on demo images.")
TITLES = ("Baseline", "A", "B", "C")


def scores(degenerate: bool = False, groups: Mapping[str, factory.Group] = factory.WIDE, **values: float) -> Record:
    return factory.scores(groups, **{"auc": 0.8, "spd": 0.2, "eodds": 0.2, "degenerate": degenerate} | values)


def cell(title: str, fold: int, seed: int = 0, **sets: Record) -> Record:
    """One cell; `sets` replaces the scores of `near`, `far` or `val`, `spec` and the like come from `title`."""
    name = title.partition(":")[0]
    row = 1 + TITLES.index(name) if name in TITLES else 100
    by_set = {"near": scores(), "far": scores(), "val": scores()} | sets
    return record(title.lower(), fold, seed=seed, title=name, row=row, scores=by_set)


def table(near: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Cells of some methods from the scores of each fold on `near`."""
    return [cell(title, fold, near=values) for title, folds in near.items() for fold, values in enumerate(folds)]


def constant(folds: int = 5, **values: float) -> list[dict[str, Any]]:
    return [scores(**values)] * folds


def failure(title: str, fold: int) -> Record:
    return factory.failure(cell(title, fold), message="features.layer_3 is NaN\nsecond line")


def marks(results: Results, metric: str, name: str = "near") -> dict[str, str]:
    return {row.label: row.mark for row in results.column("small", name, metric)}


def noise(seed: int, between: float = 0.0, **effects: tuple[float, float]) -> list[dict[str, Any]]:
    """Ten methods on two sets; `effects` are (EOdds, AUC) added to a method's score, `between` correlates folds."""
    rng = np.random.default_rng(seed)
    cells = []
    shared = {name: 0.02 * rng.normal(size=(5, 2)) for name in INFO.ood}
    for method in ("Baseline", *(f"M{number}" for number in range(9))):
        drawn = {}
        for name in INFO.ood:
            own = math.sqrt(between) * rng.normal(size=2) + math.sqrt(1 - between) * rng.normal(size=(5, 2))
            drawn[name] = np.array([0.3, 0.8]) + shared[name] + 0.02 * own + np.array(effects.get(method, (0, 0)))
        for fold in range(5):
            sets = {name: scores(eodds=values[fold, 0], auc=values[fold, 1]) for name, values in drawn.items()}
            cells.append(cell(method, fold, **sets))
    return cells


def test_a_frame_has_one_row_per_cell_set_and_metric() -> None:
    frame = frames.by_fold(collect([cell("A", 0), cell("Baseline", 0)], [], INFO))
    assert len(frame) == 2 * (3 * len(METRICS) + 1)
    assert frame["label"].unique().tolist() == ["Baseline", "A"]
    assert frame[(frame["set"] == "far") & (frame["metric"] == "spd")]["value"].tolist() == [0.2, 0.2]


def test_marks_follow_the_direction_and_ties_share_them() -> None:
    cells = table(
        {
            "Baseline": constant(auc=0.8004, eodds=0.1, spd=0.3),
            "A": constant(auc=0.7996, eodds=0.3, spd=0.1),
            "B": constant(auc=0.79, eodds=0.2, spd=0.2),
            "C": constant(auc=0.7, eodds=0.2, spd=0.2),
        }
    )
    results = collect(cells, [], INFO)
    assert marks(results, "auc") == {"Baseline": "best", "A": "best", "B": "second", "C": ""}
    assert marks(results, "eodds") == {"Baseline": "best", "A": "", "B": "second", "C": "second"}
    assert marks(results, "spd") == {"Baseline": "", "A": "best", "B": "second", "C": "second"}
    assert set(marks(results, "auc", "val").values()) == {""}
    assert set(marks(results, "tpr_gap").values()) == {""}


def test_a_row_on_its_own_is_not_the_best() -> None:
    assert set(marks(collect([cell("A", 0)], [], INFO), "auc").values()) == {""}


def test_mean_std_and_n_are_those_of_the_folds() -> None:
    aucs = [0.60, 0.62, 0.58, 0.61, 0.59]
    row = collect(table({"A": [scores(auc=auc) for auc in aucs]}), [], INFO).column("small", "near", "auc")[0]
    assert (row.mean, row.std, row.n) == (pytest.approx(0.6), pytest.approx(0.0158113883), 5)
    assert markdown(Table([Column("AUC")], [[main_table.entry(row)]])).endswith("\n| 0.600 ± 0.016 |")


def test_a_degenerate_fold_takes_the_row_out_of_the_gaps() -> None:
    cells = table(
        {"Baseline": constant(eodds=0.2), "A": constant(eodds=0.1), "B": [*constant(4, eodds=0), scores(True, eodds=0)]}
    )
    results = collect(cells, [], INFO)
    assert marks(results, "eodds") == {"Baseline": "second", "A": "best", "B": ""}
    assert marks(results, "auc")["B"] == "best"
    row = results.column("small", "near", "eodds")[-1]
    assert (row.excluded, row.compared) == ("degenerate", False)
    assert sentences_with(reading(results), "near") == snapshot(
        [
            "near: 200 images (younger: 60 healthy, 40 ill; older: 75 healthy, 25 ill).",
            "† Gaps not ranked and not compared, every image predicted as the same class; a small gap there means nothing: B (near 1 of 5 folds).",
        ]
    )
    assert "| 0.000 ± 0.000† |" in main_table.files(results)["md"]
    assert sentences_with(findings(results), "EOdds") == snapshot(
        [
            "near: Not compared on EOdds: A, B †.",
            "far: No method's reduction of EOdds is supported by the fold spread.",
            "No significant difference from Baseline on EOdds: A, B.",
            "The best EOdds, Baseline (0.200), is not significantly different over folds from the next best, A (0.200).",
        ]
    )


def test_missing_folds_take_the_row_out_of_the_gaps_and_are_named() -> None:
    cells = table({"Baseline": constant(eodds=0.2), "A": constant(eodds=0.15), "B": constant(3, eodds=0.1, auc=0.9)})
    results = collect(cells, [failure("B", 3), failure("A", 0)], INFO)
    assert marks(results, "eodds") == {"Baseline": "second", "A": "best", "B": ""}
    assert marks(results, "auc") == {"Baseline": "second", "A": "second", "B": "best"}
    notes = "\n".join(reading(results))
    assert sentences_with(notes, "near", "far") == snapshot(
        ["‡ Gaps not ranked and not compared, fewer folds than other rows: B (near 3, far 3, val 3 of 5 folds)."]
    )
    assert "Missing: B 3 of 5 folds." in notes
    assert sentences_with(notes, "NonFinite") == snapshot(["Failed: B, fold 3: NonFinite (why: in the results)"])
    assert "layer_3" not in "".join(notes), "a message may name an image"
    assert "second line" not in notes
    assert "Failed: A" not in notes  # a later attempt made it good
    assert [row[-1] for row in main_table.block(results, "small", ("near",)).rows if row[0] == "B"] == [3]


def test_undefined_values_print_as_a_dash() -> None:
    cells = table({"Baseline": constant(eodds=math.nan), "A": constant(eodds=math.nan)})
    cells[0] = changed(cells[0], scores={"val": {"eodds": None}})
    results = collect([decode(to_json(item), Record) for item in cells], [], INFO)
    undefined = main_table.entry(results.column("small", "near", "eodds")[0])
    assert markdown(Table([Column("EOdds")], [[undefined]])).endswith("\n| – |")
    assert sentences_with(findings(results), "EOdds") == snapshot(
        [
            "near: Not compared on EOdds: A.",
            "far: No method's reduction of EOdds is supported by the fold spread.",
            "No significant difference from Baseline on EOdds: A.",
            "The best EOdds, Baseline (0.200), is not significantly different over folds from the next best, A (0.200).",
        ]
    )


def test_all_rows_with_the_same_missing_folds() -> None:
    cells = table({"Baseline": constant(2, eodds=0.2), "A": constant(2, eodds=0.1)})
    results = collect(cells, [], dataclasses.replace(INFO, folds=5))
    assert reading(results)[0] == snapshot("mean ± std over 2 folds (ddof 1).")
    assert sentences_with(reading(results), "Missing") == snapshot(["Missing: every row has 2 of 5 folds."])
    assert marks(results, "eodds")["A"] == "best"


def test_seeds_are_averaged_within_a_fold() -> None:
    cells = [
        cell("A", fold, seed, near=scores(auc=0.7 + 0.1 * seed + 0.01 * fold)) for fold in range(2) for seed in (0, 1)
    ]
    results = collect(cells, [], INFO)
    row = results.column("small", "near", "auc")[0]
    assert row.values == pytest.approx({0: 0.75, 1: 0.76})
    assert row.n == 2
    assert reading(results)[0] == snapshot(
        "mean ± std over 2 folds (ddof 1). Values of 2 seeds are averaged within a fold."
    )


def test_cost_is_epochs_of_full_fine_tuning() -> None:
    cells = [cell("A", 0), changed(cell("B", 0), data={"external": (0, "external")})]
    results = collect(cells, [], INFO)
    assert [row.mean for row in results.costs("small")] == pytest.approx([2.0, math.nan], nan_ok=True)
    lines = markdown(main_table.block(results, "small", ("near",))).splitlines()
    assert [line.split(" | ")[-2] for line in lines[2:]] == ["2.0", "–"]


def test_sizes_say_what_one_image_weighs() -> None:
    notes = "\n".join(reading(collect([cell("A", 0)], [], INFO)))
    assert sentences_with(notes, "near") == snapshot(
        ["near: 200 images (younger: 60 healthy, 40 ill; older: 75 healthy, 25 ill)."]
    )
    assert sentences_with(notes, "4.0") == snapshot(
        [
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
            "In the smallest stratum (older, ill) one image moves a rate by 4.0 points.",
        ]
    )
    few = cell("A", 0, far=scores(groups=factory.WIDE | {"older": (5, 0)}))
    assert sentences_with(reading(collect([few], [], INFO)), "There") == snapshot(
        ["There is no image of older, ill: its rate, and the gaps made of it, are undefined."]
    )


def test_images_that_cannot_be_read_are_counted_by_set() -> None:
    cells = [
        changed(
            cell("Baseline", 0),
            left_out={"source": {"FILE_CORRUPT": 1}, "far": {"FILE_CORRUPT": 2, "LABEL_NOT_LISTED": 3}},
        ),
        cell("A", 0),
    ]
    assert reading(collect(cells, [], INFO))[-2:] == snapshot(
        [
            "Left out of source: the file cannot be read: 1.",
            "Left out of far: the file cannot be read: 2; the value of the label is in no list of the task: 3.",
        ]
    )
    assert not any("left out" in note for note in reading(collect(cells[1:], [], INFO)))


def test_variants_and_equal_titles_are_told_apart() -> None:
    cells = [cell("A", 0), cell("A:mask=hard", 0)]
    assert [row.label for row in collect(cells, [], INFO).costs("small")] == ["A", "A (mask hard)"]
    cells[1] = changed(cells[1], method="z", spec="z")
    assert [row.label for row in collect(cells, [], INFO).costs("small")] == ["A [a]", "A [z]"]


def test_what_must_not_stand_in_one_table() -> None:
    def refused(match: str, *cells: dict[str, Any], info: TaskInfo = INFO) -> None:
        with pytest.raises(BenchError, match=match):
            collect(cells, [], info)

    real = changed(cell("A", 0), synthetic=False)
    refused("no results of demo: `bench run --task demo --methods all` makes them")
    refused("real and synthetic: the two are never in one table", cell("Baseline", 0), real)
    refused("never in one table", real)
    refused("never in one table", cell("A", 0), info=dataclasses.replace(INFO, synthetic=False))
    refused("two results", cell("A", 0), cell("A", 0))
    other = changed(cell("A", 1), data={"near": (200, "other")})
    refused("different images of near", cell("A", 0), other)
    fewer = cell("A", 1, far=scores(groups=factory.WIDE | {"older": (75, 24)}))
    refused("different images of far", cell("A", 0), fewer)
    elsewhere = changed(cell("A", 0), task="other")
    refused("other", elsewhere)
    refused("no out-of-distribution set", cell("A", 0), info=dataclasses.replace(INFO, ood=()))


@pytest.mark.parametrize("between", [0.0, 0.2])
def test_noise_makes_no_claim_of_a_gain(between: float) -> None:
    gains = sum(NO_GAIN not in findings(collect(noise(seed, between), [], INFO)) for seed in range(60))
    assert gains <= 6


def test_a_large_gain_and_a_large_loss_are_both_said() -> None:
    cells = noise(0, M1=(-0.25, 0.0), M2=(0.25, 0.0), M3=(0.0, -0.2), M4=(0.0, 0.15))
    text = findings(collect(cells, [], INFO))
    assert NO_GAIN not in text
    for paragraph in text[-2:]:
        for found in ("M1 (-0.", "M2 (+0.", "M3 (-0.", "M4 (+0."):
            assert found in paragraph
    assert text[-2:] == snapshot(
        [
            "near: EOdds is lower than Baseline's with M1 (-0.233, p < 0.001). EOdds is higher than Baseline's with M2 (+0.256, p < 0.001). No significant difference from Baseline on EOdds: M0, M3, M4, M5, M6, M7, M8. The best EOdds, M1 (0.062), is significantly different over folds from Baseline, and significantly different over folds from the next best, M6 (0.292). AUC is lower than Baseline's with M3 (-0.198, p < 0.001). AUC is higher than Baseline's with M4 (+0.156, p < 0.001). No significant difference from Baseline on AUC: M0, M1, M2, M5, M6, M7, M8. The best AUC, M4 (0.954), is significantly different over folds from Baseline, and significantly different over folds from the next best, M0 (0.813).",
            "far: EOdds is lower than Baseline's with M1 (-0.260, p < 0.001). EOdds is higher than Baseline's with M2 (+0.237, p < 0.001). No significant difference from Baseline on EOdds: M0, M3, M4, M5, M6, M7, M8. The best EOdds, M1 (0.024), is significantly different over folds from Baseline, and significantly different over folds from the next best, M5 (0.273). AUC is lower than Baseline's with M3 (-0.196, p < 0.001). AUC is higher than Baseline's with M4 (+0.116, p 0.031). No significant difference from Baseline on AUC: M0, M1, M2, M5, M6, M7, M8. The best AUC, M4 (0.931), is significantly different over folds from Baseline, and significantly different over folds from the next best, M1 (0.816).",
        ]
    )


def test_a_loss_alone_is_no_gain() -> None:
    text = findings(collect(noise(0, M2=(0.25, -0.2)), [], INFO))
    assert NO_GAIN in text
    assert sentences_with(text[-1], "EOdds") == snapshot(
        [
            "far: EOdds is higher than Baseline's with M2 (+0.237, p < 0.001).",
            "No method's reduction of EOdds is supported by the fold spread.",
            "No significant difference from Baseline on EOdds: M0, M1, M3, M4, M5, M6, M7, M8.",
            "The best EOdds, M5 (0.273), is not significantly different over folds from Baseline, and not significantly different over folds from the next best, M1 (0.274).",
        ]
    )
    assert sentences_with(text[-1], "AUC", "M2") == snapshot(
        ["AUC is lower than Baseline's with M2 (-0.214, p < 0.001)."]
    )


def test_what_is_not_significant_is_never_claimed() -> None:
    for seed in range(20):
        results = collect(noise(seed, M1=(-0.06, 0.02)), [], INFO)
        for name, paragraph in zip(INFO.ood, findings(results)[-2:], strict=True):
            claimed = paragraph.partition("No significant difference from Baseline on EOdds")[0]
            differs = {row.label: row.significant for row in results.column("small", name, "eodds")}
            assert all((f"{label} (" in claimed) is differs[label] for label in differs), paragraph


def test_a_row_out_of_the_ranking_is_never_claimed() -> None:
    cells = [
        changed(item, scores={"near": {"degenerate": True}}) if (item.cell.title, item.cell.fold) == ("M1", 2) else item
        for item in noise(0, M1=(-0.25, -0.2), M2=(-0.25, 0.0))
    ]
    near, far = findings(collect(cells, [], INFO))[-2:]
    assert sentences_with(near, "EOdds", "Baseline's") == snapshot(
        ["near: EOdds is lower than Baseline's with M2 (-0.244, p < 0.001)."]
    )
    assert sentences_with(near, "EOdds", "M1") == snapshot(["Not compared on EOdds: M1 †."])
    assert sentences_with(near, "AUC", "M1") == snapshot(["AUC is lower than Baseline's with M1 (-0.191, p 0.002)."])
    assert sentences_with(far, "EOdds", "Baseline's") == snapshot(
        ["far: EOdds is lower than Baseline's with M1 (-0.260, p < 0.001) and M2 (-0.263, p < 0.001)."]
    )


def test_a_degenerate_baseline_is_compared_with_nothing() -> None:
    cells = [cell("Baseline", fold, near=scores(True, eodds=0.0)) for fold in range(5)]
    cells += [cell("A", fold, near=scores(eodds=0.2 + 0.01 * fold)) for fold in range(5)]
    assert findings(collect(cells, [], INFO))[-2] == snapshot(
        "near: Baseline is degenerate there: nothing is compared on EOdds. No significant difference from Baseline on AUC: A. The best AUC, Baseline (0.800), is not significantly different over folds from the next best, A (0.800)."
    )


def test_without_baseline_nothing_is_compared() -> None:
    assert findings(collect([cell("A", 0)], [], INFO)) == snapshot(
        ["There are no results of Baseline: nothing is compared."]
    )
    assert "Baseline only" in findings(collect([cell("Baseline", 0)], [], INFO))[0]


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
    results = collect(noise(3), [], INFO)
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
        "import json, pathlib, pickle, sys; from bench.report.numbers.task_info import TaskInfo; from bench.report.reports import write;"
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
    assert [item.get_text() for item in figure.legends[0].get_texts()] == ["Baseline", "A", "B"]
    assert len(figure.axes[0].patches) == 2
    assert len(figure.axes[1].patches) == 3


def test_a_method_looks_the_same_whichever_others_are_there() -> None:
    def looks(*titles: str) -> dict[str, style.Style]:
        return style.styles_of(style.names(frames.by_fold(collect([cell(title, 0) for title in titles], [], INFO))))

    everything, some = looks(*TITLES, "Own"), looks("C", "C:x=1")
    assert some["C"] == everything["C"]
    assert some["C (x 1)"] == everything["C"] | {"fillstyle": "none"}
    assert len({style["marker"] for style in everything.values()}) == 5


def test_the_terminal_table_in_plain_text() -> None:
    stream = io.StringIO()
    cells = table({"Baseline": constant(eodds=0.25, auc=1.0), "A": constant(3, eodds=0.125)})
    terminal.show(collect(cells, [], INFO), stream)
    lines = stream.getvalue().splitlines()
    assert lines[0] == SYNTHETIC
    assert lines[1].split() == ["near", "(n", "200)", "far", "(n", "200)"]
    assert lines[2].split() == ["method", *["AUC", "↑", "SPD", "↓", "EOdds", "↓"] * 2, "cost", "folds"]
    assert lines[3].startswith("Baseline  1.000 ± .000*  ")
    assert ".125 ± .000‡" in lines[4]
    assert lines[5] == snapshot(
        "mean ± std over 5 folds (ddof 1). * best, + second of a column. No significant difference from Baseline on EOdds (paired, Holm): not compared."
    )
    assert len({line.index("folds") + 5 for line in lines[2:3]} | {len(line) for line in lines[2:5]}) == 1


@pytest.mark.parametrize(("width", "tables_"), [("70", 2), ("140", 1)])
def test_a_narrow_terminal_stacks_the_sets(monkeypatch: pytest.MonkeyPatch, width: str, tables_: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    terminal.show(collect(table({"Baseline": constant(eodds=0.2), "A": constant(eodds=0.1)}), [], INFO), stream)
    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("method") for line in lines) == tables_
    assert "\x1b[1m.100 ± .000\x1b[0m" in stream.getvalue()
    assert max(len(line) for line in lines if line.startswith("method")) <= int(width)


def test_the_terminal_line_names_what_is_not_significant() -> None:
    stream = io.StringIO()
    terminal.show(collect(noise(0, M1=(-0.25, 0)), [], INFO), stream)
    expected = "No significant difference from Baseline on EOdds (paired, Holm): M0, M2, M3, M4, M5, M6, M7, M8."
    assert expected in stream.getvalue()


def test_no_module_imports_torch() -> None:
    code = (
        "import sys, bench.score.metrics, bench.report.figures.style,"
        "bench.report.tables.terminal, bench.report.tables.main_table;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
