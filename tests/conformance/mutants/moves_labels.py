"""Moves-Labels: smooths the labels and tunes the head.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class MovesLabels(Method):
    """Smooths the labels and tunes the head."""

    title = "Moves-Labels"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    smoothing: float = option(0.1, "Distance of a label from 0 or 1.", low=0, high=0.5)

    def fit(self, run):
        run.split("external").y.clamp_(self.smoothing, 1 - self.smoothing)
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(1.0),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
