"""The scores on a model's card: of the model as it is handed out, at its own threshold, beside the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.errors import DataInvalid
from bench.scoring.bootstrap import Resampled, Sample, interval, redrawn
from bench.scoring.levelling import levelled_down, performance
from bench.scoring.metrics import VALIDATION, evaluate
from bench.scoring.statistics import COARSE
from bench.scoring.threshold import tune_threshold
from bench.seeds import seed_of

HALF = 0.5
UNDER_AGREEMENT = 10
"""`--min-cell` of a card of data under an agreement, unless it is given."""


class Estimate(NamedTuple):
    """A number with its 95 % interval over patients; NaN where it is undefined."""

    value: float
    low: float
    high: float


class SetOnCard(NamedTuple):
    """A set: AUC and gap (equalised odds at the threshold) of the model and of the baseline, and the groups.

    A row of `groups` has the name, images, positives, AUC, AUC of the baseline, TPR and FPR of a group. `few` is the
    number of images below which a group and class has too few in this set; then there are no groups, and no gap.
    """

    name: str
    n: int
    patients: int
    auc: Estimate
    base_auc: float
    gap: float
    base_gap: float
    groups: list[tuple[str | int | float | Estimate, ...]]
    levelled_down: bool
    few: int = 0


def pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of one model, or of the mean logit of the models of several folds.

    Tables have the columns image_id, set, cluster, y, a and logit. A test set has each image once, with the mean of
    its logits. Of the validation parts each image is scored by the model of its own fold, which was not trained on it.
    """
    if len(tables) == 1:
        return tables[0]
    parts = [table.assign(cluster=f"{fold} " + table["cluster"].astype(str)) for fold, table in enumerate(tables)]
    validation = [part[part["set"] == VALIDATION] for part in parts]
    tests = [table[table["set"] != VALIDATION].reset_index(drop=True) for table in tables]
    if any(not table["image_id"].equals(tests[0]["image_id"]) for table in tests):
        raise DataInvalid("the folds were scored on different test images: an ensemble of them cannot be scored")
    logits = np.stack([table["logit"].to_numpy(dtype=np.float32) for table in tests])
    return pd.concat([*validation, tests[0].assign(logit=logits.mean(axis=0))], ignore_index=True)


def threshold_of(table: pd.DataFrame) -> float:
    """Return the threshold that validation images choose; NaN if they lack a class."""
    rows = table[table["set"] == VALIDATION]
    return tune_threshold(rows["logit"].to_numpy(), rows["y"].to_numpy())


def sets_on_card(
    own: pd.DataFrame, base: pd.DataFrame, threshold: float, groups: Sequence[str], task: str, min_cell: int = 0
) -> list[SetOnCard]:
    """Return the scores of each set; `own` and `base` are `pooled` predictions of the same images.

    Of a set in which a group and class has fewer than `min_cell` images, only its size and AUC are kept, as in exports.
    """
    found, by_set = [], dict(iter(base.groupby("set", sort=False)))
    other = threshold_of(base)
    at = threshold, HALF if np.isnan(other) else other
    for name, rows in own.groupby("set", sort=False):
        patient = pd.factorize(rows["cluster"])[0]
        sample = Sample(rows["y"].to_numpy(), rows["a"].to_numpy(), patient, len(groups))
        one = _of_set(str(name), sample, rows, by_set[name], at, groups, seed_of("card", task, name))
        found.append(_suppressed(one, rows, len(groups), min_cell))
    return found


def _suppressed(one: SetOnCard, rows: pd.DataFrame, groups: int, min_cell: int) -> SetOnCard:
    """Return a set without what `bench.reporting.numbers.suppression` suppresses of it."""
    codes = [*range(groups), *({-1} & set(rows["a"]))]  # images without a group follow from the others
    counts = np.array([[((rows["a"] == a) & (rows["y"] == y)).sum() for y in (0, 1)] for a in codes])
    if counts.min() >= min_cell:
        return one
    auc, base_auc = Estimate(*(round(end, COARSE) for end in one.auc)), round(one.base_auc, COARSE)
    if counts.sum(axis=0).min() < min_cell:
        auc, base_auc = Estimate(np.nan, np.nan, np.nan), np.nan
    one = one._replace(auc=auc, base_auc=base_auc)
    return one._replace(gap=np.nan, base_gap=np.nan, groups=[], levelled_down=False, patients=one.n, few=min_cell)


def _of_set(
    name: str,
    sample: Sample,
    own: pd.DataFrame,
    base: pd.DataFrame,
    at: tuple[float, float],
    groups: Sequence[str],
    seed: int,
) -> SetOnCard:
    logits = [table["logit"].to_numpy() for table in (own, base)]
    one, two = (evaluate(z, sample.y, sample.a, groups, score) for z, score in zip(logits, at, strict=True))
    drawn, other = redrawn(sample, logits, _quantities, seed, scores=at)
    changes, many = (drawn - other)[1 : 2 * len(groups) + 1], len(groups)
    gap, base_gap = (float(scores["eodds_tuned_threshold"]) for scores in (one, two))
    rows = []
    for place, (group, scores) in enumerate(one["groups"].items(), 1):
        auc = _estimate(scores["auc"], drawn[place]), two["groups"][group]["auc"]
        tpr = _estimate(scores["tpr_tuned_threshold"], drawn[place + 2 * many])
        fpr = _estimate(scores["fpr_tuned_threshold"], drawn[place + 3 * many])
        rows.append((group, scores["n"], scores["positives"], *auc, tpr, fpr))
    down = levelled_down(gap < base_gap, changes)
    auc = _estimate(one["auc"], drawn[0])
    return SetOnCard(name, len(own), sample.patients, auc, two["auc"], gap, base_gap, rows, down)


def _quantities(model: Resampled) -> np.ndarray:
    """Return AUC, the two measures of levelling down by group, TPR and FPR by group, as rows."""
    by_group = np.concatenate([performance(model), model.rates.tpr, model.rates.fpr])
    return np.concatenate([np.broadcast_to(model.auc, (1, by_group.shape[1])), by_group])


def _estimate(value: float, draws: np.ndarray) -> Estimate:
    return Estimate(float(value), *interval(draws)[:2])
