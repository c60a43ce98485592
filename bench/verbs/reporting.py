"""`bench report`, `export`, `merge` and `metrics`: what is made of stored cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.settings import arguments, read_settings, words
from bench.verbs.arguments import add_min_cell


def add(verbs: Any) -> None:
    """Add them to the command line."""
    _add_report(verbs)
    _add_export(verbs)
    _add_merge(verbs)
    _add_metrics(verbs)


def _add_report(verbs: Any) -> None:
    report = verbs.add_parser("report", help="tables and figures of finished cells", allow_abbrev=False)
    report.set_defaults(call=_report)
    report.add_argument("--all", action="store_true", help="all tasks with results, and the page that links them")
    report.add_argument("--reports", type=Path, default=Path("reports"), help="where to write (default: reports)")
    add_min_cell(report)
    report.add_argument(
        "--from",
        type=Path,
        dest="archive",
        metavar="FILE",
        help="an archive of `bench export`, instead of results: needs neither its data nor its task",
    )
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
    arguments(report, "report", task={"required": False, "help": "as for `bench run`"})


def _add_export(verbs: Any) -> None:
    parser = verbs.add_parser(
        "export", help="the results of a task in one archive, to be read elsewhere", allow_abbrev=False
    )
    parser.set_defaults(call=_export)
    parser.add_argument("--out", type=Path, metavar="FILE.tar.gz", help="where to write (default: TASK.tar.gz here)")
    parser.add_argument(
        "--with-predictions", action="store_true", help="also every prediction, with the ids of images (default: none)"
    )
    add_min_cell(parser)
    arguments(parser, "export", task={"help": "as for `bench run`"})


def _add_merge(verbs: Any) -> None:
    parser = verbs.add_parser("merge", help="results of several sites in one report", allow_abbrev=False)
    parser.set_defaults(call=_merge)
    parser.add_argument("sites", nargs="+", type=Path, metavar="SITE", help="an archive of `bench export`, or results")
    parser.add_argument("--names", type=words, help="of the sites, such as north,south (default: of their files)")
    parser.add_argument("--task", help="which, where results are of several")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/TASK-merged)")
    add_min_cell(parser)
    arguments(parser, "merge")


def _add_metrics(verbs: Any) -> None:
    parser = verbs.add_parser("metrics", help="scores of stored cells anew, from their predictions", allow_abbrev=False)
    parser.set_defaults(call=_metrics)
    parser.add_argument("--recompute", action="store_true", help="write what changes: new metrics, new definitions")
    arguments(parser, "metrics", task={"required": False, "help": "as for `bench run` (default: all with cells)"})


def _report(args: argparse.Namespace) -> int:
    from bench.report import reports
    from bench.report.numbers.paper_layout import ITSELF, TWINS

    scopes = {
        "--task": args.task,
        "--all": args.all,
        "--paper": args.paper,
        "--twins": args.twins,
        "--published": args.published,
        "--from": args.archive,
    }
    given = [name for name, value in scopes.items() if value]
    if len(given) != 1:
        raise UsageError(f"{' and '.join(given) or 'a report of what'}: one of {', '.join(scopes)} is needed")
    if (args.list or args.only) and given[0] in ("--published", "--from"):
        raise UsageError(f"{given[0]} is one report: without --list and --only")
    if args.only and args.all:
        raise UsageError("--only is of one report: name it by --task, --paper or --twins")
    settings = read_settings(args)
    if args.published:
        return reports.report_published(args.reports)
    if args.archive:
        from bench.share.archive_reports import report_archive

        return report_archive(args.archive, args.reports, min_cell=args.min_cell)
    if args.paper or args.twins:
        names, place = (ITSELF, "paper") if args.paper else (TWINS, "phantom-twins")
        if args.list:
            return reports.list_paper(names, settings)
        return reports.report_paper(names, args.reports / place, settings, min_cell=args.min_cell, only=args.only)
    if args.list:
        return reports.list_artefacts(reports.with_results(settings) if args.all else [settings])
    if args.all:
        return reports.report_all(settings, args.reports, min_cell=args.min_cell)
    if args.only:
        return reports.report_chosen(settings, args.reports, args.only, min_cell=args.min_cell)
    reports.report_task(settings, args.reports, min_cell=args.min_cell)
    return 0


def _export(args: argparse.Namespace) -> int:
    from bench.share.export import export_task

    how = {"predictions": args.with_predictions, "min_cell": args.min_cell}
    return export_task(read_settings(args), args.out, **how)


def _merge(args: argparse.Namespace) -> int:
    from bench.share.archive_reports import merge_sites

    how = {"names": args.names, "task": args.task, "out": args.out, "min_cell": args.min_cell}
    return merge_sites(args.sites, **how, plugins=read_settings(args).plugins)


def _metrics(args: argparse.Namespace) -> int:
    from bench.cells.rescore import recompute

    if not args.recompute:
        raise UsageError("metrics: give --recompute; `bench ls metrics` lists them")
    return recompute(read_settings(args).results, args.task)
