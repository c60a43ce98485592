"""No network: the head on vectors that were computed elsewhere, the source of `dataset = "embeddings:FILE"`.

It has no weights, so that methods that change an extractor are not defined on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import PARTS, Backbone, Vector, option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Embedding(Backbone):
    """The identity on vectors (D,)."""

    tags = ("imagenet", "imagenet_v1")
    lacks = dict.fromkeys(PARTS, "there is no network before the head")

    width: int = option(0, "D, the numbers of a vector; 0: as many as those of the source have.", low=0)

    @property
    def input(self) -> Vector:
        return Vector(size=1, width=self.width)

    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int]:
        from torch import nn

        return nn.Identity(), self.width or 1
