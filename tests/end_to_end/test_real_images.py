"""Real images, read from the folder `shared` beside the checkout (or BENCH_SHARED); skipped where it is not."""

import os
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BENCH_SHARED", ROOT.parent / "shared")) / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real images: {DATA} is not there"),
]


def test_ham10000_by_its_official_layout(place):
    place.bench("run", "--task", "ham10000-sex", "--methods", "llft", "--folds", "0", "--data", str(DATA))
    folder = place.folder / "results/cells/ham10000-sex/small"
    predictions = pd.read_parquet(folder / "baseline/f0-s0.parquet")
    assert predictions["set"].value_counts()["rosendahl"] == 2259
    place.bench("report", "--task", "ham10000-sex", "--data", str(DATA), "--only", "main")
    assert "SYNTHETIC" not in (place.folder / "reports/ham10000-sex/main.md").read_text()


def test_nih_extract_without_code(place):
    task = str(ROOT / "docs" / "examples" / "nih-extract.toml")
    done = place.bench("run", "--task", task, "--methods", "all", "--folds", "0,1", "--data", str(DATA))
    assert "22 of 22 cells done" in done.stdout
    predictions = pd.read_parquet(place.folder / "results/cells/nih-extract-sex/small/swift/f0-s0.parquet")
    assert predictions["set"].value_counts()["ap_films"] == 363
    place.bench("report", "--task", task, "--data", str(DATA))
