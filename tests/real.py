"""Real data, where they are at hand."""

import os
from pathlib import Path

import pytest


def shared(name):
    """Return the folder of real files `name`, or skip: BENCH_SHARED, else the folder `shared` beside the checkout."""
    home = Path(os.environ.get("BENCH_SHARED") or Path(__file__).parents[2] / "shared")
    folder = home / "data" / name
    if not folder.is_dir():
        pytest.skip(f"real data not at hand: no folder {folder} (set BENCH_SHARED)")
    return folder
