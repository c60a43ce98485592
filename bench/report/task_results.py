"""The results of one task, from which every artefact of a report is made."""

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
from bench.cells.identity import cells_folder, pictures_file
from bench.cells.predictions import Predictions
from bench.cells.record import Failure, Record
from bench.data.task_data import open_data
from bench.errors import DataError
from bench.report.numbers.ablations import Table, split, untuned
from bench.report.numbers.aggregate import Results, collect
from bench.report.numbers.comparison import Comparison, compare
from bench.report.numbers.patient_intervals import Bootstrapped, bootstrap_patients, over_patients
from bench.report.numbers.task_info import MORE_GROUPS, TWO_GROUPS, Latex, TaskInfo, Undefined
from bench.report.rerun_commands import Line
from bench.results.reading import read_cells
from bench.run.plan import build_method, undefined, within
from bench.run.progress import counting
from bench.settings import Settings, of_task


@dataclass(frozen=True)
class TaskResults:
    """The usable cells of one task, tuned ones among them, and the failures.

    `left_out` names the unusable files, with reasons. Without cells, `results` raises and artefacts are missing.
    """

    settings: Settings
    task: Task
    info: TaskInfo
    cells: Sequence[Record]
    failures: Sequence[Failure]
    left_out: tuple[str, ...] = ()
    known: dict[str, TaskResults] = field(default_factory=dict, repr=False, compare=False)
    """Other tasks and variants that were read already, by spec."""
    _averaged: dict[str, Results] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def tables(self) -> list[Table]:
        """The cells and failures of the main table, then those of the table of each ablation."""
        return split(untuned(self.cells), untuned(self.failures), self.task, self.settings.plugins)

    @cached_property
    def results(self) -> Results:
        """The numbers of the main table.

        Raises:
            BenchError: without cells, or for cells that must not be in one table.
        """
        return self.results_of(self.tables[0])

    def results_of(self, table: Table) -> Results:
        """Average the cells of one of `tables`, each table once; raises as `results`."""
        if table.name not in self._averaged:
            self._averaged[table.name] = collect(table.cells, table.failures, replace(self.info, part=table.part))
        return self._averaged[table.name]

    @cached_property
    def bootstrapped(self) -> Bootstrapped:
        """Bootstrap samples of the patients of every test set, with a progress bar on stderr."""
        with counting("bootstrap of patients", "draws") as watch:
            return bootstrap_patients(self.cells, self.info, self.scored, watch)

    @cached_property
    def compared(self) -> Comparison | None:
        """The numbers of all tables beside the published ones; None if there are none to compare."""
        return compare([self.results_of(table) for table in self.tables])

    def tested(self, results: Results) -> Results:
        """Add intervals and p over patients to a table of this task, for files that are passed on."""
        return over_patients(replace(results, info=results.info.portable), self.bootstrapped)

    def other(self, spec: str) -> TaskResults:
        """Read another task, by name or spec, with the same settings; each task once."""
        self.known.setdefault(self.settings.task, self)
        if spec not in self.known:
            found = read(replace(self.settings, task=spec), min_cell=self.info.min_cell, latex=self.info.latex)
            self.known[spec] = replace(found, known=self.known)
        return self.known[spec]

    def variant(self, field: str, value: object) -> TaskResults | None:
        """Read the same task with a field changed, such as external=0.2; None if it has no cells."""
        spec = taskfile.vary(self.settings.task, field, value)
        place = cells_folder(self.settings.results, taskfile.resolve(spec).name)
        found = self.other(spec) if spec == self.settings.task or place.is_dir() else None
        return found if found is not None and found.cells else None

    @cached_property
    def scored(self) -> Predictions:
        """A function that gives the predictions of a cell, images and logits apart; it reads each file once."""
        return Predictions(self.settings.results)

    def predictions(self, cell: Record) -> pd.DataFrame:
        """Return the predictions of a cell: image_id, set, cluster, y, a, groups of further attributes, and logit."""
        images, logit = self.scored(cell)
        return images.assign(logit=logit)

    def pictures(self, cell: Record) -> dict[str, np.ndarray] | None:
        """Read the class activation maps and importance strips of a cell; None if it has none."""
        file = pictures_file(self.settings.results, cell.cell.identity)
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)

    def relative(self, spec: str) -> str:
        """Return a spec as `--methods` takes it, relative to the preset of the task."""
        return within(spec, self.task.preset, self.settings.plugins)

    def line(self, methods: Iterable[str], backbone: str | None = None, *, verb: str = "run", **options: Any) -> Line:
        """Return the command that computes cells of this task; `options` are settings, such as `folds=(0,)`."""
        chosen = None if backbone == self.task.backbones[0] else backbone
        names = ",".join(map(self.relative, methods))
        return Line(replace(of_task(self.settings), methods=names, backbone=chosen, **options), verb)


def read(settings: Settings, *, min_cell: int = 0, latex: Latex = ()) -> TaskResults:
    """Read the cells of a task, and print to stderr what is left out and why.

    If the images are not there, cells are not checked against them, and a warning is printed.
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
    synthetic = cells[0].synthetic if cells else data is not None and data.synthetic
    info = info_of(task, synthetic=synthetic, undefined=_undefined(task, settings), min_cell=min_cell)
    return TaskResults(settings, task, replace(info, settings=settings, latex=latex), cells, failures, tuple(left_out))


def info_of(task: Task, *, synthetic: bool, undefined: tuple[Undefined, ...] = (), min_cell: int = 0) -> TaskInfo:
    """Return what tables print about a task."""
    return TaskInfo(
        name=task.name,
        says=f"{task.says[:1].upper()}{task.says[1:].rstrip('.')}.",
        synthetic=synthetic,
        label_names=task.label_names,
        attribute_name=task.attribute.column,
        group_names=task.attribute.names,
        ood=tuple(task.ood),
        inside=tuple(name for name, rows in task.ood.items() if rows.kind == "in"),
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
