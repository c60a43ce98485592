"""`bench status`, `logs`, `retry`, `cancel` and `clean`: what looks after runs."""

from __future__ import annotations

import argparse
from typing import Any

from bench.settings import arguments, read_settings
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add the verbs that look after runs: all of them know from the results what was asked for."""
    status = add_verb(verbs, "status", _status, "how runs stand: counts, ETA, failures")
    status.add_argument("--watch", action="store_true", help="again and again, until nothing runs or waits")
    status.add_argument("--json", action="store_true", help="for machines; every cell")

    logs = add_verb(verbs, "logs", _logs, "what the last attempt at a cell said")
    logs.add_argument("cell", help="as `bench status` prints it, or an unambiguous part")
    logs.add_argument("--all", action="store_true", help="all attempts")

    retry = add_verb(verbs, "retry", _retry, "run failed or stale cells again, where they ran")
    retry.add_argument("cell", nargs="?", help="one cell")
    retry.add_argument("--failed", action="store_true", help="all that failed, and what they blocked")
    retry.add_argument("--stale", action="store_true", help="all of other images or settings, or whose process is gone")

    cancel = add_verb(verbs, "cancel", _cancel, "cancel jobs and stop runs on this machine")

    clean = add_verb(verbs, "clean", _clean, "remove logs of done cells and what killed runs left")
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
