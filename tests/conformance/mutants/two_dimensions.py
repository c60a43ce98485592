"""Two-Dimensions: takes the network apart.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from torch import nn

from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class TwoDimensions(Method):
    """Takes the network apart."""

    title = "Two-Dimensions"
    uses = frozenset(())
    changes = frozenset(())

    def fit(self, run):
        return nn.Sequential(run.model.features, run.model.head)
