"""All that `bench run` is asked, each option declared once.

A field of `Settings` is an option of the command line, an entry in `results/runs/*.json`, and a flag of the commands
that are printed for the user to run next. Which commands have the option, its help text and how its text is read are
declared with the field. `arguments` makes argparse's options of it, `command` the printed commands.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.spec import name_of

WHAT, WHERE, HOW = "what", "where", "how"
RUNS = ("run", "tune")
"""Commands that compute cells."""
OF_TASK = (*RUNS, "prepare", "doctor", "report", "export")
"""Commands that read the data or results of a task."""
OF_RUNS = ("status", "retry", "cancel", "clean", "metrics")
"""Commands that know from the results what was run."""
POSITIONAL = ("prepare", "doctor")
"""Commands whose task is an argument without a flag."""


def numbers(text: str) -> tuple[int, ...]:
    """Return the whole numbers of `0,1,2`, each once."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers joined by commas expected") from None


def words(text: str) -> tuple[str, ...]:
    """Return the words of `north,south`."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise argparse.ArgumentTypeError(f"'{text}': names or numbers joined by commas expected")
    return words


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` on, or from `low` to `high`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            allowed = f"of {low} or more" if high is None else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"'{text}': a whole number {allowed} expected")
        return int(text)

    return read


positive = whole(1)


def setting(
    default: Any,
    says: str,
    group: str,
    verbs: Sequence[str] = ("run",),
    *,
    read: Callable[[str], Any] | None = None,
    again: bool = True,
    always: bool = False,
    **argument: Any,
) -> Any:
    """Declare one option of a run: its default (or a function that makes it) and its help text.

    Args:
        group: the heading in the help: WHAT, WHERE or HOW.
        verbs: the commands that have it.
        read: how its text is read. A `Path` is made absolute. Without `read`, the option is a flag that is set or not.
        again: whether it belongs in a command that makes the same cells: it says what is computed, not by how many.
        always: whether commands name it even where it has its default.
        argument: further arguments of argparse, such as `metavar`; `flag` replaces the field's name.
    """
    facts = {"says": says, "group": group, "verbs": verbs, "read": read, "again": again, "always": always}
    metadata = {**facts, "argument": argument}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


what, where = partial(setting, group=WHAT), partial(setting, group=WHERE, verbs=OF_TASK, read=Path)
how = partial(setting, group=HOW, again=False)


@dataclass(frozen=True)
class Settings:
    """A run as it was asked for: strings, numbers and absolute paths, which workers and JSON files can be given."""

    task: str = what(
        dataclasses.MISSING,
        "a name of `bench ls tasks` or a .toml file, or a variant such as phantom-cxr-age:external=0.2,epochs=20",
        verbs=(*OF_TASK, *OF_RUNS),
        read=str,
        always=True,
    )
    results: Path = where(
        lambda: Path("results").absolute(), "cells (default: results)", verbs=(*OF_TASK, *OF_RUNS, "logs")
    )
    cache: Path = where(
        lambda: Path(os.environ.get("BENCH_CACHE", ".cache")).absolute(),
        "decoded images and baselines (default: $BENCH_CACHE, else .cache)",
        verbs=(*OF_TASK, "clean"),
    )
    data: Path | None = where(None, "one folder per source in it (default: $BENCH_DATA)")
    plugins: tuple[Path, ...] = where(
        (),
        "a plugin of your own; repeatable",
        verbs=(*OF_TASK, "ls", "check", "phantom", "merge"),
        flag="--plugin",
        action="append",
        metavar="FILE.py",
    )
    splits: Path | None = where(
        None, "folds and external sets of a manifest (default: cut anew, alike)", metavar="FILE"
    )
    baseline: Path | None = where(
        None,
        "a trained model of your own (state dict; {fold} for one per fold) in place of pre-training",
        metavar="FILE",
    )
    methods: str = what(
        "all", "all, or specs such as swift:epsilon=0.2,bmft (default: all)", verbs=RUNS, read=str, always=True
    )
    backbone: str | None = what(None, "one of the task's (default: its first)", verbs=RUNS, read=str)
    folds: tuple[int, ...] | None = what(None, "such as 0,1,2 (default: all of the task)", verbs=RUNS, read=numbers)
    seeds: tuple[int, ...] = what((0,), "such as 0,1 (default: 0)", verbs=RUNS, read=numbers)
    ablate: str | None = what(
        None,
        "run all settings of a parameter of the methods, or one variant of the task after another: external, epochs, "
        "or a field with choices",
        read=str,
        metavar="FIELD",
    )
    force: bool = how(False, "compute done cells again", again=True)
    jobs: int | None = how(
        None,
        "cells at a time (default: one per GPU, else cores / threads of the recipe)",
        verbs=(*RUNS, "prepare"),
        read=positive,
    )
    gpus: tuple[str, ...] = how((), "such as 0,1: each cell sees one of them", verbs=RUNS, read=words)
    per_gpu: int | None = how(
        None,
        "cells that share a GPU, one of --gpus or of all that are visible (default: 1); a cell that has no memory "
        "beside others is tried again alone",
        verbs=RUNS,
        read=positive,
        metavar="N",
    )
    on: str = how("local", "a launcher of `bench ls launchers` (default: local)", read=str, metavar="where")
    profile: str | None = how(
        None, "with --on slurm: of slurm/, or a .toml file: what jobs ask for (default: plain)", read=str
    )
    group_by: str | None = how(
        None,
        "with --on slurm: a job per cell, or one per fold with its baseline and all methods (default: cell)",
        read=str,
        choices=("cell", "fold"),
        metavar="unit",
    )
    dry_run: bool = how(False, "print the cells and how each stands; compute nothing")
    selecting: bool = False
    """Score on the holdout of each fold and have no test set (see `bench.data.external`). No option: `tune` sets it."""


@dataclass(frozen=True)
class Option:
    """A field of `Settings` as an option of the command line."""

    field: dataclasses.Field[Any]

    @property
    def flag(self) -> str:
        return self.field.metadata["argument"].get("flag", f"--{self.field.name.replace('_', '-')}")

    @property
    def dest(self) -> str:
        """Its name in what argparse returns."""
        return self.flag.lstrip("-").replace("-", "_")

    def add(self, parser: Any, **changes: Any) -> None:
        """Add it to a parser, or to a group of one; `changes` replace arguments of argparse."""
        facts = self.field.metadata
        given = {key: value for key, value in facts["argument"].items() if key != "flag"}
        given |= {"type": facts["read"]} if facts["read"] else {"action": "store_true"}
        if self.field.default is dataclasses.MISSING and self.field.default_factory is dataclasses.MISSING:
            given["required"] = True
        # The default is that of the field: None here means "not given".
        parser.add_argument(self.flag, default=None, **{"help": facts["says"], **given, **changes})

    def value(self, given: Any) -> Any:
        """Return what was given, paths made absolute."""
        if self.field.metadata["read"] is not Path:
            return given
        return tuple(path.absolute() for path in given) if isinstance(given, list) else given.absolute()

    def words(self, value: Any) -> list[str]:
        """Return the words of a command that give it a value."""
        if value is True:
            return [self.flag]
        if isinstance(value, tuple) and self.field.metadata["read"] is Path:
            return [word for path in value for word in (self.flag, short(path))]
        return [self.flag, ",".join(map(str, value)) if isinstance(value, tuple) else short(value)]

    def usual(self, value: Any) -> bool:
        """Tell whether a value is the default."""
        factory = self.field.default_factory
        return value == (self.field.default if factory is dataclasses.MISSING else factory())


OPTIONS = tuple(Option(field) for field in dataclasses.fields(Settings) if field.metadata)


def arguments(parser: argparse.ArgumentParser, verb: str, **changes: dict[str, Any]) -> None:
    """Add the options of a command to its parser, under headings.

    `changes` replace arguments of argparse by option. A command with one task without a flag adds it itself.
    """
    for group in (WHAT, WHERE, HOW):
        options = [option for option in OPTIONS if verb in option.field.metadata["verbs"]]
        options = [one for one in options if one.field.metadata["group"] == group]
        if verb in POSITIONAL:
            options = [option for option in options if option.field.name != "task"]
        heading = parser.add_argument_group(group) if options else parser
        for option in options:
            option.add(heading, **changes.get(option.field.name, {}))


def read_settings(args: argparse.Namespace) -> Settings:
    """Return the settings that the options of a command give; without a task its name is empty."""
    given = {option: getattr(args, option.dest, None) for option in OPTIONS}
    values = {option.field.name: option.value(value) for option, value in given.items() if value is not None}
    return Settings(**{"task": "", **values})


def command(verb: str, settings: Settings, *more: str) -> str:
    """Return a command for the shell with all of the settings that `verb` has an option for and that are not default.

    `more` are its words without a flag and flags of its own.
    """
    found = ["bench", verb, *([short(settings.task)] if verb in POSITIONAL else []), *more]
    for option in sorted(OPTIONS, key=lambda one: (WHAT, WHERE, HOW).index(one.field.metadata["group"])):
        facts, value = option.field.metadata, getattr(settings, option.field.name)
        if verb not in facts["verbs"] or not facts["again"] or (option.field.name == "task" and verb in POSITIONAL):
            continue
        if value and (facts["always"] or not option.usual(value)):
            found += option.words(value)
    return shlex.join(found)


def of_task(settings: Settings) -> Settings:
    """Return the same task, folders and files, with every other option at its default."""
    kept = [option.field.name for option in OPTIONS if option.field.metadata["group"] == WHERE]
    return Settings(settings.task, **{name: getattr(settings, name) for name in kept})


def short(value: str | Path) -> str:
    """Return a path, or the spec of a task in a file, from the working directory where it lies below."""
    text = str(value)
    base = name_of(text) if isinstance(value, str) else text
    if Path(base).is_absolute() and Path(base).is_relative_to(Path.cwd()):
        inside = os.path.relpath(base)
        return text if inside.startswith("-") else inside + text.removeprefix(base)
    return text


def elsewhere(settings: Settings) -> Settings:
    """Return settings without the folders of this machine, for a command that is read on another one."""
    base = name_of(settings.task)
    return dataclasses.replace(
        settings,
        task=Path(base).name + settings.task.removeprefix(base),
        results=Settings("").results,
        cache=Settings("").cache,
        data=None,
        plugins=tuple(Path(file.name) for file in settings.plugins),
        splits=settings.splits and Path(settings.splits.name),
        baseline=settings.baseline and Path(settings.baseline.name),
    )
