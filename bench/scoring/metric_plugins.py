"""Metrics of installed packages: modules that the entry-point group `bench.metrics` names."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points


def load_metrics() -> None:
    """Import each module, which calls `bench.scoring.definitions.define`; one that fails is left out and named."""
    for point in entry_points(group="bench.metrics"):
        try:
            point.load()
        except Exception as error:  # a plugin may raise anything, and must not stop the others
            why = f"{type(error).__name__}: {error}"
            print(f"metric plugin {point.name} = {point.value} is left out: {why}", file=sys.stderr)
