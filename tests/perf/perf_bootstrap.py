"""The bootstrap over the patients of a set takes seconds, whatever else the machine does."""

import time

import numpy as np
import pytest

from bench.scoring.bootstrap import Sample
from tests.replicates import replicates

TWO, MORE = ("auc", "spd", "eodds"), ("auc", "min_auc", "gap_auc")


@pytest.mark.parametrize(("images", "metrics", "seconds"), [(800, TWO, 5), (10_000, TWO, 60), (10_000, MORE, 60)])
def test_2000_draws_of_55_models(images, metrics, seconds):
    rng = np.random.default_rng(0)
    y, a = (rng.random(images) < 0.2).astype(np.int8), rng.integers(2, size=images)
    patient = np.unique(rng.integers(images // 2, size=images), return_inverse=True)[1]
    logits = [(rng.normal(size=images) + y).astype(np.float32) for _ in range(55)]
    begun = time.perf_counter()
    replicates(Sample(y, a, patient, 2), logits, metrics, 1)
    took = time.perf_counter() - begun
    print(f"\n{images} images, 55 models, 2,000 draws of {', '.join(metrics)}: {took:.1f} s ({seconds} s)")
    assert took < seconds
