"""`bench report`, `score`, `export`, `merge` and `metrics`: commands that read stored cells."""

from __future__ import annotations

import argparse
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from bench.errors import DataInvalid, UsageError
from bench.settings import positive, read_settings, words
from bench.verbs import add_paper, add_verb, paper_tasks, with_preset

COLUMNS = {
    "image": "image_id, uid, image or path",
    "score": "logit, score or probability",
    "label": "that of the task, y or label",
    "patient": "patient, patient_id or cluster; without it, each image is a patient",
    "set": "set; val is the validation set, any other a test set",
    "method": "method; without it, there is one",
    "fold": "fold; without it, there is one",
    "seed": "seed; without it, there is one",
}
"""Options of `bench score` that name a column, and the usual names (`bench.share.scored_file.USUAL`)."""


def add(verbs: Any) -> None:
    """Add the commands."""
    task = {"required": False, "help": "report this task, as for `bench run`"}
    report = add_verb(verbs, "report", _report, "make the tables and figures of finished cells", task=task)
    for flag, says in (
        ("--all", "report all tasks with results, and write all.csv and a page that links the reports"),
        ("--published", "compute statistics from the numbers that the paper prints, in REPORTS/published"),
    ):
        report.add_argument(flag, action="store_true", help=says)
    add_paper(report, "make the tables and figures of the paper, in REPORTS/paper or REPORTS/phantom-twins")
    report.add_argument(
        "--from",
        type=Path,
        dest="archive",
        metavar="FILE",
        help="report an archive of `bench export`, without its data or task file",
    )
    report.add_argument("--only", metavar="NAMES", help="make only these artefacts of one report, joined by commas")
    report.add_argument("--list", action="store_true", help="list the artefacts, and the commands for missing ones")
    _add_reports(report)
    for flag, says in (
        ("--plain", "LaTeX without notes and findings"),
        ("--cite", "LaTeX with a \\cite of each method (entries: docs/references.bib)"),
    ):
        report.add_argument(flag, action="store_true", help=says)
    _add_min_cell(report)

    parser = add_verb(verbs, "export", _export, "pack the results of a task into an archive that others can read")
    parser.add_argument("--out", type=Path, metavar="FILE.tar.gz", help="the archive (default: TASK.tar.gz)")
    parser.add_argument("--with-predictions", action="store_true", help="include predictions, with the ids of images")
    parser.add_argument("--with-models", action="store_true", help="include the weights that --keep-models kept")
    _add_min_cell(parser)

    parser = add_verb(verbs, "merge", _merge, "report the results of several sites together")
    parser.add_argument("sites", nargs="+", type=Path, metavar="SITE", help="an archive of `bench export`, or results")
    parser.add_argument("--names", type=words, help="names of the sites, such as north,south (default: file names)")
    parser.add_argument("--task", help="the task, if a results folder holds several")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: reports/TASK-merged)")
    _add_min_cell(parser)

    _add_score(verbs)
    one = {"required": False, "help": "only this task (default: all tasks with cells)"}
    parser = add_verb(verbs, "metrics", _metrics, "recompute the scores of cells from their predictions", task=one)
    parser.add_argument("--recompute", action="store_true", help="write the scores that changed (required)")


def _add_score(verbs: Any) -> None:
    says = "score predictions that were made elsewhere, and report them"
    task = {"required": False, "help": "the task that says how label and attribute are coded (default: the columns)"}
    parser = add_verb(verbs, "score", _score, says, task=task)
    parser.add_argument("predictions", type=Path, metavar="FILE", help="a CSV or Parquet file, a row per prediction")
    columns = parser.add_argument_group("columns (none: do not read it)")
    for name, usual in COLUMNS.items():
        columns.add_argument(f"--{name}", metavar="COLUMN", help=f"default: {usual}")
    columns.add_argument(
        "--attributes", type=words, metavar="COLUMNS", help="attributes, such as sex,site; each has a report of its own"
    )
    parser.add_argument(
        "--scale",
        choices=("auto", "probability", "logit"),
        default="auto",
        metavar="SCALE",
        help="what the scores are: probability, logit or auto (default: auto, by name and range of the column)",
    )
    parser.add_argument(
        "--reference", default="baseline", metavar="METHOD", help="what others are compared with (default: baseline)"
    )
    _add_reports(parser)
    _add_min_cell(parser)


def _add_reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="folder to write to (default: reports)"
    )


def _add_min_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-cell",
        type=positive,
        default=0,
        metavar="N",
        help="suppress counts and metrics of groups with fewer than N images of a class (default: show all)",
    )


def _report(args: argparse.Namespace) -> int:
    from bench.reporting import reports

    scopes = ("--task", "--all", "--paper", "--published", "--from")
    given = list(compress(scopes, (args.task, args.all, args.paper, args.published, args.archive)))
    if len(given) != 1:
        raise UsageError(f"give exactly one of {', '.join(scopes)} (given: {', '.join(given) or 'none'})")
    if (args.list or args.only) and given[0] in ("--published", "--from"):
        raise UsageError(f"--list and --only do not apply to {given[0]}")
    if args.only and args.all:
        raise UsageError("--only does not apply to --all: give --task or --paper")
    if (args.plain or args.cite) and (given[0] in ("--published", "--from") or args.list):
        raise UsageError("--plain and --cite are for the tables of --task, --all and --paper")
    settings = with_preset(read_settings(args), args)
    if args.published:
        return reports.report_published(args.reports)
    if args.archive:
        from bench.share.read_export import report_archive

        return report_archive(args.archive, args.reports, min_cell=args.min_cell)
    how: dict[str, Any] = {
        "min_cell": args.min_cell,
        "latex": tuple(compress(("plain", "cite"), (args.plain, args.cite))),
    }
    if args.paper:
        place, names = paper_tasks(args)
        return reports.report_paper(names, args.reports / place, settings, only=args.only, listed=args.list, **how)
    if args.list:
        return reports.list_artefacts(reports.with_results(settings) if args.all else [settings])
    if args.all:
        return reports.report_all(settings, args.reports, **how)
    if args.only:
        return reports.report_chosen(settings, args.reports, args.only, **how)
    several = reports.findings_of(settings.task)
    (reports.report_findings if several else reports.report_task)(settings, args.reports, **how)
    return 0


def _export(args: argparse.Namespace) -> int:
    from bench.share.export import export_task

    how = {"predictions": args.with_predictions, "models": args.with_models, "min_cell": args.min_cell}
    return export_task(read_settings(args), args.out, **how)


def _merge(args: argparse.Namespace) -> int:
    from bench.share.merged_page import merge_sites

    how = {"names": args.names, "task": args.task, "out": args.out, "min_cell": args.min_cell}
    return merge_sites(args.sites, **how, plugins=read_settings(args).plugins)


def _score(args: argparse.Namespace) -> int:
    from bench.share.elsewhere import score_file
    from bench.share.scored_file import Columns

    columns = Columns(**{name: getattr(args, name) for name in COLUMNS}, attributes=args.attributes or ())
    how = {"reference": args.reference, "scale": args.scale, "min_cell": args.min_cell, "reports": args.reports}
    found = score_file(args.predictions, columns, read_settings(args), **how)
    return DataInvalid.exit_code if found.attrs["missing"] else 0


def _metrics(args: argparse.Namespace) -> int:
    from bench.cells.rescore import recompute
    from bench.running.history import last_run

    if not args.recompute:
        raise UsageError("bench metrics needs --recompute; `bench ls metrics` lists the metrics")
    settings = read_settings(args)
    return recompute(settings, partial(last_run, settings.results))
