"""`bench status`, `logs`, `retry`, `cancel` and `clean`: what looks after runs."""

from __future__ import annotations

import argparse
from typing import Any

from bench.settings import arguments, read_settings


def add(verbs: Any) -> None:
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

    one = {"required": False, "help": "one task (default: all with a run in the results)"}
    for verb, parser in (("status", status), ("logs", logs), ("retry", retry), ("cancel", cancel), ("clean", clean)):
        arguments(parser, verb, task=one)


def _status(args: argparse.Namespace) -> int:
    from bench.run.status import print_status

    return print_status(read_settings(args).results, args.task, as_json=args.json, watch=args.watch)


def _logs(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import print_log

    return print_log(read_settings(args).results, args.cell, whole=args.all)


def _retry(args: argparse.Namespace) -> int:
    from bench.run import housekeeping

    which = housekeeping.which(failed=args.failed, stale=args.stale, cell=args.cell)
    return housekeeping.retry(read_settings(args).results, which, args.task)


def _cancel(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import cancel

    return cancel(read_settings(args).results, args.task)


def _clean(args: argparse.Namespace) -> int:
    from bench.run.housekeeping import clean

    settings = read_settings(args)
    return clean(settings.results, settings.cache, args.task, dry_run=args.dry_run)
