"""Gaps at a common mix by hand, against weighted images, and on bootstrap samples."""

import numpy as np
import pytest

from bench.scoring.bootstrap import Sample, redrawn
from bench.scoring.gaps import behind_rates, gap_of, gap_rates
from bench.scoring.standardised import LEAST, Mix, point, reader


def images(*cells):
    """Images of (y, group, stratum, number, of which predicted positive): y, a, stratum and logit."""
    rows = [(y, a, s, 1.0 if k < hits else -1.0) for y, a, s, n, hits in cells for k in range(n)]
    y, a, s, logit = map(np.array, zip(*rows, strict=True))
    return y, a, s, logit


def gaps(y, a, s, logit, groups=2, strata=2):
    mix = Mix.of(y, a, s, groups, strata)
    return point(mix, logit, y, mix.cells(y, a, s))


def test_a_gap_that_is_all_mix_vanishes():
    """TPR is .9 in the easy and .5 in the hard stratum for both groups: .8 and .6 as they are, .7 at the common mix."""
    found = images((1, 0, 0, 30, 27), (1, 0, 1, 10, 5), (1, 1, 0, 10, 9), (1, 1, 1, 30, 15), *ALIKE)
    assert gaps(*found) == pytest.approx(((0.8 - 0.6) / 2, 0.0))


ALIKE = [(0, a, s, 10, 1) for a in (0, 1) for s in (0, 1)]


def test_a_gap_within_strata_that_the_mix_hides_is_found():
    """Group 1 is worse in both strata, .8 and .4 against .9 and .5, and has more of the easy one: .6 and .7 as they are."""
    found = images((1, 0, 0, 10, 9), (1, 0, 1, 30, 15), (1, 1, 0, 30, 24), (1, 1, 1, 10, 4), *ALIKE)
    assert gaps(*found) == pytest.approx((abs(0.6 - 0.7) / 2, (0.7 - 0.6) / 2))


def test_the_mix_is_that_of_each_label():
    """Among label 0, a quarter is in stratum 0: FPR .1 and .5 against .3 and .5 there make .4 and .45."""
    negatives = [(0, 0, 0, 10, 1), (0, 0, 1, 30, 15), (0, 1, 0, 10, 3), (0, 1, 1, 30, 15)]
    positives = [(1, a, s, 20, 10) for a in (0, 1) for s in (0, 1)]
    assert gaps(*images(*negatives, *positives)) == pytest.approx((0.05 / 2, 0.05 / 2))


def test_a_stratum_that_a_group_lacks_is_left_out_of_both_gaps_for_this_label():
    """Of stratum 1, group 1 has one positive too few; among negatives the stratum stays."""
    few = images((1, 0, 0, 20, 18), (1, 0, 1, 20, 0), (1, 1, 0, 20, 16), (1, 1, 1, LEAST - 1, 9), *ALIKE)
    y, a, s, _ = few
    mix = Mix.of(y, a, s, 2, 2)
    assert mix.enters.tolist() == [[True, True], [True, False]]
    assert mix.shares.tolist() == [[0.5, 1.0], [0.5, 0.0]]
    assert gaps(*few) == pytest.approx((0.05, 0.05))
    cell = mix.cells(y, a, s)
    assert (cell[(y == 1) & (s == 1)] == -1).all()
    assert (cell[(y == 0)] == a[y == 0] * 2 + s[y == 0]).all()
    assert not Mix.of(y, a, np.where(a == 1, 0, 1), 2, 2).defined
    assert mix.defined


def drawn(seed=0, n=1500):
    rng = np.random.default_rng(seed)
    patient = np.unique(np.sort(rng.integers(n // 3, size=n)), return_inverse=True)[1]
    y, a, s = (rng.random(n) < 0.4).astype(int), rng.integers(-1, 3, n), rng.integers(-1, 3, n)
    s = np.where((a == 1) & (rng.random(n) < 0.5), 2, s)
    return y, a, s, patient, y + 0.5 * s * (a - 1) + rng.normal(size=n) - 0.5


def weighted(y, a, s, logit, mix, times):
    """EOdds of images with weights m / own share in their group, each image counted `times`."""
    rates = []
    for label in (1, 0):
        of_group = []
        for group in range(3):
            rows = (y == label) & (a == group) & (s >= 0)
            n = np.array([(times * (rows & (s == stratum))).sum() for stratum in range(3)])
            weight = times * np.where(rows, mix.shares[s, label] * n.sum() / n[s], 0)
            of_group.append((weight * (logit > 0)).sum() / weight.sum())
        rates.append(np.ptp(of_group))
    return np.mean(rates)


def test_it_is_the_gap_of_weighted_images_on_every_bootstrap_sample():
    y, a, s, patient, logit = drawn()
    mix = Mix.of(y, a, s, 3, 3)
    assert mix.enters.all()
    cell = mix.cells(y, a, s)
    assert point(mix, logit, y, cell)[1] == pytest.approx(weighted(y, a, s, logit, mix, np.ones(len(y))))
    sample = Sample(y, cell, patient, 9)
    (found,) = redrawn(sample, [logit], reader(mix), seed=5, draws=20)
    rng = np.random.default_rng(5)
    times = rng.integers(patient.max() + 1, size=(20, patient.max() + 1))
    for draw in range(20):
        often = np.bincount(times[draw], minlength=patient.max() + 1)[patient]
        assert found[7, draw] == pytest.approx(weighted(y, a, s, logit, mix, often)), "the mix stays that of the set"
    known = np.where(cell >= 0, a, -1)
    (plain,) = redrawn(Sample(y, known, patient, 3), [logit], gap_rates("eodds"), seed=5, draws=20)
    np.testing.assert_allclose(found[:7], plain)


def test_what_is_behind_the_gap_as_it_is_is_that_of_other_gaps_and_weights_leave_less():
    y, a, s, patient, logit = drawn(1)
    mix = Mix.of(y, a, s, 3, 3)
    cell = mix.cells(y, a, s)
    crude, common = (mix.behind(y, cell, patient, common=one) for one in (False, True))
    plain = behind_rates(Sample(y, np.where(cell >= 0, a, -1), patient, 3), "eodds")
    np.testing.assert_allclose(crude.patients, plain.patients)
    np.testing.assert_allclose(crude.images, plain.images)
    assert (common.patients < crude.patients).all()
    assert (common.images <= crude.images + 1e-9).all()
    # Of group 0, label 1, by hand: Kish's number of images with weights m / own share.
    rows = (y == 1) & (a == 0) & (s >= 0)
    n = np.array([(rows & (s == stratum)).sum() for stratum in range(3)])
    weight = (mix.shares[:, 1] * n.sum() / n)[s[rows]]
    assert common.images[0, 0, 0] == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    (found,) = redrawn(Sample(y, cell, patient, 9), [logit], reader(mix), seed=0, draws=50)
    assert gap_of(found[7:], "eodds", common).parts.shape == (2, 3, 50)
