"""The external set: equal cells, the smaller group whole, nothing from outside."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench import taskfile
from bench.data.external import external_set
from bench.errors import EmptyGroup


def validation(n00, n01, n10, n11):
    """n<a><y> images in each cell, the cells mixed in the order of uids."""
    cells = [(a, y) for (a, y), n in {(0, 0): n00, (0, 1): n01, (1, 0): n10, (1, 1): n11}.items() for _ in range(n)]
    order = np.random.default_rng(0).permutation(len(cells))
    a, y = np.array(cells, dtype="int8")[order].T
    return pd.DataFrame({"uid": [f"d:{i:04d}" for i in range(len(a))], "y": y, "a": a, "patient": "p"})


def cells(table):
    return table.groupby(["a", "y"]).size().to_dict()


SIZES = st.tuples(*[st.integers(1, 40)] * 4)


@settings(max_examples=50, deadline=None)
@given(SIZES, st.integers(0, 100))
def test_properties(sizes, seed):
    table = validation(*sizes)
    small = 0 if sizes[0] + sizes[1] < sizes[2] + sizes[3] else 1
    external = external_set(table, (seed, "t", 0, "sex"))
    counts, before = cells(external), cells(table)
    for y in (0, 1):
        assert counts[0, y] == counts[1, y] == before[small, y]
    assert len(external) == 2 * min(sizes[0] + sizes[1], sizes[2] + sizes[3])
    assert set(external["uid"]) <= set(table["uid"])
    minority = external.loc[external["a"] == small, "uid"]
    assert sorted(minority) == sorted(table.loc[table["a"] == small, "uid"])
    joined = external.merge(table, on="uid", suffixes=("", "_before"))
    assert (joined["y"] == joined["y_before"]).all()
    assert (joined["a"] == joined["a_before"]).all()
    enough = all(before[1 - small, y] >= before[small, y] for y in (0, 1))
    assert external["uid"].is_unique == enough
    assert (external.attrs["shortfall"] == {}) == enough


@settings(max_examples=30, deadline=None)
@given(SIZES, st.randoms(use_true_random=False))
def test_row_order_does_not_count(sizes, random):
    table = validation(*sizes)
    order = list(range(len(table)))
    random.shuffle(order)
    parts = (0, "t", 1, "sex")
    pd.testing.assert_frame_equal(external_set(table, parts), external_set(table.iloc[order], parts))


@pytest.mark.parametrize("other", [(1, "t", 0, "sex"), (0, "u", 0, "sex"), (0, "t", 1, "sex"), (0, "t", 0, "age")])
def test_every_part_seeds(other):
    table = validation(200, 200, 30, 30)
    assert not external_set(table, other).equals(external_set(table, (0, "t", 0, "sex")))


def test_every_image_of_the_larger_group_can_be_drawn():
    table = validation(30, 30, 20, 20)
    drawn = set().union(*(external_set(table, (seed,))["uid"] for seed in range(40)))
    assert drawn == set(table["uid"])


def test_the_same_draw_on_every_platform():
    """Written down once: a change here changes every fitted model."""
    i = np.arange(24)
    table = pd.DataFrame({"uid": [f"d:{k:02d}" for k in i], "y": i % 2, "a": (i % 5 == 0).astype(int)})
    external = external_set(table, (0, "skin-sex", 0, "female"))
    assert [uid[2:] for uid in external["uid"]] == ["00", "01", "02", "04", "05", "06", "10", "15", "20", "23"]


def test_a_shortfall_is_repeated_and_said():
    table = validation(60, 4, 20, 10)
    external = external_set(table, (0,))
    assert external.attrs["shortfall"] == {1: 6}
    assert cells(external) == {(0, 0): 20, (0, 1): 10, (1, 0): 20, (1, 1): 10}
    drawn = external.loc[(external["a"] == 0) & (external["y"] == 1), "uid"]
    assert drawn.nunique() == 4, "all four images are kept before any is repeated"


def test_a_tie_keeps_group_one():
    table = validation(20, 30, 25, 25)
    external = external_set(table, (0,))
    assert cells(external) == {(0, 0): 25, (0, 1): 25, (1, 0): 25, (1, 1): 25}
    assert external.attrs["shortfall"] == {0: 5}


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(0, 3)] * 4))
def test_an_empty_cell_is_an_error_that_names_it(sizes):
    assume(0 in sizes and sum(sizes))
    first = next(f"a={a}, y={y}" for (a, y), n in zip([(0, 0), (0, 1), (1, 0), (1, 1)], sizes, strict=True) if not n)
    with pytest.raises(EmptyGroup, match=f"0 skin-sex 3.*{first}"):
        external_set(validation(*sizes), (0, "skin-sex", 3, "female"))


def task(changes):
    return taskfile.resolve(f"phantom-cxr-age:{changes}")


def test_four_cells_are_cut_to_the_smallest():
    table = validation(60, 30, 20, 10)
    external = external_set(table, (0,), task=task("balance=four_cells"))
    assert cells(external) == dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 10)
    assert external["uid"].is_unique
    assert external.attrs["shortfall"] == {}
    assert not external.equals(external_set(table, (1,), task=task("balance=four_cells"))), "seeded by its parts"


def test_the_reference_draws_the_larger_group_with_replacement():
    """The expected share of distinct images of a cell that is drawn n times from N is N/n (1 - (1 - 1/N)^n)."""
    table = validation(1000, 400, 500, 100)
    external = external_set(table, (0,), task=task("balance=reference"))
    assert cells(external) == {(0, 0): 500, (0, 1): 100, (1, 0): 500, (1, 1): 100}
    smaller = external[external["a"] == 1]
    assert sorted(smaller["uid"]) == sorted(table.loc[table["a"] == 1, "uid"]), "the smaller group is whole"
    distinct = external.loc[(external["a"] == 0) & (external["y"] == 0), "uid"].nunique()
    assert distinct == pytest.approx(1000 * (1 - (1 - 1 / 1000) ** 500), abs=30)
    repeats = external["uid"].duplicated().sum()
    assert sum(external.attrs["shortfall"].values()) == repeats > 0


def test_a_deficit_can_be_trimmed():
    table = validation(60, 4, 20, 10)
    external = external_set(table, (0,), task=task("deficit=trim"))
    assert cells(external) == {(0, 0): 20, (0, 1): 4, (1, 0): 20, (1, 1): 4}
    assert external["uid"].is_unique
    assert external.attrs["shortfall"] == {}


def test_without_a_deficit_trimming_changes_nothing():
    table = validation(60, 40, 20, 10)
    pd.testing.assert_frame_equal(external_set(table, (0,), task=task("deficit=trim")), external_set(table, (0,)))


@pytest.mark.parametrize("balance", ["matched", "four_cells", "reference"])
def test_shares_are_nested_and_balanced(balance):
    table, before = validation(73, 31, 47, 8), None
    whole = external_set(table, (0,), task=task(f"balance={balance}"))
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        external = external_set(table, (0,), task=task(f"balance={balance},external={share}"))
        counts = {(a, y): 0 for a in (0, 1) for y in (0, 1)} | cells(external)
        for (a, y), n in counts.items():
            of = cells(whole)[a, y]
            assert n == counts[1 - a, y]
            assert share * of <= n + 1e-9 < share * of + 1, "rounded up"
        now = external["uid"].value_counts()
        if before is not None:
            assert (now.reindex(before.index, fill_value=0) >= before).all()
        before = now
    assert external.equals(whole)


def test_a_share_of_a_round_number_is_not_rounded_up():
    """0.07 * 100 is 7.000000000000001 in floating point."""
    external = external_set(validation(100, 100, 100, 100), (0,), task=task("external=0.07"))
    assert set(cells(external).values()) == {7}
