"""The command line: parse, call, print. Nothing here imports torch.

Results go to stdout, progress and errors to stderr. Exit 0 done, 1 some cells failed or a file is wrong (what is
done is kept), 2 wrong usage, 3 data missing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import bench
from bench.errors import BenchError, UnknownName, UsageError
from bench.verbs import computing, inputs, life, plugins, reporting

EPILOG = """examples:
  bench run --methods all --task phantom-cxr-age    ten methods, five folds; again = resume
  bench report --task phantom-cxr-age               tables and figure in reports/phantom-cxr-age/
  bench run --task phantom-cxr-age --ablate external   less and less of the external set, down to none
  bench ls methods swift                            one method: parameters, source, file
  bench new method my-method                        a working method in one file, and its test
"""


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest right spelling."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")

    def parse_known_args(self, args: object = None, namespace: object = None) -> object:  # type: ignore[override]
        # Before argparse's own complaint of what is required: a mistyped option explains why it is missing.
        words = sys.argv[1:] if args is None else list(args)  # type: ignore[call-overload]
        options = [option for action in self._actions for option in action.option_strings]
        leaf = not any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for word in words if leaf else ():
            if word.startswith("--") and word.partition("=")[0] not in options:
                raise UnknownName("option", word.partition("=")[0], options, where=f" of `{self.prog}`")
        return super().parse_known_args(args, namespace)  # type: ignore[arg-type]

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            raise UnknownName(name, str(value), map(str, action.choices))


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
        print("bench: interrupted; what is done is kept, the same command resumes", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away (`bench ls | head`); Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _tell_broken(plugins: Sequence[Path], told: list[str]) -> int:
    """Say which plugins are left out and why, add it to `told`, and return 1 if one was asked for by `--plugin`."""
    from bench import registry
    from bench.run import launchers as launchers  # its registry is among those that are surveyed

    told += registry.problems(plugins)
    for text in told:
        print(f"bench: {text}", file=sys.stderr)
    return int(len(told) > len(registry.problems()))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bench",
        description=bench.__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bench {bench.__version__}")
    verbs = parser.add_subparsers(metavar="command", required=True, parser_class=_Parser)

    for room in (computing, reporting, inputs, life, plugins):
        room.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
