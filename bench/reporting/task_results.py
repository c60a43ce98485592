"""The results of one task, from which every artefact of a report is made."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import registry, taskfile
from bench.api import Task
from bench.cells.further_groups import groups_of, read_groups
from bench.cells.identity import ELSEWHERE, cells_folder, groups_file, only_elsewhere, pictures_file
from bench.cells.predictions import Predictions
from bench.cells.record import Failure, Record
from bench.data.task_data import TaskData, open_data
from bench.errors import DataError
from bench.reporting.numbers import common_mix, equal_odds, group_intervals, known_features
from bench.reporting.numbers.ablations import MAIN, Table, split, untuned
from bench.reporting.numbers.aggregate import Results, collect
from bench.reporting.numbers.answer import Place
from bench.reporting.numbers.comparison import Comparison, compare
from bench.reporting.numbers.decision_units import per_unit, rescored, says
from bench.reporting.numbers.further import Measured, Question, claims_of, measured, questions, with_groups
from bench.reporting.numbers.overlaps import overlaps
from bench.reporting.numbers.patient_intervals import over_patients, place_of, planned
from bench.reporting.numbers.redraws import Bootstrapped, PredictionsOf, bootstrap_patients, spec_of
from bench.reporting.numbers.task_info import MORE_GROUPS, TWO_GROUPS, Latex, TaskInfo, Undefined
from bench.reporting.numbers.untied import MOST, Draw, distances
from bench.reporting.rerun_commands import Line
from bench.reporting.words.answer_text import answered
from bench.running.plan import build_method, method_specs, undefined, within
from bench.running.progress import counting
from bench.running.stored_cells import read_cells
from bench.settings import Settings, of_task
from bench.spec import name_of


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
    groups: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """The groups of the images in further attributes (`bench.cells.further_groups`); None where they are not known."""
    siblings: tuple[int, list[float]] = field(default_factory=lambda: (0, []), repr=False, compare=False)
    """The claims of the other findings of the task that are in one family with these: their number, and their p."""
    known: dict[str, TaskResults] = field(default_factory=dict, repr=False, compare=False)
    """Other tasks and variants that were read already, by spec."""
    _averaged: dict[str, Results] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def tables(self) -> list[Table]:
        """The cells and failures of the main table, then those of the table of each ablation."""
        if self.info.elsewhere:
            return [Table(MAIN, "", list(self.cells), [])]
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
            family = {spec_of(item) for item in self.tables[0].cells}
            claims = len(planned(self.results)) + sum(len(one.family) for one in self.questions) + self.siblings[0]
            return bootstrap_patients(self.cells, self.info, self.scored, watch, family=family, claims=claims)

    @cached_property
    def questions(self) -> list[Question]:
        """The further attributes and crossings on each test set, without intervals; none without known groups."""
        if self.groups is None or not self.cells:
            return []
        return questions(self.task, self.info.portable, self.tables[0].cells, self.scored, self.results.suppressed)

    @cached_property
    def _asked(self) -> list[tuple[Question, Results | None]]:
        claims = len(planned(self.results)) + sum(len(one.family) for one in self.questions)
        return [(one, one.tested(claims)) for one in self.questions]

    @cached_property
    def _primary(self) -> list[float]:
        """The p of the claims on further attributes that the task calls primary."""
        if not any(one.asked.primary for one in self.questions):
            return []
        return [p for one, tested in self._asked for p in claims_of(one, tested).values()]

    @cached_property
    def measured(self) -> list[Measured]:
        """What mitigating the attribute did to others, by test set; empty without further attributes."""
        if not self.questions:
            return []
        main = self.tested(self.results)
        claims = {place_of(row) for row in planned(self.results)}
        known = [1.0 if isnan(row.p) else row.p for row in main.rows if place_of(row) in claims]
        return measured(main, self.task, self._asked, known)

    @cached_property
    def compared(self) -> Comparison | None:
        """The numbers of all tables beside the published ones; None if there are none to compare."""
        return compare([self.results_of(table) for table in self.tables])

    @cached_property
    def equal_odds(self) -> pd.DataFrame:
        """Every model of the main table at bounds on EOdds (`bench.reporting.numbers.equal_odds`)."""
        return equal_odds.frame(self.results, self.tables[0].cells, self.scored)

    @cached_property
    def group_intervals(self) -> dict[group_intervals.Place, tuple[float, float]]:
        """Intervals over patients of the rates of every group, of the models of the main table."""
        with counting("bootstrap of groups", "models") as watch:
            return group_intervals.group_intervals(self.tables[0].cells, self.info, self.scored, watch)

    @cached_property
    def common_mix(self) -> common_mix.CommonMix:
        """Gaps at a common mix of each further attribute (`bench.reporting.numbers.common_mix`)."""
        return common_mix.common_mix(self.tested(self.results), self.task, self.tables[0].cells, self.scored)

    @cached_property
    def known_features(self) -> pd.DataFrame:
        """What the features of every model know of the attribute (`bench.reporting.numbers.known_features`)."""
        return known_features.frame(self.results, self.tables[0].cells)

    @cached_property
    def draws(self) -> list[Draw]:
        """The draws of a planted tie of which the tie or the control has cells."""
        found = []
        for number in range(MOST):
            tied = self.variant("draw", number)
            spec = taskfile.vary(taskfile.vary(self.settings.task, "draw", number), "untied", True)
            cells = [one.tables[0].cells if one else () for one in (tied, self.of_spec(spec))]
            if any(cells):
                found.append(Draw(number, *cells))
        return found

    @cached_property
    def distances(self) -> pd.DataFrame:
        """How far each method is from the untied model, over draws (`bench.reporting.numbers.untied`)."""
        return distances(self.info, self.draws, self.scored)

    @cached_property
    def answered(self) -> dict[Place, list[str]]:
        """The answer for each backbone and test set, with the sentences on it."""
        return answered(self.tested(self.results), self.tables[0].cells)

    def tested(self, results: Results) -> Results:
        """Add intervals and p over patients to a table of this task, for files that are passed on."""
        others = () if results.info.part else (*self._primary, *self.siblings[1])
        return over_patients(replace(results, info=results.info.portable), self.bootstrapped, others=others)

    def other(self, spec: str) -> TaskResults:
        """Read another task, by name or spec, with the same settings; each task once."""
        self.known.setdefault(self.settings.task, self)
        if spec not in self.known:
            found = read(replace(self.settings, task=spec), min_cell=self.info.min_cell, latex=self.info.latex)
            self.known[spec] = replace(found, known=self.known)
        return self.known[spec]

    def variant(self, field: str, value: object) -> TaskResults | None:
        """Read the same task with a field changed, such as external=0.2; None if it has no cells."""
        return self.of_spec(taskfile.vary(self.settings.task, field, value))

    def of_spec(self, spec: str) -> TaskResults | None:
        """Read a variant of the same task by its spec; None if it has no cells."""
        place = cells_folder(self.settings.results, taskfile.resolve(spec).name)
        found = self.other(spec) if spec == self.settings.task or place.is_dir() else None
        return found if found is not None and found.cells else None

    @cached_property
    def scored(self) -> PredictionsOf:
        """A function that gives the predictions of a cell, images and logits apart; it reads each file once.

        The images have a column for each further attribute whose groups are known. A task that decides on patients or
        other units has these in place of images.
        """
        return decisions(self.settings, self.task, self.groups)

    def predictions(self, cell: Record) -> pd.DataFrame:
        """Return the predictions of a cell: image_id, set, cluster, y, a, groups of further attributes, and logit."""
        images, logit = self.scored(cell)
        return images.assign(logit=logit)

    def pictures(self, cell: Record) -> dict[str, np.ndarray] | None:
        """Read the class activation maps and importance strips of a cell; None if it has none, or a damaged file."""
        file = pictures_file(self.settings.results, cell.cell.identity)
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            return None

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
    data = None
    try:
        data = None if only_elsewhere(settings.results, task.name) else open_data(settings)
    except DataError as error:
        if settings.splits is not None:
            raise
        if cells_folder(settings.results, task.name).is_dir():
            print(f"warning: results are not checked against today's images: {error}", file=sys.stderr)
    cells, failures, left_out = read_cells(settings, task.name, data)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    synthetic = cells[0].synthetic if cells else data is not None and data.synthetic
    elsewhere = bool(cells) and cells[0].made == "elsewhere"
    if elsewhere:  # a file of predictions need not have every test set
        found = {name for item in cells for name in item.scores}
        task = replace(task, backbones=(ELSEWHERE,), ood={name: task.ood[name] for name in task.ood if name in found})
    undefined = () if elsewhere else _undefined(task, settings)
    how: dict[str, Any] = {"min_cell": min_cell, "plugins": settings.plugins, "elsewhere": elsewhere}
    info = info_of(task, synthetic=synthetic, undefined=undefined, **how)
    groups = None if elsewhere else _groups(settings, task, data)
    info = replace(info, settings=settings, latex=latex)
    read_images = with_groups(Predictions(settings.results), groups)
    shared = overlaps(cells, read_images, units=task.unit != "image")
    if shared is None and cells and min_cell:
        why = "no predictions can be read, so that --min-cell looks at each set by itself"
        print(f"warning: which sets share images is not known: {why}", file=sys.stderr)
    info = replace(info, overlaps=shared or ())
    if task.unit != "image":
        cells, info = _per_unit(cells, info, task, decisions(settings, task, groups))
    return TaskResults(settings, task, info, cells, failures, tuple(left_out), groups)


def decisions(settings: Settings, task: Task, groups: pd.DataFrame | None) -> PredictionsOf:
    """Return a function that reads predictions, with groups of further attributes, of the units of a task."""
    read = with_groups(Predictions(settings.results), groups)
    return read if task.unit == "image" else per_unit(read, task)


def _per_unit(
    cells: Sequence[Record], info: TaskInfo, task: Task, read_units: PredictionsOf
) -> tuple[list[Record], TaskInfo]:
    """Return the cells scored on units, and what tables say of these; a cell without predictions is left out."""
    found, facts = [], dict[str, Sequence[int]]()
    for item in cells:
        try:
            scored = read_units(item)
        except (OSError, ValueError) as error:
            print(f"left out: {item.cell.identity}: no decision per {task.unit}: {error}", file=sys.stderr)
            continue
        found.append(rescored(item, scored))
        facts = facts or scored.images.attrs["facts"]
    return found, replace(info, decided=says(task, facts, info.min_cell), counted=f"{task.unit}s")


def _groups(settings: Settings, task: Task, data: TaskData | None) -> pd.DataFrame | None:
    """Return the groups of further attributes: from the tables, or from the file that a run wrote beside the cells."""
    if not task.also and not task.unit_column:
        return None
    if data is not None:
        return groups_of(data.tables, task)
    try:
        return read_groups(groups_file(settings.results, task.name), task)
    except DataError as error:
        print(f"warning: further attributes are not shown: {error}", file=sys.stderr)
        return None


def info_of(
    task: Task,
    *,
    synthetic: bool,
    undefined: tuple[Undefined, ...] = (),
    min_cell: int = 0,
    plugins: Sequence[Path] = (),
    elsewhere: bool = False,
) -> TaskInfo:
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
        folds=None if elsewhere else task.folds,
        columns=MORE_GROUPS if task.attribute.grouped else TWO_GROUPS,
        undefined=undefined,
        min_cell=min_cell,
        unit=_unit(task, plugins),
        elsewhere=elsewhere,
    )


def _unit(task: Task, plugins: Sequence[Path]) -> str:
    """Return what is independent in the test sets; patients where a dataset is not known here."""
    names = [name_of(rows.dataset) for rows in task.ood.values()]
    known = registry.DATASETS.catalogue(plugins)
    found = [registry.DATASETS.load(name, plugins).independent for name in names if name in known]
    return " or ".join(dict.fromkeys(found)) or "patients"


def _undefined(task: Task, settings: Settings) -> tuple[Undefined, ...]:
    """Return the methods that are not defined on the groups of a task, or else on one of its backbones."""
    names, found = method_specs("all", settings.plugins), dict[tuple[str, str], Undefined]()
    for backbone in task.backbones:
        for name, (on, why) in undefined(names, task, backbone, settings.plugins).items():
            method, network = build_method(name, settings.plugins), backbone if on == backbone else ""
            found[name, network] = Undefined(name, method.title, method.row, why, on, network)
    return tuple(sorted(found.values(), key=lambda item: item.row))
