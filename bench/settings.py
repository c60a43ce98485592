"""The settings of a run. Each option is declared once.

A field of `Settings` is an option of the command line, an entry in `results/runs/*.json`, and a flag of the commands
that are printed for the user to run next. The field declares which commands have the option, its help text and how
its text is parsed. `arguments` turns the fields into argparse options, `command` into printed commands.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import UnknownName, UsageError
from bench.spec import name_of

WHAT, WHERE, HOW = "selection", "files and folders", "execution"
GROUPS = (WHAT, WHERE, HOW)
"""Headings in the help."""
RUNS = ("run", "tune")
"""Commands that compute cells."""
OF_TASK = (*RUNS, "prepare", "doctor", "report", "export", "model")
"""Commands that read the data or results of a task."""
OF_RUNS = ("status", "retry", "cancel", "clean", "metrics")
"""Commands that read from the results folder which runs were requested."""
POSITIONAL = ("prepare", "doctor", "model")
"""Commands that take the task as an argument without a flag."""


DIGITS = 9
"""The most digits of a fold or a seed."""


def numbers(text: str) -> tuple[int, ...]:
    """Parse whole numbers such as `0,1,2`, each once. Folds and seeds are in the names of files."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= DIGITS for part in parts):
        raise argparse.ArgumentTypeError(
            f"'{text}': whole numbers from 0, of at most {DIGITS} digits, joined by commas expected, such as 0,1,2"
        )
    return tuple(dict.fromkeys(map(int, parts)))


def words(text: str) -> tuple[str, ...]:
    """Parse words such as `north,south`."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise argparse.ArgumentTypeError(f"'{text}': names or numbers joined by commas expected")
    return words


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`, or without an upper limit."""

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
    read: Callable[[str], Any] = str,
    again: bool = True,
    always: bool = False,
    **argument: Any,
) -> Any:
    """Declare an option of a run: its default (or a function that returns it) and its help text.

    An option whose default is False is a switch.

    Args:
        group: the heading in the help, one of `GROUPS`.
        verbs: the commands that have the option.
        read: parses its text. A `Path` is made absolute.
        again: whether a command that computes the same cells repeats it. Options of the machine, such as the number
            of GPUs, are not repeated.
        always: whether printed commands name it even if it has its default.
        argument: further arguments of argparse, such as `metavar`; `flag` replaces the field's name.
    """
    facts = {"says": says, "group": group, "verbs": verbs, "read": read, "again": again, "always": always}
    how: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return dataclasses.field(**how, metadata={**facts, "argument": argument})


what, how = partial(setting, group=WHAT, verbs=RUNS), partial(setting, group=HOW, again=False)
where = partial(setting, group=WHERE, verbs=OF_TASK, read=Path, metavar="DIR")


@dataclass(frozen=True)
class Settings:
    """A run as requested: strings, numbers and absolute paths, which JSON files and other processes can receive."""

    task: str = what(
        dataclasses.MISSING,
        "a task of `bench ls tasks`, a .toml file, or a variant such as phantom-cxr-age:external=0.2,epochs=20",
        verbs=(*OF_TASK, *OF_RUNS, "score"),
        always=True,
        required=True,
    )
    results: Path = where(
        lambda: Path("results").absolute(),
        "results folder (default: results)",
        verbs=(*OF_TASK, *OF_RUNS, "logs", "score"),
    )
    cache: Path = where(
        lambda: Path(os.environ.get("BENCH_CACHE", ".cache")).absolute(),
        "folder of decoded images and baselines (default: $BENCH_CACHE, else .cache)",
        verbs=(*OF_TASK, "clean"),
    )
    data: Path | None = where(
        None, "folder with a subfolder for each dataset (default: $BENCH_DATA)", verbs=(*OF_TASK, "score")
    )
    plugins: tuple[Path, ...] = where(
        (),
        "a Python file with your own method, dataset, backbone, launcher or metrics; can be repeated",
        verbs=(*OF_TASK, *OF_RUNS, "ls", "check", "phantom", "merge", "predict", "score"),
        flag="--plugin",
        action="append",
        metavar="FILE.py",
    )
    splits: Path | None = where(
        None, "read the folds and external sets from a split manifest (default: draw them)", metavar="FILE"
    )
    baseline: Path | None = where(
        None,
        "use your own trained model (a state dict, or a folder of `bench model`) as the baseline; {fold} in the path "
        "stands for the fold",
        metavar="FILE",
    )
    methods: str = what("all", "all, everything, or specs such as swift:epsilon=0.2,bmft (default: all)", always=True)
    backbone: str | None = what(None, "a backbone of the task (default: its first)", verbs=(*RUNS, "model"))
    folds: tuple[int, ...] | None = what(None, "folds, such as 0,1,2 (default: all)", read=numbers)
    seeds: tuple[int, ...] = what((0,), "seeds, such as 0,1 (default: 0)", read=numbers)
    ablate: str | None = what(
        None,
        "compare the settings of a method parameter, or variants of the task (external, epochs, a field with choices)",
        verbs=("run",),
        metavar="FIELD",
    )
    force: bool = how(False, "recompute finished cells", again=True)
    keep_models: bool = how(False, "keep the weights of each cell, for `bench model`", again=True)
    jobs: int | None = how(
        None,
        "cells to compute at a time (default: one per GPU; without GPUs, as many as fit on the cores)",
        verbs=(*RUNS, "prepare"),
        read=positive,
        metavar="N",
    )
    gpus: tuple[str, ...] = how((), "GPUs to use, such as 0,1; each cell uses one", verbs=RUNS, read=words)
    per_gpu: int | None = how(
        None,
        "cells that share a GPU (default: 1), on all visible GPUs or on --gpus; a cell that runs out of memory is "
        "tried again alone",
        verbs=RUNS,
        read=positive,
        metavar="N",
    )
    on: str = how("local", "a launcher of `bench ls launchers` (default: local)", metavar="LAUNCHER")
    profile: str | None = how(
        None, "with --on slurm: resources of the jobs, a profile in slurm/ or a .toml file (default: plain)"
    )
    group_by: str | None = how(
        None,
        "with --on slurm: a job per cell, or one per fold with its baseline and all methods (default: cell)",
        choices=("cell", "fold"),
        metavar="UNIT",
    )
    dry_run: bool = how(False, "print the cells and their states, and compute nothing")
    selecting: bool = False
    """Score on the holdout of each fold, without test sets (see `bench.data.external`). Only `bench tune` sets it."""


@dataclass(frozen=True)
class Option:
    """A field of `Settings` as an option of the command line."""

    field: dataclasses.Field[Any]

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def group(self) -> str:
        return self.field.metadata["group"]

    @property
    def flag(self) -> str:
        return self.field.metadata["argument"].get("flag", f"--{self.name.replace('_', '-')}")

    @property
    def repeated(self) -> bool:
        """Whether it can be given several times."""
        return self.field.metadata["argument"].get("action") == "append"

    def add(self, parser: Any, **changes: Any) -> None:
        """Add it to a parser or a group of one; `changes` replace arguments of argparse."""
        facts = self.field.metadata
        given = {key: value for key, value in facts["argument"].items() if key != "flag"}
        given |= {"action": "store_true"} if self.field.default is False else {"type": facts["read"]}
        # None means "not given": the default is that of the field.
        parser.add_argument(self.flag, default=None, **{"help": facts["says"], **given, **changes})

    def value(self, args: argparse.Namespace) -> Any:
        """Return the value on the command line, with absolute paths; None if it is not given."""
        given = getattr(args, self.flag.lstrip("-").replace("-", "_"), None)
        if given is None or self.field.metadata["read"] is not Path:
            return ",".join(given) if isinstance(given, list) else given
        return tuple(path.absolute() for path in given) if isinstance(given, list) else given.absolute()

    def convert(self, value: Any) -> Any:
        """Return a value that was given in Python; raises UsageError if the command line would not take it."""
        facts = self.field.metadata
        every = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        if self.repeated and facts["read"] is Path:
            return tuple(Path(one).absolute() for one in every)
        if self.field.default is False:
            if not isinstance(value, bool):
                raise UsageError(f"{self.name} must be True or False, not {value!r}")
            return value
        text = ",".join(map(str, every))
        if text not in (allowed := facts["argument"].get("choices", [text])):
            raise UnknownName(self.name, text, allowed)
        try:
            found = facts["read"](text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{self.name}: {error}") from None
        return found.absolute() if facts["read"] is Path else found

    def words(self, value: Any) -> list[str]:
        """Return the words of a command that set it to a value."""
        if value is True:
            return [self.flag]
        if isinstance(value, tuple) and self.field.metadata["read"] is Path:
            return [word for path in value for word in (self.flag, short(path))]
        return [self.flag, ",".join(map(str, value)) if isinstance(value, tuple) else short(value)]


OPTIONS = tuple(Option(field) for field in dataclasses.fields(Settings) if field.metadata)


def _options(verb: str, group: str) -> list[Option]:
    """Return the options of a command under a heading, without a task that has no flag."""
    found = [one for one in OPTIONS if verb in one.field.metadata["verbs"] and one.field.metadata["group"] == group]
    return [one for one in found if one.field.name != "task" or verb not in POSITIONAL]


def arguments(parser: argparse.ArgumentParser, verb: str, **changes: dict[str, Any]) -> None:
    """Add the options of a command to its parser, under headings.

    `changes` replace arguments of argparse, by option. A command that takes the task without a flag adds it itself.
    """
    for group in GROUPS:
        if options := _options(verb, group):
            heading = parser.add_argument_group(group)
            for option in options:
                option.add(heading, **changes.get(option.field.name, {}))


def read_settings(args: argparse.Namespace) -> Settings:
    """Return the settings given by the options of a command; without a task, its name is empty."""
    values = {option.field.name: option.value(args) for option in OPTIONS}
    return Settings(**{"task": "", **{name: value for name, value in values.items() if value is not None}})


def from_values(task: str | Path | Sequence[str], values: Mapping[str, Any]) -> Settings:
    """Return the settings of a call from Python; texts are parsed as on the command line, lists are joined by commas.

    Raises:
        UsageError: a name or a value that is not allowed.
    """
    named = {option.name: option for option in OPTIONS}
    found: dict[str, Any] = {}
    for name, value in {"task": task, **values}.items():
        if name not in named:
            raise UnknownName("option", name, named)
        if value is not None:
            found[name] = named[name].convert(value)
    return Settings(**found)


def given(args: argparse.Namespace) -> list[str]:
    """Return the names of the settings that the command line gives."""
    return [option.name for option in OPTIONS if option.value(args) is not None]


def command(verb: str, settings: Settings, *more: str) -> str:
    """Return a shell command that repeats the settings for which `verb` has an option, except defaults.

    `more` are further words: arguments without a flag, or other flags.
    """
    found, usual = ["bench", verb, *([short(settings.task)] if verb in POSITIONAL else []), *more], Settings("")
    for option in (option for group in GROUPS for option in _options(verb, group)):
        facts, value = option.field.metadata, getattr(settings, option.field.name)
        if facts["again"] and value and (facts["always"] or value != getattr(usual, option.field.name)):
            found += option.words(value)
    return shlex.join(found)


def of_task(settings: Settings) -> Settings:
    """Return the same task, files and folders, with every other option at its default."""
    kept = [option.field.name for option in OPTIONS if option.field.metadata["group"] == WHERE]
    return Settings(settings.task, **{name: getattr(settings, name) for name in kept})


def of_tables(settings: Settings) -> Settings:
    """Return what decides the tables and images of a run; runs that differ in methods or folds have equal ones."""
    return dataclasses.replace(of_task(settings), selecting=settings.selecting, backbone=settings.backbone)


def short(value: str | Path) -> str:
    """Return a path below the working directory, or the spec of a task file there, as a relative path."""
    text = str(value)
    base = name_of(text) if isinstance(value, str) else text
    if Path(base).is_absolute() and Path(base).is_relative_to(Path.cwd()):
        inside = os.path.relpath(base)
        return text if inside.startswith("-") else inside + text.removeprefix(base)
    return text


def elsewhere(settings: Settings) -> Settings:
    """Return settings without the folders of this machine, for a command that is run on another one."""
    base, usual = name_of(settings.task), Settings("")
    return dataclasses.replace(
        settings,
        task=Path(base).name + settings.task.removeprefix(base),
        results=usual.results,
        cache=usual.cache,
        data=None,
        plugins=tuple(Path(file.name) for file in settings.plugins),
        splits=settings.splits and Path(settings.splits.name),
        baseline=settings.baseline and Path(settings.baseline.name),
    )
