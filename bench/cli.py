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
from typing import Any, NoReturn

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
    run.add_argument("--on", choices=("local", "slurm"), default="local", metavar="where", help="local or slurm")
    run.add_argument(
        "--profile", default="plain", help="of slurm/, or a .toml file: what jobs ask for (default: plain)"
    )
    run.add_argument(
        "--group-by", choices=("cell", "fold"), default="cell", metavar="unit",
        help="with --on slurm: a job per cell, or one per fold with its baseline and all methods (default: cell)",
    )  # fmt: skip
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
    report.add_argument("--task", help="as for `bench run`")
    report.add_argument("--all", action="store_true", help="all tasks with results, and the page that links them")
    report.add_argument("--reports", type=Path, default=Path("reports"), help="where to write (default: reports)")
    _add_min_cell(report)
    report.add_argument(
        "--from", type=Path, dest="archive", metavar="FILE",
        help="an archive of `bench export`, instead of results: needs neither its data nor its task",
    )  # fmt: skip
    report.add_argument(
        "--published", action="store_true", help="statistics over the paper's own numbers instead, in REPORTS/published"
    )
    report.add_argument(
        "--paper", action="store_true", help="the paper's tables and figures from its tasks, in REPORTS/paper"
    )
    report.add_argument(
        "--twins", action="store_true", help="the same from phantoms in their place, in REPORTS/phantom-twins"
    )
    report.add_argument(
        "--only", metavar="NAMES", help="of --task, --paper or --twins these artefacts alone, joined by commas"
    )
    report.add_argument("--list", action="store_true", help="print artefacts, and what makes those that are missing")
    _folders(report)

    _add_export(verbs)
    _add_merge(verbs)
    _add_prepare(verbs)
    _add_doctor(verbs)
    _add_life(verbs)
    _add_metrics(verbs)

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
    _add_phantom(verbs)
    return parser


def _add_export(verbs: Any) -> None:
    parser = verbs.add_parser(
        "export", help="the results of a task in one archive, to be read elsewhere", allow_abbrev=False
    )
    parser.set_defaults(call=_export)
    parser.add_argument("--task", required=True, help="as for `bench run`")
    parser.add_argument("--out", type=Path, metavar="FILE.tar.gz", help="where to write (default: TASK.tar.gz here)")
    parser.add_argument(
        "--with-predictions", action="store_true", help="also every prediction, with the ids of images (default: none)"
    )
    _add_min_cell(parser)
    _folders(parser)


def _add_merge(verbs: Any) -> None:
    parser = verbs.add_parser("merge", help="results of several sites in one report", allow_abbrev=False)
    parser.set_defaults(call=_merge)
    parser.add_argument("sites", nargs="+", type=Path, metavar="SITE", help="an archive of `bench export`, or results")
    parser.add_argument("--names", type=_words, help="of the sites, such as north,south (default: of their files)")
    parser.add_argument("--task", help="which, where results are of several")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/TASK-merged)")
    _add_min_cell(parser)
    _plugins(parser)


def _add_min_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-cell", type=_positive, default=0, metavar="N",
        help="withhold counts and metrics by group where a group and class has fewer images (default: show all)",
    )  # fmt: skip


def _add_prepare(verbs: Any) -> None:
    parser = verbs.add_parser(
        "prepare", help="decode images and fetch weights, before a run needs them", allow_abbrev=False
    )
    parser.set_defaults(call=_prepare)
    parser.add_argument("task", help="as for `bench run --task`")
    parser.add_argument("--verify", action="store_true", help="hold every image against its checksum")
    parser.add_argument("--jobs", type=_positive, help="processes that decode (default: all cores)")
    _folders(parser)


def _add_doctor(verbs: Any) -> None:
    parser = verbs.add_parser("doctor", help="what is wrong with the data of a task or a dataset", allow_abbrev=False)
    parser.set_defaults(call=_doctor)
    parser.add_argument("task", help="a task as for `bench run --task`, or a dataset such as nih_cxr14")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--fast", action="store_true", help="tables, and images that are decoded already (the default)")
    depth.add_argument("--full", action="store_true", help="decode every image, into the cache that a run would make")
    parser.add_argument("--json", action="store_true", help="for machines: counts, and no name of an image")
    _folders(parser)


def _add_life(verbs: Any) -> None:
    """Add the verbs that look after runs: all of them know from the results what was asked for."""
    status = verbs.add_parser("status", help="how runs stand: counts, ETA, failures", allow_abbrev=False)
    status.set_defaults(call=_status)
    status.add_argument("--watch", action="store_true", help="again and again, until nothing runs or waits")
    status.add_argument("--json", action="store_true", help="for machines; every cell")

    logs = verbs.add_parser("logs", help="what the last attempt at a cell said", allow_abbrev=False)
    logs.set_defaults(call=_logs)
    logs.add_argument("cell", help="as `bench status` prints it, or an unambiguous part")
    logs.add_argument("--all", action="store_true", help="all attempts")

    retry = verbs.add_parser("retry", help="run failed or stale cells again, where they ran", allow_abbrev=False)
    retry.set_defaults(call=_retry)
    retry.add_argument("cell", nargs="?", help="one cell")
    retry.add_argument("--failed", action="store_true", help="all that failed, and what they blocked")
    retry.add_argument("--stale", action="store_true", help="all of other images or settings, or whose process is gone")

    cancel = verbs.add_parser("cancel", help="cancel jobs and stop runs on this machine", allow_abbrev=False)
    cancel.set_defaults(call=_cancel)

    clean = verbs.add_parser("clean", help="remove logs of done cells and what killed runs left", allow_abbrev=False)
    clean.set_defaults(call=_clean)
    clean.add_argument("--dry-run", action="store_true", help="print what would be removed")
    clean.add_argument("--cache", type=Path, help="decoded images and baselines (default: $BENCH_CACHE, else .cache)")

    for parser in (status, logs, retry, cancel, clean):
        parser.add_argument("--results", type=Path, default=Path("results"), help="cells (default: results)")
        if parser is not logs:
            parser.add_argument("--task", help="one task (default: all with a run in the results)")


def _add_metrics(verbs: Any) -> None:
    parser = verbs.add_parser("metrics", help="scores of stored cells anew, from their predictions", allow_abbrev=False)
    parser.set_defaults(call=_metrics)
    parser.add_argument("--recompute", action="store_true", help="write what changes: new metrics, new definitions")
    parser.add_argument("--task", help="as for `bench run` (default: all with cells)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="cells (default: results)")


def _add_phantom(verbs: argparse._SubParsersAction[_Parser]) -> None:
    phantom = verbs.add_parser(
        "phantom", help="write generated images in the layout of an official release", allow_abbrev=False
    )
    phantom.set_defaults(call=_phantom)
    phantom.add_argument("names", nargs="+", metavar="dataset", help="such as mimic_cxr")
    phantom.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the trees come to DIR/DATASET: later pass --data DIR"
    )
    phantom.add_argument("--images", type=_phantom_images, default=1000, help="40 to 50000 a tree (default: 1000)")
    phantom.add_argument("--seed", type=_seed, default=0, help="another seed gives other people (default: 0)")
    _plugins(phantom)


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
    parser.add_argument(
        "--jobs", type=_positive, help="cells at a time (default: one per GPU, else cores / threads of the recipe)"
    )
    parser.add_argument("--gpus", type=_words, default=(), help="such as 0,1: each cell sees one of them")


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="cells (default: results)")
    parser.add_argument("--cache", type=Path, help="decoded images and baselines (default: $BENCH_CACHE, else .cache)")
    parser.add_argument("--data", type=Path, help="one folder per source in it (default: $BENCH_DATA)")
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="folds and external sets of a manifest (default: cut anew, alike)"
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE",
        help="a trained model of your own (state dict; {fold} for one per fold) in place of pre-training",
    )  # fmt: skip
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


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise argparse.ArgumentTypeError(f"'{text}': numbers or names of GPUs joined by commas expected")
    return words


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number of 1 or more expected")
    return int(text)


def _phantom_images(text: str) -> int:
    # Below 40 not every planted fault occurs; above 50,000 the running numbers leave their range.
    if not text.isdigit() or not 40 <= int(text) <= 50_000:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 40 to 50000 expected")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}': a whole number of 0 or more expected")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from bench.run import ablate, launch

    wanted = launch.Wanted(args.methods, args.backbone, args.folds, args.seeds, args.force)
    runs = [(wanted, launch.settings(args))]
    if args.ablate is not None:
        runs = ablate.ablation(args.ablate, *runs[0])
    if args.on == "slurm":
        from bench.run.slurm.submit import print_submission

        how = {"name": args.profile, "group_by": args.group_by, "dry_run": args.dry_run}
        return max([print_submission(*run, **how) for run in runs])
    if args.dry_run:
        return max([launch.print_plan(*run) for run in runs])
    return max([launch.print_run(*run, slots=launch.Slots(args.jobs, args.gpus)) for run in runs])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import launch, tune

    wanted = launch.Wanted(args.methods, args.backbone, args.folds, args.seeds)
    slots = launch.Slots(args.jobs, args.gpus)
    return tune.print_tune(wanted, launch.settings(args), trials=args.trials, objective=args.objective, slots=slots)


def _report(args: argparse.Namespace) -> int:
    from bench.report import command, every_task
    from bench.report.paper import ITSELF, TWINS
    from bench.run import launch

    scopes = {
        "--task": args.task, "--all": args.all, "--paper": args.paper, "--twins": args.twins,
        "--published": args.published, "--from": args.archive,
    }  # fmt: skip
    given = [name for name, value in scopes.items() if value]
    if len(given) != 1:
        raise UsageError(f"{' and '.join(given) or 'a report of what'}: one of {', '.join(scopes)} is needed")
    if (args.list or args.only) and given[0] in ("--published", "--from"):
        raise UsageError(f"{given[0]} is one report: without --list and --only")
    if args.only and args.all:
        raise UsageError("--only is of one report: name it by --task, --paper or --twins")
    settings = launch.settings(args)
    if args.published:
        return command.report_published(args.reports)
    if args.archive:
        from bench.share.command import report_archive

        return report_archive(args.archive, args.reports, min_cell=args.min_cell)
    if args.paper or args.twins:
        names, place = (ITSELF, "paper") if args.paper else (TWINS, "phantom-twins")
        if args.list:
            return command.list_paper(names, settings)
        return command.report_paper(names, args.reports / place, settings, min_cell=args.min_cell, only=args.only)
    if args.list:
        return command.list_artefacts(every_task.with_results(settings) if args.all else [settings])
    if args.all:
        return every_task.report_all(settings, args.reports, min_cell=args.min_cell)
    if args.only:
        return command.report_chosen(settings, args.reports, args.only, min_cell=args.min_cell)
    command.report_task(settings, args.reports, min_cell=args.min_cell)
    return 0


def _export(args: argparse.Namespace) -> int:
    from bench.run import launch
    from bench.share.export import export_task

    how = {"predictions": args.with_predictions, "min_cell": args.min_cell}
    return export_task(launch.settings(args), args.out, **how)


def _merge(args: argparse.Namespace) -> int:
    from bench.share.command import merge_sites

    plugins = tuple(file.absolute() for file in args.plugin)
    how = {"names": args.names, "task": args.task, "out": args.out, "min_cell": args.min_cell, "plugins": plugins}
    return merge_sites(args.sites, **how)


def _prepare(args: argparse.Namespace) -> int:
    from bench.run import launch, prepare

    return prepare.prepare_task(launch.settings(args), jobs=args.jobs, check=args.verify)


def _doctor(args: argparse.Namespace) -> int:
    from bench.doctor.command import run_doctor
    from bench.run import launch

    return run_doctor(launch.settings(args), full=args.full, as_json=args.json)


def _status(args: argparse.Namespace) -> int:
    from bench.run.status import print_status

    return print_status(args.results.absolute(), args.task, as_json=args.json, watch=args.watch)


def _logs(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import print_log

    return print_log(args.results.absolute(), args.cell, whole=args.all)


def _retry(args: argparse.Namespace) -> int:
    from bench.run import housekeeping

    which = housekeeping.which(failed=args.failed, stale=args.stale, cell=args.cell)
    return housekeeping.retry(args.results.absolute(), which, args.task)


def _cancel(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import cancel

    return cancel(args.results.absolute(), args.task)


def _clean(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import clean

    cache = args.cache or Path(os.environ.get("BENCH_CACHE", ".cache"))
    return clean(args.results.absolute(), cache.absolute(), args.task, dry_run=args.dry_run)


def _metrics(args: argparse.Namespace) -> int:
    from bench.run.rescore import recompute

    if not args.recompute:
        raise UsageError("bench metrics: give --recompute; `bench ls metrics` lists them")
    return recompute(args.results.absolute(), args.task)


def _ls(args: argparse.Namespace) -> int:
    from bench import listing

    print(listing.show(args.what, args.name, tuple(args.plugin)))
    return 0


def _phantom(args: argparse.Namespace) -> int:
    from bench.data.phantom_tree import write_trees
    from bench.run.progress import counting

    how = {"images": args.images, "seed": args.seed, "plugins": tuple(args.plugin)}
    with counting("drawing") as progress:
        folders = write_trees(args.names, args.out, progress=progress, **how)
    for folder in folders:
        print(folder)
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
