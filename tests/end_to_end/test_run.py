"""The main job as a user runs it: once, again, killed, resumed."""

import dataclasses
import json
import os
import py_compile
import shutil

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import registry
from bench.running.pictures import KINDS
from tests import factory
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with

MASKED = ("swift", "swift+apply-update", "bmft")
ALONE = ("--folds", "0", "--jobs", "1")
"""One worker: to start another takes longer than these cells."""


def test_all_methods_reach_the_table(finished):
    assert finished.ended(finished.first.stdout) == {"done": 22, "cells": 22, "computed": 22, "recomputed": 0}
    assert finished.told(finished.first.stdout) == snapshot(
        "22 of 22 cells done, 22 computed, 0 recomputed. `bench report --task tiny.toml` makes the tables.\n"
    )
    made = {"main": ("csv", "md", "tex"), "groups": ("csv", "md"), "trade-off": ("csv", "pdf", "png")}
    made["index"] = ("html",)
    made |= {f"figure-{number}": ("csv", "pdf", "png") for number in (1, 3, 5, 9)}
    assert {f"{name}.{kind}" for name, kinds in made.items() for kind in kinds} <= set(finished.first_report)
    table = finished.first_report["main.md"].decode()
    methods = [registry.METHODS.load(name) for name in registry.METHODS.catalogue()]
    assert {method.title: method.title in table for method in methods} == {
        method.title: not method.comparator for method in methods
    }
    # Ten methods, and the cure of what Adam does to SWiFT's mask.
    assert "SWiFT (apply update)" in table
    assert "SYNTHETIC" in table


@needs_latex
def test_the_tables_of_a_report_compile_and_no_line_is_too_wide(finished, tmp_path):
    files = {name: data for name, data in finished.first_report.items() if name.endswith(".tex")}
    assert {"main.tex", "table-1.tex"} <= set(files) or {"main.tex", "table-3.tex"} <= set(files)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    compile_tables([tmp_path / name for name in files], tmp_path)


def test_again_computes_nothing(finished):
    before = finished.cells()
    again = finished.bench("run", "--task", "tiny.toml", "--methods", "all")
    assert finished.ended(again.stdout) == {"done": 22, "cells": 22, "computed": 0, "recomputed": 0}
    assert finished.cells() == before


@pytest.mark.slow
def test_the_report_of_all_tasks_has_those_of_the_user_too(finished):
    """A second report has the same bytes."""
    told = finished.bench("report", "--all", "--reports", "all")
    assert "all/tiny/index.html" in told.stdout
    assert '<a href="tiny/index.html">tiny</a>' in (finished.folder / "all/index.html").read_text()
    made = {file.name: file.read_bytes() for file in (finished.folder / "all/tiny").iterdir()}
    assert made == finished.first_report


def test_a_cell_says_what_it_is_and_keeps_its_predictions(finished):
    file = finished.folder / "results/cells/tiny/small/swift/f1-s0.json"
    record = factory.plain(file)
    assert record["cell"]["parameters"] == dataclasses.asdict(registry.METHODS.build("swift"))
    assert set(record["scores"]) == {"val", "ood_neutral", "ood_reversed"}
    assert set(record["data"]) == {"train", "val", "external", "ood_neutral", "ood_reversed"}
    predictions = pd.read_parquet(file.with_suffix(".parquet"))
    assert list(predictions.columns) == ["image_id", "set", "cluster", "y", "logit", "a_age"]
    assert predictions["set"].value_counts().to_dict()["ood_neutral"] == 100
    scores = record["scores"]["ood_neutral"]
    assert sum(group["n"] for group in scores["groups"].values()) == 100
    from sklearn.metrics import roc_auc_score

    rows = predictions[predictions["set"] == "ood_neutral"]
    assert scores["auc"] == pytest.approx(roc_auc_score(rows["y"], rows["logit"]))


def test_a_cell_keeps_what_figures_show_of_it(finished):
    """Maps of one image per group and class; of the methods with a mask, what it is made of, found or made."""
    folder, shown = finished.folder / "results/cells/tiny/small", {}
    kept = {f"strip/{kind}/{block}" for kind in KINDS for block in ("stem", "block1", "block2", "block3")}
    for method, strips in (("baseline", set()), ("diff_prune", set()), *((name, kept) for name in MASKED)):
        with np.load(folder / method / "f0-s0.pictures.npz", allow_pickle=False) as file:
            shown[method] = {name: file[name] for name in file.files}
        assert {name for name in shown[method] if name.startswith("strip/")} == strips, method
    for name in ("strip/bias/stem", "strip/prediction/block3", "strip/mask/stem"):
        assert (shown["swift"][name] == shown["swift+apply-update"][name]).all()
    for method, found in shown.items():
        assert [*zip(found["cam/a"], found["cam/y"], strict=True)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert found["cam/map"].shape == (4, 2, 2)
        predictions = pd.read_parquet(folder / method / "f0-s0.parquet").query("set == 'ood_neutral'")
        rows = predictions.rename(columns={"a_age": "a"}).set_index("image_id").loc[found["cam/image_id"]]
        for name in ("y", "a", "logit"):
            assert rows[name].tolist() == found[f"cam/{name}"].tolist(), name
        # The logit is the mean of its map plus the bias of the head: the same for all images.
        bias = found["cam/logit"] - found["cam/map"].mean((1, 2))
        assert bias == pytest.approx(np.full(4, bias[0]), abs=1e-4)
    assert (shown["baseline"]["cam/image_id"] == shown["swift"]["cam/image_id"]).all()


def test_one_baseline_per_fold_is_shared(finished):
    cells = finished.records().values()
    by_fold = {}
    for cell in cells:
        by_fold.setdefault(cell["cell"]["fold"], set()).add(cell["baseline_sha256"])
    assert [len(shas) for shas in by_fold.values()] == [1, 1]
    assert by_fold[0] != by_fold[1]
    assert len(list((finished.folder / ".cache/baselines").glob("*.pt"))) == 2


def test_no_image_is_on_two_sides(finished):
    from pathlib import Path

    from bench import taskfile
    from bench.data.task_data import task_data

    data = task_data(taskfile.resolve(str(Path(finished.folder / "tiny.toml"))), None)
    for fold in (0, 1):
        train, val, external = (data.split(name, fold) for name in ("train", "val", "external"))
        assert not set(train["patient"]) & set(val["patient"])
        assert set(external["uid"]) <= set(val["uid"])
        assert len(train) + len(val) == 240


@pytest.mark.slow
def test_one_job_and_another_order_give_the_same_table(finished, place):
    """Alone instead of side by side, a method at a time, last first."""
    shutil.copytree(finished.folder / ".cache" / "images", place.folder / ".cache" / "images")
    place.bench("run", "--task", "tiny.toml", "--methods", "swift,bmft,diff_gda", "--folds", "1", "--jobs", "1")
    place.bench("run", "--task", "tiny.toml", "--methods", "all")
    assert place.shown() == finished.shown()


PLUGIN = '''"""{name}: a method that goes wrong.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class {name}(Method):
    """Goes wrong."""

    title = "{name}"
    uses = frozenset({{"external"}})

    def fit(self, run):
        {body}
        return run.model
'''


def test_plugins_that_raise_or_return_nan_fail_alone_and_keep_their_traceback(place):
    (place.folder / "raises.py").write_text(PLUGIN.format(name="Raises", body="raise RuntimeError('the reason')"))
    (place.folder / "gives_nan.py").write_text(
        PLUGIN.format(name="GivesNan", body="run.model.head[1].bias.data.fill_(float('nan'))")
    )
    (place.folder / "reads_train.py").write_text(PLUGIN.format(name="ReadsTrain", body="run.split('train')"))
    plugins = [word for name in ("raises", "gives_nan", "reads_train") for word in ("--plugin", f"{name}.py")]
    run = ("run", "--task", "tiny.toml", "--methods", "raises,gives-nan,reads-train,llft", *ALONE, *plugins)
    done = place.bench(*run, code=1)
    assert place.ended(done.stdout) == {"done": 2, "cells": 5, "failed": 3, "computed": 2, "recomputed": 0}
    failed = {
        "raises": snapshot(
            [
                "failed: tiny/small/raises/f0-s0: RuntimeError: the reason (traceback in <tmp>/results/cells/tiny/small/raises/f0-s0.failed.json)"
            ]
        ),
        "gives_nan": snapshot(
            [
                "failed: tiny/small/gives_nan/f0-s0: NonFinite: gives_nan: 120 of 120 logits on val are NaN or infinite (traceback in <tmp>/results/cells/tiny/small/gives_nan/f0-s0.failed.json)"
            ]
        ),
        "reads_train": snapshot(
            [
                "failed: tiny/small/reads_train/f0-s0: UndeclaredSplit: reads_train reads the split 'train' but declares uses = {external}: add it there if the method is defined on it (only train, val and external exist) (traceback in <tmp>/results/cells/tiny/small/reads_train/f0-s0.failed.json)"
            ]
        ),
    }
    for name, says in failed.items():
        assert lines_with(place.told(done.stderr), f"tiny/small/{name}/f0-s0") == says
    failure = json.loads((place.folder / "results/cells/tiny/small/raises/f0-s0.failed.json").read_text())
    assert "raise RuntimeError('the reason')" in failure["error"]["traceback"]
    assert failure.get("attempt", 1) == 1, "the first attempt is the default, which is not written"
    report = place.bench("report", "--task", "tiny.toml", "--only", "main", *plugins)
    assert "Raises" in (place.folder / "reports/tiny/main.md").read_text()
    assert report.returncode == 0

    # Mended, the same command completes; what was done is not done again.
    for name in ("raises", "gives_nan", "reads_train"):
        (place.folder / f"{name}.py").write_text(PLUGIN.format(name=name.title().replace("_", ""), body="pass"))
    done = place.bench(*run)
    assert place.ended(done.stdout) == {"done": 5, "cells": 5, "computed": 3, "recomputed": 0}
    assert not (place.folder / "results/cells/tiny/small/raises/f0-s0.failed.json").exists()


def test_a_broken_plugin_file_is_named(place):
    (place.folder / "broken.py").write_text("import a_module_that_is_not_there\n")
    done = place.bench("run", "--task", "tiny.toml", "--methods", "llft", *ALONE, "--plugin", "broken.py", code=1)
    assert "broken.py" in done.stderr
    assert "a_module_that_is_not_there" in done.stderr


def test_a_plugin_is_what_its_file_says_not_what_was_compiled_before(place):
    """Of two texts of one length and time, as a copy or an edit within a second leaves them."""
    file = place.folder / "mine.py"
    for body in ("pass", "1//0"):
        file.write_text(PLUGIN.format(name="Mine", body=body))
        os.utime(file, (1e9, 1e9))
        if body == "pass":
            py_compile.compile(str(file), doraise=True)
    done = place.bench("run", "--task", "tiny.toml", "--methods", "mine", *ALONE, "--plugin", "mine.py", code=1)
    assert "ZeroDivisionError" in done.stderr


def test_a_failed_baseline_blocks_its_fold_alone(place):
    place.bench("run", "--task", "tiny.toml", "--methods", "baseline", "--jobs", "1")
    for file in (place.folder / "results/cells/tiny/small/baseline").glob("f0*"):
        file.unlink()
    checkpoints = sorted((place.folder / ".cache/baselines").glob("*.pt"))
    good = {file: file.read_bytes() for file in checkpoints}
    for file in checkpoints:
        file.unlink()
        file.mkdir()  # what is trained cannot be written
    done = place.bench("run", "--task", "tiny.toml", "--methods", "llft,swift", *ALONE, code=1)
    ended = {"done": 0, "cells": 3, "failed": 1, "not started": 2, "computed": 0, "recomputed": 0}
    assert place.ended(done.stdout) == ended
    assert [line for line in place.told(done.stderr).splitlines() if line.startswith("not started")] == snapshot(
        ["not started: 2 cells, its baseline failed; run the same command again to retry"]
    )
    assert f"{checkpoints[0].name} is a folder, where a file is written: remove it" in done.stderr
    for file, content in good.items():
        file.rmdir()
        file.write_bytes(content)
    done = place.bench("run", "--task", "tiny.toml", "--methods", "llft,swift", *ALONE)
    assert "3 of 3 cells done" in done.stdout


def test_changed_parameters_are_new_cells_and_a_changed_recipe_makes_old_ones_stale(finished, place):
    shutil.copytree(finished.folder / ".cache", place.folder / ".cache")
    place.bench("run", "--task", "tiny.toml", "--methods", "swift", *ALONE)
    done = place.bench("run", "--task", "tiny.toml", "--methods", "swift:epsilon=0.3", *ALONE)
    assert place.ended(done.stdout) == {"done": 2, "cells": 2, "computed": 1, "recomputed": 0}
    text = (place.folder / "tiny.toml").read_text()
    (place.folder / "tiny.toml").write_text(text.replace("lr_head = 1e-2", "lr_head = 2e-2"))
    plan = place.bench("run", "--task", "tiny.toml", "--methods", "swift", "--folds", "0", "--dry-run")
    assert plan.stdout.count("stale") == 2
    report = place.bench("report", "--task", "tiny.toml", code=1)
    assert lines_with(place.told(report.stderr), "tiny/small/swift/f0-s0") == snapshot(
        [
            "left out: <tmp>/results/cells/tiny/small/swift/f0-s0.json: stale; `bench run --task tiny.toml --methods swift --backbone small --folds 0` replaces it"
        ]
    )
    assert lines_with(place.told(report.stderr), "--methods all") == snapshot(
        ["bench: no results of tiny: `bench run --task tiny.toml --methods all` makes them"]
    )
    done = place.bench("run", "--task", "tiny.toml", "--methods", "swift", *ALONE)
    assert "2 recomputed" in done.stdout


def test_scores_of_finished_cells_come_out_again_as_they_are_from_their_predictions(finished):
    before = finished.cells()
    done = finished.bench("metrics", "--recompute", "--task", "tiny.toml")
    assert done.stdout.replace(f" {len(before)} ", " <cells> ") == snapshot(
        "0 of <cells> cells scored again, 0 could not be scored\n"
    )
    assert finished.cells() == before
