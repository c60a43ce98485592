"""DiffPrune: switch off the stem activations that drive the true-positive-rate gap.

Paper: Marcinkevics et al. 2022, Debiasing Deep Chest X-Ray Classifiers using Intra- and Post-processing Methods.
Code: i6092467/diff-bias-proxies, pruning by bias gradients.
Departures:
  1. Saliencies are taken on the external set, evaluations on the validation set; the original uses the latter
     for both.
  2. The layer is the first convolution, before BatchNorm: the original's choice for a ResNet-18, and SWiFT does
     not name one for its backbones.
  3. The unpruned network is a candidate, so that the result is never worse than the baseline by its own measure.
  4. The balanced accuracy to keep is relative to the baseline's; the original's bounds are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import learn
from bench.api import Method, Run, option

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._masked_stem import MaskedStem


@dataclass(frozen=True, kw_only=True)
class DiffPrune(Method):
    """A unit is one scalar of the stem's output map, at one place of one channel."""

    title = "DiffPrune"
    uses = frozenset({"external", "val"})
    row = 8

    step: float = option(0.002, "Share of the units switched off per step.", low=0, high=1)
    max_steps: int = option(10, "Steps after the first.", low=0)
    dynamic: bool = option(True, "Take the saliencies anew on the pruned network before each step.")
    accuracy_drop: float = option(0.02, "How much balanced accuracy a kept state may lose.", low=0, high=1)
    accuracy_least: float = option(0.55, "Balanced accuracy below which no state is kept.", low=0, high=1)
    accuracy_stop: float = option(0.55, "Balanced accuracy at which the search ends.", low=0, high=1)

    def fit(self, run: Run) -> nn.Module:
        import torch

        from ._masked_stem import mask_stem
        from ._selection import accuracy_floor, measure

        net, val = run.model.eval().requires_grad_(False), run.split("val")
        first = measure(run.score(net, "val"), val.y, val.a)
        floor = accuracy_floor(first, self.accuracy_drop, self.accuracy_least)
        stem = mask_stem(net, run.split("external"))
        mask = stem.mask.view(-1)
        best, smallest, kept = mask.clone(), float("inf"), 0
        if first.balanced_accuracy >= floor:
            smallest = abs(first.gap)
        count, path, order = round(self.step * len(mask)), [first.facts()], torch.empty(0)
        for step in range(self.max_steps + 1):
            run.progress(f"step {step + 1}/{self.max_steps + 1}")
            if step == 0 or self.dynamic:
                gradient = self.saliency(run, net, stem)
                order = torch.argsort(gradient if first.gap < 0 else -gradient, stable=True)
            remaining = order[mask[order] > 0]
            mask[remaining[:count]] = 0
            standing = measure(run.score(net, "val"), val.y, val.a)
            path.append({**standing.facts(), "pruned": int((mask == 0).sum())})
            if abs(standing.gap) < smallest and standing.balanced_accuracy >= floor:
                smallest, kept, best = abs(standing.gap), step + 1, mask.clone()
            if standing.balanced_accuracy <= self.accuracy_stop:
                break
        mask.copy_(best)
        run.log(path=path, kept_step=kept, pruned=int((best == 0).sum()), units=len(mask))
        return net.requires_grad_(True)

    def saliency(self, run: Run, net: nn.Module, stem: MaskedStem) -> Tensor:
        """Sum over batches of the mean gradient (C * H * W,) of the signed soft gap by the stem's output."""
        import torch

        total, outputs = torch.zeros_like(stem.mask), []

        def leaf(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            outputs[:] = [output.detach().requires_grad_(True)]
            return outputs[0]

        handle = stem.register_forward_hook(leaf)
        try:
            for x, y, a in run.split("external").batches(size=run.recipe.batch):
                gap = learn.soft_true_positive_gap(net(x), y, a)
                if gap is not None:
                    total += torch.autograd.grad(gap, outputs[0])[0].mean(0)
        finally:
            handle.remove()
        return total.flatten()
