"""Moves-Statistics: tunes the head on a frozen extractor.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

import torch

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class MovesStatistics(Method):
    """Tunes the head on a frozen extractor."""

    title = "Moves-Statistics"
    uses = frozenset({"external"})
    changes = frozenset({"head"})

    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)

    def fit(self, run):
        net, data, loss = run.model, run.split("external"), learn.blend(self.beta)
        net.features.requires_grad_(False)
        net.train()
        optimiser, rng = torch.optim.SGD(net.head.parameters(), lr=run.recipe.lr_head), run.rng("batches")
        with learn.seeded(run.rng("dropout")):
            for x, y, a in data.batches(size=run.recipe.batch, shuffle=True, rng=rng):
                optimiser.zero_grad()
                loss(net(x), y, a).backward()
                optimiser.step()
        return net.eval()
