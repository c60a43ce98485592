"""`bench merge`: what must not be merged, and what several sites say together."""

import csv
import dataclasses
import io
import math
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.errors import UsageError
from bench.settings import Settings
from bench.share.merge import merge
from bench.share.merged_page import files
from bench.share.sites import conflicts, remarks
from tests import factory
from tests.prose import sentences_with
from tests.unit.sites import GROUPS, TASK, WIDE, cell, predictions, site, with_predictions

SMALL = {GROUPS[0]: (131, 67), GROUPS[1]: (59, 7)}


def rows(merged, name):
    return list(csv.DictReader(io.StringIO(files(merged)[name].decode())))


def of(values, name="north", methods=("baseline", "swift")):
    """A site whose methods have these values by (method, fold)."""
    return site(name, [cell(m, f, name, values=values.get((m, f), {})) for m in methods for f in (0, 1)])


def changed(name, **changes):
    """A site all of whose cells have these fields of `cell`, or of the record, changed."""
    return site(name, [factory.changed(item, **changes) for item in site(name).cells])


def test_two_sites_of_one_task_on_images_of_their_own_can_be_merged():
    assert conflicts({"north": site("north"), "south": site("south")}) == []
    assert remarks({"north": site("north"), "south": site("south")}) == []


def test_a_site_given_twice_is_refused_by_its_images_and_its_cells():
    found = conflicts({"north": site("north"), "again": site("north")})
    assert found == snapshot(
        [
            "images: north and again have the same in external, ood_neutral, ood_reversed, train, val",
            "cells: 4 are at north and again, first small/baseline/f0-s0: one site given twice?",
        ]
    )


def test_the_same_images_under_another_hash_are_refused_too():
    other = site("north", [factory.changed(item, hash="other") for item in site("north").cells])
    found = conflicts({"north": site("north"), "south": other})
    assert found[1] == snapshot(
        "cells: 4 trained on the same images have one hash at north and another at south, first small/baseline/f0-s0: other code, options or baselines"
    )


def test_one_shared_test_set_under_another_name_is_enough():
    first, *others = site("south").cells
    cells = [factory.changed(first, data={"ood_reversed": (200, "north-ood_neutral-")}), *others]
    assert conflicts({"north": site("north"), "south": site("south", cells)}) == snapshot(
        ["images: north and south have the same in ood_neutral, ood_reversed"]
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": dataclasses.replace(TASK.label, names=("well", "ill"))}, "task: label.names is (no finding, "),
        (
            {"attribute": dataclasses.replace(TASK.attribute, above=60)},
            "task: attribute.above is 65 at north, 60",
        ),
        ({"attribute": dataclasses.replace(TASK.attribute, names=("a", "b"))}, "task: attribute.names is (up to 65, "),
        ({"recipe": dataclasses.replace(TASK.recipe, epochs=4)}, "task: recipe.epochs is 10 at north, 4 at south"),
        ({"image_size": 32}, "task: image_size is 64 at north, 32 at south"),
        ({"polarity": "clinical"}, "task: polarity is paper at north, clinical at south"),
        ({"folds": 3}, "task: folds is 5 at north, 3 at south"),
        ({"name": "other"}, "task: name is phantom-cxr-age at north, other at south"),
    ],
    ids=["label", "threshold", "groups", "recipe", "pixels", "polarity", "folds", "name"],
)
def test_another_definition_of_the_task_is_refused_by_field(changes, says):
    found = conflicts({"north": site("north"), "south": site("south", **changes)})
    assert len(found) == 1
    assert found[0].startswith(says)


def test_sites_may_have_other_sources_and_other_words_for_the_task():
    other = {"says": "ours", "source": dataclasses.replace(TASK.source, dataset="manifest:csv=ours.csv")}
    assert conflicts({"north": site("north"), "south": site("south", **other)}) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "method: swift of version 1 at north, 2 at south"),
        ({"parameters": {"rate": 0.9}}, "method: swift with rate 0.5 at north, 0.9 at south"),
        ({"parameters": {}}, "method: swift with rate 0.5 at north, not set at south"),
        (
            {"metrics_version": 2},
            "metrics: version 1 at north, 2 at south: north has to recompute its metrics and export again",
        ),
        ({"backbone": "resnet50"}, "backbone: none that all sites ran (north: small; south: resnet50)"),
    ],
    ids=["version", "parameter", "missing parameter", "metrics", "backbone"],
)
def test_cells_that_are_not_alike_are_refused(changes, says):
    found = conflicts({"north": site("north"), "south": changed("south", **changes)})
    assert [line for line in found if line.startswith(says)], found


def test_older_metrics_in_a_folder_of_results_are_refused_with_the_command_that_recomputes_them():
    north = changed("north", metrics_version=2)
    settings = Settings("own tasks/tiny.toml", Path("my results"))
    south = site("south")
    south = dataclasses.replace(south, info=dataclasses.replace(south.info, settings=settings))
    assert conflicts({"north": north, "south": south}) == snapshot(
        [
            "metrics: version 2 at north, 1 at south: `bench metrics --recompute --task 'own tasks/tiny.toml' --results 'my results'` brings south up to date"
        ]
    )


def test_generated_beside_real_is_refused():
    other = site("south")
    made_up = dataclasses.replace(other, info=dataclasses.replace(other.info, synthetic=True))
    assert conflicts({"north": site("north"), "south": made_up}) == snapshot(
        ["data: south generated, north real: never in one report"]
    )


def test_a_site_without_usable_results_is_named():
    found = conflicts({"north": site("north"), "south": site("south", [])})
    assert found == snapshot(["cells: no usable results at south"])


def test_all_reasons_are_said_at_once_with_exit_code_2():
    south = changed("south", version=2, metrics_version=3)
    south = dataclasses.replace(south, task=dataclasses.replace(TASK, image_size=32))
    with pytest.raises(UsageError) as caught:
        merge({"north": site("north"), "south": south})
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert text == snapshot("""\
north and south cannot be merged:
  task: image_size is 64 at north, 32 at south
  method: baseline of version 1 at north, 2 at south
  method: swift of version 1 at north, 2 at south
  metrics: version 1 at north, 3 at south: north has to recompute its metrics and export again\
""")
    assert text.count("\n  ") == 4, "one for the pixels, two for the methods, one for the metrics"


def test_three_sites_are_compared_each_with_each():
    found = conflicts({"a": site("a"), "b": changed("b", version=2), "c": site("c")})
    assert [line for line in found if "swift" in line] == snapshot(
        [
            "method: swift of version 1 at a, 2 at b",
            "method: swift of version 2 at b, 1 at c",
        ]
    )


def test_what_one_site_lacks_and_other_code_are_said():
    north = site("north", [cell(m, f, "north") for m in ("baseline", "llft", "swift") for f in (0, 1)])
    south = changed("south", environment={"bench": "0.2.0"}, log={"user_checkpoint": "sha"})
    assert remarks({"north": north, "south": south}) == snapshot(
        [
            "llft: not run at south.",
            "Computed by different versions of bench (north: 0.1.0; south: 0.2.0).",
            "Baseline is a checkpoint of the site at south; the task trained it at north.",
        ]
    )


def test_each_set_keeps_the_numbers_of_its_own_site_and_is_never_averaged_with_another():
    north = of({("baseline", f): {"eodds": 0.2} for f in (0, 1)} | {("swift", f): {"eodds": 0.1} for f in (0, 1)})
    south = of(
        {("baseline", f): {"eodds": 0.5} for f in (0, 1)} | {("swift", f): {"eodds": 0.7} for f in (0, 1)}, "south"
    )
    merged = merge({"north": north, "south": south})
    found = {(r["set"], r["method"]): r for r in rows(merged, "merged.csv") if r["metric"] == "eodds"}
    assert {key: float(row["mean"]) for key, row in found.items() if "neutral" in key[0]} == {
        ("north/ood_neutral", "baseline"): 0.2,
        ("north/ood_neutral", "swift"): 0.1,
        ("south/ood_neutral", "baseline"): 0.5,
        ("south/ood_neutral", "swift"): 0.7,
    }
    assert {row["n"] for row in found.values()} == {"2"}, "folds of one site"
    assert {(row["site"], row["set"].partition("/")[0]) for row in found.values()} == {
        ("north", "north"),
        ("south", "south"),
    }


def test_over_sites_stands_the_plain_mean_of_each_sites_own_paired_difference():
    north = of(
        {
            ("baseline", 0): {"eodds": 0.2},
            ("baseline", 1): {"eodds": 0.3},
            ("swift", 0): {"eodds": 0.1},
            ("swift", 1): {"eodds": 0.3},
        }
    )
    south = of(
        {("baseline", f): {"eodds": 0.5} for f in (0, 1)} | {("swift", f): {"eodds": 0.7} for f in (0, 1)}, "south"
    )
    merged = merge({"north": north, "south": south})
    found = next(r for r in rows(merged, "pooled.csv") if (r["set"], r["metric"]) == ("ood_neutral", "eodds"))
    assert float(found["difference at north"]) == pytest.approx(-0.05)
    assert float(found["difference at south"]) == pytest.approx(0.2)
    assert float(found["mean_difference"]) == pytest.approx(0.075)
    assert (float(found["lowest"]), float(found["highest"])) == (pytest.approx(-0.05), pytest.approx(0.2))
    assert (found["sites"], found["better"]) == ("2", "1")
    page = files(merged)["merged.md"].decode()
    assert "| Swift | −0.050 | +0.200 | +0.075 | −0.050 to +0.200 | 1 of 2 |" in page
    assert sentences_with(page, "Better") == snapshot(
        [
            "Better than Baseline at every site: none.",
            "Better than Baseline at every site: none.",
            "Better than Baseline at every site: none.",
            "Better than Baseline at every site: none.",
            "Better than Baseline at every site: none.",
            "Better than Baseline at every site: none.",
        ]
    )


def test_a_higher_auc_is_better_and_a_higher_gap_is_not():
    better = {("swift", f): {"auc": 0.9, "eodds": 0.9} for f in (0, 1)}
    merged = merge({"north": of(better), "south": of(better, "south")})
    found = {r["metric"]: r["better"] for r in rows(merged, "pooled.csv") if r["set"] == "ood_neutral"}
    assert (found["auc"], found["eodds"]) == ("2", "0")


def test_a_site_without_baseline_or_without_the_method_leaves_nothing_to_take_over_sites():
    north = of({}, methods=("swift",))
    merged = merge({"north": north, "south": site("south")})
    found = next(r for r in rows(merged, "pooled.csv") if r["metric"] == "auc")
    assert (found["sites"], found["mean_difference"]) == ("1", ""), "one site has no mean over sites"
    assert sentences_with(files(merged)["merged.md"].decode(), "Baseline", "north") == snapshot(
        ["Without results of Baseline there are no differences: north."]
    )


def test_sets_of_other_names_are_not_taken_together():
    ood = {"elsewhere": TASK.ood["ood_neutral"]}
    sets = {"elsewhere": factory.scores(WIDE, value=0.4), "ood_neutral": factory.GONE, "ood_reversed": factory.GONE}
    cells = [factory.changed(item, scores=sets) for item in site("south").cells]
    merged = merge({"north": site("north"), "south": site("south", cells, ood=ood)})
    assert rows(merged, "pooled.csv") == []
    over = files(merged)["merged.md"].decode().partition("## Over sites")[2].partition("##")[0]
    assert over.strip() == snapshot("""\
Differences to Baseline: each site's difference is paired over its folds, on its own test set of that name. The mean is unweighted, so each site counts as one observation; the range shows how far the sites differ. A few sites do not support a test or an interval, and test sets of one name need not be alike.

No two sites have a test set of the same name, so nothing is summarised over sites.\
""")
    assert {r["set"] for r in rows(merged, "merged.csv") if r["role"] == "ood"} == {
        "north/ood_neutral",
        "north/ood_reversed",
        "south/elsewhere",
    }


def test_what_one_site_withholds_is_in_no_file_and_no_mean():
    small = [cell(m, f, "south", ood_neutral=SMALL) for m in ("baseline", "swift") for f in (0, 1)]
    merged = merge({"north": site("north"), "south": site("south", small)}, min_cell=10)
    found = {r["metric"]: r for r in rows(merged, "pooled.csv") if r["set"] == "ood_neutral" and r["metric"] != "auc"}
    assert {(row["difference at south"], row["mean_difference"]) for row in found.values()} == {("", "")}
    assert found["eodds"]["sites"] == "1"
    shown = {r["set"] for r in rows(merged, "merged.csv") if r["metric"] == "eodds" and r["mean"]}
    assert shown == {"north/ood_neutral", "north/ood_reversed", "north/val", "south/ood_reversed", "south/val"}
    page = files(merged)["merged.md"].decode()
    for line in page.splitlines():
        if "ood_neutral" in line.replace("\\", "") and "264" in line:
            assert not [n for n in ("131", "67", "59", "198", "66", "190", "74") if n in line]
    assert sentences_with(page, "10") == snapshot(
        ["- Suppressed, because of fewer than 10 images of a group and class: ood\\_neutral."]
    )


def test_the_highest_least_of_all_sites_holds_for_every_site():
    north, south = site("north"), site("south")
    careful = dataclasses.replace(south, info=dataclasses.replace(south.info, min_cell=30))
    merged = merge({"north": north, "south": careful})
    assert all(r["excluded"] == "suppressed" for r in rows(merged, "merged.csv") if r["metric"] == "eodds")


KEYS = [(method, fold) for method in ("baseline", "swift") for fold in (0, 1)]
Y, A = [0, 1, 0, 1], [0, 0, 1, 1]


def test_predictions_of_all_sites_are_scored_as_one_set(tmp_path):
    """North is right in group 0 and wrong in group 1, south the reverse: a gap at each site, none together."""
    north = with_predictions("north", tmp_path, {key: predictions("n", [-1, 1, 1, -1], Y, A) for key in KEYS})
    south = with_predictions("south", tmp_path, {key: predictions("s", [1, -1, -1, 1], Y, A) for key in KEYS})
    merged = merge({"north": north, "south": south})
    found = {
        r["metric"]: r for r in rows(merged, "together.csv") if (r["method"], r["set"]) == ("swift", "ood_neutral")
    }
    assert (found["eodds"]["mean"], found["eodds"]["n"], found["eodds"]["images"]) == ("0.0", "2", "8")
    assert float(found["auc"]["mean"]) == 0.5
    assert sentences_with(files(merged)["merged.md"].decode(), "Images") == snapshot(
        [
            "## Images of all sites together",
            "- Images of a fold: training 200, validation 200, external 200.",
            "- Images of a fold: training 200, validation 200, external 200.",
        ]
    )


def test_without_the_predictions_of_one_site_nothing_is_scored_together(tmp_path):
    north = with_predictions("north", tmp_path, {key: predictions("n", [-1, 1, 1, -1], Y, A) for key in KEYS})
    merged = merge({"north": north, "south": site("south")})
    assert merged.together == []
    assert "together.csv" not in files(merged)


def test_a_set_that_one_site_withholds_is_not_scored_together(tmp_path):
    tables = {key: predictions("n", [-1, 1, 1, -1], Y, A) for key in KEYS}
    north, south = (
        with_predictions(
            name, tmp_path, tables if name == "north" else {key: predictions("s", [-1, 1, 1, -1], Y, A) for key in KEYS}
        )
        for name in ("north", "south")
    )
    cells = [cell(m, f, "south", ood_neutral=SMALL) for m in ("baseline", "swift") for f in (0, 1)]
    merged = merge({"north": north, "south": dataclasses.replace(south, cells=cells)}, min_cell=10)
    assert {row.set for row in merged.together} == {"ood_reversed"}


def test_ids_at_both_sites_are_the_same_images_where_label_and_group_agree(tmp_path):
    tables = {key: predictions("x", [-1.0, 1, 1, -1], Y, A) for key in KEYS}
    other = {key: predictions("x", [-2.0, 1, 2, -1], Y, A) for key in KEYS}
    sites = {"north": with_predictions("north", tmp_path, tables), "south": with_predictions("south", tmp_path, other)}
    assert conflicts(sites) == snapshot(
        ["images: 12 ids of predictions are at north and at south, with the same labels and groups"]
    )
    numbers = {key: predictions("x", [-2.0, 1, 2, -1], Y[::-1], A) for key in KEYS}
    sites["south"] = with_predictions("south", tmp_path, numbers)
    assert conflicts(sites) == []
    assert remarks(sites)[0] == snapshot(
        "12 image ids are at north and at south, 12 of them with another label or group: they are assumed to be running numbers of different images."
    )


def test_the_files_are_the_same_bytes_again():
    sites = {"north": site("north"), "south": site("south")}
    assert files(merge(sites)) == files(merge(sites))
    assert not math.isnan(float(rows(merge(sites), "pooled.csv")[0]["mean_difference"]))
