"""Metrics from `--plugin FILE`: where they are known, old cells that lack them, and cells that are read without them."""

import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from bench import registry
from bench.cells.record import SetScores, decode
from bench.cli import main
from bench.files import to_json
from bench.reporting.numbers.aggregate import collect
from bench.reporting.words.notes import reading
from bench.scoring.definitions import METRICS
from tests.factory import record
from tests.prose import lines_with, plain
from tests.unit.report_cells import INFO
from tests.unit.test_rescore import predictions, read, recompute, save

TEXT = '''"""The mean logit."""

from bench.scoring.definitions import Scored, define


@define("Mean logit", "score", None, threshold="none", needs_attribute=False, bounds=(-100.0, 100.0))
def mean_logit(of: Scored) -> float:
    """Mean logit of all images.

    mean z_i
    """
    return float(of.logit.mean())


@define("Lowest rate", "score", "up")
def lowest_rate(of: Scored) -> float:
    """Lowest selection rate of a group.

    min_g SR_g
    """
    return float(of.rates.selection.min())
'''
NAMES = ("mean_logit", "lowest_rate")


@pytest.fixture(name="file")
def metric_file(tmp_path):
    """A file with two metrics, which are forgotten after the test."""
    file = tmp_path / "mine.py"
    file.write_text(TEXT)
    yield file
    for name in NAMES:
        METRICS.pop(name, None)


def test_a_file_with_metrics_alone_is_a_plugin_and_they_are_listed(file, capsys):
    assert main(["ls", "metrics", "--plugin", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in lines_with(out, "mean z_i") + lines_with(out, "min_g SR_g")] == [*NAMES]
    assert main(["ls", "methods", "--plugin", str(file)]) == 0
    assert "mine" not in capsys.readouterr().out


def test_a_file_may_have_a_method_and_a_metric(tmp_path, file):
    both = tmp_path / "both.py"
    both.write_text(
        "from bench.api import Method\n\n\nclass Mine(Method):\n    title = 'Mine'\n    row = 100\n\n"
        "    def fit(self, run):\n        return run.model\n\n\n" + TEXT
    )
    assert registry.problems([both]) == []
    assert set(NAMES) <= set(METRICS)
    assert registry.METHODS.load("both", [both]).title == "Mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "x = 1\n",
            snapshot(
                "bench: plugin <tmp>/wrong.py is left out: one public subclass of Method or Dataset or Backbone or Launcher expected, found none; names that start with _ are ignored; or metrics, functions below `define`"
            ),
        ),
        (
            TEXT.replace("def mean_logit", "def auc"),
            snapshot("bench.errors.UsageError: metric 'auc' already exists (bench.scoring.definitions): rename it"),
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, capsys, text, says):
    file = tmp_path / "wrong.py"
    file.write_text(text)
    auc = METRICS["auc"]
    assert main(["ls", "metrics", "--plugin", str(file)]) == 1
    assert plain(capsys.readouterr().err.strip().splitlines()[-1], tmp_path) == says
    assert METRICS["auc"] is auc


def test_old_cells_gain_them_and_are_read_without_the_plugin(tmp_path, file, capsys):
    cell = save(tmp_path)
    assert recompute(tmp_path, "--plugin", str(file)) == 0
    logit = predictions(0)
    near = read(cell).sets["near"]
    assert near.metrics["mean_logit"] == pytest.approx(logit[logit["set"] == "near"]["logit"].mean(), rel=1e-6)
    selected = [group.metrics["selection_rate"] for group in near.groups.values()]
    assert near.metric("lowest_rate") == min(selected)
    stored = to_json(near)
    for name in NAMES:
        del METRICS[name]
    assert near.metrics["mean_logit"] < 0, "outside of 0 to 1, which nothing knows to be right without the plugin"
    assert decode(stored, SetScores) == near
    with pytest.raises(ValueError, match="tuned_threshold is 2"):
        SetScores(metrics={"tuned_threshold": 2.0})
    capsys.readouterr()


def test_cells_that_lack_one_are_named_and_not_averaged(file):
    before = record("baseline", 1)
    assert registry.problems([file]) == []
    cells = [record("baseline", 0), before, record("baseline", 2)]
    results = collect(cells, [], INFO)
    (row,) = results.column("small", "near", "mean_logit")
    assert row.n == 2
    assert [item.cell.fold for item in results.outdated["mean_logit"]] == [1]
    assert results.outdated["lowest_rate"] == results.outdated["mean_logit"]
    assert "auc" not in results.outdated
    assert lines_with("\n".join(reading(results)), "Mean logit") == snapshot(
        [
            "Scored by another version of the metrics and left out of Mean logit and Lowest rate: Baseline (fold 1). `bench metrics --recompute --task demo` brings it up to date."
        ]
    )


def test_from_python_they_are_known_before_anything_is_read(tmp_path, file):
    script = (
        "import sys, bench\n"
        f"bench.results('phantom-cxr-age', results={str(tmp_path)!r}, plugins=[{str(file)!r}])\n"
        "from bench.scoring.definitions import METRICS\n"
        "print('mean_logit' in METRICS)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "True\n"
