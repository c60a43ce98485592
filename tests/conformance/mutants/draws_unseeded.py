"""Draws-Unseeded: starts the head anew.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

import torch

from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class DrawsUnseeded(Method):
    """Starts the head anew."""

    title = "Draws-Unseeded"
    uses = frozenset(())
    changes = frozenset({"head"})

    def fit(self, run):
        rng = torch.Generator()
        rng.seed()
        torch.nn.init.normal_(run.model.linear.weight, std=0.1, generator=rng)
        return run.model
