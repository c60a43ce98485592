"""`bench run` and `bench tune`: what computes cells."""

from __future__ import annotations

import argparse
from typing import Any

from bench.run.objective import OBJECTIVES
from bench.settings import arguments, positive, read_settings
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add them to the command line."""
    run = add_verb(verbs, "run", _run, "compute what is missing of a comparison; again = resume")
    arguments(run, "run")

    tune = add_verb(verbs, "tune", _tune, "choose parameters on held-out validation images")
    tune.add_argument("--trials", type=positive, default=8, help="most per method and fold (default: 8)")
    tune.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="constrained",
        metavar="objective",
        help=f"what is best: {', '.join(OBJECTIVES)} (default: constrained)",
    )
    arguments(tune, "tune")


def _run(args: argparse.Namespace) -> int:
    from bench.run import ablate
    from bench.run.run_task import start_run

    return max([start_run(settings) for settings in ablate.ablation(read_settings(args))])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import tune

    return tune.print_tune(read_settings(args), trials=args.trials, objective=args.objective)
