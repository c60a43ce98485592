"""What the features of a fitted model know of the attribute: the AUC of a linear probe on images it was not fitted on.

A model may predict alike in all groups while its features still tell them apart, and then behave otherwise elsewhere
(Yang et al., The limits of fair medical imaging AI in real-world generalization, Nature Medicine 30, 2024). The probe
is fitted on the validation images and read on each test set, whose patients are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from bench.cells.record import Numbers
from bench.data.image_split import ImageSplit
from bench.net import Net
from bench.scoring.metrics import VALIDATION, auc_of_sorted

IMAGES = 4096
"""Most validation images that the probe is fitted on, at equal steps."""
PENALTY = 0.01
"""Weight of the squared weights of the probe, beside the mean cross-entropy, on standardised features."""


class Kept:
    """The features (N, D) of each set, as they pass; `set` names the set that is predicted now."""

    def __init__(self) -> None:
        self.set = ""
        self.parts: dict[str, list[Tensor]] = {}

    def hook(self, _: nn.Module, __: object, features: Tensor) -> None:
        """Keep the output of the extractor."""
        if self.set:
            self.parts.setdefault(self.set, []).append(features.detach().float().cpu())

    def of(self, name: str, images: int) -> Tensor | None:
        """Return the features of a set; None if they are not one row per image, as after a batch that was repeated."""
        found = torch.cat(self.parts[name]) if name in self.parts else torch.empty(0)
        return found if found.ndim == 2 and len(found) == images else None


@contextmanager
def features_of(model: nn.Module) -> Iterator[Kept]:
    """Keep what the extractor of a model returns while the model predicts; nothing if it has none."""
    kept = Kept()
    net = next((module for module in model.modules() if isinstance(module, Net)), None)
    if net is None:
        yield kept
        return
    hook = net.features.register_forward_hook(kept.hook)
    try:
        yield kept
    finally:
        hook.remove()


def probed(kept: Kept, opened: Mapping[str, ImageSplit]) -> Numbers:
    """Return the AUC of the probe on each test set, between groups; the mean over groups if there are more than two.

    It is empty if the model has no features, and NaN where a set has one group only.
    """
    val = opened[VALIDATION]
    h, a = kept.of(VALIDATION, len(val)), val.a.cpu()
    found = Numbers()
    if h is None or not len(rows := (a >= 0).nonzero().flatten()):
        return found
    rows = rows[torch.linspace(0, len(rows) - 1, min(IMAGES, len(rows))).round().long()]
    groups = [group for group in a[rows].unique().tolist() if (a[rows] != group).any()]
    weights = {group: fitted(h[rows], a[rows] == group) for group in (groups[1:] if len(groups) == 2 else groups)}
    for name, split in opened.items():
        x = kept.of(name, len(split)) if name != VALIDATION else None
        if x is not None:
            there, known = split.a.cpu(), split.a.cpu() >= 0
            aucs = [auc((x @ w[:-1] + w[-1])[known], there[known] == group) for group, w in weights.items()]
            found[name] = float(np.mean(aucs)) if aucs else float("nan")
    return found


def fitted(h: Tensor, member: Tensor) -> Tensor:
    """Return weights and bias (D + 1,) of a ridge-penalised logistic regression of membership (N,) on features (N, D).

    Both classes weigh the same.
    """
    mean, spread = h.mean(dim=0), h.std(dim=0)
    spread[spread == 0] = 1
    x = torch.cat([(h - mean) / spread, torch.ones(len(h), 1)], dim=1)
    y = member.float()
    share = y.mean().clamp(1e-6, 1 - 1e-6)
    balance = torch.where(member, 0.5 / share, 0.5 / (1 - share))
    w = torch.zeros(x.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(x @ w, y, weight=balance)
        loss = loss + PENALTY * w[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)  # pyright: ignore[reportArgumentType]  # torch wants a float and takes a tensor
    found = w.detach()
    weight = found[:-1] / spread
    return torch.cat([weight, (found[-1] - mean @ weight)[None]])


def auc(score: Tensor, member: Tensor) -> float:
    """Return the AUC of scores (N,) for membership (N,); NaN with one class."""
    order = np.argsort(score.numpy(), kind="stable")
    return auc_of_sorted(score.numpy()[order], member.numpy()[order])
