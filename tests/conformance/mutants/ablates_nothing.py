"""Ablates-Nothing: tunes the head.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import ClassVar

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class AblatesNothing(Method):
    """Tunes the head."""

    title = "Ablates-Nothing"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    ablations: ClassVar = {"beta": ("beta=0.5", "beta=1.5")}
    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)

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
