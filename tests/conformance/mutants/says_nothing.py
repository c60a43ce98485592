"""Says-Nothing: tunes the head.

Paper: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class SaysNothing(Method):
    """Tunes the head."""

    title = "Says-Nothing"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

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
