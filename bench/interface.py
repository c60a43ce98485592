"""The suite from Python: `import bench`, then `bench.run(...)`, `bench.results(...)` and what else is here.

The functions do what the command of their name does and take its options as keyword arguments, with `-` as `_`. Errors
of input are those of `bench.errors`. Progress and what is left out go to stderr, as from the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from bench.errors import UnknownName
from bench.settings import Settings, from_values

if TYPE_CHECKING:
    import pandas as pd

    from bench.cells.record import Record
    from bench.reporting.task_results import TaskResults

SCORED_FOLDERS = ("results", "data", "plugins")
"""Options of `bench score` that name no column."""
MODEL = ["task", "backbone", "method", "label", "spec", "fold", "seed"]
"""Columns that say which model a row is about; `spec` is the method with its parameters, `label` its name in print."""


class Folders(TypedDict, total=False):
    """Files and folders, relative to the working directory; see `bench run --help` for their defaults."""

    results: str | Path
    cache: str | Path
    data: str | Path
    plugins: Sequence[str | Path]
    splits: str | Path
    baseline: str | Path


class Options(Folders, total=False):
    """The options of `bench run`; names may be given as a list or joined by commas."""

    methods: str | Sequence[str]
    backbone: str | Sequence[str]
    folds: int | Sequence[int]
    seeds: int | Sequence[int]
    ablate: str
    force: bool
    jobs: int
    gpus: str | Sequence[str]
    per_gpu: int
    on: str
    profile: str
    group_by: str
    dry_run: bool
    keep_models: bool


class Scored(TypedDict, total=False):
    """The options of `bench score`: folders and plugins, and the names of columns."""

    results: str | Path
    data: str | Path
    plugins: Sequence[str | Path]
    image: str
    score: str
    label: str
    attributes: str | Sequence[str]
    patient: str
    set: str
    method: str
    fold: str
    seed: str


def run(task: str | Path | Sequence[str], **options: Unpack[Options]) -> int:
    """Run a comparison, as `bench run`; running it again resumes it.

    Args:
        task: tasks of `bench ls tasks`, `.toml` files or variants such as `phantom-cxr-age:external=0.2`.
        options: see `Options`.

    Returns:
        0, or 1 if some cells failed or an image could not be read; `results(task).failed` says which and why.

    Raises:
        UsageError, DataError: before anything is computed.
        NotWritten: results or cache cannot be written; finished cells are kept.
    """
    from bench.running.plan_file import expand
    from bench.running.run_cells import start

    return start(expand(_settings(task, options)))


def results(task: str | Path | Sequence[str], **folders: Unpack[Folders]) -> Results:
    """Read the finished cells of some tasks; stale and damaged ones are named in `left_out`.

    A variant such as `phantom-cxr-age:external=0.2` is a task of its own.

    Raises:
        UsageError: no such task.
    """
    from bench.running.plan_file import expand

    runs = expand(_settings(task, folders))
    return Results([_read(spec, folders) for spec in dict.fromkeys(one.task for one in runs)])


def predictions(task: str | Path, method: str, **folders: Unpack[Folders]) -> pd.DataFrame:
    """Return the stored predictions of a method, one row per image of each set, of all its folds and seeds.

    Args:
        method: a spec as `bench run --methods` takes it, such as `swift:mask=hard`.

    Returns:
        `task`, `backbone`, `spec`, `fold`, `seed`, and the columns of docs/results.md; `a` is the number of the group.

    Raises:
        UnknownName: no finished cell of this method.
    """
    import pandas as pd

    read = _read(str(task), folders)
    specs = [read.relative(item.cell.spec) for item in read.cells]
    if method not in specs:
        raise UnknownName("method", method, dict.fromkeys(specs), where=f" with results of {read.task.name}")
    parts = []
    for item in (item for item, spec in zip(read.cells, specs, strict=True) if spec == method):
        part = read.predictions(item)
        for place, name in enumerate(("task", "backbone", "spec", "fold", "seed")):
            part.insert(place, name, getattr(item.cell, name))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def report(
    task: str | Path, reports: str | Path = "reports", *, min_cell: int = 0, **folders: Unpack[Folders]
) -> list[Path]:
    """Write the report of a task to a folder of its name in `reports`, and return its files; index.html is the page.

    Args:
        min_cell: counts and metrics of groups with fewer images of a class are suppressed.

    Raises:
        BenchError: there are no results; it says how to compute them.
        NotWritten: the folder cannot be written.
    """
    from bench.cells.identity import slug
    from bench.reporting.reports import write

    read = _read(str(task), folders, min_cell)
    return write(read, Path(reports) / slug(read.task.name))


def score(
    predictions: str | Path | pd.DataFrame,
    task: str | Path | None = None,
    reports: str | Path | None = None,
    *,
    reference: str = "baseline",
    scale: Literal["auto", "probability", "logit"] = "auto",
    min_cell: int = 0,
    **options: Unpack[Scored],
) -> pd.DataFrame:
    """Score predictions that were made elsewhere, as `bench score`, and return the main table: main.csv without costs.

    The cells are stored in the results folder. What is assumed, converted and left out is printed to stderr.

    Args:
        predictions: a table, or a CSV or Parquet file; docs/your-predictions.md has the columns.
        task: its name or TOML file: how label and attribute are coded, and what the file lacks of its images.
        reports: a folder: the report of each attribute is written there and printed.
        reference: the method that all others are compared with.
        scale: what the scores are; "auto": by the name and the range of the column.
        min_cell: counts and metrics of groups with fewer images of a class are suppressed.
        options: see `Scored`.

    Raises:
        UsageError: an unknown option, column, method, set or task.
        DataError: rows that cannot be scored; nothing is stored then.
    """
    from bench.share.elsewhere import score_file
    from bench.share.scored_file import Columns

    where = {name: value for name, value in options.items() if name in SCORED_FOLDERS}
    columns: dict[str, Any] = {name: value for name, value in options.items() if name not in where}
    known = [field.name for field in fields(Columns)]
    if unknown := [name for name in columns if name not in known]:
        raise UnknownName("option", unknown[0], [*known, *SCORED_FOLDERS])
    attributes = columns.get("attributes") or ()
    columns["attributes"] = (attributes,) if isinstance(attributes, str) else tuple(attributes)
    file = Path(predictions) if isinstance(predictions, str) else predictions
    how = {"reference": reference, "scale": scale, "min_cell": min_cell, "reports": reports and Path(reports)}
    return score_file(file, Columns(**columns), _settings(task or "", where), **how)


class Results:
    """What is stored of some tasks, as data frames with one row per model, score, group or difference.

    Undefined numbers are NaN. A score that an older definition of its metric gave is NaN until `bench metrics
    --recompute` makes it again. The columns are those of docs/results.md.
    """

    def __init__(self, tasks: Sequence[TaskResults]) -> None:
        self._tasks = tasks

    @property
    def left_out(self) -> list[str]:
        """One line for each file that cannot be used, with the reason: stale, damaged, of another version."""
        return [line for one in self._tasks for line in one.left_out]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per finished cell: `MODEL`, `tuned`, and its costs.

        Costs: `seconds`, `images_forward`, `images_backward`, `epochs_equivalent` (epochs of full fine-tuning on the
        external set), `parameters_changed` (share), `peak_memory_bytes`, `pretraining_images`.
        """
        costs = ("seconds", "images_forward", "images_backward", "epochs_equivalent", "parameters_changed")
        costs += ("peak_memory_bytes", "pretraining_images")
        rows = [(*_model(item), item.cell.tuned, *(getattr(item.cost, name) for name in costs)) for item in self._every]
        return _frame(rows, [*MODEL, "tuned", *costs], costs)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per cell, set and metric: `MODEL`, `set`, `metric`, `value`."""
        from bench.reporting.numbers.aggregate import stored_value
        from bench.scoring.definitions import METRICS

        rows = [
            (*_model(item), name, metric, stored_value(item, name, metric))
            for item in self._every
            for name in item.scores
            for metric in METRICS
        ]
        return _frame(rows, [*MODEL, "set", "metric", "value"])

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per cell, set, group and rate: `MODEL`, `set`, `attribute`, `group`, `n`, `positives`, and the rate.

        The rate is in `metric` and `value`.
        """
        rows = [
            (*_model(item), name, attribute, group.name, group.n, group.positives, metric, number)
            for item in self._every
            for name, scored in item.scores.items()
            for attribute, found in scored.attributes.items()
            for group in found.groups
            for metric, number in group.metrics.items()
        ]
        return _frame(rows, [*MODEL, "set", "attribute", "group", "n", "positives", "metric", "value"])

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Means over folds and differences to Baseline with their tests: the rows of main.csv of every table.

        `table` is `main`, `ablation-<method>-<parameter>` or `tuned`. The patients are drawn when this is first read,
        which takes seconds.
        """
        import pandas as pd

        from bench.reporting.tables.main_table import CSV, records
        from bench.reporting.tables.tuned_table import TUNED, collect_tuned

        found = []
        for one in (one for one in self._tasks if one.cells):
            tables = {table.name: one.results_of(table) for table in one.tables}
            if tuned := collect_tuned(one.cells, one.failures, one.info):
                tables[TUNED] = tuned
            found += [{"table": name, **row} for name, table in tables.items() for row in records(one.tested(table))]
        return pd.DataFrame(found, columns=["table", *CSV])

    @cached_property
    def failed(self) -> pd.DataFrame:
        """One row per failed cell: `MODEL`, `error`, `message`."""
        rows = [(*_model(item), item.error.name, item.error.message) for one in self._tasks for item in one.failures]
        return _frame(rows, [*MODEL, "error", "message"])

    @property
    def _every(self) -> list[Record]:
        return [item for one in self._tasks for item in one.cells]

    def __repr__(self) -> str:
        names = ", ".join(one.task.name for one in self._tasks)
        return (
            f"<Results of {names}: {len(self._every)} cells, {len(self.failed)} failed, {len(self.left_out)} left out>"
        )


def _settings(task: str | Path | Sequence[str], values: Mapping[str, Any]) -> Settings:
    """Return the settings of some options; files of plugins are imported at once, because they may define metrics."""
    from bench import registry

    settings = from_values(task, values)
    for text in registry.problems(settings.plugins) if settings.plugins else ():
        print(f"bench: {text}", file=sys.stderr)
    return settings


def _read(task: str, folders: Folders, min_cell: int = 0) -> TaskResults:
    from bench.reporting.task_results import read

    return read(_settings(task, folders), min_cell=min_cell)


def _model(item: Any) -> tuple[Any, ...]:
    from bench.reporting.numbers.task_info import label_of

    cell = item.cell
    return cell.task, cell.backbone, cell.method, label_of(cell), cell.spec, cell.fold, cell.seed


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str], numbers: Sequence[str] = ()) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns)).astype(dict.fromkeys(numbers, float))
