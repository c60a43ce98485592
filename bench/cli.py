"""The command line. This module does not import torch.

Results go to stdout, progress and errors to stderr. Exit codes: 0 success; 1 some cells failed or a file is invalid
(finished cells are kept); 2 wrong usage; 3 missing data; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import bench
from bench.errors import BenchError, UnknownName, UsageError
from bench.verbs import inputs, plugins, reporting, runs

EPILOG = """examples:
  bench run --methods all --task phantom-cxr-age       run ten methods on five folds; running it again resumes it
  bench report --task phantom-cxr-age                  write tables and figures to reports/phantom-cxr-age/
  bench run --task phantom-cxr-age --ablate external   compare external sets of decreasing size
  bench ls methods swift                               show a method: parameters, source, file
  bench new method my-method                           write a working method in one file, and its test

`bench COMMAND --help` describes the options of a command.
"""


class _Parser(argparse.ArgumentParser):
    """An argparse parser that suggests the nearest right spelling and accepts no abbreviations."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")

    def parse_known_args(self, args: object = None, namespace: object = None) -> object:  # type: ignore[override]
        # Before argparse reports a missing required option: a mistyped option explains why it is missing.
        words = sys.argv[1:] if args is None else list(args)  # type: ignore[call-overload]
        actions = {option: action for action in self._actions for option in action.option_strings}
        options = list(actions)
        leaf = not any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for before, word in pairwise(["", *words]) if leaf else ():
            name, given, value = word.partition("=") if word.startswith("--") else ("", "=", word)
            if name and name not in options:
                raise UnknownName("option", name, options, where=f" of `{self.prog}`")
            if given and not value.strip():  # most often an unset variable of the shell
                what = name or (before if before in options else "an argument")
                self.error(f"{what} is empty: give it a value, or leave it out")
        named = [actions[name] for word in words if (name := word.partition("=")[0]) in actions]
        for action in named if leaf else ():
            if named.count(action) > 1 and not isinstance(action, argparse._AppendAction):
                self.error(f"{action.option_strings[-1]} is given twice")
        return super().parse_known_args(args, namespace)  # type: ignore[arg-type]

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            raise UnknownName(name.lower(), str(value), map(str, action.choices))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    told: list[str] = []
    try:
        args = _parser().parse_args(argv)
        wrong_file = _tell_broken(args.plugin or (), told) if hasattr(args, "plugin") else 0
        return args.call(args) or wrong_file
    except BenchError as error:
        if str(error) not in told:
            print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted; finished cells are kept, run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe closed it (`bench ls | head`); Python would report that again at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _tell_broken(plugins: Sequence[Path], told: list[str]) -> int:
    """Print which plugins are left out and why, add the texts to `told`, and return 1 if one is from `--plugin`."""
    from bench import registry
    from bench.run import launchers as launchers  # registers the launchers, whose problems are included

    told += registry.problems(plugins)
    for text in told:
        print(f"bench: {text}", file=sys.stderr)
    return int(len(told) > len(registry.problems()))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="bench", description=bench.__doc__, epilog=EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"bench {bench.__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for room in (runs, reporting, inputs, plugins):
        room.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
