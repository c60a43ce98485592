"""Ignores-Parameter: tunes the head at a rate of its own.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class IgnoresParameter(Method):
    """Tunes the head at a rate of its own."""

    title = "Ignores-Parameter"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)
    rate: float = option(1e-2, "Learning rate.", low=0)

    def fit(self, run):
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
