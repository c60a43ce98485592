"""Metrics of models on bootstrap samples of patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.scoring.bootstrap import Resampled, Sample, redrawn
from bench.scoring.definitions import METRICS


def replicates(
    sample: Sample, logits: Sequence[np.ndarray], metrics: Sequence[str], seed: int, **how: Any
) -> np.ndarray:
    """Return metrics on bootstrap samples, (models, metrics, draws); `how` is as of `redrawn`."""

    def read(model: Resampled) -> list[np.ndarray | float]:
        return [METRICS[name].function(model) for name in metrics]  # pyright: ignore[reportArgumentType]

    return redrawn(sample, logits, read, seed, **how)
