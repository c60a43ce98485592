"""`bench run --keep-models`, `bench model` and `bench predict`: what is handed out is what was scored."""

import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from msgspec.structs import replace
from PIL import Image
from safetensors.torch import load_file, save_file

from bench import load_model, predict_images
from bench.cells.intact import described, sealed
from bench.cells.record import Record, read
from bench.data.task_data import open_data
from bench.settings import Settings
from tests.in_process import Here
from tests.prose import lines_with

RUN = ("run", "--task", "tiny.toml", "--methods", "swift,diff_prune", "--jobs", "1")
TEST = "ood_neutral"


def films(folder: Path, task: Path) -> None:
    """Write the images of a test set as files, in the order of the stored predictions, and a table of them."""
    data = open_data(Settings(str(task), cache=folder / "cache"))
    source, table = data.sources[TEST], data.split(TEST, 0)
    for number, path in enumerate(table["path"]):
        Image.fromarray(source.dataset.image(source.root, path)).save(folder / f"{number:03}.png")
    names = [f"{number:03}.png" for number in range(len(table))]
    pd.DataFrame({"path": names, "age": 40 + 50 * table["a"]}).to_csv(folder / "films.csv", index=False)


@pytest.fixture(scope="module")
def kept(new_place):
    """The tiny task with the weights of two methods kept, a model of each, and new films."""
    place = new_place("kept")
    place.bench(*RUN, "--keep-models")
    here = Here(place.folder)
    for words in (("swift", "--fold", "0", "--out", "swift0"), ("diff_prune", "--ensemble", "--out", "pruned")):
        here.bench("model", "tiny.toml", *words)
    (place.folder / "films").mkdir()
    films(place.folder / "films", place.folder / "tiny.toml")
    return here


def stored(place, method: str, fold: int) -> np.ndarray:
    """The logits that were scored on the test set."""
    table = pd.read_parquet(place.folder / f"results/cells/tiny/small/{method}/f{fold}-s0.parquet")
    return table.loc[table["set"] == TEST, "logit"].to_numpy()


def test_a_model_gives_the_logits_that_were_scored(kept):
    kept.bench("predict", "swift0", "--csv", "films/films.csv", "--out", "p.csv")
    found, config = pd.read_csv(kept.folder / "p.csv"), json.loads((kept.folder / "swift0/config.json").read_text())
    np.testing.assert_allclose(found["logit"], stored(kept, "swift", 0), atol=1e-6)
    np.testing.assert_allclose(found["score"], 1 / (1 + np.exp(-found["logit"])), atol=1e-7)
    scores = json.loads((kept.folder / "results/cells/tiny/small/swift/f0-s0.scores.json").read_text())
    tuned = scores["sets"]["val"]["metrics"]["tuned_threshold"]
    assert config["threshold"] == tuned
    assert found["decision"].tolist() == (found["score"] > tuned).astype(int).tolist()
    assert 0 < found["decision"].sum() < len(found)


def test_an_ensemble_gives_the_mean_logit_of_all_folds_and_its_masks_are_loaded(kept):
    model = load_model(kept.folder / "pruned")
    found = predict_images(model, [kept.folder / f"films/{number:03}.png" for number in range(100)])
    mean = (stored(kept, "diff_prune", 0) + stored(kept, "diff_prune", 1)) / 2
    np.testing.assert_allclose(found["logit"], mean, atol=1e-6)
    masks = [name for name, _ in model.named_buffers() if name.endswith(".mask")]
    assert masks == ["networks.0.features.0.mask", "networks.1.features.0.mask"]
    # The threshold is that of the validation images of both folds, each scored by its own network.
    both = [pd.read_parquet(kept.folder / f"results/cells/tiny/small/diff_prune/f{k}-s0.parquet") for k in (0, 1)]
    rows = pd.concat([table[table["set"] == "val"] for table in both])
    z, y = rows["logit"].to_numpy(dtype=float), rows["y"].to_numpy() == 1
    grid = [np.log(p / (1 - p)) if 0 < p < 1 else np.inf * (2 * p - 1) for p in np.arange(101) / 100]
    assert model.config.threshold == np.argmax([(z[y] > t).mean() + (z[~y] <= t).mean() for t in grid]) / 100


def test_min_cell_leaves_no_count_checksum_or_score_of_a_small_group_in_the_folder(kept):
    done = kept.bench("model", "tiny.toml", "swift", "--fold", "0", "--out", "few", "--min-cell", "1000")
    assert done.stderr == snapshot(
        "suppressed on the card, because a group and class has fewer than 1000 images: val, ood_neutral, ood_reversed\n"
    )
    card = (kept.folder / "few/README.md").read_text()
    whole = (kept.folder / "swift0/README.md").read_text()
    assert "fewer than 1000 images" in card
    assert "equalised_odds" not in card
    assert not re.search(r"\b[0-9a-f]{16}\b", card)
    assert "| external | phantom | suppressed, suppressed |" in card, "its size is that of the smaller group of val"
    assert re.search(r"\b[0-9a-f]{16}\b", whole)
    config = json.loads((kept.folder / "few/config.json").read_text())
    assert config["cells"] == []
    before = json.loads((kept.folder / "swift0/config.json").read_text())
    assert {key for key in config if config[key] != before[key]} == {"cells", "threshold_from"}


@pytest.mark.slow
def test_without_kept_weights_the_cell_is_computed_again_and_gives_the_same_bytes(kept, place):
    shutil.copytree(kept.folder / ".cache/images", place.folder / ".cache/images")
    place.bench(*RUN)
    assert not list(place.folder.glob("results/**/*.safetensors"))
    for file in (place.folder / ".cache/baselines").glob("*.pt"):
        file.unlink()
    done = Here(place.folder).bench("model", "tiny.toml", "swift", "--fold", "0", "--out", "again")
    assert [done.stderr, done.stdout] == snapshot(
        [
            "tiny/small/swift/f0-s0: its weights were not kept, so it is computed again\n",
            """\
SWiFT on tiny, fold 0. Before it was written, its logits on the 100 images of ood_neutral differ by at most 0 from those that were scored.
again
""",
        ]
    )
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (place.folder / "again" / name).read_bytes() == (kept.folder / "swift0" / name).read_bytes(), name


def test_the_card_says_what_the_model_is(kept):
    text = (kept.folder / "swift0/README.md").read_text()
    _, front, body = text.split("---\n", 2)
    yaml = dict(line.split(": ", 1) for line in front.splitlines())
    assert json.loads(yaml["tags"]) == ["medical-imaging", "bias-mitigation", "synthetic"]
    metrics = json.loads(yaml["model-index"])[0]["results"][0]["metrics"]
    assert [one["name"] for one in metrics] == snapshot(
        ["AUC, ood_neutral", "gap, ood_neutral", "AUC, ood_reversed", "gap, ood_reversed"]
    )
    scores = json.loads((kept.folder / "results/cells/tiny/small/swift/f0-s0.scores.json").read_text())["sets"]
    assert metrics[0]["value"] == round(scores[TEST]["metrics"]["auc"], 4)
    gap = scores[TEST]["attributes"]["age"]["metrics"]["eodds_tuned_threshold"]
    assert metrics[1]["value"] == round(gap, 4)
    assert [line for line in body.splitlines() if line.startswith("#")] == snapshot(
        [
            "# SWiFT on tiny",
            "## Use",
            "## What it is not for",
            "## Decision",
            "## Scores",
            "### val (validation: methods may have seen these images), 120 images of 51 patients",
            "### ood_neutral (test), 100 images of 38 patients",
            "### ood_reversed (test), 100 images of 37 patients",
            "## Data",
            "## Recipe",
        ]
    )
    assert lines_with(body, "score above") == snapshot(
        [
            "'pneumothorax' is predicted at a score above 0.49: the score with the highest balanced accuracy on the 120 validation images of fold 0. A logit is compared, so that a score of exactly the threshold is negative."
        ]
    )
    sha = json.loads((kept.folder / "results/cells/tiny/small/swift/f0-s0.json").read_text())["data"]["train"]["sha"]
    assert lines_with(body, "| train | phantom") == [f"| train | phantom | 120, {sha[:16]} | that of this program |"]
    assert str(kept.folder) not in text + (kept.folder / "swift0/config.json").read_text()


def test_what_is_not_what_was_scored_is_not_written(kept, tmp_path):
    place = Here(tmp_path / "copy")
    shutil.copytree(kept.folder, place.folder)
    cell = place.folder / "results/cells/tiny/small/swift/f0-s0.safetensors"
    state, record = load_file(cell), cell.with_suffix(".json")
    state["head.1.bias"] += 1e-3
    save_file(state, cell)
    reseal(record, cell)
    done = place.bench("model", "tiny.toml", "swift", "--fold", "0", "--out", "other", code=3)
    assert lines_with(done.stderr, "scored") == snapshot(
        [
            "bench: this is not the model that was scored: its logits on the 100 images of ood_neutral differ by at most 0.001 from those that were scored, 0.0001 allowed (or this share of a logit). Another processor or version trains other weights. `bench run --task tiny.toml --methods swift --backbone small --folds 0 --force --keep-models` trains and scores it here"
        ]
    )
    state["head.1.bias"] *= float("nan")
    save_file(state, cell)
    reseal(record, cell)
    done = place.bench("model", "tiny.toml", "swift", "--fold", "0", "--out", "other", code=3)
    assert lines_with(done.stderr, "NaN") == snapshot(
        ["bench: <tmp>/results/cells/tiny/small/swift/f0-s0.safetensors: head.1.bias is NaN or infinite somewhere"]
    )
    cell.write_bytes(cell.read_bytes()[:-1])
    done = place.bench("model", "tiny.toml", "swift", "--fold", "0", "--out", "other", code=3)
    assert lines_with(done.stderr, "is damaged") == snapshot(
        [
            "bench: tiny/small/swift/f0-s0: its safetensors is damaged: `bench run --task tiny.toml --methods swift --backbone small --folds 0 --keep-models` computes it again"
        ]
    )
    assert not list(place.folder.glob("*other*"))


def reseal(record: Path, changed: Path) -> None:
    """Write a record anew that names other bytes of the weights."""
    beside = described(record.with_suffix(""), (".parquet", ".pictures.npz", changed.suffix))
    record.write_bytes(sealed(replace(read(record, Record), beside=beside)))


@pytest.mark.slow
def test_methods_are_chained(kept):
    done = kept.bench(
        *("run", "--task", "tiny.toml", "--methods", "baseline", "--folds", "0", "--jobs", "1"),
        *("--baseline", "swift0", "--results", "chained"),
    )
    assert lines_with(done.stderr, "--baseline swift0") == snapshot(
        ["--baseline swift0: SWiFT of tiny, for 'pneumothorax'"]
    )
    table = pd.read_parquet(kept.folder / "chained/cells/tiny/small/baseline/f0-s0.parquet")
    np.testing.assert_allclose(table.loc[table["set"] == TEST, "logit"], stored(kept, "swift", 0), atol=1e-6)
    for changes, folder in (("", "pruned"), (":image_size=48", "swift0")):
        words = ("--task", f"tiny.toml{changes}", "--baseline", folder, "--results", "chained")
        done = kept.bench("run", *words, "--methods", "swift", "--folds", "0", code=3)
        assert "taken to be" not in done.stderr
        assert f"bench: --baseline {folder}: " in done.stderr
    assert lines_with(done.stderr, "image_size") == snapshot(
        [
            "tiny:image_size=48  SYNTHETIC  small backbone, 1 fold, 2 methods: 2 cells, 0 done, 1 baseline first",
            "bench: --baseline swift0: its network was given 3 channels from 0 (black) to 1 (white), less the mean 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225, resized to 32 x 32 (lanczos), crop none, from images of 1 channels. This task gives 3 channels from 0 (black) to 1 (white), less the mean 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225, resized to 48 x 48 (lanczos), crop none, from 1. Set image_size, crop and channels, and",
        ]
    )


def test_what_starts_from_a_model_under_an_agreement_is_under_it(kept):
    shutil.copytree(kept.folder / "swift0", kept.folder / "signed")
    file = kept.folder / "signed/config.json"
    file.write_text(file.read_text().replace('"credentialed": false', '"credentialed": true'))
    words = ("--baseline", "signed", "--results", "of-signed")
    kept.bench("run", "--task", "tiny.toml", "--methods", "baseline", "--folds", "0", "--jobs", "1", *words)
    kept.bench("model", "tiny.toml", "baseline", "--fold", "0", "--out", "next", *words)
    assert "**Made from data under an agreement (the model signed)" in (kept.folder / "next/README.md").read_text()


def test_an_export_takes_no_weights_unless_it_is_told_to(kept):
    names = {}
    for file, more in (("plain.tar.gz", ()), ("models.tar.gz", ("--with-models",))):
        said = kept.bench("export", "--task", "tiny.toml", "--out", file, *more).stdout
        with tarfile.open(kept.folder / file) as tar:
            names[said.splitlines()[0]] = sum(name.endswith(".safetensors") for name in tar.getnames())
    assert names == snapshot(
        {
            "6 cells, 0 failures. The archive contains no predictions and no image ids.": 0,
            "6 cells, 0 failures. The archive contains no predictions and no image ids, and the weights of 6 models, which can reveal images.": 6,
        }
    )


def test_images_that_cannot_be_read_are_named_and_predicted_once_they_are_there(kept, tmp_path):
    shutil.copytree(kept.folder / "films", tmp_path / "films")
    (tmp_path / "films/003.png").rename(tmp_path / "003.png")
    (tmp_path / "films/004.png").write_bytes(b"no image")
    words = ("predict", "swift0", "--csv", str(tmp_path / "films/films.csv"), "--out", str(tmp_path / "p.csv"))
    done = kept.bench(*words, code=3)
    first = pd.read_csv(tmp_path / "p.csv")
    told = done.stderr.replace(str(tmp_path), "<here>")
    positive = f" {(first['decision'] == 1).sum()} as "  # how many depends on the processor
    assert [told, done.stdout.replace(str(tmp_path), "<here>").replace(positive, " POSITIVE as ")] == snapshot(
        [
            """\
predicting: films.csv, 100 images
2 of 100 images cannot be read:
  003.png: No such file or directory
  004.png: no image that can be read (PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM): save it as PNG
Their rows are empty. The same command predicts them once they can be read.
""",
            """\
98 of 100 images predicted: POSITIVE as pneumothorax, at a score above 0.49
<here>/p.csv
""",
        ]
    )
    assert first["logit"].isna().to_numpy().nonzero()[0].tolist() == [3, 4]
    (tmp_path / "003.png").rename(tmp_path / "films/003.png")
    shutil.copy(kept.folder / "films/004.png", tmp_path / "films/004.png")
    assert "98 of them before" in kept.bench(*words).stdout
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["logit"], stored(kept, "swift", 0), atol=1e-6)
    # An image that is newer than its prediction is predicted again.
    later = (tmp_path / "p.csv").stat().st_mtime + 10
    shutil.copyfile(tmp_path / "films/001.png", tmp_path / "films/000.png")
    os.utime(tmp_path / "films/000.png", (later, later))
    assert lines_with(kept.bench(*words).stderr, "newer") == snapshot(
        ["predicted again, as the image is newer than its prediction: 1"]
    )
    one, other = pd.read_csv(tmp_path / "p.csv")["logit"][:2]
    assert one == pytest.approx(other, abs=1e-6)


def test_a_prediction_that_was_killed_is_continued(kept, tmp_path):
    out = tmp_path / "p.csv"
    words = ("predict", "swift0", "--csv", "films/films.csv", "--out", str(out))
    kept.bench(*words)
    whole = out.read_bytes()
    lines = whole.decode().splitlines(keepends=True)
    out.unlink()
    (tmp_path / ".p.csv.part").write_text("".join(lines[:41]) + lines[41][:7])
    assert "40 of them before" in kept.bench(*words).stdout
    assert out.read_bytes() == whole
    # Of another model nothing is continued, and nothing is overwritten.
    done = kept.bench("predict", "pruned", *words[2:], code=2)
    assert out.read_bytes() == whole
    assert lines_with(done.stderr.replace(str(tmp_path), "<here>"), "p.csv") == snapshot(
        ["bench: <here>/p.csv exists and does not hold predictions of this model: choose another --out"]
    )


def test_wrong_commands_name_what_is_wrong_and_write_nothing(kept):
    films = ("--csv", "films/films.csv", "--out", "none.csv")
    wrong = [
        (2, "model", "tiny.toml", "swift", "--fold", "7", "--out", "none"),
        (3, "model", "tiny.toml", "llft", "--fold", "0", "--out", "none"),
        (2, "model", "tiny.toml", "swift,llft", "--fold", "0", "--out", "none"),
        (2, "model", "tiny.toml", "swift", "--fold", "0", "--out", "swift0"),
        (2, "model", "tiny.toml", "swift", "--out", "none"),
        (3, "predict", "nowhere", *films),
        (3, "predict", "swift0", "--csv", "nothing.csv", "--out", "none.csv"),
        (3, "predict", "swift0", *films, "--path-column", "paths"),
        (3, "predict", "swift0", *films, "--images", "results"),
        (3, "run", "--task", "tiny.toml", "--methods", "swift", "--baseline", "pruned", "--dry-run"),
    ]
    said = [kept.bench(*words, code=code).stderr for code, *words in wrong]
    assert [line for text in said for line in text.splitlines() if line.startswith("bench: ")] == snapshot(
        [
            "bench: fold 7: task tiny has the folds 0 to 1",
            "bench: result of tiny/small/llft/f0-s0 (pending) not found. `bench run --task tiny.toml --methods llft --backbone small --folds 0 --keep-models` computes it.",
            "bench: swift,llft: one method expected, such as swift",
            "bench: swift0 exists: choose another --out, or remove it",
            "bench: one of the arguments --fold --ensemble is required (see `bench model --help`)",
            "bench: model nowhere not found. `bench model TASK METHOD --fold 0 --out DIR` writes one.",
            "bench: table nothing.csv not found. --csv names a table with a column of paths.",
            "bench: films/films.csv: no column 'paths': did you mean 'path'? it has: path, age",
            "bench: 100 of 100 images cannot be read:",
            "bench: --baseline pruned: DiffPrune is no single network (an ensemble, or a network with masks or shifts around it), and methods start from one: give the folder of one fold of another method",
        ]
    )
    assert not list(kept.folder.glob("*none*"))
