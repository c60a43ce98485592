"""`bench export`: the results of a task as one archive that can be read on another machine.

    MANIFEST.json                          facts about the export, and size and SHA-256 of every file
    task.toml                              the definition of the task, with all fields
    cells/<backbone>/<method>/f0-s0.json   the cells, with the fields that may leave the machine (`bench.share.privacy`)
                              f0-s0.failed.json, f0-s0.parquet (only with predictions),
                              f0-s0.safetensors (only with models)
    variants/external-0.2/...              cells of the task with a field changed, which Figures 4 and 7 need
    splits.json, splits.csv                counts and checksum of the folds; with predictions, the ids too
    attributes.json                        gaps of further attributes and of crossings, if the task has some
    intervals.json                         differences to Baseline over patients, by table
    environment.json                       Python and the versions of all packages
    commands.txt                           the commands that compute the cells
    reports/                               tables made from these cells

An export contains no images, no activation maps, no logs, no paths and no name of the machine.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from bench.cells.identity import cells_folder, slug, splits_file
from bench.cells.record import Failure, Record
from bench.data import split_manifest
from bench.errors import DataError, DataMissing, UnknownName, UsageError, number_of
from bench.files import to_json
from bench.reporting.artefacts import ABLATION, FURTHER, MAIN, TUNED, artefacts
from bench.reporting.figures import sweeps
from bench.reporting.numbers.aggregate import IN_DOMAIN
from bench.reporting.numbers.suppression import suppressed
from bench.reporting.task_results import TaskResults, read
from bench.running.history import remembered
from bench.settings import Settings, command, elsewhere
from bench.share.archive import pack
from bench.share.privacy import leaving, leaving_failures, leaving_task, unless_few
from bench.share.read_export import ATTRIBUTES, INTERVALS, TASK, Received, intervals, variant_folder
from bench.share.task_toml import to_toml
from bench.spec import name_of

TEXT = ("tex", "md", "csv")
TABLES = (MAIN, ABLATION, TUNED)
"""Beginnings of the names of exported artefacts. Figures are left out: some show images, or curves of few images."""
SPLITS, FOLDS, ENVIRONMENT, COMMANDS = "splits.json", "splits.csv", "environment.json", "commands.txt"


def export_task(
    settings: Settings, out: Path | None, *, predictions: bool = False, models: bool = False, min_cell: int = 0
) -> int:
    """Write the archive of a task to `out` or to `<task>.tar.gz` in this folder, and print a summary of it.

    Raises:
        UsageError: if `predictions` and `min_cell` are combined: predictions reveal every count that it suppresses; or
            if no cell has the weights that `models` asks for.
        BenchError: if there are no results, or some that cannot be compared in one table.
        NotWritten: if the folder cannot be written or the disk is full.
    """
    if predictions and min_cell:
        raise UsageError("--with-predictions and --min-cell exclude each other: predictions reveal counts of groups")
    results = read(settings, min_cell=min_cell)
    about, files = contents(results, predictions=predictions)
    weights = _weights(results) if models else {}
    if models and not weights:
        raise UsageError("--with-models: no cell has weights: `bench run --keep-models` keeps them")
    files |= weights
    file = out or Path(f"{slug(results.task.name)}.tar.gz")
    pack(file, about, files)
    ids = "predictions and image ids" if predictions else "no predictions and no image ids"
    kept = f", and the weights of {number_of(len(weights), 'model')}, which can reveal images" if models else ""
    counts = f"{number_of(len(results.cells), 'cell')}, {number_of(len(results.failures), 'failure')}"
    print(f"{counts}. The archive contains {ids}{kept}.")
    print(file)
    return 0


def contents(results: TaskResults, *, predictions: bool = False) -> tuple[dict[str, Any], dict[str, bytes | Path]]:
    """Return the facts in the manifest of an export, and its files by name."""
    settings, task, info = results.settings, results.task, results.info
    cells, failures = leaving(results.cells, info), leaving_failures(results.failures)
    files: dict[str, bytes | Path] = {TASK: to_toml(leaving_task(task)).encode(), **_records("cells", cells, failures)}
    changed = variants(results)
    for place, one in changed.items():
        left = leaving(one.cells, one.info, beside=results.cells)
        files |= _records(place, left, leaving_failures(one.failures))
    if predictions:
        names = [f"{item.cell.identity.within}.parquet" for item in results.cells]
        files |= {f"cells/{name}": cells_folder(settings.results, task.name) / name for name in names}
    files |= _splits(results, predictions=predictions)
    files[ENVIRONMENT] = to_json(_environment())
    tasks = [one.task.name for one in (results, *changed.values())]
    runs = dict.fromkeys(run for name in tasks for run in commands(settings, name))
    files[COMMANDS] = "".join(f"{run}\n" for run in runs).encode()
    over_patients = intervals(results)
    files[INTERVALS] = to_json(over_patients)
    if also := results.measured:
        files[ATTRIBUTES] = to_json([asdict(one) for one in also])
    exported = Received(settings, task, info, cells, failures, intervals=over_patients, exported=also)
    for item in artefacts(exported):
        if (item.name.startswith(TABLES) or item.name == FURTHER) and item.possible(exported):
            made = item.make(exported)
            files |= {f"reports/{item.name}.{kind}": made[kind] for kind in TEXT if kind in made}
    about = {
        "task": task.name,
        "synthetic": info.synthetic,
        "min_cell": info.min_cell,
        "predictions": predictions,
        **({"decided": info.decided, "counted": info.counted} if info.decided else {}),
        "undefined": [asdict(item) for item in info.undefined],
        "overlaps": [
            {"sets": one.sets, "least": one.least and (unless_few(one.least, info.min_cell) or 0)}
            for one in info.overlaps
        ],
    }
    return about, files


def _weights(results: TaskResults) -> dict[str, bytes | Path]:
    """Return the files of the weights of the cells that have some."""
    folder = cells_folder(results.settings.results, results.task.name)
    names = [f"{item.cell.identity.within}.safetensors" for item in results.cells]
    return {f"cells/{name}": folder / name for name in names if (folder / name).is_file()}


def variants(results: TaskResults) -> dict[str, TaskResults]:
    """Return the variants that Figures 4 and 7 show beside the task itself, by their folder in an export.

    A variant whose external set has fewer images than `min_cell` is left out: its costs reveal that number.
    """
    found = {}
    for field in sweeps.OF_TASK:
        for value in sweeps.values(results.task, field):
            one = results.variant(field, value)
            if one is None or one.task == results.task:
                continue
            if not any(0 < cell.external < one.info.min_cell for cell in one.cells):
                found[variant_folder(field, value)] = one
    return found


def _records(place: str, cells: Sequence[Record], failures: Sequence[Failure]) -> dict[str, bytes | Path]:
    kinds = ((cells, "json"), (failures, "failed.json"))
    return {f"{place}/{item.cell.identity.within}.{kind}": to_json(item) for items, kind in kinds for item in items}


def commands(settings: Settings, task: str) -> list[str]:
    """Return the `bench run` commands of a task; files are given by name only, the folder of data as DIR."""
    try:
        runs = remembered(settings.results, task)[task]
    except UnknownName:
        return []
    found = []
    for run in map(elsewhere, runs):
        base = name_of(run.task)
        spec = TASK + run.task.removeprefix(base) if base.endswith(".toml") else run.task
        found.append(command("run", replace(run, task=spec, data=Path("DIR") if run.data else None)))
    return list(dict.fromkeys(found))


def _splits(results: TaskResults, *, predictions: bool) -> dict[str, bytes | Path]:
    """Return the rule and the number of images of each fold; with predictions also the split manifest itself."""
    settings, task, info = results.settings, results.task, results.info
    file = settings.splits or splits_file(settings.results, task.name)
    try:
        rows = split_manifest.read(file, task)
    except DataMissing:  # runs of older versions did not write a manifest
        return {}
    except DataError as error:
        print(f"left out: {SPLITS}: {error}", file=sys.stderr)
        return {}
    counted = IN_DOMAIN not in suppressed(results.cells, info)
    folds = {
        str(fold): {"n": unless_few(len(part), info.min_cell)}
        | ({"external": int(part["external"].sum())} if counted and (part["external"] >= 0).all() else {})
        for fold, part in rows.groupby("fold")
    }
    facts = {**split_manifest.rule(task), "n": len(rows), "by_fold": folds}
    if counted:  # the cut follows from labels and groups, so that they can be tried
        facts["sha256"] = split_manifest.sha256(rows)
    return {SPLITS: to_json(facts)} | ({FOLDS: file} if predictions else {})


def _environment() -> dict[str, Any]:
    packages: dict[str, str] = {}
    for item in distributions():
        # An interrupted installation leaves packages without a description, or one that is no text.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            packages[str(item.metadata["Name"] or "")] = item.version or ""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(filter(all, packages.items()), key=lambda item: item[0].lower())),
    }
