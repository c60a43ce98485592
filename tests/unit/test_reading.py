"""What a report makes of a folder of results: fabricated cells of a tiny phantom beside files that are none."""

import dataclasses
import json
import math
import shutil

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.cells.identity import SCHEMA, Cell, cell_file, failure_file, predictions_file, scores_file
from bench.cells.store import save_cell, save_failure
from bench.data.task_data import task_data
from bench.files import write_json
from bench.reporting.task_results import read
from bench.running.plan import cell_hash
from bench.settings import Settings
from tests.end_to_end.conftest import TINY
from tests.factory import failure, record, scores
from tests.prose import plain

SCORES = scores({"up to 65": (30, 20), "over 65": (30, 20)}, value=0.25)
SETS = dict.fromkeys(("ood_neutral", "ood_reversed", "val"), SCORES)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    return Settings(str(tmp_path / "tiny.toml"), tmp_path / "results", tmp_path / "cache", None)


@pytest.fixture
def save(settings):
    """Stores a cell as a run does."""
    data = task_data(taskfile.resolve(settings.task), None)

    def store(spec, fold=0, **changed):
        cell = Cell("tiny", "small", spec, fold, 0)
        stored = {"task": "tiny", "hash": cell_hash(cell, data), "scores": SETS, **changed}
        table = pd.DataFrame(
            {"image_id": ["a"], "set": ["val"], "cluster": [0], "y": [1], "a_age": [0], "logit": [0.5]}
        )
        save_cell(settings.results, cell, record(spec, fold, **stored), table, b"")
        return cell

    return store


def left_out(results):
    folder = results.settings.results.parent
    return [plain(line, folder).removeprefix("<tmp>/results/cells/tiny/") for line in results.left_out]


def test_whole_cells_are_read(settings, save):
    cells = [save(spec, fold) for spec in ("baseline", "swift") for fold in (0, 1)]
    results = read(settings)
    assert [item.cell.spec for item in results.cells] == [cell.spec for cell in cells]
    assert results.left_out == ()
    assert results.predictions(results.cells[0])["logit"].tolist() == [0.5]
    assert results.pictures(results.cells[0]) is None


def test_what_is_no_cell_is_named_and_left_out(settings, save, capsys):
    cell = save("baseline")
    root, folder = settings.results / "cells/tiny", cell_file(settings.results, cell).parent
    whole = json.loads(cell_file(settings.results, cell).read_text())
    (folder / "f1-s0.json").write_text(json.dumps(whole)[:200])  # half-written
    (folder / "f2-s0.json").write_text('["foreign"]')
    write_json(folder / "f3-s0.json", {**whole, "schema": 99})
    write_json(folder / "f4-s0.json", whole)  # copied by hand
    shutil.copy(folder / "f0-s0.scores.json", folder / "f4-s0.scores.json")
    write_json(folder / "f5-s0.json", {**whole, "cell": {"task": "tiny"}})
    write_json(folder / "f6-s0.json", {"schema": SCHEMA, "hash": "", "cell": {}})
    (folder / "f7-s0.json").mkdir()
    (folder / "f8-s0.failed.json").write_text("{}")
    (folder / "f0-s0 (copy).json").write_text(json.dumps(whole))
    (folder / "f0-s0.log").write_text("08:00 fine\n")
    (folder / ".f9-s0.json.host.12").write_text("of a writer that was killed")
    (root / "notes.txt").write_text("mine")
    (root / "small" / "summary.json").write_text("{}")

    results = read(settings)
    assert [item.cell.fold for item in results.cells] == [0]
    assert results.failures == []
    assert left_out(results) == snapshot(
        [
            "notes.txt: not a file of a cell",
            "small/baseline/f0-s0 (copy).json: not a file of a cell",
            "small/baseline/f1-s0.json: not a whole result: Input data was truncated",
            "small/baseline/f2-s0.json: not a whole result: Expected `object`, got `array`",
            "small/baseline/f3-s0.json: schema 99, 3 expected",
            "small/baseline/f4-s0.json: it belongs to tiny/small/baseline/f0-s0, which is stored elsewhere",
            "small/baseline/f5-s0.json: not a whole result: Object missing required field `backbone` - at `$.cell`",
            "small/baseline/f6-s0.json: not a whole result: Object missing required field `task` - at `$.cell`",
            "small/baseline/f7-s0.json: cannot be read: Is a directory",
            "small/baseline/f8-s0.failed.json: not a whole record of a failure: Object missing required field `cell`",
            "small/summary.json: not a file of a cell",
        ]
    )
    assert capsys.readouterr().err.count("left out: ") == len(results.left_out)
    assert results.results.column("small", "ood_neutral", "auc")[0].n == 1


def test_stale_cells_are_not_averaged_with_fresh_ones(settings, save):
    save("baseline")
    save(
        "baseline",
        1,
        hash="0" * 64,
        scores={name: {**SCORES, "auc": 1.0} for name in SETS},
    )
    results = read(settings)
    assert left_out(results) == snapshot(
        [
            "small/baseline/f1-s0.json: stale; `bench run --task <tmp>/tiny.toml --methods baseline --backbone small --folds 1 --results <tmp>/results --cache <tmp>/cache` replaces it"
        ]
    )
    row = results.results.column("small", "ood_neutral", "auc")[0]
    assert (row.mean, row.n) == (0.25, 1)
    assert math.isnan(row.std)


def test_predictions_that_are_gone_or_changed_take_their_cell_along(settings, save):
    for fold in (0, 1):
        save("baseline", fold)
    predictions_file(settings.results, Cell("tiny", "small", "baseline", 0, 0)).unlink()
    file = predictions_file(settings.results, Cell("tiny", "small", "baseline", 1, 0))
    file.write_bytes(file.read_bytes()[:-7])
    results = read(settings)
    assert left_out(results) == snapshot(
        [
            "small/baseline/f0-s0.json: its predictions are missing: `bench run --task <tmp>/tiny.toml --methods baseline --backbone small --folds 0 --results <tmp>/results --cache <tmp>/cache --force` computes the cell again",
            "small/baseline/f1-s0.json: its predictions are damaged or of another run: `bench run --task <tmp>/tiny.toml --methods baseline --backbone small --folds 1 --results <tmp>/results --cache <tmp>/cache --force` computes the cell again",
        ]
    )
    assert not results.cells


def test_missing_scores_name_the_command_that_makes_them(settings, save):
    scores_file(cell_file(settings.results, save("baseline"))).unlink()
    assert left_out(read(settings)) == snapshot(
        [
            "small/baseline/f0-s0.json: its scores are missing: `bench metrics --recompute --results <tmp>/results` computes them again"
        ]
    )


def test_a_failure_of_another_place_is_named(settings, save):
    cell = save("baseline")
    failed = failure(record("baseline", 1, task="tiny"), "EmptyGroup")
    save_failure(settings.results, dataclasses.replace(cell, fold=1), failed)
    assert len(read(settings).failures) == 1
    failure_file(settings.results, dataclasses.replace(cell, fold=1)).rename(failure_file(settings.results, cell))
    results = read(settings)
    assert results.failures == []
    assert left_out(results) == snapshot(
        ["small/baseline/f0-s0.failed.json: it belongs to tiny/small/baseline/f1-s0, which is stored elsewhere"]
    )


def test_a_variant_is_read_once_and_only_where_it_has_cells(settings, save):
    save("baseline")
    results = read(settings)
    assert results.variant("external", 0.2) is None
    assert results.variant("external", 1.0) is results
    (settings.results / "cells/tiny+external-0.2").mkdir()
    assert results.variant("external", 0.2) is None
