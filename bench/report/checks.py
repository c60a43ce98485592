"""What a table needs to know of its task, and which cells must not stand in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError

Cell = dict[str, Any]


@dataclass(frozen=True)
class TaskInfo:
    """What tables say about a task; `label_names` are those of 0 and 1, `ood` the test sets in order.

    `folds` is how many folds the task has; None takes as many as are found. `part` is what of the task a table shows,
    empty for all of it.
    """

    name: str
    says: str
    synthetic: bool
    label_names: tuple[str, str]
    attribute_name: str
    group_names: tuple[str, ...]
    ood: tuple[str, ...]
    folds: int | None = None
    part: str = ""


def check(cells: Sequence[Cell], info: TaskInfo) -> None:
    """Refuse cells that must not stand in one table.

    Raises:
        BenchError: without cells; on cells of another task, of synthetic beside real data, of a smoke run, of
            different test images, or twice the same.
    """
    if not cells:
        raise BenchError(f"no results of {info.name}: `bench run --methods all --task {info.name}` makes them")
    if not info.ood:
        raise BenchError(f"{info.name} has no out-of-distribution set: there is nothing to put in a table")
    tasks = {item["cell"]["task"] for item in cells}
    if tasks != {info.name}:
        raise BenchError(f"results of {', '.join(sorted(tasks))} in the table of {info.name}")
    kinds = {bool(item["synthetic"]) for item in cells}
    if kinds != {info.synthetic}:
        words = {True: "synthetic", False: "real"}
        found = " and ".join(sorted(words[kind] for kind in kinds))
        raise BenchError(f"{info.name} has {words[info.synthetic]} data, its results {found}: never in one table")
    if any(item.get("smoke") or item["cell"].get("smoke") for item in cells):
        raise BenchError(f"results of {info.name} come from `--smoke`: they check that code runs and are no numbers")
    keys = [key_of(item["cell"]) for item in cells]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise BenchError(f"two results for {' '.join(str(part) for part in twice)}")
    for name in info.ood:
        if len({_images(item, name) for item in cells if name in item["scores"]}) > 1:
            raise BenchError(
                f"results of {info.name} on different images of {name}: `bench run` again replaces the old"
            )


def key_of(cell: Cell) -> tuple[Any, ...]:
    """What tells one cell of a task from another, in the order of the table."""
    return cell["backbone"], cell["row"], cell["method"], cell["spec"], cell["fold"], cell["seed"]


def label_of(cell: Cell) -> str:
    """Title of a row, with the parameters that its spec sets in words: `SWiFT (mask hard, rate 0.5)`."""
    parameters = [_words(*setting.split("=", 1)) for setting in cell["spec"].partition(":")[2].split(",") if setting]
    return f"{cell['title']} ({', '.join(parameters)})" if parameters else cell["title"]


def _words(name: str, value: str) -> str:
    return f"{name.replace('_', ' ')} { {'True': 'yes', 'False': 'no'}.get(value, value) }"


def _images(item: Cell, name: str) -> tuple[Any, ...]:
    scores = item["scores"][name]
    groups = tuple((key, group["positives"], group["negatives"]) for key, group in sorted(scores["groups"].items()))
    return item["data"].get(name, {}).get("sha"), scores["n"], groups
