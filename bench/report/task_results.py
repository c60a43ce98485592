"""All that was read of one task: what every artefact of a report is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench import registry, taskfile
from bench.api import Task
from bench.cells.identity import cells_folder, pictures_file, predictions_file
from bench.cells.predictions import Predictions, read_table
from bench.cells.record import Failure, Record
from bench.data.task_data import TaskData, open_data
from bench.errors import BenchError, DataError
from bench.report.numbers.ablations import Table, split, untuned
from bench.report.numbers.aggregate import Results, collect
from bench.report.numbers.comparison import Comparison, compare
from bench.report.numbers.patient_intervals import Redrawn, over_patients, redraw
from bench.report.numbers.task_info import MORE_GROUPS, TWO_GROUPS, TaskInfo, Undefined
from bench.report.rerun_commands import Line
from bench.results.reading import read_cells
from bench.run.plan import build_method, undefined
from bench.run.progress import counting
from bench.settings import Settings, of_task


@dataclass(frozen=True)
class Material:
    """The usable cells of one task, tuned ones among them, and the failures; `left_out` says what was not usable.

    There may be no cells at all: then `results` raises, and artefacts are missing.
    """

    settings: Settings
    task: Task
    info: TaskInfo
    cells: Sequence[Record]
    failures: Sequence[Failure]
    left_out: tuple[str, ...] = ()
    known: dict[str, Material] = field(default_factory=dict, repr=False, compare=False)
    """Other tasks and variants that were read already, by spec."""

    @cached_property
    def _averaged(self) -> dict[str, Results]:
        return {}

    @cached_property
    def tables(self) -> list[Table]:
        """What stands in the main table, then in that of each ablation."""
        return split(untuned(self.cells), untuned(self.failures), self.task.recipe, self.settings.plugins)

    @cached_property
    def results(self) -> Results:
        """The main table.

        Raises:
            BenchError: without cells, or with some that must not stand in one table.
        """
        if not self.tables[0].cells:
            raise BenchError(f"no results of {self.task.name}: `{self.line(['all'])}` makes them")
        return self.results_of(self.tables[0])

    def results_of(self, table: Table) -> Results:
        """Average the cells of one of `tables`, each once; raises as `results`."""
        if table.name not in self._averaged:
            self._averaged[table.name] = collect(table.cells, table.failures, replace(self.info, part=table.part))
        return self._averaged[table.name]

    @cached_property
    def redrawn(self) -> Redrawn:
        """The patients of every test set drawn again, with a bar on stderr."""
        with counting("patients redrawn", "draws") as watch:
            return redraw(self.cells, self.info, self.scored, watch)

    @cached_property
    def compared(self) -> Comparison | None:
        """The numbers of all tables beside the published ones; None where there are none to compare."""
        return compare([self.results_of(table) for table in self.tables])

    def tested(self, results: Results) -> Results:
        """Add intervals and p over patients to any table of this task."""
        return over_patients(results, self.redrawn)

    @property
    def tuned(self) -> list[Record]:
        """The cells whose parameters were chosen by `bench tune`."""
        return [item for item in self.cells if item.cell.tuned]

    def other(self, spec: str) -> Material:
        """Read another task, by name or spec, with the same settings; each once."""
        self.known.setdefault(self.settings.task, self)
        if spec not in self.known:
            found = read(replace(self.settings, task=spec), min_cell=self.info.min_cell)
            self.known[spec] = replace(found, known=self.known)
        return self.known[spec]

    def variant(self, field: str, value: object) -> Material | None:
        """Read the same task with a field changed, such as external=0.2; None where none of its cells are there."""
        spec = taskfile.vary(self.settings.task, field, value)
        place = cells_folder(self.settings.results, taskfile.resolve(spec).name)
        found = self.other(spec) if spec == self.settings.task or place.is_dir() else None
        return found if found is not None and found.cells else None

    @cached_property
    def scored(self) -> Predictions:
        """Gives the predictions of a cell, images and logits apart; each file is read once."""
        return Predictions(self.settings.results)

    def predictions(self, cell: Record) -> pd.DataFrame:
        """Read the predictions of a cell: set, image_id, y, a, logit and, if young, group."""
        return read_table(self.settings.results, cell.cell.identity).to_pandas(use_threads=False)

    def has_predictions(self, cell: Record) -> bool:
        """Whether the predictions of a cell are there."""
        return predictions_file(self.settings.results, cell.cell.identity).is_file()

    def pictures(self, cell: Record) -> dict[str, np.ndarray] | None:
        """Read the class activation maps and importance strips of a cell; None where it has none."""
        file = pictures_file(self.settings.results, cell.cell.identity)
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)

    def line(self, methods: Iterable[str], backbone: str | None = None, *, verb: str = "run", **options: Any) -> Line:
        """Return the line that makes cells of this task; `options` are further settings, such as `folds=(0,)`."""
        chosen = None if backbone == self.task.backbones[0] else backbone
        return Line(replace(of_task(self.settings), methods=",".join(methods), backbone=chosen, **options), verb)


def read(settings: Settings, *, min_cell: int = 0) -> Material:
    """Read the cells of a task and say on stderr what is left out, and why.

    Where the images are not there, cells are not checked against them, and that is said.
    """
    task = taskfile.resolve(settings.task)
    try:
        data = open_data(settings)
    except DataError as error:
        if settings.splits is not None:
            raise
        data = None
        if cells_folder(settings.results, task.name).is_dir():
            print(f"warning: results are not checked against today's images: {error}", file=sys.stderr)
    cells, failures, left_out = read_cells(settings, task.name, data)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return Material(settings, task, _info(task, settings, cells, data, min_cell), cells, failures, tuple(left_out))


def _info(task: Task, settings: Settings, cells: Sequence[Record], data: TaskData | None, min_cell: int) -> TaskInfo:
    synthetic = cells[0].synthetic if cells else data is not None and data.synthetic
    return info_of(task, synthetic=synthetic, undefined=_undefined(task, settings), min_cell=min_cell)


def info_of(task: Task, *, synthetic: bool, undefined: tuple[Undefined, ...] = (), min_cell: int = 0) -> TaskInfo:
    """Return what tables say about a task."""
    return TaskInfo(
        name=task.name,
        says=f"{task.says[:1].upper()}{task.says[1:].rstrip('.')}.",
        synthetic=synthetic,
        label_names=task.label_names,
        attribute_name=task.attribute.column,
        group_names=task.attribute.names,
        ood=tuple(task.ood),
        folds=task.folds,
        columns=MORE_GROUPS if task.attribute.grouped else TWO_GROUPS,
        undefined=undefined,
        min_cell=min_cell,
    )


def _undefined(task: Task, settings: Settings) -> tuple[Undefined, ...]:
    if not task.attribute.grouped:
        return ()
    reasons = undefined(list(registry.METHODS.catalogue(settings.plugins)), task, settings.plugins)
    methods = sorted(((name, build_method(name, settings.plugins)) for name in reasons), key=lambda item: item[1].row)
    return tuple(Undefined(name, method.title, method.row, reasons[name]) for name, method in methods)
