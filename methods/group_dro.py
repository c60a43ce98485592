"""GroupDRO: fine-tune for the group and class with the largest loss, by weights that follow the losses.

Paper: Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020, Algorithm 1.
Code: kohpangwei/group_DRO, loss.py, `compute_robust_loss`; the step size of the weights is that of run_expt.py.
Departures:
  1. It fine-tunes the baseline on the external set with the optimiser, epochs and batches of the recipe. The paper
     trains from ImageNet weights on all training data, with strong weight decay or early stopping, on which it says the
     gain depends.
  2. Batches are drawn without regard to the group; the code can draw groups equally often.
  3. A group and class that a batch lacks has the loss 0 there, as in the code, so that its weight falls a little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.api import Run, option

from ._full_fine_tuning import FullFineTuning

if TYPE_CHECKING:
    from torch import Tensor, nn

GROUPS = 4
"""Two groups with two classes each."""


@dataclass(frozen=True, kw_only=True)
class GroupDRO(FullFineTuning):
    """Fine-tuning of the worst group and class."""

    title = "GroupDRO"
    uses = frozenset({"external"})
    comparator = True
    row = 201
    presets = {"suite": {}, "paper": {}, "reference": {}}
    search = {"eta": (0.001, 0.01, 0.1, 1.0)}

    eta: float = option(0.01, "Step size of the weights of groups and classes.", low=0, source="run_expt.py", other=1.0)
    adjustment: float = option(
        0.0,
        "C of the adjustment C / sqrt(n) that is added to the loss of a group and class of n images.",
        low=0,
        source="Section 3.3; 0 by default in run_expt.py",
        other=5.0,
    )

    def fit(self, run: Run) -> nn.Module:
        loss = self.loss(run, "external")
        module = self.trained(run, loss)
        run.log(weights=loss.q.cpu().tolist())
        return module

    def loss(self, run: Run, split: str) -> WorstGroup:
        """Return the loss over a split."""
        import torch

        data = run.split(split)
        counts = torch.bincount((2 * data.a + data.y.long()).cpu(), minlength=GROUPS).clamp(min=1)
        return WorstGroup(self.eta, (self.adjustment / counts.sqrt()).to(data.y.device))


class WorstGroup:
    """A loss with weights q (4,) of groups and classes, which start equal and follow the losses of the batches."""

    def __init__(self, eta: float, extra: Tensor) -> None:
        import torch

        self.eta, self.extra, self.q = eta, extra, torch.full_like(extra, 1 / GROUPS)
        self._cells = torch.arange(GROUPS, device=extra.device)
        self._seen: Tensor | None = None

    def __call__(self, z: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Return the loss of a batch, after the weights followed its losses."""
        import torch

        each = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        member = ((2 * a + y.long())[:, None] == self._cells).to(z)
        losses = member.T @ each / member.sum(dim=0).clamp(min=1)
        # A batch that did not fit in memory comes again, with the same tensor of labels.
        if self._seen is not y:
            self._seen = y
            self.q.mul_(torch.exp(self.eta * (losses.detach() + self.extra))).div_(self.q.sum())
        return losses @ self.q.clone()
