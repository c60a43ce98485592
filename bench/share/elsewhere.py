"""`bench score`: predictions that were made elsewhere become stored cells, which reports, exports and merges read.

Nothing here imports torch.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import taskfile
from bench.api import Attribute, Label, Rows, Task
from bench.cells.identity import BASELINE, ELSEWHERE, cell_place, cells_folder, only_elsewhere, scored_folder, slug
from bench.cells.store import save_cell
from bench.data.set_lines import lines_of_set
from bench.data.sources import source_of
from bench.errors import DataInvalid, UnknownName, UsageError, clean
from bench.files import write_file
from bench.reporting.render.text import listed
from bench.reporting.reports import report_task
from bench.reporting.tables import main_table
from bench.reporting.task_results import read as read_results
from bench.scoring.metrics import VALIDATION
from bench.settings import Settings
from bench.share.scored_cells import cells_of_rows, images_of, incomplete, methods_of
from bench.share.scored_file import Columns, Scale, attributes_of, found_columns, label_of_column, read, rows_of
from bench.share.scored_task import completed
from bench.share.task_toml import from_toml, to_toml
from bench.tasks import RECIPES, TASKS

TRAINING = ("train", "external")
"""Sets that are left out: predictions of images that a model was trained on say nothing."""


def score_file(
    predictions: Path | pd.DataFrame,
    columns: Columns,
    settings: Settings,
    *,
    reference: str = BASELINE,
    scale: Scale = "auto",
    reports: Path | None = None,
    min_cell: int = 0,
) -> pd.DataFrame:
    """Score predictions and return the main table of each attribute; raises as `bench.interface.score`.

    `settings` has the task, if any, and the folders of results and data. `attrs["missing"]` names the folds and sets
    that a method lacks.
    """
    tables = []
    stored, missing = store(predictions, columns, settings, reference=reference, scale=scale)
    for one in stored:
        if reports is not None:
            table = report_task(one, reports, min_cell=min_cell)
        else:
            found = read_results(one, min_cell=min_cell)
            table = found.tested(found.results)
        frame = pd.read_csv(io.StringIO(main_table.csv(table)))
        tables.append(frame[frame["set"].isin(table.sizes)])
    found = pd.concat(tables, ignore_index=True)
    found.attrs["missing"] = missing
    return found


def store(
    predictions: Path | pd.DataFrame, given: Columns, settings: Settings, *, reference: str, scale: Scale
) -> tuple[list[Settings], list[str]]:
    """Store the cells of each attribute in place of those of an earlier file.

    Returns the settings that report them, and which folds and sets a method lacks.
    """
    table, origin = read(predictions)
    task = _resolved(settings.task) if settings.task else None
    known = np.ones(len(table), dtype=bool)
    if task:
        table, known, joined = completed(table, given, task, settings, origin)
        _say(joined)
    columns = found_columns(table, given, task, origin)
    label = label_of_column(columns["label"], task)
    rows, said = rows_of(table, columns, scale, origin)
    table_sets, training = rows["set"].unique(), rows["set"].isin(TRAINING) & known
    if training.any():
        names = listed(rows["set"][training].unique())
        said.append(f"left out: {int(training.sum())} rows of {names}, on which models are trained")
    used = known & ~training
    rows, table = rows[used].reset_index(drop=True), table[used].reset_index(drop=True)
    tests = [str(name) for name in rows["set"].unique() if name != VALIDATION]
    if not tests:
        raise DataInvalid(f"{origin} has no test set, only {listed(table_sets)}")
    methods = methods_of(rows, reference)
    missing = incomplete(rows, methods)
    said += missing
    made = []
    for attribute in attributes_of(table, given.attributes, task, origin):
        one, spec = (task, settings.task) if task else (_own_task(predictions, rows, label, attribute), "")
        if wrong := [name for name in tests if name not in one.ood]:
            raise UnknownName("set", wrong[0], [VALIDATION, *one.ood], where=f" in {origin}")
        _check_alone(settings.results, one)
        images = images_of(table, rows, label, attribute, origin)
        coded = replace(one, label=label, attribute=replace(attribute, column=one.attribute.column))
        fake = _synthetic(settings, task)
        made.append((one, spec, list(cells_of_rows(rows, images, methods, coded, synthetic=fake))))
        said += _facts(images, label)
    _say(said)
    return [_stored(settings, *one) for one in made], missing


def _say(lines: list[str]) -> None:
    for line in lines:
        print(clean(line), file=sys.stderr)


def _facts(images: Mapping[str, pd.DataFrame], label: Label) -> list[str]:
    """Return what was read of each set; of the validation set of each fold only its size and what is left out."""
    lines = {place: list(lines_of_set(place, found, label)) for place, found in images.items()}
    short = ("  left out", "  without")
    return [
        line
        for place, told in lines.items()
        for line in told
        if not place.startswith(f"{VALIDATION},") or line is told[0] or line.startswith(short)
    ]


def _resolved(spec: str) -> Task:
    task = taskfile.resolve(spec)
    if task.preset != "suite" or task.polarity != "paper":
        raise UsageError(f"--task {spec}: preset and polarity are of training; give the task without them")
    return task


def _synthetic(settings: Settings, task: Task | None) -> bool:
    sets = [task.source, *task.ood.values()] if task else []
    return any(source_of(one.dataset, settings.data, settings.plugins).synthetic for one in sets)


def _own_task(predictions: Path | pd.DataFrame, rows: pd.DataFrame, label: Label, attribute: Attribute) -> Task:
    """Return the task of a file that is scored without one, with its sets as test sets.

    Raises:
        UsageError: a set has a name that no test set may have.
    """
    file = predictions if isinstance(predictions, Path) else Path("predictions")
    stem = (
        re.sub(r"[^A-Za-z0-9_-]+", "-", f"{file.name.partition('.')[0]}-{attribute.column}").strip("-") or "predictions"
    )
    task = Task(
        name=stem,
        says=f"Predictions of {clean(file.name)}",
        source=Rows(dataset="manifest"),
        ood={str(name): Rows(dataset="manifest") for name in rows["set"].unique() if name != VALIDATION},
        label=label,
        attribute=attribute,
        image_size=1,
        channels=1,
        crop="none",
        recipe=RECIPES["small"],
        backbones=(ELSEWHERE,),
    )
    return from_toml(to_toml(task), str(file))


def _check_alone(results: Path, task: Task) -> None:
    if cells_folder(results, task.name).is_dir() and not only_elsewhere(results, task.name):
        raise UsageError(
            f"{cells_folder(results, task.name)} holds results that were computed here, and predictions made elsewhere "
            "are in no table with them: give another --results folder"
        )


def _stored(settings: Settings, task: Task, spec: str, cells: list[Any]) -> Settings:
    """Write cells and, of a task that is in no other file, its task file; remove cells of an earlier file."""
    written = set()
    for record, predictions in cells:
        cell = record.cell.identity
        save_cell(settings.results, cell, record, predictions, b"")
        written.add(cell_place(settings.results, cell))
    old = [
        file
        for file in (cells_folder(settings.results, task.name) / ELSEWHERE).glob("*/f*")
        if file.with_name(file.name.partition(".")[0]) not in written
    ]
    for file in old:
        file.unlink()
    if gone := {file.name.partition(".")[0] + file.parent.name for file in old}:
        print(f"{len(gone)} cells of an earlier file are replaced", file=sys.stderr)
    if task.name not in TASKS and ":" not in task.name:
        file = scored_folder(settings.results) / f"{slug(task.name)}.toml"
        write_file(file, to_toml(task))
        spec = spec or str(file)
    return replace(settings, task=spec)
