"""Every model at equal fairness: thresholds chosen on validation images, applied to each test set.

Means are over folds, intervals over the patients of a test set with thresholds fixed. Balanced accuracy and sensitivity
are linear in the decisions of a patient, so that the mean over folds is that of the mean decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.cells.record import Record
from bench.reporting.numbers.aggregate import BASELINE, Results
from bench.reporting.numbers.frames import METHOD
from bench.reporting.numbers.redraws import PredictionsOf, aligned, spec_of
from bench.scoring.bootstrap import Sample
from bench.scoring.frontier import chosen, decided, eodds
from bench.scoring.metrics import VALIDATION
from bench.scoring.statistics import LEVEL
from bench.seeds import seed_of

BOUNDS = tuple(round(0.01 * step, 2) for step in range(21))
"""Bounds of the figure."""
PRINTED = (0.05, 0.1)
"""Bounds of the table."""
SPECIFICITY = 0.9
DRAWS = 1000
RULES = {"each": "a threshold per group", "one": "one threshold"}
GOALS = {"balanced_accuracy": 0.0, "sensitivity": SPECIFICITY}
"""What is largest under the bound, with the least specificity."""
COLUMNS = [*METHOD, "comparator", "set", "rule", "goal", "bound", "value", "low", "high"]
COLUMNS += ["difference", "difference_low", "difference_high", "eodds", "specificity", "folds", "draws"]


@dataclass(frozen=True)
class _Mean:
    """One model over its folds: decisions as shares of folds by patient and label (rules, 2, P), and EOdds (rules,)."""

    positive: np.ndarray
    eodds: np.ndarray
    folds: int


KEYS = [
    (rule, goal, bound) for rule in RULES for goal in GOALS for bound in (BOUNDS if goal != "sensitivity" else PRINTED)
]
"""Each rule, goal and bound, in the order of the arrays."""


def frame(results: Results, cells: Sequence[Record], read: PredictionsOf) -> pd.DataFrame:
    """Return a row for each model, test set, rule, goal and bound, with the columns `COLUMNS`.

    `difference` is that to Baseline with the same goal and bound and a threshold per group, on the same bootstrap
    samples. It is empty for tasks of more than two groups, without validation images, and for suppressed sets.
    """
    info, records = results.info, list[dict[str, object]]()
    if len(info.group_names) != 2 or VALIDATION not in results.sizes:
        return pd.DataFrame(columns=COLUMNS)
    known = {(row.backbone, row.spec): row for row in results.rows}
    every, rules = [], {}
    for item in cells:
        try:
            images, logit = read(item)
        except (OSError, ValueError):
            continue  # the notes of the main table name it
        every.append((item, (images, logit)))
        rules[id(item)] = _rules(images[images["set"] == VALIDATION], logit)
    for name in (name for name in info.ood if name not in results.suppressed):
        sample, logits, _ = aligned(every, name, 2)
        if sample is None:
            continue
        means = {spec: _mean(models, rules, sample) for spec, models in _by_spec(logits).items()}
        for (backbone, spec), found in _intervals(means, sample, seed_of("bootstrap", info.name, name)).items():
            row = known[backbone, spec]
            named = {key: getattr(row, key) for key in (*METHOD, "comparator")}
            records += [{**named, "set": name, **one} for one in found]
    return pd.DataFrame(records, columns=COLUMNS).sort_values(
        ["backbone", "set", "comparator", "row", "spec"], kind="stable", ignore_index=True
    )


def _rules(images: pd.DataFrame, logit: np.ndarray) -> np.ndarray:
    """Return the thresholds of every key, (keys, 2), chosen on validation images."""
    z, y, a = logit[images.index.to_numpy()], images["y"].to_numpy(), images["a"].to_numpy()
    found = []
    for rule in RULES:
        for goal, specificity in GOALS.items():
            bounds = [bound for one, other, bound in KEYS if (one, other) == (rule, goal)]
            found.append(chosen(z, y, a, bounds, each=rule == "each", specificity=specificity))
    return np.concatenate(found)


def _by_spec(logits: Sequence[tuple[Record, np.ndarray]]) -> dict[tuple[str, str], list[tuple[Record, np.ndarray]]]:
    found: dict[tuple[str, str], list[tuple[Record, np.ndarray]]] = {}
    for item, logit in logits:
        found.setdefault(spec_of(item), []).append((item, logit))
    return found


def _mean(cells: Sequence[tuple[Record, np.ndarray]], rules: dict[int, np.ndarray], sample: Sample) -> _Mean:
    """Average the decisions of one model over its folds, with equal weight; seeds of a fold are averaged."""
    here = sample.a >= 0
    y, a, patient = sample.y[here], sample.a[here], sample.patient[here]
    of_fold = {fold: sum(item.cell.fold == fold for item, _ in cells) for fold in {item.cell.fold for item, _ in cells}}
    shares, gaps = np.zeros((len(KEYS), len(y))), np.zeros(len(KEYS))
    for item, logit in cells:
        weight = 1 / of_fold[item.cell.fold] / len(of_fold)
        positive = decided(logit[here], a, rules[id(item)])
        undefined = np.asarray(np.isnan(rules[id(item)]).any(axis=1))
        shares += weight * np.where(undefined[:, None], np.nan, positive)
        gaps += weight * np.where(undefined, np.nan, eodds(positive, y, a))
    sums = np.stack([_by_patient(shares * (y == label), patient, sample.patients) for label in (0, 1)], axis=1)
    return _Mean(sums, gaps, len(of_fold))


def _by_patient(values: np.ndarray, patient: np.ndarray, patients: int) -> np.ndarray:
    """Return sums of values (K, N) by patient, (K, P)."""
    found = np.zeros((patients, len(values)))
    np.add.at(found, patient, values.T)
    return found.T


def _intervals(
    means: dict[tuple[str, str], _Mean], sample: Sample, seed: int
) -> dict[tuple[str, str], list[dict[str, object]]]:
    """Return the numbers of every key, with percentile intervals over patients and paired differences to Baseline."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(sample.patients, np.full(sample.patients, 1 / sample.patients), size=DRAWS).T
    weights = np.column_stack([np.ones(sample.patients), drawn])  # the first column is the sample itself
    here = sample.a >= 0
    counts = [
        np.bincount(sample.patient[np.logical_and(here, sample.y == label)], minlength=sample.patients)
        for label in (0, 1)
    ]
    values = {spec: _values(mean, counts, weights) for spec, mean in means.items()}
    found = {}
    for (backbone, spec), (value, specificity) in values.items():
        base = values.get((backbone, BASELINE))
        records, mean = [], means[backbone, spec]
        for at, (rule, goal, bound) in enumerate(KEYS):
            one = {"rule": rule, "goal": goal, "bound": bound, "eodds": mean.eodds[at], "folds": mean.folds}
            one |= dict(zip(("value", "low", "high"), _ends(value[at]), strict=True))
            if base is not None and (spec, rule) != (BASELINE, "each"):
                less = value[at] - base[0][KEYS.index(("each", goal, bound))]
                one |= dict(zip(("difference", "difference_low", "difference_high"), _ends(less), strict=True))
            records.append({**one, "specificity": specificity[at, 0], "draws": DRAWS})
        found[backbone, spec] = records
    return found


def _values(mean: _Mean, counts: Sequence[np.ndarray], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is largest and the specificity for every key and draw, each (keys, 1 + draws)."""
    with np.errstate(invalid="ignore"):
        fpr, tpr = ((mean.positive[:, label] @ weights) / (counts[label] @ weights) for label in (0, 1))
    sensitive = np.array([goal == "sensitivity" for _, goal, _ in KEYS])[:, None]
    return np.where(sensitive, tpr, (tpr + 1 - fpr) / 2), 1 - fpr


def _ends(values: np.ndarray) -> tuple[float, float, float]:
    """Return the value of the sample and the ends of its interval from (1 + draws,); the ends are NaN without draws."""
    drawn = values[1:][np.isfinite(values[1:])]
    if len(drawn) < (1 - LEVEL) * DRAWS:
        return float(values[0]), np.nan, np.nan
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return float(values[0]), float(low), float(high)
