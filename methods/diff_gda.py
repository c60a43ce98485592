"""DiffGda: gradient descent or ascent on the soft true-positive-rate gap, keeping the best state seen.

Paper: Marcinkevics et al. 2022, Debiasing Deep Chest X-Ray Classifiers using Intra- and Post-processing Methods.
Code: i6092467/diff-bias-proxies, bias gradient descent/ascent.
Departures:
  1. Gradients are taken on the external set, as SWiFT says; the original takes them on the validation set.
  2. Evaluations are made in evaluation mode; the original's move the statistics of BatchNorm.
  3. A batch without positives of both groups is left out; in the original it turns every weight into NaN.
  4. The balanced accuracy to keep is relative to the baseline's; the original's bounds are absolute.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class DiffGda(Method):
    """No prediction term: the state with the smallest gap is kept while the accuracy holds."""

    title = "DiffGda"
    uses = frozenset({"external", "val"})
    row = 6

    lr: float = option(1e-5, "Learning rate of Adam.", low=0)
    epochs: int = option(10, "Epochs over the external set.", low=0)
    evaluations: int = option(5, "Evaluations on the validation set per epoch.", low=1)
    accuracy_drop: float = option(0.02, "How much balanced accuracy a kept state may lose.", low=0, high=1)
    accuracy_least: float = option(0.55, "Balanced accuracy below which no state is kept.", low=0, high=1)
    accuracy_stop: float = option(0.52, "Balanced accuracy at which the search ends.", low=0, high=1)

    def fit(self, run: Run) -> nn.Module:
        import torch

        from ._selection import accuracy_floor, measure

        net, val = run.model, run.split("val")
        best = copy.deepcopy(net)
        standing = first = measure(run.score(net, "val"), val.y, val.a)
        floor = accuracy_floor(first, self.accuracy_drop, self.accuracy_least)
        kept, smallest = 0, abs(first.gap) if first.balanced_accuracy >= floor else float("inf")
        sign = -1.0 if first.gap < 0 else 1.0
        optimiser = torch.optim.Adam(net.parameters(), lr=self.lr)
        data, size, step = run.split("external"), run.recipe.batch, 0
        every = max(1, -(-len(data) // size) // self.evaluations)
        draws, skipped = run.rng("batches"), 0
        with learn.seeded(run.rng("dropout")):
            for epoch in range(self.epochs):
                run.progress(f"epoch {epoch + 1}/{self.epochs}")
                for number, (x, y, a) in enumerate(data.batches(size=size, shuffle=True, augment=True, rng=draws)):
                    gap = learn.soft_true_positive_gap(net.train()(x), y, a)
                    if gap is None:
                        skipped += 1
                    else:
                        optimiser.zero_grad()
                        (sign * gap).backward()
                        optimiser.step()
                    step += 1
                    if number % every:
                        continue
                    standing = measure(run.score(net, "val"), val.y, val.a)
                    if abs(standing.gap) < smallest and standing.balanced_accuracy >= floor:
                        smallest, kept, best = abs(standing.gap), step, copy.deepcopy(net)
                    if standing.balanced_accuracy <= self.accuracy_stop:
                        break
                if standing.balanced_accuracy <= self.accuracy_stop:
                    break
        run.log(first=first.facts(), kept_step=kept, kept_gap=smallest, steps=step, skipped_batches=skipped)
        return best.eval()
