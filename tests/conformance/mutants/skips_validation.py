"""Skips-Validation: tunes the head with two weights.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class SkipsValidation(Method):
    """Tunes the head with two weights."""

    title = "Skips-Validation"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)
    gamma: float = option(0.1, "Weight of the bias proxy.", low=0, high=1)

    def __post_init__(self):
        if self.beta + self.gamma == 0:
            raise ValueError("nothing to minimise")

    def fit(self, run):
        def loss(z, y, a):
            return self.beta * learn.prediction_loss(z, y) + self.gamma * learn.equalised_odds_proxy(z, y, a)

        return learn.finetune(
            run,
            run.model,
            loss=loss,
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
