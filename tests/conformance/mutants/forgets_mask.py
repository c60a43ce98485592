"""Forgets-Mask: switches off random features.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

import torch
from torch import nn

from bench.api import Method, option


class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, h):
        return h * self.mask


@dataclass(frozen=True, kw_only=True)
class ForgetsMask(Method):
    """Switches off random features."""

    title = "Forgets-Mask"
    uses = frozenset(())
    changes = frozenset({"head"})

    keep: float = option(0.8, "Share of the features that are kept.", low=0, high=1)

    def fit(self, run):
        mask = torch.rand(run.model.linear.in_features, generator=run.rng("mask")) < self.keep
        run.model.head[0] = Masked(mask.float())
        return run.model
