"""Returns-Scores: tunes the head and returns probabilities.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from torch import nn

from bench import learn
from bench.api import Method, option


class Scores(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).sigmoid()


@dataclass(frozen=True, kw_only=True)
class ReturnsScores(Method):
    """Tunes the head and returns probabilities."""

    title = "Returns-Scores"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)

    def fit(self, run):
        net = learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
        return Scores(net)
