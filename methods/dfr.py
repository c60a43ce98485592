"""DFR: the last layer refitted on group-balanced data, averaged over random balanced subsets.

Paper: Kirichenko, Izmailov & Wilson, Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations, ICLR
2023.
Code: PolinaKirichenko/deep_feature_reweighting, dfr_evaluate_spurious.py, DFR on validation.
Departures:
  1. The subsets are drawn from the external set, which has as many images of a class in one group as in the other; the
     code draws them from all validation images. In both, a subset has as many images of each group and class as the
     smallest of these four has.
  2. Features are standardised with mean and standard deviation of the external set; the code takes those of the
     training set. The scaling becomes a part of the weights.
  3. Where `strength` is not given, it is the one of seven whose accuracy in the worst of the four is highest, as in the
     code. The code fits half of the set and measures on the other once; here halves are stratified, so that no group
     and class is empty in one of them. With a single image of a group and class nothing is chosen, and it is 0.1.
  4. The classes have no further weights, as in the code for balanced subsets.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.api import Run, option
from bench.errors import EmptyGroup

from ._last_layer import LastLayer, set_head

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
"""`C_OPTIONS` of the code."""
USUAL = 0.1
"""The strength where none can be chosen."""
CODE = "dfr_evaluate_spurious.py"


@dataclass(frozen=True, kw_only=True)
class DFR(LastLayer):
    """L1 logistic regression on frozen features of balanced subsets, averaged."""

    title = "DFR"
    row = 200

    strength: float | None = option(
        None,
        "Inverse strength of the L1 penalty (C of scikit-learn); None: chosen on half of the external set.",
        low=1e-6,
        source=CODE,
        other=0.01,
    )
    refits: int = option(20, "Balanced subsets whose heads are averaged.", low=1, source=CODE, other=1)

    def fit(self, run: Run) -> nn.Module:
        import numpy as np
        import torch

        h, y, a = (part.numpy() for part in self.features(run, "external"))
        stratum = (2 * a + y).astype(int)
        if len(np.unique(stratum)) < 4:
            raise EmptyGroup("a group of the external set lacks a class: no subset of it is balanced")
        mean, spread = h.mean(axis=0), h.std(axis=0)
        spread[spread == 0] = 1
        x = (h - mean) / spread
        rng = np.random.default_rng(run.rng("subsets").initial_seed() % 2**63)
        strength = chosen(x, y, stratum, rng) if self.strength is None else self.strength
        if strength is None:
            strength = USUAL
            run.warn(f"strength={USUAL} is not chosen: a group and class of the external set has a single image")
        refits = [refit(x, y, stratum, strength, rng) for _ in range(self.refits)]
        run.log(strength=strength, unconverged=(unconverged := sum(not one.converged for one in refits)))
        if unconverged:
            run.warn(f"{unconverged} of {self.refits} refits stopped before they converged")
        found = np.mean([one.weights for one in refits], axis=0)
        weight = found[:-1] / spread
        set_head(run.model, torch.from_numpy(weight), found[-1] - mean @ weight)
        return run.model


def balanced(stratum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the indices of a random subset with as many images of each stratum as the smallest has."""
    import numpy as np

    rows = [rng.permutation(np.flatnonzero(stratum == one)) for one in np.unique(stratum)]
    return np.concatenate([one[: min(map(len, rows))] for one in rows])


class Refit(NamedTuple):
    """Weights and bias (D + 1,) of a logistic regression, and whether its solver converged."""

    weights: np.ndarray
    converged: bool


def refit(x: np.ndarray, y: np.ndarray, stratum: np.ndarray, strength: float, rng: np.random.Generator) -> Refit:
    """Return a logistic regression on a random balanced subset."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rows = balanced(stratum, rng)
    model = LogisticRegression(penalty="l1", C=strength, solver="liblinear", random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `penalty` is deprecated; what did not converge is counted
        model.fit(x[rows], y[rows])
    converged = int(np.max(model.n_iter_)) < model.max_iter
    return Refit(np.append(model.coef_[0], model.intercept_), converged)


def chosen(x: np.ndarray, y: np.ndarray, stratum: np.ndarray, rng: np.random.Generator) -> float | None:
    """Return the strength with the highest accuracy in the worst stratum of a held-out half; ties: the first.

    None where a stratum has a single image, so that it is empty in the half.
    """
    import numpy as np

    half = np.zeros(len(y), dtype=bool)
    for one in np.unique(stratum):
        rows = rng.permutation(np.flatnonzero(stratum == one))
        half[rows[: len(rows) // 2]] = True
    if len(np.unique(stratum[half])) < len(np.unique(stratum)):
        return None
    worst = []
    for strength in STRENGTHS:
        w = refit(x[~half], y[~half], stratum[~half], strength, np.random.default_rng(0)).weights
        right = (x[half] @ w[:-1] + w[-1] > 0) == (y[half] == 1)
        worst.append(min(right[stratum[half] == one].mean() for one in np.unique(stratum)))
    return STRENGTHS[int(np.argmax(worst))]
