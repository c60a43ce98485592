"""`bench ls`, `check` and `new`: what looks at methods and makes them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.settings import arguments, read_settings


def add(verbs: Any) -> None:
    """Add them to the command line."""
    _add_ls(verbs)
    _add_check(verbs)
    _add_new(verbs)


def _add_ls(verbs: Any) -> None:
    ls = verbs.add_parser(
        "ls", help="list methods, datasets, launchers, tasks, metrics and the register, or show one", allow_abbrev=False
    )
    ls.set_defaults(call=_ls)
    kinds = ("methods", "datasets", "launchers", "tasks", "metrics", "register")
    ls.add_argument("what", nargs="?", choices=kinds, metavar="what")
    ls.add_argument("name", nargs="?", help="one of them")
    arguments(ls, "ls")


def _add_check(verbs: Any) -> None:
    check = verbs.add_parser("check", help="run the conformance checks on methods", allow_abbrev=False)
    check.set_defaults(call=_check)
    check.add_argument("names", nargs="+", metavar="name", help="a method, or all")
    arguments(check, "check")


def _add_new(verbs: Any) -> None:
    new = verbs.add_parser("new", help="write a working plugin and its test", allow_abbrev=False)
    new.set_defaults(call=_new)
    new.add_argument("kind", choices=("method",), metavar="kind")
    new.add_argument("name", help="such as my-method")
    new.add_argument("--folder", type=Path, default=Path(), help="where to write (default: here)")


def _ls(args: argparse.Namespace) -> int:
    from bench import listing

    print(listing.show(args.what, args.name, read_settings(args).plugins))
    return 0


def _check(args: argparse.Namespace) -> int:
    from bench.checks import check_methods

    return check_methods(args.names, read_settings(args).plugins)


def _new(args: argparse.Namespace) -> int:
    from bench.templates import write_method

    for file in write_method(args.name, args.folder):
        print(file)
    return 0
