"""Trains-Frozen-Layer: tunes the head alone, or so it says.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class TrainsFrozenLayer(Method):
    """Tunes the head alone, or so it says."""

    title = "Trains-Frozen-Layer"
    uses = frozenset({"external"})
    changes = frozenset({"statistics", "head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)

    def fit(self, run):
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("features", "head"),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
