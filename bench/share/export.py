"""`bench export`: the results of a task as one archive that another house can read.

    MANIFEST.json                          what it is, and size and sha256 of every file
    task.toml                              the definition of the task, all fields
    cells/<backbone>/<method>/f0-s0.json   the cells, as far as they leave (see `leaving`)
                              f0-s0.failed.json, f0-s0.parquet (only with predictions)
    variants/external-0.2/...              those of the task with a field changed, as Figures 4 and 7 need them
    splits.json, splits.csv                counts and checksum of the folds; with predictions, the ids too
    intervals.json                         differences to Baseline over patients, by table
    environment.json                       Python and the versions of all packages
    commands.txt                           the lines that make the cells
    reports/                               the tables, made of these cells

No image, no map of one, no log, and neither a path nor the name of the machine.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from bench.cells.identity import cells_folder, slug, splits_file
from bench.cells.record import Failure, Record
from bench.data import split_manifest
from bench.errors import BenchError, DataError, UnknownName, UsageError
from bench.files import to_json
from bench.report.artefacts import ABLATION, MAIN, TUNED, artefacts
from bench.report.figures import sweeps
from bench.report.numbers.aggregate import IN_DOMAIN
from bench.report.numbers.suppression import suppressed
from bench.report.task_results import TaskResults, read
from bench.run.history import remembered
from bench.settings import Settings, command, elsewhere
from bench.share.archive import pack
from bench.share.privacy import leaving, leaving_failures, unless_few
from bench.share.received import INTERVALS, TASK, Received, intervals, variant_folder
from bench.share.task_toml import to_toml
from bench.spec import name_of

TEXT = ("tex", "md", "csv")
TABLES = (MAIN, ABLATION, TUNED)
"""Artefacts that go along, by how their names start. No figure: some show images, or curves of few of them."""
SPLITS, CUT, ENVIRONMENT, COMMANDS = "splits.json", "splits.csv", "environment.json", "commands.txt"


def export_task(settings: Settings, out: Path | None, *, predictions: bool = False, min_cell: int = 0) -> int:
    """Write the archive of a task, `<task>.tar.gz` here unless `out` names it, and say what is in it.

    Raises:
        UsageError: predictions together with `min_cell`: they hold every count that it would suppress.
        BenchError: where there are no results, or some that must not stand in one table.
        NotWritten: a folder that cannot be written, or a full disk.
    """
    if predictions and min_cell:
        raise UsageError(
            "--with-predictions hands on label and group of every image, which --min-cell is to suppress: "
            "leave out one of them"
        )
    material = read(settings, min_cell=min_cell)
    if not material.cells:
        raise BenchError(f"no results of {material.task.name}: `{material.line(['all'])}` makes them")
    about, files = contents(material, predictions=predictions)
    file = out or Path(f"{slug(material.task.name)}.tar.gz")
    pack(file, about, files)
    ids = (
        "Predictions with the ids of images are in it"
        if predictions
        else "No id and no prediction of an image is in it"
    )
    print(f"{len(material.cells)} cells, {len(material.failures)} failures. {ids}.")
    print(file)
    return 0


def contents(material: TaskResults, *, predictions: bool = False) -> tuple[dict[str, Any], dict[str, bytes | Path]]:
    """Return what the manifest says of an export, and its files by name."""
    cells = leaving(material.cells, material.info)
    failures = leaving_failures(material.failures)
    files: dict[str, bytes | Path] = {TASK: to_toml(material.task).encode()}
    files |= _records("cells", cells, failures)
    changed = variants(material)
    for place, one in changed.items():
        left = leaving(one.cells, one.info, beside=material.cells)
        files |= _records(place, left, leaving_failures(one.failures))
    if predictions:
        for item in material.cells:
            name = f"{item.cell.identity.within}.parquet"
            files[f"cells/{name}"] = cells_folder(material.settings.results, material.task.name) / name
    files |= _splits(material, predictions=predictions)
    files[ENVIRONMENT] = to_json(_environment())
    names = [one.task.name for one in (material, *changed.values())]
    lines = dict.fromkeys(line for name in names for line in commands(material.settings, name))
    files[COMMANDS] = "".join(f"{line}\n" for line in lines).encode()
    over_patients = intervals(material)
    files[INTERVALS] = to_json(over_patients)
    of = (material.settings, material.task, material.info)
    handed_on = Received(*of, cells, failures, intervals=over_patients)
    for item in artefacts(handed_on):
        if item.name.startswith(TABLES) and item.possible(handed_on):
            made = item.make(handed_on)
            files |= {f"reports/{item.name}.{kind}": made[kind] for kind in TEXT if kind in made}
    about = {
        "task": material.task.name,
        "synthetic": material.info.synthetic,
        "min_cell": material.info.min_cell,
        "predictions": predictions,
        "undefined": [asdict(item) for item in material.info.undefined],
    }
    return about, files


def variants(material: TaskResults) -> dict[str, TaskResults]:
    """Return what Figures 4 and 7 are drawn of beside the task itself, by its folder in an export.

    Of an external set with fewer images than `min_cell` nothing leaves: costs tell its size.
    """
    found = {
        variant_folder(field, value): material.variant(field, value)
        for field in sweeps.OF_TASK
        for value in sweeps.values(material.task, field)
    }
    others = {place: one for place, one in found.items() if one is not None and one.task != material.task}
    few = {place for place, one in others.items() for cell in one.cells if 0 < cell.external < one.info.min_cell}
    return {place: one for place, one in others.items() if place not in few}


def _records(place: str, cells: Sequence[Record], failures: Sequence[Failure]) -> dict[str, bytes | Path]:
    kinds = ((cells, "json"), (failures, "failed.json"))
    return {f"{place}/{item.cell.identity.within}.{kind}": to_json(item) for items, kind in kinds for item in items}


def commands(settings: Settings, task: str) -> list[str]:
    """Return the `bench run` lines of the runs of a task; files by name alone, the folder of data as DIR."""
    try:
        runs = remembered(settings.results, task)[task]
    except UnknownName:
        return []
    lines = []
    for given in map(elsewhere, runs):
        base = name_of(given.task)
        spec = TASK + given.task.removeprefix(base) if base.endswith(".toml") else given.task
        lines.append(command("run", replace(given, task=spec, data=Path("DIR") if given.data else None)))
    return list(dict.fromkeys(lines))


def _splits(material: TaskResults, *, predictions: bool) -> dict[str, bytes | Path]:
    """The manifest of the folds: its head and the images by fold; with predictions the file itself."""
    given, info = material.settings, material.info
    file = given.splits or splits_file(given.results, material.task.name)
    try:
        cut = split_manifest.read(file, material.task)
    except DataError:  # none is written where there are no runs of this version
        return {}
    counted = IN_DOMAIN not in suppressed(material.cells, info)
    folds = {
        str(fold): {"n": unless_few(len(part), info.min_cell)}
        | ({"external": int(part["external"].sum())} if counted and (part["external"] >= 0).all() else {})
        for fold, part in cut.groupby("fold")
    }
    head = {**split_manifest.rule(material.task), "n": len(cut), "sha256": split_manifest.sha256(cut), "by_fold": folds}
    return {SPLITS: to_json(head)} | ({CUT: file} if predictions else {})


def _environment() -> dict[str, Any]:
    packages = {item.metadata["Name"]: item.version for item in distributions()}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
