"""The command line. This module does not import torch.

Results go to stdout, progress and errors to stderr. Exit codes: 0 success; 1 some cells failed or a file is invalid
(finished cells are kept); 2 wrong usage; 3 missing data; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import bench
from bench.errors import BenchError, UnknownName, UsageError, clean
from bench.processes import open_streams
from bench.registry import METHODS
from bench.spec import canonical, name_of
from bench.tasks import TASKS
from bench.verbs import inputs, models, plugins, readers, runs

EPILOG = """examples:
  bench run --methods all --task phantom-cxr-age       run ten methods on five folds; running it again resumes it
  bench report --task phantom-cxr-age                  write tables and figures to reports/phantom-cxr-age/
  bench run --task phantom-cxr-age --ablate external   compare external sets of decreasing size
  bench ls methods swift                               show a method: parameters, source, file
  bench new method my-method                           write a working method in one file, and its test

`bench COMMAND --help` describes the options of a command.
"""


REMEDIES = {
    errno.ENAMETOOLONG: "use a shorter name, or folders with shorter paths",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EPERM: "check the permissions, or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOSPC: "free some space and run the same command again; finished cells are kept",
    errno.EDQUOT: "free some space and run the same command again; finished cells are kept",
    errno.EISDIR: "give the path of a file",
    errno.ENOTDIR: "one of its folders is a file: choose another path",
    errno.ENOENT: "check that the path exists",
    errno.ENOMEM: "use a machine with more memory, or fewer --jobs; finished cells are kept",
    errno.EAGAIN: "use fewer --jobs, or raise the limit of processes (`ulimit -u`); finished cells are kept",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}
"""What to do about an error of the operating system that no command expects."""


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
        if not leaf and words and words[0].startswith("-") and words[0] not in options:
            self.error(f"unexpected '{words[0]}': a command comes first, as in `bench run` or `bench ls`")
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
            if name == "COMMAND":
                _refuse_name(str(value))
            raise UnknownName(name.lower(), str(value), map(str, action.choices))


def _refuse_name(word: str) -> None:
    """Refuse the name of a method or a task in place of a command."""
    if canonical(word) in METHODS.catalogue():
        shows = f"`bench ls methods {word}` shows it, and `bench run --methods {word} --task NAME` runs it"
        raise UsageError(f"'{word}' is a method and no command: {shows}")
    if word in TASKS or word.endswith(".toml"):
        raise UsageError(f"'{word}' is a task and no command: `bench run --task {shlex.quote(word)}` runs it")


class _Version(argparse.Action):
    """Asks git for the commit when `--version` is given, not for every command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from bench.running.environment import version_line

        print(version_line())
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    open_streams()
    told: list[str] = []
    try:
        try:
            return _called(argv, told)
        finally:
            _flush()
    except BenchError as error:
        if str(error) not in told:
            print(f"bench: {clean(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted; finished cells are kept, run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe closed it (`bench ls | head`); Python would report that again at shutdown.
        _drop_output()
        return 0
    except OSError as error:
        print(f"bench: {clean(_of_system(error))}", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"bench: {clean(_unexpected_error(error))}", file=sys.stderr)
        return 1


def _called(argv: Sequence[str] | None, told: list[str]) -> int:
    if sys.platform == "win32":
        raise UsageError(
            "bench runs on Linux and macOS: on Windows, install it in the Windows Subsystem for Linux (WSL)"
        )
    parser = _parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    elif words[:1] == ["version"]:
        words = ["--version"]
    _refuse_bytes(words)
    args, more = parser.parse_known_args(words)
    if more:
        parser.error(_unexpected(more, args))
    for name in ("results", "cache", "data", "reports"):
        if isinstance(given := getattr(args, name, None), Path) and given.is_file():
            raise UsageError(f"--{name} {given} is a file: give a folder")
    wrong_file = _tell_broken(args.plugin or (), told) if hasattr(args, "plugin") else 0
    return args.call(args) or wrong_file


def _refuse_bytes(words: Sequence[str]) -> None:
    """Refuse paths that are no text, which no file of the results can name."""
    with contextlib.suppress(OSError):
        words = [*words, str(Path.cwd())]
    for word in words:
        if any("\ud800" <= sign <= "\udfff" for sign in word):
            raise UsageError(f"{word!a} is not UTF-8, in which names are stored: rename the file or folder")


def _flush() -> None:
    """Write what waits for stdout, so that a full disk can still be told of."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """Send what is still to be written to stdout nowhere; Python would fail at it again at shutdown."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_system(error: OSError) -> str:
    """Return which file the operating system refused, why, and what to do."""
    why = error.strerror or str(error)
    if error.filename is not None:
        remedy = REMEDIES.get(error.errno or 0, "check this path and its permissions")
        return f"{os.fsdecode(error.filename)}: {why}: {remedy}"
    try:
        os.getcwd()  # noqa: PTH109  Path.cwd() is this
    except OSError:
        return "the current folder does not exist any more: change to one that does"
    of_file = "" if error.errno in (errno.ENOMEM, errno.EAGAIN) else " (of the output or of a file)"
    return f"{why}{of_file}: {REMEDIES.get(error.errno or 0, 'run the same command again')}"


def _unexpected_error(error: Exception) -> str:
    """Return an error that is not ours in a line, with the file that its traceback was written to."""
    line = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
    if isinstance(error, MemoryError) or "can't start new thread" in line:
        return f"too little memory ({line}): use a machine with more, or fewer --jobs; finished cells are kept"
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"unexpected {line}\n{text}"
    return f"unexpected {line}. Please report it with its traceback, which is in {file.name}"


def _unexpected(words: Sequence[str], args: argparse.Namespace) -> str:
    """Return what is wrong with words that no argument takes: most often a task without its flag."""
    takes_task = hasattr(args, "task") and args.task is None and not words[0].startswith("-")
    hint = f": did you mean --task {shlex.quote(words[0])}?" if takes_task else ""
    if hasattr(args, "methods") and canonical(name_of(words[0])) in METHODS.catalogue():
        hint = ": methods follow --methods, joined by commas without spaces, as in --methods swift,bmft"
    return f"unexpected {', '.join(map(repr, words))}{hint}"


def _tell_broken(plugins: Sequence[Path], told: list[str]) -> int:
    """Print which plugins are left out and why, add the texts to `told`, and return 1 if one is from `--plugin`."""
    from bench import registry
    from bench.running import launchers as launchers  # registers the launchers, whose problems are included

    told += registry.problems(plugins)
    for text in told:
        print(f"bench: {text}", file=sys.stderr)
    return int(len(told) > len(registry.problems()))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    about = (bench.__doc__ or "").partition("\n")[0]  # what follows is for Python
    parser = _Parser(prog="bench", description=about, epilog=EPILOG, formatter_class=raw)
    parser.add_argument("--version", action=_Version, nargs=0, help="print version and commit")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for room in (runs, models, readers, inputs, plugins):
        room.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
