"""Folds: properties of the partition, and its independence of everything but seed and images."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bench.api import Attribute, Label, Recipe, Rows, Task
from bench.data.folds import folds, image_folds
from bench.errors import DataInvalid, UsageError

TASK = Task(
    name="skin-sex",
    says="",
    source=Rows(dataset="d"),
    ood={},
    label=Label(column="l", names=("benign", "malignant")),
    attribute=Attribute(column="s", names=("male", "female")),
    image_size=8,
    channels=3,
    crop="none",
    recipe=Recipe(
        pretrain_optimiser="sgd",
        pretrain_lr=1,
        pretrain_epochs=1,
        optimiser="sgd",
        lr_extractor=1,
        lr_head=1,
        epochs=2,
        epsilon=0.1,
    ),
)


def table(seed, groups, largest, sources=2):
    """Groups of 1 to `largest` images; source and a belong to the group, y to the image."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, largest + 1, groups)
    group = np.repeat(np.arange(groups), size)
    a = rng.integers(0, 2, groups)[group]
    return pd.DataFrame(
        {
            "uid": [f"d:{i:05d}" for i in range(len(group))],
            "patient": [f"p{i}" for i in group],
            "source": rng.integers(0, sources, groups)[group].astype(str),
            "y": (rng.random(len(group)) < 0.3 + 0.2 * a).astype("int8"),
            "a": a.astype("int8"),
        }
    )


TABLES = st.builds(table, st.integers(0, 10**6), st.integers(120, 250), st.integers(1, 6), st.integers(1, 3))


STRATIFY = ("label", "attribute")


@settings(max_examples=60, deadline=None)
@given(TABLES, st.integers(2, 5), st.integers(0, 3), st.sampled_from(STRATIFY))
def test_folds_partition_the_groups_and_are_alike(frame, n, seed, stratify):
    fold = folds(frame, n, seed, stratify=stratify)
    assert fold.shape == (len(frame),)
    assert set(fold) == set(range(n))
    assert (frame.assign(fold=fold).groupby("patient")["fold"].nunique() == 1).all()
    largest = frame["patient"].value_counts().max()
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= largest + 1
    for k in range(n):
        part = frame[fold == k]
        for column in ("y", "a") if stratify == "attribute" else ("y",):
            p = frame[column].mean()
            assert abs(part[column].mean() - p) <= 2 * np.sqrt(p * (1 - p) / len(part))
        for a in (0, 1) if stratify == "attribute" else ():
            p, within = frame.loc[frame["a"] == a, "y"].mean(), part.loc[part["a"] == a, "y"]
            assert abs(within.mean() - p) <= max(0.01, 2 * np.sqrt(p * (1 - p) / len(within)))


@settings(max_examples=20, deadline=None)
@given(TABLES, st.randoms(use_true_random=False), st.sampled_from(STRATIFY))
def test_row_order_and_index_do_not_count(frame, random, stratify):
    order = list(range(len(frame)))
    random.shuffle(order)
    dealt = folds(frame, stratify=stratify)
    np.testing.assert_array_equal(folds(frame.iloc[order], stratify=stratify), dealt[order])


@settings(max_examples=20, deadline=None)
@given(TABLES, st.integers(0, 10**6))
def test_the_attribute_does_not_count_unless_it_is_asked_for(frame, seed):
    other = frame.assign(a=np.random.default_rng(seed).integers(-1, 4, len(frame)))
    np.testing.assert_array_equal(folds(other), folds(frame))
    np.testing.assert_array_equal(folds(frame.drop(columns="a")), folds(frame))
    assert (folds(other, stratify="attribute") != folds(frame, stratify="attribute")).any()


def test_single_images_are_dealt_evenly():
    frame = table(1, 4000, 1, sources=3)
    fold = folds(frame)
    assert np.bincount(fold).tolist() == [800] * 5
    for k in range(5):
        assert abs(frame["y"][fold == k].mean() - frame["y"].mean()) < 0.002
    assert np.ptp(frame.groupby(["source", "y", fold]).size().unstack().to_numpy(), axis=1).max() <= 2


def test_single_images_are_dealt_evenly_to_the_groups_too():
    frame = table(1, 4000, 1, sources=3)
    fold = folds(frame, stratify="attribute")
    assert np.bincount(fold).tolist() == [800] * 5
    whole = frame.groupby("a")["y"].mean()
    for k in range(5):
        part = frame[fold == k]
        assert abs(part["y"].mean() - frame["y"].mean()) < 0.002
        assert abs(part["a"].mean() - frame["a"].mean()) < 0.002
        assert ((part.groupby("a")["y"].mean() - whole).abs() < 0.005).all()
        assert np.ptp(frame.groupby(["source", "y", "a", fold]).size().unstack().to_numpy(), axis=1).max() <= 2


def test_uneven_groups_keep_eighty_to_twenty():
    frame = table(5, 600, 40)
    share = np.bincount(folds(frame)) / len(frame)
    assert abs(share - 0.2).max() < 0.01


def test_the_seed_deals_otherwise():
    frame = table(2, 300, 1)
    assert (folds(frame, seed=0) != folds(frame, seed=1)).mean() > 0.5


def test_the_same_folds_on_every_platform():
    """Written down once; a change here changes every result of every task."""
    i = np.arange(600)
    frame = pd.DataFrame(
        {"patient": [f"p{k}" for k in i**2 // 700], "source": "s", "y": i * 7 % 5 // 3, "a": i // 3 % 2}
    )
    for stratify, sha in (("label", "dea86a0788178069"), ("attribute", "69e8d7b6cffb4c23")):
        fold = folds(frame, stratify=stratify)
        assert np.bincount(fold).tolist() == [120] * 5
        assert hashlib.sha256(fold.astype("<i8").tobytes()).hexdigest()[:16] == sha


def test_too_few_groups():
    with pytest.raises(DataInvalid) as error:
        folds(table(0, 3, 9), task=TASK)
    assert str(error.value) == snapshot("task skin-sex, 3 patients (or lesions) cannot fill 5 folds: take fewer")


def test_an_empty_cell_of_one_fold_leaves_the_other_folds_usable():
    """One malignant woman: she is in one fold; that the others lack her is said where it matters, in each of them."""
    frame = table(3, 100, 1)
    frame["y"] = ((frame["a"] == 0) & (frame["uid"] > "d:00050") | (frame["uid"] == "d:00001")).astype("int8")
    frame.loc[frame["uid"] == "d:00001", "a"] = 1
    fold = folds(frame, stratify="attribute", task=TASK)
    assert np.bincount(fold).tolist() == [20] * 5


def test_one_fold_is_refused():
    with pytest.raises(UsageError, match="at least 2"):
        folds(table(0, 30, 1), 1)


@settings(max_examples=30, deadline=None)
@given(TABLES, st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_protocol_of_the_paper_deals_images_class_by_class(frame, n, random):
    fold = image_folds(frame, n)
    for c in (0, 1):
        sizes = np.bincount(fold[frame["y"] == c], minlength=n)
        assert sizes.sum() == (frame["y"] == c).sum()
        assert sizes[0] == -(-sizes.sum() // n), "ceil(N / n)"
        assert set(sizes) <= {sizes[0], sizes[0] - 1}
    order = list(range(len(frame)))
    random.shuffle(order)
    np.testing.assert_array_equal(image_folds(frame.iloc[order], n), fold[order])


def test_the_protocol_of_the_paper_splits_patients_and_the_clean_one_does_not():
    frame = table(4, 100, 6)
    by_patient = frame.groupby("patient")["uid"]
    assert (frame.assign(fold=image_folds(frame)).groupby("patient")["fold"].nunique() > 1)[by_patient.size() > 2].any()
    assert (frame.assign(fold=folds(frame)).groupby("patient")["fold"].nunique() == 1).all()


def test_the_same_images_in_the_folds_of_the_paper_on_every_platform():
    """sha256 of "42" and the uid orders the images of a class; they are dealt in turn."""
    frame = pd.DataFrame({"uid": [f"d:{i}" for i in range(9)], "y": [0] * 5 + [1] * 4})
    order = sorted(range(5), key=lambda i: hashlib.sha256(f"42\nd:{i}".encode()).digest())
    fold = image_folds(frame, 2)
    assert [fold[i] for i in order] == [0, 1, 0, 1, 0]
    assert sorted(fold[5:]) == [0, 0, 1, 1]


def test_the_protocol_of_the_paper_needs_an_image_of_each_class_in_each_fold():
    frame = pd.DataFrame({"uid": ["a", "b", "c", "d", "e"], "y": [0, 0, 0, 1, 1]})
    with pytest.raises(DataInvalid) as error:
        image_folds(frame, 3, task=TASK)
    assert str(error.value) == snapshot("task skin-sex, 2 images with label 1 cannot fill 3 folds: take fewer folds")
    with pytest.raises(UsageError, match="at least 2"):
        image_folds(frame, 1)
