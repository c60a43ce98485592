"""AFR: the last layer refitted with larger weights for the images that the baseline gets wrong; no attribute anywhere.

Paper: Qiu et al., Simple and Fast Group Robustness by Automatic Feature Reweighting, ICML 2023.
Code: AndPotap/afr, train_embeddings.py, losses/__init__.py (`get_exp_weights`) and the commands of its README.
Departures:
  1. The data are the validation images, which did not train the baseline; the original keeps a fifth of the training
     data for this. Images whose group is not known are left out, as for every method here.
  2. The original tunes `gamma` and `regularisation` by the accuracy of the worst validation group, and so does need the
     attribute there. Here both are fixed: `gamma` is that of the command for CelebA, where the classes overlap, and
     `regularisation` that of the command for Waterbirds. `preset=reference` is the command for Waterbirds.
  3. The original has two logits, whose difference is the one of the suite. It moves at twice the rate with half the
     penalty, so that lr=0.04 and regularisation=0.1 are its 0.02 and 0.2.
  4. Features are those of upright images; the command for Waterbirds has ten augmentations of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.api import Question, Run, option

from ._last_layer import LastLayer, head, set_head

if TYPE_CHECKING:
    from torch import Tensor, nn

README = "README, Waterbirds"


@dataclass(frozen=True, kw_only=True)
class AFR(LastLayer):
    """Weights exp(-gamma p), where p is the probability that the baseline gives the true class."""

    title = "AFR"
    uses = frozenset({"val"})
    row = 202
    presets = {"suite": {}, "paper": {}, "reference": {"gamma": 14.0}}
    search = {"gamma": (0.0, 1.0, 2.0, 4.0, 8.0), "regularisation": (0.0, 0.05, 0.1, 0.2)}

    gamma: float = option(
        1.8, "How much more an image weighs that is predicted wrongly.", low=0, source="README, CelebA"
    )
    regularisation: float = option(
        0.1, "Weight of the squared distance to the baseline's head.", low=0, source=README, other=1.0
    )
    steps: int = option(500, "Steps of gradient descent over all images.", low=0, source=README, other=5)
    lr: float = option(0.04, "Step size.", low=0, source=README, other=0.4)

    def undefined(self, question: Question) -> str:
        return super().undefined(question._replace(groups=2))  # it reads no group

    def fit(self, run: Run) -> nn.Module:
        import torch

        h, y, _ = self.features(run, "val")
        first = torch.cat(head_row(run))
        x = torch.cat([h, torch.ones(len(h), 1).double()], dim=1)
        weights = example_weights(x @ first, y, self.gamma)
        run.log(effective_images=float(1 / weights.square().sum()))
        w = first.clone()
        for _ in range(self.steps):
            slope = weights * (torch.sigmoid(x @ w) - y)
            w -= self.lr * (x.T @ slope + 2 * self.regularisation * (w - first))
        set_head(run.model, w[:-1], w[-1])
        return run.model


def head_row(run: Run) -> tuple[Tensor, Tensor]:
    """Return weight (D,) and bias (1,) of the baseline's head."""
    weight, bias = head(run.model)
    return weight, bias[None]


def example_weights(z: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Return exp(-gamma p) (N,), divided by the share of the class and scaled to the sum 1."""
    import torch

    p = torch.sigmoid(torch.where(y == 1, z, -z))
    weights = torch.exp(-gamma * p)
    for label in (0, 1):
        weights[y == label] /= max(1, int((y == label).sum()))
    return weights / weights.sum()
