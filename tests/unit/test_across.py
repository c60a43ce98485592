"""Statistics over tasks: printed tables of critical values, scipy, every sign by hand, and the published numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from inline_snapshot import snapshot
from scipy import stats

from bench.errors import UsageError
from bench.scoring.ranks import cliques, critical_difference, friedman, signed_rank

# Demšar (2006), Table 5a, two-tailed Nemenyi test at 0.05 and 0.10.
Q_05 = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
Q_10 = (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)


@pytest.mark.parametrize(("level", "printed"), [(0.05, Q_05), (0.10, Q_10)])
def test_critical_values_are_those_that_were_printed(level: float, printed: tuple[float, ...]) -> None:
    for methods, q in enumerate(printed, start=2):
        blocks = methods * (methods + 1)  # then the root is 1 / sqrt(6)
        assert critical_difference(methods, blocks, level) * math.sqrt(6) == pytest.approx(q, abs=1.1e-3)


def test_the_critical_difference_of_demsars_example() -> None:
    # Section 3.2.2: four algorithms on 14 data sets, CD = 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_friedman_is_scipys_with_and_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, size=(7, 5)) if seed % 2 else rng.normal(size=(7, 5))
    ours, theirs = friedman(values, "up"), stats.friedmanchisquare(*values.T)
    assert ours.statistic == pytest.approx(theirs.statistic)
    # Demšar (2006), equation 10: F with K - 1 and (K - 1) (B - 1) degrees of freedom.
    ratio = 6 * theirs.statistic / (7 * 4 - theirs.statistic)
    assert ours.p == pytest.approx(stats.f.sf(ratio, 4, 24))
    assert sum(ours.ranks) == pytest.approx(5 * 6 / 2)


def test_p_is_never_smaller_than_the_chance_that_all_blocks_rank_alike() -> None:
    assert friedman([[1, 2, 3]] * 4, "up").p == pytest.approx(1 / 6**3)
    assert friedman([[1, 2, 3], [1, 2, 3], [1, 3, 2]], "up").p > 1 / 6**2


def test_friedman_holds_its_level_with_few_blocks() -> None:
    rng = np.random.default_rng(0)
    found = [friedman(rng.normal(size=(6, 5)), "up").p for _ in range(3000)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_the_direction_decides_who_is_first() -> None:
    values = [[0.9, 0.5, 0.5], [0.8, 0.6, 0.7]]
    assert friedman(values, "up").ranks == [1, 2.75, 2.25]
    assert friedman(values, "down").ranks == [3, 1.25, 1.75]


def test_what_cannot_be_ranked() -> None:
    assert math.isnan(friedman([[1, 2, 3]], "up").p)
    assert math.isnan(friedman([[1, 1, 1], [2, 2, 2]], "up").p)
    with pytest.raises(UsageError) as error:
        friedman([[1, 2, math.nan], [1, 2, 3]], "up")
    assert str(error.value) == snapshot("1 values are not finite: leave out the method or the block")
    with pytest.raises(UsageError) as error:
        friedman([[1, 2], [1, 2]], "up")
    assert str(error.value) == snapshot("values of shape (2, 2): blocks by three or more methods expected")


def test_cliques_are_the_largest_sets_within_the_difference() -> None:
    assert cliques([1.0, 2.0, 2.5, 4.0], 1.5) == [(1.0, 2.5), (2.5, 4.0)]
    assert cliques([1.0, 3.0, 5.0], 1.5) == []
    assert cliques([2.0, 1.0, 3.0], 9.0) == [(1.0, 3.0)]
    assert cliques([2.0, 2.0, 9.0], 0.5) == [(2.0, 2.0)]


def test_signed_rank_is_scipys_exact_one_without_ties() -> None:
    left, right = np.random.default_rng(3).normal(size=(2, 12))
    assert signed_rank(left, right) == pytest.approx(stats.wilcoxon(left, right, method="exact")[1])
    assert signed_rank(range(1, 6), [0] * 5) == 2 / 2**5


def test_signed_rank_counts_every_sign_where_differences_tie() -> None:
    differences = np.array([0.1, -0.1, 0.2, 0.2, 0.3, -0.4, 0.2, 0.0])
    ranks = stats.rankdata(np.abs(differences))[:-1]
    seen = ranks[differences[:-1] > 0].sum()
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=7)]
    low = min(seen, ranks.sum() - seen)
    expected = min(1, 2 * np.mean([value <= low + 1e-9 for value in sums]))
    assert signed_rank(differences, np.zeros(8)) == pytest.approx(expected)
    assert signed_rank([0.3, 0.5], [0.3, 0.5]) == 1
    assert math.isnan(signed_rank([0.3, math.nan], [0.3, 0.5]))
