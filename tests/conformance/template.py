"""The sound method from which the broken ones are made, and how one is made from it."""

from __future__ import annotations

from dataclasses import dataclass

FIT = """\
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
"""
BETA = '    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)\n'
LOSS = "learn.blend(self.beta)"
USES = 'uses = frozenset({"external"})'
CHANGES = 'changes = frozenset({"head"})'
DECORATOR = "@dataclass(frozen=True, kw_only=True)\n"


def around(part: str, forward: str) -> dict[str, str]:
    """Return what is replaced so that the fitted network is in a module with one more `part`, called by `forward`."""
    return {
        DECORATOR: f"""class Around(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        {part}

    def forward(self, x):
{forward}


{DECORATOR}""",
        "return learn.finetune(": "net = learn.finetune(",
        "lr_head,\n        )\n": "lr_head,\n        )\n        return Around(net)\n",
    }


SOUND = f'''"""TITLE: tunes the head.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from bench import learn
from bench.api import Method, option


{DECORATOR}class Mutant(Method):
    """Tunes the head."""

    title = "TITLE"
    {USES}
    {CHANGES}

{BETA}
    def fit(self, run):
{FIT}'''


@dataclass(frozen=True)
class Mutant:
    """The check that must find it, what that says, and what is replaced in `SOUND`."""

    check: str
    says: str
    replaced: dict[str, str]

    def text(self, name: str) -> str:
        """Return the module of the plugin of that name."""
        text = SOUND
        for old, new in self.replaced.items():
            assert text.count(old) == 1, f"{name}: {old!r} stands {text.count(old)} times in the template"
            text = text.replace(old, new)
        return text.replace("TITLE", name.title().replace("_", "-"))
