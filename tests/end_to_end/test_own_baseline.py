"""`--baseline FILE`: a model that is trained already."""

import shutil

import pandas as pd
import pytest
import torch
from inline_snapshot import snapshot

from tests.prose import lines_with

RUN = ("run", "--task", "tiny.toml", "--methods", "llft", "--jobs", "1")


def records(place):
    return place.records()


@pytest.mark.slow
def test_the_suites_own_weights_brought_back_give_the_same_predictions(finished, place):
    for name, record in records(finished).items():
        if "/baseline/" in name:
            sha, fold = record["baseline_sha256"], record["cell"]["fold"]
            for file in (finished.folder / ".cache/baselines").glob("*.pt"):
                import hashlib

                if hashlib.sha256(file.read_bytes()).hexdigest() == sha:
                    shutil.copy(file, place.folder / f"mine-{fold}.pt")
    shutil.copytree(finished.folder / ".cache/images", place.folder / ".cache/images")
    done = place.bench(*RUN, "--baseline", "mine-{fold}.pt")
    assert "4 of 4 cells done" in done.stdout
    assert "the same checkpoint" not in done.stderr
    mine, theirs = records(place), records(finished)
    for name, record in mine.items():
        assert record["hash"] != theirs[name]["hash"]
        assert record["scores"] == theirs[name]["scores"]
        one, other = (
            pd.read_parquet((p.folder / "results/cells" / name).with_suffix(".parquet")) for p in (place, finished)
        )
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    place.bench("report", "--task", "tiny.toml", "--only", "main", "--baseline", "mine-{fold}.pt")
    assert "LLFT" in (place.folder / "reports/tiny/main.md").read_text()
    # Without it these are other cells.
    assert place.bench(*RUN, "--dry-run").stdout.count("stale") == 4


def test_one_file_for_all_folds_is_warned_of_and_a_wrong_one_stops_before_anything_is_computed(finished, place):
    shutil.copytree(finished.folder / ".cache/images", place.folder / ".cache/images")
    good = next((finished.folder / ".cache/baselines").glob("*.pt"))
    state = torch.load(good, weights_only=True)
    # As a Lightning module with BCEWithLogitsLoss(pos_weight=...) leaves it.
    lightning = {f"net.{name}": value for name, value in state.items()} | {"criterion.pos_weight": torch.ones(1)}
    torch.save({"state_dict": lightning, "epoch": 3}, place.folder / "model.ckpt")
    done = place.bench(*RUN, "--baseline", "model.ckpt")
    assert "the same checkpoint is the baseline of all folds" in done.stderr
    said = place.told(done.stderr)
    assert lines_with(said, "left out") + lines_with(said, "taken to be") == snapshot(
        [
            "--baseline model.ckpt: left out, as of a loss or a metric: criterion.pos_weight (1,)",
            "--baseline model.ckpt: its images are taken to be 3 channels from 0 (black) to 1 (white), less the mean 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225, resized to 32 x 32 (lanczos); [baseline] in the task states otherwise (mean, std, range, resize)",
        ]
    )
    aucs = {
        fold: record["log"]["user_checkpoint_auc"]
        for fold, record in enumerate(record for name, record in sorted(records(place).items()) if "/baseline/" in name)
    }
    for fold, auc in aucs.items():
        assert f"AUC of the model of --baseline on the validation part of fold {fold}: {auc:.3f}" in done.stderr
        assert ("of --baseline has an AUC of " in done.stderr) == (min(aucs.values()) < 0.6)
    del state["head.1.bias"]
    torch.save(state, place.folder / "wrong.pt")
    wrong = place.bench(*RUN, "--baseline", "wrong.pt", "--results", "other", code=3)
    assert "missing: head.1.bias" in wrong.stderr
    assert not (place.folder / "other/cells").exists()
    assert "nowhere.pt not found" in place.bench(*RUN, "--baseline", "nowhere.pt", code=3).stderr
