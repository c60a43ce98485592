"""Slow references, written from the equations alone: loops over samples in float64, and nothing of `bench`.

Batches are sequences of numbers z, y, a; a network is anything that maps x (B, 3, H, W) to z (B,). The equations are
those of SWiFT (Yan et al., MELBA 2025:015), the joint rates those of Mao et al. 2023.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch

Numbers = Sequence[float]
NAN = float("nan")


def log_sigmoid(t: float) -> float:
    return -(max(-t, 0.0) + math.log1p(math.exp(-abs(t))))


def sigmoid(t: float) -> float:
    return math.exp(log_sigmoid(t))


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def sign(t: float) -> int:
    return (t > 0) - (t < 0)


# --- losses ------------------------------------------------------------------------------------


def prediction_loss(z: Numbers, y: Numbers) -> float:
    """Eq. 1 with the counts of the batch, averaged over it."""
    positives, negatives = sum(1 for c in y if c == 1), sum(1 for c in y if c == 0)
    terms = []
    for logit, label in zip(z, y, strict=True):
        weight = negatives if label == 1 else positives
        terms.append(-weight / len(y) * log_sigmoid(logit if label == 1 else -logit))
    return mean(terms)


def prediction_loss_gradient(z: Numbers, y: Numbers) -> list[float]:
    n, positives = len(y), sum(1 for c in y if c == 1)
    return [
        -(n - positives) / n * sigmoid(-logit) / n if label == 1 else positives / n * sigmoid(logit) / n
        for logit, label in zip(z, y, strict=True)
    ]


def cell(values: Numbers, y: Numbers, a: Numbers, group: int, label: int) -> list[float]:
    return [v for v, c, g in zip(values, y, a, strict=True) if c == label and g == group]


def proxy_terms(z: Numbers, y: Numbers, a: Numbers) -> dict[int, float]:
    """Class -> mu_0c - mu_1c of Eqs. 2-4, for the classes in which both groups are present."""
    terms = {}
    for label in (1, 0):
        zero, one = cell(z, y, a, 0, label), cell(z, y, a, 1, label)
        if zero and one:
            terms[label] = mean(map(log_sigmoid, zero)) - mean(map(log_sigmoid, one))
    return terms


def equalised_odds_proxy(z: Numbers, y: Numbers, a: Numbers) -> float:
    return sum(abs(term) for term in proxy_terms(z, y, a).values())


def equalised_odds_proxy_gradient(z: Numbers, y: Numbers, a: Numbers) -> list[float]:
    terms, gradient = proxy_terms(z, y, a), []
    for logit, label, group in zip(z, y, a, strict=True):
        if label not in terms:
            gradient.append(0.0)
            continue
        size = len(cell(z, y, a, int(group), int(label)))
        gradient.append(sign(terms[int(label)]) * (1 if group == 0 else -1) / size * sigmoid(-logit))
    return gradient


def joint_rate_gap(z: Numbers, y: Numbers, a: Numbers) -> float:
    """R_fp + R_fn: sums of scores over the group's size, not the cell's."""
    sizes = [sum(1 for g in a if g == group) for group in (0, 1)]
    if not all(sizes):
        return 0.0
    rates = []
    for group in (0, 1):
        false_positive = math.fsum(map(sigmoid, cell(z, y, a, group, 0))) / sizes[group]
        false_negative = math.fsum(sigmoid(-t) for t in cell(z, y, a, group, 1)) / sizes[group]
        rates.append((false_positive, false_negative))
    return sum(abs(zero - one) for zero, one in zip(*rates, strict=True))


def soft_true_positive_gap(z: Numbers, y: Numbers, a: Numbers) -> float | None:
    zero, one = cell(z, y, a, 0, 1), cell(z, y, a, 1, 1)
    return mean(map(sigmoid, zero)) - mean(map(sigmoid, one)) if zero and one else None


# --- importances and masks ---------------------------------------------------------------------


def fisher(net: torch.nn.Module, batches: Iterable[tuple]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Eqs. 5-8: the mean over batches of the squared gradient, summed sample by sample; to the proxy, to Eq. 1.

    A batch on which no term of the proxy is defined counts in the divisor and adds 0.
    """
    names = [name for name, _ in net.named_parameters()]
    totals = [{name: np.zeros(p.shape) for name, p in net.named_parameters()} for _ in range(2)]
    count = 0
    for x, y, a in batches:
        count += 1
        logits, slopes = [], []
        for image in x:
            z = net(image[None])[0]
            slopes.append([g.numpy() for g in torch.autograd.grad(z, list(net.parameters()))])
            logits.append(float(z.detach()))
        y, a = y.tolist(), a.tolist()
        factors = (equalised_odds_proxy_gradient(logits, y, a), prediction_loss_gradient(logits, y))
        for total, u in zip(totals, factors, strict=True):
            for k, name in enumerate(names):
                total[name] += sum(u[i] * slopes[i][k] for i in range(len(u))) ** 2
    bias, prediction = ({name: value / count for name, value in total.items()} for total in totals)
    return bias, prediction


def scaled(values: Numbers) -> list[float]:
    """To [0, 1]; equal values stay as they are."""
    low, high = min(values), max(values)
    return list(values) if low == high else [(v - low) / (high - low + 1e-10) for v in values]


def importance_ratio(bias: Numbers, prediction: Numbers) -> list[float]:
    return [b / (p + 1e-10) for b, p in zip(scaled(bias), scaled(prediction), strict=True)]


def soft_mask(ratio: Numbers) -> list[float]:
    return [abs(math.tanh(r)) for r in ratio]


def hard_mask(ratio: Numbers, count: int) -> list[int]:
    """1 for the `count` largest, the first of equals."""
    chosen = sorted(range(len(ratio)), key=lambda k: (-ratio[k], k))[:count]
    return [int(k in chosen) for k in range(len(ratio))]


# --- metrics -----------------------------------------------------------------------------------


def auc(z: Numbers, y: Numbers) -> float:
    """The share of (positive, negative) pairs in the right order, ties counted half."""
    positives, negatives = ([t for t, c in zip(z, y, strict=True) if c == label] for label in (1, 0))
    wins = [(t > s) + (t == s) / 2 for t, s in itertools.product(positives, negatives)]
    return mean(wins) if wins else NAN


def rate(z: Numbers) -> float:
    """The share of logits above 0; NaN without any."""
    return mean(float(t > 0) for t in z) if len(z) else NAN


def gap(values: Numbers) -> float:
    return NAN if any(map(math.isnan, values)) else max(values) - min(values)
