"""`--min-cell`: what a report keeps to itself, and that the rest does not give it away."""

import csv
import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from msgspec import structs

from bench.cells.predictions import Scored
from bench.reporting.figures import trade_off
from bench.reporting.numbers import frames
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.overlaps import overlaps
from bench.reporting.numbers.suppression import note, suppressed
from bench.reporting.numbers.task_info import Overlap
from bench.reporting.reports import write
from bench.reporting.tables import main_table
from bench.reporting.tables.terminal import show
from bench.reporting.tables.tuned_table import collect_tuned
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import reading
from bench.scoring.definitions import METRICS
from bench.share.archive import pack
from bench.share.export import contents
from bench.share.merge import merge
from bench.share.privacy import leaving
from bench.share.read_export import opened
from tests.factory import WIDE, changed, record, scores, task_info
from tests.prose import lines_with, sentences_with
from tests.unit.fabricated import task_results
from tests.unit.sites import TASK, site

INFO = task_info(synthetic=False, min_cell=10)


def cell(method, fold, *, spec=None, **sets):
    """A cell whose sets have images by group as (negatives, positives); all sets but those given are wide."""

    value = 0.3 + 0.01 * fold + 0.02 * (method == "swift")
    by_set = {name: scores(sets.get(name, WIDE), value=value) for name in ("near", "far", "val")}
    cost = {"images_forward": 12963, "images_backward": 0}
    return record(spec or method, fold, synthetic=False, external=4321, scores=by_set, cost=cost)


def cells(**sets):
    return [cell(method, fold, **sets) for method in ("baseline", "swift") for fold in range(3)]


def shown(results):
    """All text of a report, with the name of each place."""
    stream = io.StringIO()
    show(results, stream)
    return {
        "tex": main_table.latex(results),
        "md": main_table.files(results)["md"],
        "csv": main_table.csv(results),
        "terminal": stream.getvalue(),
        "notes": "\n".join(reading(results)),
        "findings": "\n".join(findings(results)),
    }


def values(results):
    rows = csv.DictReader(io.StringIO(main_table.csv(results)))
    return {(row["set"], row["metric"]): (row["mean"], row["excluded"]) for row in rows if row["method"] == "swift"}


SMALL = {"younger": (131, 67), "older": (59, 7)}  # 264 images, 198 and 66 by group, 190 and 74 by class


def with_unknown(item, negatives, positives):
    """The cell with so many more images in `near`, which have no group."""
    near = item.scores["near"]
    near = structs.replace(near, n=near.n + negatives + positives, positives=near.positives + positives)
    return structs.replace(item, scores={**item.scores, "near": near})


@pytest.mark.parametrize(
    ("unknown", "suppressed"), [((0, 0), False), ((10, 10), False), ((30, 9), True), ((3, 0), True)]
)
def test_a_few_images_without_a_group_are_a_small_cell(unknown, suppressed):
    """Their number would follow from the size of the set and the counts of its groups."""
    results = collect([with_unknown(item, *unknown) for item in cells()], [], INFO)
    found = values(results)
    assert found["near", "auc"][0].startswith("0.33"), "both classes have enough images in all"
    assert (found["near", "spd"] == ("", "suppressed")) == suppressed
    assert (results.sizes["near"].cells == {}) == suppressed
    assert results.sizes["near"].low == 200 + sum(unknown)
    assert found["far", "spd"][0].startswith("0.33")


def test_the_images_without_a_group_are_not_counted_where_they_are_few():
    """That there are three is what is suppressed. Of the source they are shown unless the validation set is."""
    unknown = {name: {"ATTRIBUTE_MISSING": n} for name, n in (("source", 40), ("near", 3), ("far", 30))}
    given = [structs.replace(with_unknown(item, 2, 1), without_group=unknown) for item in cells()]
    results = collect(given, [], INFO)
    assert set(results.without_group) == {"source", "far"}
    assert [set(item.without_group) for item in leaving(given, INFO)] == [{"source", "far"}] * len(given)
    assert "Without a group in near" not in "".join(reading(results))
    small = [structs.replace(cell("swift", 0, val=SMALL), without_group=unknown)]
    assert set(leaving(small, INFO)[0].without_group) == {"near", "far"}


def test_a_set_that_shares_images_with_a_suppressed_one_is_suppressed_too():
    """Both hospitals less the other one are the one with seven images: 66 and 25 ill and 32 less 25."""
    images = pd.DataFrame({"image_id": ["a", "b", "a", "b", "c"], "set": ["near", "near", "far", "far", "far"]})
    images.loc[len(images)] = ["v", "val"]
    shared = overlaps(cells(), lambda item: Scored(images.assign(y=1, a=0), np.zeros(len(images))))
    assert shared == (Overlap(("far", "near"), 1),)
    info = dataclasses.replace(INFO, overlaps=(Overlap(("far", "near"), None),))
    results = collect(cells(near=SMALL), [], info)
    found = values(results)
    assert (found["far", "eodds"], results.sizes["far"].cells) == (("", "suppressed"), {})
    assert found["far", "auc"][0].startswith("0.33")
    assert found["val", "eodds"][0].startswith("0.33")
    assert lines_with(reading(results), "Suppressed, because") == snapshot(
        [
            "Suppressed, because of fewer than 10 images of a group and class, or of sets with the same images, which would tell such a number: near, far. No count and no metric by group is shown."
        ]
    )
    assert set(leaving(cells(near=SMALL), info)[0].scores["far"].suppressed) == set(results.suppressed["far"])
    assert values(collect(cells(), [], info))["far", "eodds"][0].startswith("0.33"), "no set is small"


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"near": "abc", "far": "abcd"}, {("far", "near"): 0}),  # d
        ({"near": "abcd", "far": "abcdefgh"}, {("far", "near"): 1}),  # e, f, g and h: one of each class and group
        ({"near": "abcd", "far": "abcd"}, {("far", "near"): None}),  # nothing is left over
        ({"near": "abcd", "far": "defg"}, {("far", "near"): None}),  # one less the other is no set of images
        ({"near": "abcd", "far": "efgh"}, {}),
        # What is in neither of two parts follows from three sets, and the rest of each pair holds it and the other part.
        (
            {"near": "abcd", "far": "efgh", "all": "abcdefghi"},
            {("all", "far"): 1, ("all", "near"): 1, ("all", "far", "near"): 0},
        ),
    ],
)
def test_what_follows_from_two_sets_or_three_is_counted_too(sets, expected):
    """Eight images, of which every four have one of each class and group, and a ninth."""
    of = {image: (place % 2, place // 2 % 2) for place, image in enumerate("abcdefghi")}
    rows = [(image, name, *of[image]) for name, images in sets.items() for image in images]
    images = pd.DataFrame(rows, columns=["image_id", "set", "y", "a"])
    found = overlaps(cells(), lambda item: Scored(images, np.zeros(len(images))))
    assert {one.sets: one.least for one in found} == expected
    units = overlaps(cells(), lambda item: Scored(images, np.zeros(len(images))), units=True)
    assert [one.least for one in units] == [least and 0 for least in expected.values()]


@pytest.mark.parametrize(("least", "gone"), [(None, set()), (10, set()), (9, {"near", "far"}), (0, {"near", "far"})])
def test_sets_whose_difference_is_small_are_suppressed(least, gone):
    info = dataclasses.replace(INFO, overlaps=(Overlap(("far", "near"), least),))
    assert set(suppressed(cells(), info)) == gone
    assert bool(note(suppressed(cells(), info), info, costs=False)) == bool(gone)


@pytest.mark.parametrize(
    ("least", "at_export", "here", "suppressed"),
    [(7, 0, 0, False), (7, 0, 10, True), (7, 10, 0, True), (12, 10, 0, False), (12, 10, 20, True)],
)
def test_a_reader_who_suppresses_more_knows_which_sets_tell_a_small_number(
    tmp_path, least, at_export, here, suppressed
):
    """What an archive says of the rest is no small number itself."""
    north = site("north")
    info = dataclasses.replace(north.info, min_cell=at_export, overlaps=(Overlap(tuple(sorted(TASK.ood)), least),))
    about, files = contents(dataclasses.replace(north, info=info))
    assert about["overlaps"] == [{"sets": tuple(sorted(TASK.ood)), "least": least if least >= at_export else 0}]
    pack(tmp_path / "north.tar.gz", about, files)
    with opened(tmp_path / "north.tar.gz", min_cell=here) as received:
        assert set(received.results.suppressed) == (set(TASK.ood) if suppressed else set())
    with opened(tmp_path / "north.tar.gz") as received:
        merged = merge({"north": received, "south": site("south")}, min_cell=here)
        assert set(merged.results["north"].suppressed) == (set(TASK.ood) if suppressed else set())
        assert not merged.results["south"].suppressed


@pytest.mark.parametrize(("ill", "shown"), [(2, False), (3, True)])
def test_the_pooled_auc_is_shown_from_as_many_images_of_a_class_on(ill, shown):
    first, second = WIDE
    near = {first: (131, ill), second: (59, 7)}
    assert ("auc" not in suppressed(cells(near=near), INFO)["near"]) is shown


def test_without_predictions_it_is_not_known_which_sets_share_images():
    def missing(item):
        raise FileNotFoundError

    assert overlaps(cells(), missing) is None
    assert overlaps([], missing) is None


def test_many_sets_with_the_same_images_are_suppressed():
    images = pd.DataFrame([("a", str(place), 1, 0) for place in range(8)], columns=["image_id", "set", "y", "a"])
    found = overlaps(cells(), lambda item: Scored(images, np.zeros(8)))
    assert found == (Overlap(tuple("01234567"), 0),)


def test_the_digits_of_an_auc_do_not_tell_how_many_images_a_class_has():
    """Of 264 images, only 74 and 190 of a class make U / (74 x 190), in all its digits, a whole number of halves."""
    exact = 11409 / (74 * 190)

    def fits(value):
        return [n for n in range(1, 264) if abs(2 * value * n * (264 - n) - round(2 * value * n * (264 - n))) < 1e-9]

    assert fits(exact) == [74, 190]
    given = [changed(item, scores={"near": {"auc": exact}, "far": {"auc": exact}}) for item in cells(near=SMALL)]
    results = collect(given, [], INFO)
    for row in results.rows:
        if row.metric == "auc" and row.set in ("near", "far"):
            kept = {"near": 0.81, "far": exact}[row.set]
            assert [*row.values.values(), row.mean] == pytest.approx([kept] * (len(row.values) + 1), abs=1e-15)
    (first, *_) = leaving(given, INFO)
    assert (first.scores["near"].metric("auc"), first.scores["far"].metric("auc")) == (0.81, exact)


def test_of_a_set_with_a_small_cell_its_size_and_pooled_auc_are_left():
    results = collect(cells(near=SMALL), [], INFO)
    found = values(results)
    assert found["near", "auc"][0].startswith("0.33")
    for metric in METRICS:
        if metric != "auc":
            assert found["near", metric] == ("", "suppressed")
        assert found["far", metric][0].startswith("0.33"), "another set is shown as ever"
    assert found["", "cost"][0] == "1.0"
    assert {name: sorted(size.cells) == [] for name, size in results.sizes.items()} == {
        "near": True,
        "far": False,
        "val": False,
    }
    texts = shown(results)
    assert "near: 264 images." in texts["notes"]
    assert lines_with(texts["notes"], "10") == snapshot(
        [
            "Suppressed, because of fewer than 10 images of a group and class: near. No count and no metric by group is shown."
        ]
    )
    assert "Suppressed" in texts["terminal"]
    assert sentences_with(texts["notes"], "far") == snapshot(
        ["far: 200 images (younger: 60 healthy, 40 ill; older: 75 healthy, 25 ill)."]
    )
    assert sentences_with(texts["findings"], "tested") == snapshot(
        ["Nothing is tested: there are no predictions to draw patients from."]
    )


@pytest.mark.parametrize("least", [8, 10, 60])
def test_no_count_that_gives_the_small_one_away_is_in_any_output(least):
    """Neither a cell, nor a total of a group or a class, nor a share of one of them."""
    results = collect(cells(near=SMALL), [], dataclasses.replace(INFO, min_cell=least))
    hidden = ("131", "67", "59", "198", "66", "190", "74", *(f"{100 / n:.1f} points" for n in (7, 59, 67)))
    open_text = shown(collect(cells(near=SMALL), [], dataclasses.replace(INFO, min_cell=0)))["notes"]
    assert sum(text in open_text for text in hidden) >= 4, "without the option they are there"
    for place, text in shown(results).items():
        for line in text.splitlines():
            if "near" in line:
                assert not [number for number in hidden if number in line], f"{place}: {line}"


def test_nothing_changes_where_no_cell_is_small_and_without_the_option():
    plain = shown(collect(cells(near=SMALL), [], dataclasses.replace(INFO, min_cell=0)))
    assert shown(collect(cells(near=SMALL), [], dataclasses.replace(INFO, min_cell=7))) == plain, "7 is not below 7"
    assert "older: 59 healthy, 7 ill" in plain["notes"]


def test_the_auc_goes_too_where_a_class_is_small_in_all_groups_together():
    results = collect(cells(near={"younger": (90, 4), "older": (80, 5)}), [], INFO)
    assert values(results)["near", "auc"] == ("", "suppressed")
    assert sentences_with(shown(results)["notes"], "AUC") == snapshot(
        ["No count and no metric by group is shown; the AUC of near is not shown either."]
    )


def test_a_set_smaller_than_the_least_is_said_to_be_so():
    texts = shown(collect(cells(near={"younger": (2, 1), "older": (1, 2)}), [], INFO))
    assert "near: <10 images." in texts["notes"]
    assert "near (n <10)" in texts["terminal"]
    assert "n $<$10" in texts["tex"]
    assert "n &lt;10" in texts["md"]


def test_one_fold_with_a_small_cell_of_val_hides_costs_whose_unit_is_the_external_set():
    given = [cell(m, f, val=SMALL if f == 1 else WIDE) for m in ("baseline", "swift") for f in range(3)]
    results = collect(given, [], INFO)
    found = values(results)
    assert found["", "cost"] == ("", "suppressed")
    assert found["val", "eodds"] == ("", "suppressed")
    assert found["near", "eodds"][0].startswith("0.33")
    assert sentences_with(shown(results)["notes"], "Costs") == snapshot(
        ["Costs are not shown either: the size of the external set follows from them."]
    )


def test_images_of_trials_are_not_counted_either():
    tuned = {
        "holdout": {"n": 9},
        "objective": "constrained",
        "chosen": "swift",
        "trials": 2,
        "failed": 1,
        "undefined": 0,
        "images_forward": 7777,
        "images_backward": 5555,
    }
    given = [cell("baseline", f, val=SMALL) for f in range(3)]
    given += [changed(cell("swift", f, spec="swift@tuned", val=SMALL), tuned=tuned) for f in range(3)]
    results = collect_tuned(given, [], INFO)
    assert results is not None
    notes = "\n".join(reading(results))
    assert "7777" not in notes
    assert "(<10 images)" in notes
    assert lines_with(notes, "swift") == snapshot(
        [
            "SWiFT (tuned): objective constrained, trials per fold: 2, 3 failed, never chosen. Chosen: swift (fold 0, 1 and 2)."
        ]
    )
    plain = collect_tuned(given, [], dataclasses.replace(INFO, min_cell=0))
    assert plain is not None
    assert sentences_with(reading(plain), "23331") == snapshot(
        [
            "SWiFT (tuned): objective constrained, trials per fold: 2, images in all of them: 23331 forward, 16665 backward; 3 failed, never chosen."
        ]
    )


def test_a_report_of_nothing_but_small_sets_can_be_written(tmp_path):
    files = write(task_results(cells(near=SMALL, far=SMALL, val=SMALL), [], INFO), tmp_path)
    assert [file.name for file in files][:5] == ["main.tex", "main.md", "main.csv", "trade-off.pdf", "trade-off.png"]
    results = collect(cells(near=SMALL, far=SMALL, val=SMALL), [], INFO)
    assert trade_off.draw(frames.by_fold(results), INFO, results.backbones).axes
