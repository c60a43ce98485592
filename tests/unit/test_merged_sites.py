"""`bench merge`: what several sites say together."""

import csv
import dataclasses
import io
import math

import pytest
from inline_snapshot import snapshot

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
