"""`bench run` and `bench tune`: commands that compute cells."""

from __future__ import annotations

import argparse
from typing import Any

from bench.run.objective import OBJECTIVES
from bench.settings import arguments, positive, read_settings
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add the commands."""
    run = add_verb(verbs, "run", _run, "run a comparison; running it again resumes it")
    arguments(run, "run")

    tune = add_verb(verbs, "tune", _tune, "choose parameters on held-out validation images, then run the methods")
    tune.add_argument(
        "--trials",
        type=positive,
        default=8,
        metavar="N",
        help="the most settings to try per method and fold (default: 8)",
    )
    tune.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="constrained",
        metavar="OBJECTIVE",
        help=f"the objective of the choice: {', '.join(OBJECTIVES)} (default: constrained)",
    )
    arguments(tune, "tune")


def _run(args: argparse.Namespace) -> int:
    from bench.run import ablate
    from bench.run.run_task import start_run

    return max([start_run(settings) for settings in ablate.ablation(read_settings(args))])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import tune

    return tune.print_tune(read_settings(args), trials=args.trials, objective=args.objective)
