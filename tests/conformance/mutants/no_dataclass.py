"""No-Dataclass: tunes the head.

Paper: none.
Code: none.
Departures: none.
"""

from bench import learn
from bench.api import Method, option


class NoDataclass(Method):
    """Tunes the head."""

    title = "No-Dataclass"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)

    def fit(self, run):
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(0.9),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
