"""`bench ls`, `check` and `new`: commands for plugins."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.settings import Settings, command, read_settings
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add the commands."""
    ls = add_verb(
        verbs, "ls", _ls, "list methods, datasets, launchers, tasks, metrics or the register; or show one item"
    )
    kinds = ("methods", "datasets", "launchers", "tasks", "metrics", "register")
    ls.add_argument("what", nargs="?", choices=kinds, metavar="kind", help=f"{', '.join(kinds)} (default: all)")
    ls.add_argument("name", nargs="?", help="show this item with its parameters, source and file")

    check = add_verb(verbs, "check", _check, "run the conformance checks on methods")
    check.add_argument("names", nargs="+", metavar="name", help="a method, or all")

    new = add_verb(verbs, "new", _new, "write a working method in one file, and its test; or a task file for a table")
    new.add_argument("kind", choices=("method", "task"), metavar="kind", help="method or task")
    new.add_argument("name", help="the name of the method or task, such as my-method or my-films")
    new.add_argument("--csv", type=Path, metavar="FILE", help="of a task: the table of your images")
    new.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="folder to write to (default: here)")


def _ls(args: argparse.Namespace) -> int:
    from bench import listing

    print(listing.show(args.what, args.name, read_settings(args).plugins))
    return 0


def _check(args: argparse.Namespace) -> int:
    from bench.checks import check_methods

    return check_methods(args.names, read_settings(args).plugins)


def _new(args: argparse.Namespace) -> int:
    from bench.templates import write_method
    from bench.templates.new_task import write_task

    if args.kind == "method":
        for file in write_method(args.name, args.folder):
            print(file)
        return 0
    if args.csv is None:
        raise UsageError("a task is made from a table of images: give it with --csv FILE")
    file = write_task(args.name, args.csv, args.folder)
    again = command("doctor", Settings(str(file), data=args.csv.parent.absolute()))
    print(f"{file}: correct the marked lines, then `{again}`")
    return 0
