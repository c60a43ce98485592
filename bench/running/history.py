"""The runs that were requested, kept beside the results for `bench status`, `retry`, `cancel` and `clean`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bench import taskfile
from bench.api import Task
from bench.cells.identity import BASELINE, runs_file, runs_folder
from bench.errors import BenchError, DataInvalid, UnknownName, UsageError
from bench.files import read_json, write_json
from bench.registry import METHODS
from bench.settings import OPTIONS, Settings, short
from bench.spec import canonical, name_of, split_specs

KEPT = 50
"""Runs of a task that are remembered; the newest is last."""


def remember(settings: Settings, task: str) -> None:
    """Keep a run of `task`. A run of the same cells is kept once, with its latest launcher.

    GPUs and the number of cells at a time are left out, because they belong to this machine and this moment; for a
    queue, the cells per GPU are kept.
    """
    here = settings.on == "local"
    kept = replace(settings, force=False, dry_run=False, jobs=None, gpus=(), per_gpu=None if here else settings.per_gpu)
    run, file = as_record(kept), runs_file(settings.results, task)
    others = [one for one in _runs(read_json(file)) if _same(one) != _same(run)]
    write_json(file, {"task": task, "runs": [*others, run][-KEPT:]})


def remembered(results: Path, task: str | None = None) -> dict[str, list[Settings]]:
    """Return the runs of one task, all findings of it among them, or of all tasks, in these results.

    Raises:
        UnknownName: no run of that task is known.
        DataInvalid: a run of another version.
    """
    found: dict[str, list[Settings]] = {}
    for file in sorted(runs_folder(results).glob("*.json")):
        if not (record := read_json(file)):
            print(f"{file} is damaged: the runs of its task are not known", file=sys.stderr)
            continue
        found[str(record.get("task", file.stem))] = [from_record(one, results) for one in _runs(record)]
    if task is None:
        return found
    base = name_of(task)
    name = Path(base).stem + task.removeprefix(base) if base.endswith(".toml") else task
    of_findings = [one for one in found if one.startswith(f"{name}:{taskfile.FINDING}=")]
    if name not in found and of_findings:
        return {one: found[one] for one in of_findings}
    if name not in found:
        raise UnknownName("run of task", task, found, where=f" in {results}")
    return {name: found[name]}


def refuse_namesake(settings: Settings, task: Task) -> None:
    """Refuse a task whose name is that of another task file, of which these results hold runs.

    Raises:
        UsageError: that file is still there, and defines another task.
    """
    base = name_of(settings.task)
    for run in _runs(read_json(runs_file(settings.results, task.name))) if base.endswith(".toml") else ():
        other = Path(name_of(str(run.get("task"))))
        if not other.is_file() or other.samefile(base):
            continue
        with contextlib.suppress(BenchError):
            if taskfile.resolve(str(run["task"])) == task:
                continue
        raise UsageError(
            f"{short(base)} and {short(str(other))} both define a task of the name '{name_of(task.name)}', and "
            f"{short(settings.results)} holds runs of the latter: give one of them another `name`, or use another "
            "--results"
        )


def trusted(runs: Sequence[Settings], plugins: Sequence[Path]) -> list[Settings]:
    """Return runs of a results folder with the `plugins` of the command line in place of those that the folder names.

    A results folder is data and may come from elsewhere, so that no file that it names is imported. A plugin is known
    by the name of its file, because the folder may have been moved.

    Raises:
        UsageError: a run used a plugin that is not given.
    """
    if used := not_given(runs, plugins):
        raise UsageError(f"a run of {short(runs[-1].task)} used {', '.join(f.name for f in used)}. {how_to_give(used)}")
    return [replace(run, plugins=tuple(plugins)) for run in runs]


def not_given(runs: Sequence[Settings], plugins: Sequence[Path]) -> list[Path]:
    """Return the plugin files of runs that are not among `plugins`, by their names."""
    given = {file.name for file in plugins}
    return list(dict.fromkeys(file for run in runs for file in run.plugins if file.name not in given))


def how_to_give(used: Sequence[Path]) -> str:
    """Return why the plugin files that a results folder names are not loaded, and the options that load them."""
    options = " ".join(f"--plugin {shlex.quote(short(file))}" for file in used)
    trust = f"If you trust {'this file' if len(used) == 1 else 'these files'}, add {options}"
    return f"A results folder is data: what it names is not loaded. {trust}"


def without_unknown(runs: Sequence[Settings], plugins: Sequence[Path]) -> list[Settings]:
    """Return runs with the `plugins` of the command line, and of their methods those that exist with these.

    Where none remains, the baseline does. Nothing that the results folder names is imported.
    """
    known, found = {"all", *METHODS.catalogue(plugins)}, []
    for run in runs:
        kept = [spec for spec in split_specs(run.methods) if canonical(name_of(spec)) in known]
        found.append(replace(run, plugins=tuple(plugins), methods=",".join(kept) or BASELINE))
    return found


def last_run(results: Path, task: str) -> Settings:
    """Return the settings with which a task was last run, or those of a run that is not known."""
    try:
        return remembered(results, task)[task][-1]
    except (UnknownName, DataInvalid, IndexError):
        return Settings(task, results)


def plugins(runs: Sequence[Settings]) -> tuple[Path, ...]:
    """Return the plugin files of these runs (`--plugin`), each once."""
    return tuple(dict.fromkeys(file for settings in runs for file in settings.plugins))


def _runs(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in record.get("runs", []) if isinstance(one, dict)]


def _same(run: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a run that determines its cells."""
    how = {option.field.name for option in OPTIONS if not option.field.metadata["again"]}
    return {name: value for name, value in run.items() if name not in how}


def as_record(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON values, without the results folder, which may be moved."""
    base = name_of(settings.task)
    task = str(Path(base).absolute()) + settings.task.removeprefix(base) if base.endswith(".toml") else settings.task
    record = msgspec.json.decode(msgspec.json.encode(replace(settings, task=task), enc_hook=str))
    del record["results"]
    return record


def from_record(record: dict[str, Any], results: Path) -> Settings:
    """Return the settings of `as_record`, for a results folder.

    Raises:
        DataInvalid: a record of another version.
    """
    try:
        return msgspec.convert({**record, "results": str(results)}, Settings, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise DataInvalid(f"{runs_folder(results)}: a run of another version ({error}): delete that folder") from None
