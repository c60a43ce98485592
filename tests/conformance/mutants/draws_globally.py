"""Draws-Globally: starts the head anew.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

import torch

from bench import learn
from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class DrawsGlobally(Method):
    """Starts the head anew."""

    title = "Draws-Globally"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    def fit(self, run):
        torch.nn.init.normal_(run.model.linear.weight, std=0.1)
        return learn.finetune(
            run, run.model, loss=learn.blend(1.0), split="external", train=("head",), epochs=2, lr=run.recipe.lr_head
        )
