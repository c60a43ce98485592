"""Broken-Choice: tunes the head with one of two losses.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import Literal

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class BrokenChoice(Method):
    """Tunes the head with one of two losses."""

    title = "Broken-Choice"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    loss: Literal["blend", "gap"] = option("blend", "What is minimised.")

    def fit(self, run):
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(0.9) if self.loss == "blend" else learn.true_positive_gap,
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
