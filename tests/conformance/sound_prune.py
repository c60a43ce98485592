"""Sound-Prune: an outside method that uses all of the contract; every check looks at it and finds nothing.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from bench import learn
from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class SoundPrune(Method):
    """Zeroes weights of the head, and may tune what is left."""

    title = "Sound-Prune"
    uses = frozenset({"external"})
    presets: ClassVar = {"half": {"share": 0.5}, "tuned": {"then": "tune", "order": "random", "epochs": 2}}
    ablations: ClassVar = {"share": ("share=0", "share=0.9"), "then": ("then=stop", "then=tune,epochs=1")}
    search: ClassVar = {"beta": (0.1, 0.5)}

    share: float = option(0.25, "Share of the head's weights set to zero.", low=0, high=1)
    order: Literal["magnitude", "random"] = option("magnitude", "Which weights go first.")
    then: Literal["stop", "tune"] = option("stop", "What follows.")
    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1, when={"then": "tune"})
    epochs: int | None = option(None, "Epochs of tuning.", low=0, high=50, when={"then": "tune"}, needed=True, other=1)

    @property
    def changes(self):
        return frozenset({"head"})

    def pruned(self, net):
        return round(self.share * net.linear.weight.numel()) if self.then == "stop" else None

    def fit(self, run):
        run.log(images=len(run.split("external")))
        weight = run.model.linear.weight.detach().view(-1)
        first = (
            torch.randperm(len(weight), generator=run.rng("order"))
            if self.order == "random"
            else weight.abs().argsort()
        )
        weight[first[: round(self.share * len(weight))]] = 0
        if self.then == "stop":
            return run.model
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("head",),
            epochs=self.epochs,
            lr=run.recipe.lr_head,
        )
