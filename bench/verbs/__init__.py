"""The commands of `bench`, one module for each kind; `add` adds them to the command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from bench.errors import UsageError
from bench.settings import Settings, arguments
from bench.taskfile import each, fields_of, vary
from bench.tasks import PRESETS


def add_verb(
    verbs: Any, name: str, call: Callable[[argparse.Namespace], int], says: str, **changes: dict[str, Any]
) -> argparse.ArgumentParser:
    """Add a command with its options of `Settings`, and return its parser.

    Args:
        call: runs the command and returns the exit code.
        says: one line of help.
        changes: see `bench.settings.arguments`.
    """
    parser = verbs.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
    parser.set_defaults(call=call)
    arguments(parser, name, **changes)
    return parser


def add_paper(parser: argparse.ArgumentParser, says: str) -> None:
    """Add the options that choose the paper's tables and figures, and a preset."""
    parser.add_argument("--paper", action="store_true", help=says)
    parser.add_argument("--twins", action="store_true", help="with --paper: of the phantoms that stand for its tasks")
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default="suite",
        metavar="PRESET",
        help="preset of task, recipe and methods: suite, paper as printed, or reference, its public code "
        "(default: suite)",
    )


def paper_tasks(args: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """Return the name of the paper's report, and the spec of the task that stands for each of its tasks."""
    from bench.reporting.numbers.paper_layout import tasks

    name = "phantom-twins" if args.twins else "paper"
    suffix = "" if args.preset == "suite" else f"-{args.preset}"
    return name + suffix, tasks(twins=args.twins, preset=args.preset)


def paper_flags(args: argparse.Namespace) -> list[str]:
    """Return the options of `add_paper` as they were given."""
    preset = [] if args.preset == "suite" else ["--preset", args.preset]
    return ["--paper", *(["--twins"] if args.twins else []), *preset]


def with_preset(settings: Settings, args: argparse.Namespace) -> Settings:
    """Return the settings of one or more tasks under `--preset`.

    Raises:
        UsageError: a task names another preset, or `--twins` is given without `--paper`.
    """
    if args.twins and not args.paper:
        raise UsageError("--twins belongs to --paper")
    if args.preset == "suite" or not settings.task:
        return settings
    from bench.running.plan_file import tasks_of

    specs = tasks_of(settings.task)
    for spec in specs:
        if (named := fields_of(spec)[1].get("preset", args.preset)) != args.preset:
            raise UsageError(f"--preset {args.preset}: {spec} names the preset {named}: leave one of the two out")
    every = (one for spec in specs for one in each(spec))
    return dataclasses.replace(settings, task=",".join(vary(spec, "preset", args.preset) for spec in every))
