"""Cells of a task with four methods, and its page."""

import dataclasses
from functools import cache
from pathlib import Path

from bench.reporting.artefacts import artefacts
from bench.reporting.page import Shown, page
from bench.reporting.render.document import PART, page_part
from bench.reporting.rerun_commands import Line
from bench.reporting.tables.main_table import section
from bench.reporting.task_results import TaskResults
from bench.settings import Settings
from bench.tasks import TASKS
from tests.factory import record, scores, task_info

INFO = task_info(says="Finding on demo images.", folds=3)
TITLES = ("Baseline", "Alpha", "Beta", "Gamma")
EODDS = (0.3, 0.1, 0.2, 0.05)
HOST, FOLDER, IMAGE = "ward-7-scanner", Path("/home/dr-no/study"), "patient00042.png"


def cell(title, fold, *, commit="a" * 40, near=(60, 40, 75, 25), eodds=None, host=HOST):
    row = TITLES.index(title)
    value = EODDS[row] if eodds is None else eodds

    def one(counts):
        groups = {"younger": counts[:2], "older": counts[2:]}
        gap = value + 0.001 * fold * (row + 1)
        return scores(groups, auc=0.8 - 0.01 * row + 0.001 * fold, eodds=gap)

    return record(
        title.lower(),
        fold,
        title=title,
        row=row + 1,
        version=3,
        parameters={},
        data={"external": (173, f"e{fold}" * 20), "near": (sum(near), "b" * 40), "far": (200, "f" * 40)},
        scores={"near": one(near), "far": one((60, 40, 75, 25)), "val": one((60, 40, 75, 25))},
        cost={"images_forward": 519, "images_backward": 0},
        baseline_sha256=f"{fold}" * 40,
        environment={
            "bench": "0.1.0",
            "commit": commit,
            "changed_files": commit[0] == "b",
            "python": "3.11.7",
            "versions": {"torch": "2.13.0"},
            "host": host,
            "device": "x86_64",
        },
    )


def cells(**given):
    return [cell(title, fold, **given) for title in TITLES for fold in range(3)]


def task_results(cells, **given):
    settings = Settings("demo.toml", FOLDER / "results", FOLDER / "cache", None)
    info = dataclasses.replace(INFO, settings=settings, **given.pop("info", {}))
    task = dataclasses.replace(TASKS["phantom-cxr-age"], name="demo", folds=3)
    return TaskResults(settings, task, info, cells, **{"failures": [], **given})


@cache
def figure():
    given = task_results(cells())
    return next(item for item in artefacts(given) if item.name == "trade-off").make(given)


def shown(results):
    """Two tables, a figure, and one whose cells are missing."""
    line = Line(Settings(f"{FOLDER}/demo.toml", FOLDER, FOLDER, FOLDER, methods="swift", ablate="epochs"))
    table = page_part(section(results.tested(results.results))).encode()
    return [
        Shown("main", "All methods.", {PART: table, "csv": b""}),
        Shown("trade-off", "Disparity against accuracy.", figure()),
        Shown("ablation-alpha-mask", "Alpha & its masks.", {PART: table, "md": b""}),
        Shown("figure-4", "gaps against epochs.", {}, (line,)),
    ]


def text_of(results, artefacts=()):
    return page(results, [*shown(results), *artefacts]).decode()
