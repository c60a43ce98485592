"""The phantom: same bytes everywhere, the planted table, and dials that move nothing but their own arrow."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench.datasets.phantom import LOG_ODDS, POSITIVE, SHARE, Phantom, rates
from bench.errors import DataInvalid, UsageError

NOWHERE = Path("/nowhere")
HOSPITALS = ("source", "ood_neutral", "ood_reversed")
TIES = [("chest", "age"), ("chest", "sex"), ("skin", "tone"), ("skin", "sex")]

PRINT_DIGEST = """
import hashlib, sys
from pathlib import Path
from bench.datasets.phantom import Phantom
for family in sys.argv[1:]:
    phantom, digest = Phantom(family=family, hospital="ood_neutral", images=40, seed=3), hashlib.sha256()
    for path in phantom.table(Path("/nowhere")).path:
        digest.update(phantom.image(Path("/nowhere"), path).tobytes())
    print(digest.hexdigest())
"""


def images(phantom, paths):
    """Return the images (N, ...) of the paths as float32."""
    return np.stack([phantom.image(NOWHERE, path) for path in paths]).astype(np.float32)


def tied_column(table, tied):
    return {"age": table.age > 65, "sex": table.female == 1, "tone": table.dark == 1}[tied].to_numpy(dtype=bool)


def label(table, family):
    return (table.pneumothorax if family == "chest" else table.melanoma).to_numpy(dtype=int)


def log_odds_ratio(y, a):
    """Return the log odds ratio of two binary columns and its standard error (Woolf)."""
    counts = np.array([[((y == i) & (a == j)).sum() for j in (0, 1)] for i in (0, 1)], dtype=float)
    ratio = np.log(counts[1, 1] * counts[0, 0] / (counts[0, 1] * counts[1, 0]))
    return ratio, np.sqrt((1 / counts).sum())


def digest_in_reverse(family):
    """Return the hash over all images, in the table's order, drawn in the reverse one."""
    phantom = Phantom(family=family, hospital="ood_neutral", images=40, seed=3)
    paths = phantom.table(NOWHERE).path.tolist()
    drawn = {path: phantom.image(NOWHERE, path).tobytes() for path in reversed(paths)}
    return hashlib.sha256(b"".join(drawn[path] for path in paths)).hexdigest()


def test_same_bytes_in_another_process_and_order():
    command = [sys.executable, "-c", PRINT_DIGEST, "chest", "skin"]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert there == [digest_in_reverse("chest"), digest_in_reverse("skin")]


@pytest.mark.parametrize(("family", "shape"), [("chest", (64, 64)), ("skin", (64, 64, 3))])
def test_image_shape_and_range(family, shape):
    phantom = Phantom(family=family, images=20)
    drawn = [phantom.image(NOWHERE, path) for path in phantom.table(NOWHERE).path]
    assert {image.dtype for image in drawn} == {np.dtype(np.uint8)}
    assert {image.shape for image in drawn} == {shape}
    assert len({image.tobytes() for image in drawn}) == 20
    assert all(image.std() > 15 for image in drawn), "an image without contrast"


def test_size_is_obeyed():
    phantom = Phantom(family="skin", images=1, size=96)
    assert phantom.image(NOWHERE, phantom.table(NOWHERE).path[0]).shape == (96, 96, 3)


def test_the_table_keeps_the_contract():
    for family in ("chest", "skin"):
        table = Phantom(family=family, images=500).table(NOWHERE)
        assert {"uid", "path", "patient", "source", "drop", *Phantom.labels, *Phantom.attributes} <= {*table}
        assert table.uid.is_unique
        assert table.path.is_unique
        assert table.uid.str.startswith(f"phantom-{family}-source:99").all()
        assert (table["drop"] == "").all()
    assert ((table.fst >= 4) == (table.dark == 1)).all()
    assert (table.melanoma + table.non_melanoma == 1).all()


def test_a_smaller_phantom_is_the_start_of_a_larger_one():
    small, large = (Phantom(family="skin", images=n).table(NOWHERE) for n in (300, 1000))
    assert large[:300].equals(small)


def test_people_have_one_to_four_images_and_one_value_of_each_attribute():
    table = Phantom(family="skin", images=4000).table(NOWHERE)
    people = table.groupby("patient")
    assert set(people.size()) == {1, 2, 3, 4}
    assert people.size().mean() == pytest.approx(2.5, abs=0.12)
    assert (people[["age", "female", "fst", "dark"]].nunique() == 1).all(axis=None)
    assert (people.melanoma.nunique() > 1).any(), "the label is drawn for each image"


def test_hospitals_share_nobody():
    people = [set(Phantom(hospital=hospital, images=1000).table(NOWHERE).patient) for hospital in HOSPITALS]
    assert sum(map(len, people)) == len(set.union(*people))


@pytest.mark.parametrize(("family", "tied"), TIES)
@pytest.mark.parametrize("place", range(3))
def test_the_table_has_the_planted_marginals_and_log_odds_ratio(family, tied, place):
    table = Phantom(family=family, hospital=HOSPITALS[place], tied=tied, images=20000, seed=1).table(NOWHERE)
    y, a = label(table, family), tied_column(table, tied)
    share = SHARE[tied]
    # Images of one person share the attribute: its error is that of the 8,000 people, times the unequal sizes.
    assert a.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 20000 * 3))
    planted = POSITIVE[family][place]
    assert y.mean() == pytest.approx(planted, abs=4 * np.sqrt(planted * (1 - planted) / 20000 * 1.5))
    ratio, error = log_odds_ratio(y, a)
    assert ratio == pytest.approx(LOG_ODDS[tied][place], abs=4 * error)


def test_an_attribute_that_is_not_tied_is_independent_of_the_label():
    table = Phantom(family="chest", tied="age", images=20000).table(NOWHERE)
    ratio, error = log_odds_ratio(label(table, "chest"), tied_column(table, "sex"))
    assert abs(ratio) < 4 * error


@pytest.mark.parametrize("wanted", [-2.0, 0.0, 1e-12, 0.7, 3.0])
def test_rates_give_back_marginal_and_log_odds_ratio(wanted):
    zero, one = rates(0.3, 0.4, wanted)
    assert 0.6 * zero + 0.4 * one == pytest.approx(0.3)
    assert np.log(one / (1 - one) / (zero / (1 - zero))) == pytest.approx(wanted, abs=1e-6)


def test_log_odds_moves_labels_alone():
    tied, free = (Phantom(family="chest", images=4000, log_odds=value).table(NOWHERE) for value in (None, 0.0))
    same = ["uid", "patient", "age", "female"]
    assert tied[same].equals(free[same])
    ratio, error = log_odds_ratio(label(free, "chest"), tied_column(free, "age"))
    assert abs(ratio) < 4 * error
    assert (tied.pneumothorax == free.pneumothorax).mean() > 0.8, "labels are drawn from the same uniform numbers"


def test_the_dials_leave_the_table_alone():
    table = Phantom(family="skin", images=300).table(NOWHERE)
    assert Phantom(family="skin", images=300, cue=0.0, core=0.0).table(NOWHERE).equals(table)


@pytest.mark.parametrize("family", ["chest", "skin"])
def test_without_cue_the_image_does_not_depend_on_the_attributes(family):
    phantom = Phantom(family=family, cue=0.0)
    path = "990000007/0-y1-age{}-female{}-type{}"
    drawn = [phantom.image(NOWHERE, path.format(*who)) for who in (("20.0", 0, 1), ("88.0", 1, 6), ("60.0", 1, 3))]
    assert all(np.array_equal(drawn[0], other) for other in drawn[1:])


@pytest.mark.parametrize("family", ["chest", "skin"])
def test_without_core_the_image_does_not_depend_on_the_label(family):
    paths = [f"990000007/0-y{y}-age70.0-female1-type5" for y in (0, 1)]
    hidden, shown = (images(Phantom(family=family, core=core), paths) for core in (0.0, 1.0))
    assert np.array_equal(hidden[0], hidden[1])
    assert not np.array_equal(shown[0], shown[1])


def chest_difference(paths, **dials):
    """Return by how many grey values the dials change each film (N, 64, 64)."""
    return np.abs(images(Phantom(family="chest"), paths) - images(Phantom(family="chest", **dials), paths))


@pytest.mark.parametrize(("family", "tied", "one"), [("chest", "age", 1), ("chest", "sex", 2), ("skin", "tone", 3)])
def test_faint_is_grain_that_is_stronger_for_the_tied_attribute_alone(family, tied, one):
    rest, who = (
        "990000{:03d}/0-y0-age{}-female{}-type{}",
        [("30.0", 0, 1), ("80.0", 0, 1), ("30.0", 1, 1), ("30.0", 0, 6)],
    )
    paths = [[rest.format(n, *values) for n in range(60)] for values in who]
    same = {"family": family, "tied": tied, "size": 32, "cue": 0.0}
    without, faint = (np.stack([images(Phantom(**same, faint=dial), of) for of in paths]) for dial in (0.0, 1.0))
    grain = (faint - without).reshape(4, 60, -1)
    assert abs(grain[0].mean()) < 0.5, "lighter by no more than what is cut off at black"
    strength = np.log(grain.std(axis=2))
    for kind in (1, 2, 3):
        shift = (strength[kind] - strength[0]).mean()
        assert shift == pytest.approx(0.4 if kind == one else 0.0, abs=0.05 if kind == one else 1e-9)


def test_the_grain_tells_the_groups_no_better_than_documented():
    shifts = np.random.default_rng(0).normal(size=(2, 100)) + np.array([[0], [1]])
    assert 0.70 < np.mean(shifts[1][:, None] > shifts[0]) < 0.82
    paths = [f"990000{n:03d}/0-y0-age{age}-female0-type1" for age in ("30.0", "80.0") for n in range(300)]
    grain = images(Phantom(size=16, cue=0.0, faint=1.0), paths) - images(Phantom(size=16, cue=0.0), paths)
    young, old = grain.reshape(2, 300, -1).std(axis=2)
    assert np.mean(old[150:, None] > young[:150]) == pytest.approx(0.76, abs=0.06)


# Medians and quartiles over films: heart, spine and chest wall move with the pose, the windows below do not.


def test_the_sex_cue_is_confined_to_the_breasts():
    changed = chest_difference([f"99000{n:04d}/0-y0-age18.0-female1-type1" for n in range(40)], cue=0.0).max(axis=0)
    assert changed[:24].max() <= 1, "above the breasts"
    assert changed[56:].max() <= 1, "below the breasts"
    assert changed[36:46, 12:22].min() > 15
    assert changed[36:46, 42:52].min() > 15


def test_the_age_cue_is_confined_to_the_body():
    changed = chest_difference([f"99000{n:04d}/0-y0-age88.0-female0-type1" for n in range(40)], cue=0.0)
    beside = np.quantile(changed, 0.75, axis=0)[8:56, [0, 63]]
    assert beside.max() <= 1, "the air beside the body: pose, exposure and noise are those of the twin"
    strongest = changed.max(axis=0)
    knob = strongest[17:26, 35:46]
    assert knob.max() > 40
    assert knob.max() > 2 * np.median(strongest)


def test_the_finding_is_confined_to_one_lung():
    changed = chest_difference([f"99000{n:04d}/0-y1-age40.0-female0-type1" for n in range(40)], core=0.0)
    sides = np.stack([changed[:, :, :27].max(axis=(1, 2)), changed[:, :, 37:].max(axis=(1, 2))])
    assert (sides.min(axis=0) <= 1).all(), "the other lung, and the air beside it"
    assert (sides.max(axis=0) > 10).all(), "a film on which nothing is to be seen"
    assert 10 < (sides[0] > sides[1]).sum() < 30, "either side"
    average = changed.mean(axis=0)
    assert average[60:].mean() < 0.1 * average[16:44].mean(), "the abdomen"


def test_the_tone_follows_the_skin_type():
    paths = [[f"99000{n:04d}/0-y0-age40.0-female1-type{kind}" for n in range(20)] for kind in range(1, 7)]
    means = [images(Phantom(family="skin"), of_type).mean() for of_type in paths]
    assert all(lighter > darker + 5 for lighter, darker in itertools.pairwise(means))


def test_men_have_more_hair_and_keep_that_of_women():
    paths = [[f"99000{n:04d}/0-y0-age40.0-female{female}-type2" for n in range(40)] for female in (0, 1)]
    men, women = (images(Phantom(family="skin"), of_sex) for of_sex in paths)
    assert men.mean() < women.mean() - 1
    assert (men <= women + 1).all(), "hair only darkens: no other stroke has moved"


def test_wrong_values_are_refused():
    with pytest.raises(UsageError) as error:
        Phantom(family="chest", tied="tone")
    assert str(error.value) == snapshot("Phantom.tied=tone: chest allows auto, age, sex")
    with pytest.raises(DataInvalid) as error:
        Phantom().image(NOWHERE, "../../etc/passwd")
    assert str(error.value) == snapshot(
        "phantom image '../../etc/passwd': a path of the table of this phantom is expected"
    )
