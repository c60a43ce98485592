"""Comma-In-Choice: tunes the head with one or two terms.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import Literal

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class CommaInChoice(Method):
    """Tunes the head with one or two terms."""

    title = "Comma-In-Choice"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    terms: Literal["prediction", "prediction,bias"] = option("prediction", "What is minimised.")

    def fit(self, run):
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(1.0 if self.terms == "prediction" else 0.5),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
