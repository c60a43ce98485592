"""Divides-By-Group: closes the gap between the groups' mean scores.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench import learn
from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class DividesByGroup(Method):
    """Closes the gap between the groups' mean scores."""

    title = "Divides-By-Group"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    def fit(self, run):
        def gap(z, y, a):
            p = z.sigmoid()
            return learn.prediction_loss(z, y) + (p[a == 0].mean() - p[a == 1].mean()) ** 2

        return learn.finetune(
            run, run.model, loss=gap, split="external", train=("head",), epochs=run.recipe.epochs, lr=run.recipe.lr_head
        )
