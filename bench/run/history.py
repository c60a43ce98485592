"""Which runs were asked for: kept beside the results, so that `bench status` and `bench retry` need not be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bench.cells.identity import runs_file, runs_folder
from bench.errors import DataInvalid, UnknownName
from bench.files import read_json, write_json
from bench.run.plan import Settings
from bench.run.run_task import Wanted

KEPT = 50
"""Runs of a task that are remembered, the newest last."""


def remember(wanted: Wanted, settings: Settings, task: str, on: dict[str, Any]) -> None:
    """Keep a run of `task` and where it ran (`on`); the same run is kept once."""
    file = runs_file(settings.results, task)
    run = {"wanted": {**asdict(wanted), "force": False}, "settings": settings_texts(settings), "on": on}
    kept = [one for one in _read(file) if (one["wanted"], one["settings"]) != (_listed(run["wanted"]), run["settings"])]
    write_json(file, {"task": task, "runs": [*kept, run][-KEPT:]})


def remembered(results: Path, task: str | None = None) -> dict[str, list[tuple[Wanted, Settings, dict[str, Any]]]]:
    """Return the runs of a task, or of all tasks, in these results, with where they ran.

    Raises:
        UnknownName: no run of that task is known.
    """
    found: dict[str, list[tuple[Wanted, Settings, dict[str, Any]]]] = {}
    for file in sorted(runs_folder(results).glob("*.json")):
        record = read_json(file) or {}
        found[str(record.get("task", file.stem))] = [_run(one, results) for one in _read(file)]
    if task is None:
        return found
    name = Path(task).stem if task.endswith(".toml") else task
    if name not in found:
        raise UnknownName("run of task", task, found, where=f" in {results}")
    return {name: found[name]}


def plugins(runs: Sequence[tuple[Wanted, Settings, Any]]) -> tuple[Path, ...]:
    """Return the files that were given to these runs by `--plugin`, each once."""
    return tuple(dict.fromkeys(file for _, settings, _ in runs for file in settings.plugins))


def _read(file: Path) -> list[dict[str, Any]]:
    runs = (read_json(file) or {}).get("runs", [])
    return [one for one in runs if isinstance(one, dict) and {"wanted", "settings"} <= set(one)]


def settings_texts(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON holds them, without the folder of results."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    # The results are where this is read, wherever that is by then.
    del values["results"]
    task, colon, variant = settings.task.partition(":")
    values["task"] = (str(Path(task).absolute()) if task.endswith(".toml") else task) + colon + variant
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    return {**plain, "plugins": [str(file) for file in settings.plugins]}


def _listed(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in wanted.items()}


def settings_of(texts: dict[str, Any], results: Path) -> Settings:
    """Return the settings that `settings_texts` wrote, for a folder of results."""
    paths = {
        name: Path(value) for name, value in texts.items() if value and name in ("cache", "data", "splits", "baseline")
    }
    return Settings(**{**texts, **paths, "plugins": tuple(map(Path, texts["plugins"])), "results": results})


def _run(one: dict[str, Any], results: Path) -> tuple[Wanted, Settings, dict[str, Any]]:
    try:
        given: dict[str, Any] = dict(one["wanted"])
        given.update({name: tuple(value) for name, value in given.items() if isinstance(value, list)})
        return Wanted(**given), settings_of(one["settings"], results), one.get("on") or {}
    except (KeyError, TypeError) as error:
        raise DataInvalid(
            f"{runs_file(results, '').parent}: a run of another version ({error}): delete that folder"
        ) from None
