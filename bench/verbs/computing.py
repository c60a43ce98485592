"""`bench run` and `bench tune`: what computes cells."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.run.objective import OBJECTIVES
from bench.verbs.arguments import add_cells, add_folders, positive

if TYPE_CHECKING:
    pass


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
    run.add_argument(
        "--on", default="local", metavar="launcher", help="local, slurm or one of your own, see `bench ls launchers`"
    )
    run.add_argument(
        "--profile", help="with --on slurm: of slurm/, or a .toml file: what jobs ask for (default: plain)"
    )
    run.add_argument(
        "--group-by",
        choices=("cell", "fold"),
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
    from bench.run.start import start_run

    wanted = run_task.Wanted(args.methods, args.backbone, args.folds, args.seeds, args.force)
    runs = [(wanted, run_task.settings(args))]
    if args.ablate is not None:
        runs = ablate.ablation(args.ablate, *runs[0])
    options = {"profile": args.profile, "group_by": args.group_by}
    on = {"on": args.on, **{name: value for name, value in options.items() if value is not None}}
    how = {"slots": run_task.Slots(args.jobs, args.gpus, args.per_gpu), "dry_run": args.dry_run}
    return max([start_run(*run, on, **how) for run in runs])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import launchers, run_task, tune

    wanted = run_task.Wanted(args.methods, args.backbone, args.folds, args.seeds)
    slots = launchers.chosen(launchers.LOCAL).slots(run_task.Slots(args.jobs, args.gpus, args.per_gpu))
    return tune.print_tune(wanted, run_task.settings(args), trials=args.trials, objective=args.objective, slots=slots)
