"""`bench ls`, `check` and `new`: commands for plugins."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.files import shipped
from bench.settings import Settings, command, read_settings
from bench.verbs import add_verb

NEW = ("method", "backbone", "task", "plan", "profile")
"""What `bench new` writes."""


def add(verbs: Any) -> None:
    """Add the commands."""
    ls = add_verb(
        verbs,
        "ls",
        _ls,
        "list methods, datasets, backbones, launchers, tasks, metrics or the register; or show one item",
    )
    kinds = ("methods", "datasets", "backbones", "launchers", "tasks", "metrics", "register")
    ls.add_argument("what", nargs="?", choices=kinds, metavar="kind", help=f"{', '.join(kinds)} (default: all)")
    ls.add_argument("name", nargs="?", help="show this item with its parameters, source and file")

    check = add_verb(verbs, "check", _check, "run the conformance checks on methods and backbones")
    check.add_argument("names", nargs="+", metavar="name", help="a method or backbone, or all (methods)")

    new = add_verb(
        verbs, "new", _new, "write a start in one file: a method or backbone with its test, a task, a plan or a profile"
    )
    new.add_argument("kind", choices=NEW, metavar="kind", help=", ".join(NEW))
    new.add_argument("name", help="its name, such as my-method, my-films or my-cluster")
    new.add_argument("--csv", type=Path, metavar="FILE", help="of a task: the table of your images")
    new.add_argument("--like", metavar="PROFILE", help="of a profile: the one to start from (default: plain)")
    new.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="folder to write to (default: here)")


def _ls(args: argparse.Namespace) -> int:
    from bench import listing

    print(listing.show(args.what, args.name, read_settings(args).plugins))
    return 0


def _check(args: argparse.Namespace) -> int:
    from bench.checks import check_plugins

    return check_plugins(args.names, read_settings(args).plugins)


def _new(args: argparse.Namespace) -> int:
    from bench.running.launchers.slurm.profile import find_profile
    from bench.templates import write_copy, write_plugin
    from bench.templates.new_task import write_task

    for kind, option, value in (("task", "--csv", args.csv), ("profile", "--like", args.like)):
        if value is not None and args.kind != kind:
            raise UsageError(f"{option} belongs to `bench new {kind}`, not to `bench new {args.kind}`")
    if args.kind in ("method", "backbone"):
        for file in write_plugin(args.kind, args.name, args.folder):
            print(file)
        return 0
    target = args.folder / f"{args.name.removesuffix('.toml')}.toml"
    if args.kind == "plan":
        file = write_copy(shipped("examples") / "plan.toml", target)
        print(f"{file}: an example to edit, then `{shlex.join(['bench', 'run', str(file), '--dry-run'])}`")
        return 0
    if args.kind == "profile":
        file = write_copy(find_profile(args.like or "plain"), target)
        print(
            f"{file}: set partition, account and times, then `bench run --on slurm --profile {shlex.quote(str(file))}`"
        )
        return 0
    if args.csv is None:
        raise UsageError("a task is made from a table of images: give it with --csv FILE")
    file = write_task(args.name, args.csv, args.folder)
    again = command("doctor", Settings(str(file), data=args.csv.parent.absolute()))
    print(f"{file}: correct the marked lines, then `{again}`")
    return 0
