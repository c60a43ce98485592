"""What bfloat16 does to results on a GPU: the phantom task on five folds, under autocast and in float32."""

import statistics

import pytest

from bench.learn import device as places
from bench.run.cell import run_cell
from bench.run.launch import Wanted, plan_run
from bench.run.plan import Settings

TASK = "phantom-cxr-age"
SETS, METRICS = ("ood_neutral", "ood_reversed"), ("auc", "eodds")

pytestmark = pytest.mark.gpu


def test_bfloat16_moves_no_method_by_more_than_folds_do(tmp_path, monkeypatch):
    """All methods; baselines too are trained either way.

    Differences are the mean over folds of a cell's score under bfloat16 less that in float32; the spread is the
    standard deviation over folds (ddof 1) in float32.
    """
    if places.device().type != "cuda":
        pytest.skip("a CPU trains in float32")
    scores = {}
    for name, kinds in (("float32", ()), ("bfloat16", ("cuda",))):
        monkeypatch.setattr(places, "HALF", kinds)
        settings = Settings(TASK, tmp_path / name / "results", tmp_path / name / "cache", None)
        data, cells = plan_run(Wanted("all"), settings)
        data.caches(settings.cache)
        for planned in cells:
            record = run_cell(planned, settings)
            for key in ((one, metric) for one in SETS for metric in METRICS):
                folds = scores.setdefault((planned.cell.method, *key), {"float32": [], "bfloat16": []})
                folds[name].append(record["scores"][key[0]][key[1]])
    shares = []
    for (method, name, metric), folds in sorted(scores.items()):
        plain, half = folds["float32"], folds["bfloat16"]
        assert plain != half, "nothing was computed in bfloat16"
        difference = statistics.mean(half) - statistics.mean(plain)
        spread = statistics.stdev(plain)
        shares.append(abs(difference) / spread)
        print(f"\n{method:<12} {name:<13} {metric:<6} {difference:+.4f}, spread over folds {spread:.4f}", end="")
    print(f"\nbfloat16 less float32, in spreads over folds: median {statistics.median(shares):.2f}, "
          f"largest {max(shares):.2f} (1) of {len(shares)}")  # fmt: skip
    assert max(shares) <= 1
