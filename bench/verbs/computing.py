"""`bench run` and `bench tune`: what computes cells."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.run.objective import OBJECTIVES
from bench.verbs.arguments import add_cells, add_folders, positive

if TYPE_CHECKING:
    from bench.run import run_task


def add(verbs: Any) -> None:
    """Add them to the command line."""
    _add_run(verbs)
    _add_tune(verbs)


def _add_run(verbs: Any) -> None:
    run = verbs.add_parser("run", help="compute what is missing of a comparison; again = resume", allow_abbrev=False)
    run.set_defaults(call=_run)
    add_cells(run)
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
        "--group-by",
        choices=("cell", "fold"),
        default="cell",
        metavar="unit",
        help="with --on slurm: a job per cell, or one per fold with its baseline and all methods (default: cell)",
    )
    run.add_argument("--dry-run", action="store_true", help="print the cells and how each stands; compute nothing")
    add_folders(run)


def _add_tune(verbs: Any) -> None:
    tune = verbs.add_parser("tune", help="choose parameters on held-out validation images", allow_abbrev=False)
    tune.set_defaults(call=_tune)
    add_cells(tune)
    tune.add_argument("--trials", type=positive, default=8, help="most per method and fold (default: 8)")
    tune.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="constrained",
        metavar="objective",
        help=f"what is best: {', '.join(OBJECTIVES)} (default: constrained)",
    )
    add_folders(tune)


def _run(args: argparse.Namespace) -> int:
    from bench.run import ablate, run_task

    wanted = run_task.Wanted(args.methods, args.backbone, args.folds, args.seeds, args.force)
    runs = [(wanted, run_task.settings(args))]
    if args.ablate is not None:
        runs = ablate.ablation(args.ablate, *runs[0])
    if args.on == "slurm":
        from bench.run.launchers.slurm.submit import print_submission

        if args.per_gpu and args.group_by != "fold":
            raise UsageError(
                f"--per-gpu {args.per_gpu} on SLURM needs --group-by fold: a job per cell has its GPU for one cell"
            )
        how = {"name": args.profile, "group_by": args.group_by, "per_gpu": args.per_gpu or 1, "dry_run": args.dry_run}
        return max([print_submission(*run, **how) for run in runs])
    if args.dry_run:
        return max([run_task.print_plan(*run) for run in runs])
    slots = _slots(args)
    return max([run_task.print_run(*run, slots=slots) for run in runs])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import run_task, tune

    wanted = run_task.Wanted(args.methods, args.backbone, args.folds, args.seeds)
    slots = _slots(args)
    return tune.print_tune(wanted, run_task.settings(args), trials=args.trials, objective=args.objective, slots=slots)


def _slots(args: argparse.Namespace) -> run_task.Slots:
    from bench.run import run_task
    from bench.run.launchers import gpus

    return run_task.Slots(args.jobs, args.gpus or (gpus.visible() if args.per_gpu else ()), args.per_gpu)
