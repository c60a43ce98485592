"""The paper's tasks as they are defined, on phantom trees in the official layouts, from files to the report."""

import json

import pytest
from inline_snapshot import snapshot

# What a machine without weights and network lacks is changed by fields of the task; network and loaders stay its own.
SCALED = "image_size=32,weights=none,folds=2,pretrain_epochs=1,epochs=2,batch=32"
SKIN_TREES, CHEST_TREES = ("isic", "fitzpatrick17k", "ddi"), ("mimic_cxr", "chexpert", "nih_cxr14")


def written(place, names, images):
    place.bench("phantom", *names, "--out", "data", "--images", str(images))
    return {name: json.loads((place.folder / "data" / name / "PHANTOM.json").read_text()) for name in names}


def run(place, task, methods):
    spec = f"{task}:{SCALED}"
    # All cells are done; exit 1 says that there are files which cannot be read: those that are cut.
    done = place.bench("run", "--task", spec, "--methods", methods, "--data", "data", "--jobs", "2", code=1)
    place.bench("report", "--task", spec, "--data", "data", "--only", "main")
    (folder,) = (place.folder / "reports").iterdir()
    return done, (folder / "main.md").read_text()


def usable(told):
    """Return how many images of a tree a task has, without the cut file; those of unknown attribute count."""
    return told["used"] - len(told["unreadable"])


def check(text, told):
    assert "SYNTHETIC PHANTOM DATA" in text
    for name, facts in list(told.items())[1:]:
        assert f"{name.replace('_', chr(92) + '_')}: out-of-distribution (n {usable(facts)})" in text


@pytest.mark.slow
def test_chest_films_run_from_files_to_report(place):
    told = written(place, CHEST_TREES, 120)
    done, text = run(place, "cxr-age", "baseline,llft")
    assert "4 of 4 cells done" in done.stdout, done.stdout
    assert "SYNTHETIC" in done.stderr
    assert "1 of " in done.stderr, "the truncated film is named"
    assert "LLFT" in text
    check(text, told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "names"),
    [
        pytest.param("cxr-age", CHEST_TREES, id="cxr-age", marks=pytest.mark.long),
        pytest.param("skin-tone", SKIN_TREES, id="skin-tone", marks=pytest.mark.long),
    ],
)
def test_all_methods_run_from_files_to_report(place, task, names):
    told = written(place, names, 240)
    done, text = run(place, task, "all")
    assert " 0 recomputed" in done.stdout, done.stdout
    check(text, told)
    rows = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert len(rows - {"method", "---"}) >= 10, rows


def test_a_phantom_in_the_place_of_one_release_is_refused(place):
    written(place, CHEST_TREES, 40)
    (place.folder / "data" / "nih_cxr14" / "PHANTOM.json").unlink()
    refused = place.bench("run", "--task", f"cxr-age:{SCALED}", "--data", "data", code=3)
    assert place.told(refused.stderr) == snapshot(
        "bench: task cxr-age:batch=32,epochs=2,folds=2,image_size=32,pretrain_epochs=1,weights=none mixes generated images (source, chexpert) with real ones\n"
    )
