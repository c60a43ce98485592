"""The runs of one command: tasks by backbones, from the command line or from a plan in TOML.

    task = ["cxr-age", "cxr-gender"]        # an option of `bench run` without its dashes: the default of all runs
    backbone = "all"
    seeds = [0, 1, 2]

    [[run]]                                 # one of the runs; without such tables, the options above are the only one
    [[run]]
    task = "cxr-age"
    methods = "swift"
    ablate = "epochs"

Paths, also those of task files, start at the folder of the plan.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import registry, taskfile
from bench.cells.identity import plans_file
from bench.errors import DataMissing, UnknownName, UsageError
from bench.files import read_toml, write_file
from bench.running.ablate import ablation
from bench.settings import HOW, OPTIONS, WHAT, Option, Settings
from bench.spec import join_options, name_of, split_specs
from bench.taskfile import toml_value

ALL = "all"
"""`--backbone all`: every backbone of the task."""
HEAD = "# The plan of `bench run`, in full: `bench run {file}` computes the same cells.\n"
_KEYS = {
    option.flag.removeprefix("--").replace("-", "_"): option
    for option in OPTIONS
    if "run" in option.field.metadata["verbs"] and option.name not in ("dry_run", "force", "keep_models")
}
"""Key of a plan -> the option."""


def tasks_of(text: str, folder: Path = Path()) -> list[str]:
    """Split `--task a,b:epochs=3,external=0.2`; the path of a task file, which starts at `folder`, may hold commas."""
    parts, pieces = text.split(","), []
    while parts:
        joined = (",".join(parts[:end]) for end in range(1, len(parts) + 1))
        piece = next((one for one in joined if (folder / name_of(one)).is_file()), parts[0])
        pieces.append(piece)
        parts = parts[piece.count(",") + 1 :]
    return join_options(pieces)


def expand(settings: Settings) -> list[Settings]:
    """Return the runs of settings that may name several tasks, several backbones, and a field to ablate.

    A task of several findings is a run for each.

    Raises:
        UnknownName, UsageError: a task, backbone, method or field that does not exist.
    """
    runs = []
    if not (specs := tasks_of(settings.task)):
        raise UsageError(f"--task {settings.task}: name at least one task of `bench ls tasks`")
    for spec in (one for named in specs for one in taskfile.each(named)):
        task = taskfile.resolve(spec)
        asked = split_specs(settings.backbone) if settings.backbone else [task.backbones[0]]
        for backbone in dict.fromkeys(task.backbones if ALL in asked else asked):
            if backbone not in task.backbones:
                raise registry.not_of_task(backbone, task, name_of(spec), (*task.backbones, ALL), settings.plugins)
            chosen = None if backbone == task.backbones[0] else backbone
            runs += ablation(dataclasses.replace(settings, task=spec, backbone=chosen))
    return list(dict.fromkeys(runs))


def read_plan(file: Path, given: Settings, named: Sequence[str]) -> list[Settings]:
    """Return the runs of a plan.

    Args:
        file: the plan.
        given: the settings of the command line, which win for files, folders and execution.
        named: names of the options that the command line gives.

    Raises:
        DataMissing: there is no such file.
        UsageError, UnknownName: it is not TOML, has an unknown key or a wrong value; or an option of the command line
            says what to run.
    """
    if not file.is_file():
        raise DataMissing(f"plan {file}", get_it=f"Give the path of a TOML file, or a task: `--task {file}`.")
    plan = read_toml(file)
    if beside := [option.flag for option in _KEYS.values() if option.name in named and option.group == WHAT]:
        raise UsageError(f"{', '.join(beside)} beside {file}: the plan says what to run; change it there")
    if "source" in plan:
        raise UsageError(f"{file} is a task, not a plan: `bench run --task {file}`")
    tables = plan.pop("run", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise UsageError(f"{file}: `run`: one or more tables [[run]] expected")
    shared = _values(plan, file, "")
    for number, table in enumerate(tables, 1):
        if how := [key for key in table if (option := _KEYS.get(key.replace("-", "_"))) and option.group == HOW]:
            raise UsageError(f"{file}: [[run]] {number}: {', '.join(how)}: all runs share it; write it above [[run]]")
    own = {option.name: getattr(given, option.name) for option in _KEYS.values() if option.name in named}
    fixed = {name: getattr(given, name) for name in ("force", "dry_run", "keep_models")}
    runs = []
    for number, table in enumerate(tables, 1):
        where = f" [[run]] {number}" if table else ""
        values = {**shared, **_values(table, file, where), **own, **fixed}
        if not values.get("task"):
            raise UsageError(f'{file}:{where} names no task: add task = "NAME"')
        runs += expand(Settings(**values))
    if len({one.results for one in runs}) > 1:
        raise UsageError(f"{file}: the runs of a plan have one results folder")
    return list(dict.fromkeys(runs))


def _values(table: Mapping[str, Any], file: Path, where: str) -> dict[str, Any]:
    """Return the settings of a table of a plan."""
    found = {}
    for key, value in table.items():
        if (option := _KEYS.get(key.replace("-", "_"))) is None:
            raise UnknownName("key", key, _KEYS, where=f" in {file}{where}")
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts) or not parts:
            raise UsageError(f"{file}:{where} {key}: a text, a whole number or a list of them expected, not {value!r}")
        try:
            found[option.name] = _read(option, [str(part) for part in parts], file.absolute().parent)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{file}:{where} {key}: {error}") from None
    return found


def _read(option: Option, parts: list[str], folder: Path) -> Any:
    if option.field.metadata["read"] is Path:
        paths = [Path(os.path.normpath(folder / part)) for part in parts]
        if len(paths) > 1 and not option.repeated:
            raise argparse.ArgumentTypeError(f"one path expected, not {len(paths)}")
        return tuple(paths) if option.repeated else paths[0]
    if option.name == "task":
        tasks = [one for part in parts for one in tasks_of(part, folder)]
        return ",".join(str(folder / one) if name_of(one).endswith(".toml") else one for one in tasks)
    return option.field.metadata["read"](",".join(parts))


def keep_plan(runs: Sequence[Settings], name: str) -> Path:
    """Write the runs of a plan beside the results, in full, and return the file."""
    file, usual = plans_file(runs[0].results, name), Settings("")
    text = [HEAD.format(file=file), f"results = {toml_value(os.path.relpath(runs[0].results, file.parent))}\n"]
    for settings in runs:
        text.append("\n[[run]]\n")
        for key, option in _KEYS.items():
            value = getattr(settings, option.name)
            if option.group == HOW or option.name == "results" or value == getattr(usual, option.name):
                continue
            found = [str(part) for part in value] if isinstance(value, tuple) else str(value)
            text.append(f"{key} = {toml_value(found)}\n")
    write_file(file, "".join(text))
    return file
