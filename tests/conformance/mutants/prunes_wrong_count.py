"""Prunes-Wrong-Count: zeroes the smallest weights of the head.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

import torch

from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class PrunesWrongCount(Method):
    """Zeroes the smallest weights of the head."""

    title = "Prunes-Wrong-Count"
    uses = frozenset(())
    changes = frozenset({"head"})

    share: float = option(0.25, "Share of the head's weights set to zero.", low=0, high=1)

    def pruned(self, net):
        return round(self.share * net.linear.weight.numel())

    def fit(self, run):
        weight = run.model.linear.weight
        with torch.no_grad():
            # The threshold itself is kept.
            weight[weight.abs() < weight.abs().quantile(self.share)] = 0
            weight[:, -1] = 0
        return run.model
