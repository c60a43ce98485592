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
from bench.run.objective import OBJECTIVES

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
        wrong_file = _tell_broken(getattr(args, "plugin", None), told)
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


def _tell_broken(plugins: Sequence[Path] | None, told: list[str]) -> int:
    """Say which plugins are left out and why, add it to `told`, and return 1 if one was asked for by `--plugin`."""
    if plugins is None:
        return 0
    from bench import registry

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

    run = verbs.add_parser("run", help="compute what is missing of a comparison; again = resume", allow_abbrev=False)
    run.set_defaults(call=_run)
    _cells(run)
    run.add_argument(
        "--ablate",
        metavar="FIELD",
        help="run all settings of a parameter of the methods, or one variant of the task after another: "
        "external, epochs, or a field with choices",
    )
    run.add_argument("--force", action="store_true", help="compute done cells again")
    run.add_argument("--dry-run", action="store_true", help="print the cells and how each stands; compute nothing")
    _folders(run)

    tune = verbs.add_parser("tune", help="choose parameters on held-out validation images", allow_abbrev=False)
    tune.set_defaults(call=_tune)
    _cells(tune)
    tune.add_argument("--trials", type=_positive, default=8, help="most per method and fold (default: 8)")
    tune.add_argument(
        "--objective", choices=tuple(OBJECTIVES), default="constrained", metavar="objective",
        help=f"what is best: {', '.join(OBJECTIVES)} (default: constrained)",
    )  # fmt: skip
    _folders(tune)

    report = verbs.add_parser("report", help="tables and figures of finished cells", allow_abbrev=False)
    report.set_defaults(call=_report)
    report.add_argument("--task", help="as for `bench run` (default: all with results)")
    report.add_argument("--reports", type=Path, default=Path("reports"), help="where to write (default: reports)")
    report.add_argument(
        "--min-cell", type=_positive, default=0, metavar="N",
        help="withhold counts and metrics by group where a group and class has fewer images (default: show all)",
    )  # fmt: skip
    _folders(report)

    ls = verbs.add_parser(
        "ls", help="list methods, datasets, tasks, metrics and the register, or show one", allow_abbrev=False
    )
    ls.set_defaults(call=_ls)
    ls.add_argument("what", nargs="?", choices=("methods", "datasets", "tasks", "metrics", "register"), metavar="what")
    ls.add_argument("name", nargs="?", help="one of them")
    _plugins(ls)

    check = verbs.add_parser("check", help="run the conformance checks on methods", allow_abbrev=False)
    check.set_defaults(call=_check)
    check.add_argument("names", nargs="+", metavar="name", help="a method, or all")
    _plugins(check)

    new = verbs.add_parser("new", help="write a working plugin and its test", allow_abbrev=False)
    new.set_defaults(call=_new)
    new.add_argument("kind", choices=("method",), metavar="kind")
    new.add_argument("name", help="such as my-method")
    new.add_argument("--folder", type=Path, default=Path(), help="where to write (default: here)")
    return parser


def _cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        required=True,
        help="a name of `bench ls tasks` or a .toml file, or a variant such as phantom-cxr-age:external=0.2,epochs=20",
    )
    parser.add_argument("--methods", default="all", help="all, or specs such as swift:epsilon=0.2,bmft (default: all)")
    parser.add_argument("--backbone", help="one of the task's (default: its first)")
    parser.add_argument("--folds", type=_numbers, help="such as 0,1,2 (default: all of the task)")
    parser.add_argument("--seeds", type=_numbers, default=(0,), help="such as 0,1 (default: 0)")
    parser.add_argument("--jobs", type=_positive, help="cells at a time (default: cores / threads of the recipe)")


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="cells (default: results)")
    parser.add_argument("--cache", type=Path, help="decoded images and baselines (default: $BENCH_CACHE, else .cache)")
    parser.add_argument("--data", type=Path, help="one folder per source in it (default: $BENCH_DATA)")
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="folds and external sets of a manifest (default: cut anew, alike)"
    )
    _plugins(parser)


def _plugins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin", type=Path, action="append", default=[], metavar="FILE.py", help="a plugin of your own; repeatable"
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers joined by commas expected") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number of 1 or more expected")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from bench.run import ablate, launch

    wanted = launch.Wanted(args.methods, args.backbone, args.folds, args.seeds, args.force)
    runs = [(wanted, launch.settings(args))]
    if args.ablate is not None:
        runs = ablate.ablation(args.ablate, *runs[0])
    if args.dry_run:
        return max([launch.print_plan(*run) for run in runs])
    return max([launch.print_run(*run, jobs=args.jobs) for run in runs])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import launch, tune

    wanted = launch.Wanted(args.methods, args.backbone, args.folds, args.seeds)
    return tune.print_tune(wanted, launch.settings(args), trials=args.trials, objective=args.objective, jobs=args.jobs)


def _report(args: argparse.Namespace) -> int:
    from bench.report.command import report_tasks
    from bench.run import launch

    return report_tasks(args.task, args.reports, launch.settings(args), min_cell=args.min_cell)


def _ls(args: argparse.Namespace) -> int:
    from bench import listing

    print(listing.show(args.what, args.name, tuple(args.plugin)))
    return 0


def _check(args: argparse.Namespace) -> int:
    from bench.checks import check_methods

    return check_methods(args.names, tuple(args.plugin))


def _new(args: argparse.Namespace) -> int:
    from bench.templates import write_method

    for file in write_method(args.name, args.folder):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
