"""`bench run`, `tune`, `status`, `logs`, `retry`, `cancel` and `clean`: commands that start and manage runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.running.objective import OBJECTIVES
from bench.settings import Settings, command, given, positive, read_settings
from bench.verbs import add_paper, add_verb, paper_flags, paper_tasks, with_preset


def add(verbs: Any) -> None:
    """Add the commands. Those after `tune` read from the results folder which runs were requested."""
    task = {
        "action": "append",
        "required": False,
        "help": "a task of `bench ls tasks`, a .toml file, or a variant such as phantom-cxr-age:external=0.2,epochs=20;"
        " can be repeated, or several joined by commas",
    }
    backbone = {"help": "backbones of the task, joined by commas, or all (default: its first)"}
    run = add_verb(verbs, "run", _run, "run a comparison; running it again resumes it", task=task, backbone=backbone)
    run.add_argument("plan", nargs="?", type=Path, metavar="PLAN.toml", help="a comparison in a file")
    add_paper(run, "run every cell of the paper's tables and figures")

    tune = add_verb(verbs, "tune", _tune, "choose parameters on held-out validation images, then run the methods")
    tune.add_argument("--trials", type=positive, default=8, help="settings to try per method and fold (default: 8)")
    tune.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="constrained",
        metavar="OBJECTIVE",
        help=f"the objective of the choice: {', '.join(OBJECTIVES)} (default: constrained)",
    )

    one = {"required": False, "help": "only this task (default: all tasks with runs in the results folder)"}
    status = add_verb(verbs, "status", _status, "show the state of runs: counts, time left, failures", task=one)
    status.add_argument("--watch", action="store_true", help="refresh until nothing runs or waits in a queue")
    status.add_argument("--verify", action="store_true", help="compare the bytes of all files with their checksums")
    status.add_argument("--json", action="store_true", help="print every cell as JSON")

    logs = add_verb(verbs, "logs", _logs, "print the log of a cell")
    logs.add_argument("cell", help="a cell as `bench status` prints it, or a part of its name that no other has")
    logs.add_argument("--all", action="store_true", help="print all attempts (default: the last)")

    retry = add_verb(verbs, "retry", _retry, "run failed or stale cells again, with their launcher", task=one)
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "cell", nargs="?", help="a cell as `bench status` prints it, or a part of its name that no other has"
    )
    which.add_argument("--failed", action="store_true", help="failed cells, and the cells that they blocked")
    which.add_argument("--stale", action="store_true", help="cells with changed data or settings, or a dead process")

    add_verb(verbs, "cancel", _cancel, "cancel queued jobs and stop runs on this machine", task=one)

    clean = add_verb(verbs, "clean", _clean, "remove logs of finished cells and leftovers of killed runs", task=one)
    clean.add_argument("--dry-run", action="store_true", help="print what would be removed")


def _run(args: argparse.Namespace) -> int:
    from bench.running.plan_file import expand, keep_plan, read_plan
    from bench.running.run_cells import start
    from bench.running.run_task import check

    settings = with_preset(read_settings(args), args)
    scopes = {"--task": settings.task, "PLAN.toml": args.plan, "--paper": args.paper}
    if settings.task and args.plan and args.plan.suffix != ".toml":
        joined = "several methods are joined by commas without spaces, as in --methods swift,bmft"
        raise UsageError(f"unexpected '{args.plan}' beside --task: {joined}")
    if len(named := [scope for scope, value in scopes.items() if value]) != 1:
        raise UsageError(f"give exactly one of {', '.join(scopes)} (given: {', '.join(named) or 'none'})")
    if settings.task:
        return start(expand(settings))
    report = ""
    if args.paper:
        name, runs = _paper(args, settings)
        report = command("report", settings, *paper_flags(args))
    elif args.preset != "suite":
        raise UsageError('--preset beside a plan: name it in the plan, as in task = "cxr-age:preset=paper"')
    else:
        name, runs = args.plan.stem, read_plan(args.plan, settings, given(args))
    check(runs)
    if not settings.dry_run:
        keep_plan(runs, name)
    return start(runs, report)


def _paper(args: argparse.Namespace, settings: Settings) -> tuple[str, list[Settings]]:
    """Return the name and the runs of `--paper`."""
    from bench.reporting.artefacts import paper_runs

    chosen = [name for name in ("methods", "backbone", "folds", "ablate", "splits", "baseline") if name in given(args)]
    if chosen:
        flags = ", ".join(f"--{name}" for name in chosen)
        raise UsageError(f"--paper says what to run: leave out {flags}")
    name, names = paper_tasks(args)
    return name, paper_runs(settings, names)


def _tune(args: argparse.Namespace) -> int:
    from bench.running import tune

    return tune.print_tune(read_settings(args), trials=args.trials, objective=args.objective)


def _status(args: argparse.Namespace) -> int:
    from bench.running.status import print_status

    settings = read_settings(args)
    return print_status(
        settings.results, args.task, settings.plugins, as_json=args.json, watch=args.watch, verify=args.verify
    )


def _logs(args: argparse.Namespace) -> int:
    from bench.running.housekeeping import print_log

    return print_log(read_settings(args).results, args.cell, whole=args.all)


def _retry(args: argparse.Namespace) -> int:
    from bench.running.housekeeping import retry

    which = "failed" if args.failed else "stale" if args.stale else args.cell
    settings = read_settings(args)
    return retry(settings.results, which, args.task, settings.plugins)


def _cancel(args: argparse.Namespace) -> int:
    from bench.running.housekeeping import cancel

    settings = read_settings(args)
    return cancel(settings.results, args.task, settings.plugins)


def _clean(args: argparse.Namespace) -> int:
    from bench.running.housekeeping import clean

    settings = read_settings(args)
    return clean(settings.results, settings.cache, args.task, settings.plugins, dry_run=args.dry_run)
