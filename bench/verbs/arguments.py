"""Arguments that several verbs share and that are no options of a run (those are in `bench.settings`)."""

from __future__ import annotations

import argparse

from bench.settings import positive


def add_min_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-cell",
        type=positive,
        default=0,
        metavar="N",
        help="withhold counts and metrics by group where a group and class has fewer images (default: show all)",
    )
