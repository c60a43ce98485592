"""`bench run` and `bench tune`: what computes cells."""

from __future__ import annotations

import argparse
from typing import Any

from bench.run.objective import OBJECTIVES
from bench.settings import arguments, positive, read_settings


def add(verbs: Any) -> None:
    """Add them to the command line."""
    run = verbs.add_parser("run", help="compute what is missing of a comparison; again = resume", allow_abbrev=False)
    run.set_defaults(call=_run)
    arguments(run, "run")

    tune = verbs.add_parser("tune", help="choose parameters on held-out validation images", allow_abbrev=False)
    tune.set_defaults(call=_tune)
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
    from bench.run.start import start_run

    return max([start_run(settings) for settings in ablate.ablation(read_settings(args))])


def _tune(args: argparse.Namespace) -> int:
    from bench.run import tune

    return tune.print_tune(read_settings(args), trials=args.trials, objective=args.objective)
