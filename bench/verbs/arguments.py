"""Arguments that several verbs share, and how their values are read."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        required=True,
        help="a name of `bench ls tasks` or a .toml file, or a variant such as phantom-cxr-age:external=0.2,epochs=20",
    )
    parser.add_argument("--methods", default="all", help="all, or specs such as swift:epsilon=0.2,bmft (default: all)")
    parser.add_argument("--backbone", help="one of the task's (default: its first)")
    parser.add_argument("--folds", type=numbers, help="such as 0,1,2 (default: all of the task)")
    parser.add_argument("--seeds", type=numbers, default=(0,), help="such as 0,1 (default: 0)")
    parser.add_argument(
        "--jobs", type=positive, help="cells at a time (default: one per GPU, else cores / threads of the recipe)"
    )
    parser.add_argument("--gpus", type=words, default=(), help="such as 0,1: each cell sees one of them")
    parser.add_argument(
        "--per-gpu",
        type=positive,
        metavar="N",
        help="cells that share a GPU, one of --gpus or of all that are visible (default: 1); a cell that has no memory "
        "beside others is tried again alone",
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="cells (default: results)")
    parser.add_argument("--cache", type=Path, help="decoded images and baselines (default: $BENCH_CACHE, else .cache)")
    parser.add_argument("--data", type=Path, help="one folder per source in it (default: $BENCH_DATA)")
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="folds and external sets of a manifest (default: cut anew, alike)"
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="a trained model of your own (state dict; {fold} for one per fold) in place of pre-training",
    )
    add_plugins(parser)


def add_plugins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin", type=Path, action="append", default=[], metavar="FILE.py", help="a plugin of your own; repeatable"
    )


def add_min_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-cell",
        type=positive,
        default=0,
        metavar="N",
        help="withhold counts and metrics by group where a group and class has fewer images (default: show all)",
    )


def numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers joined by commas expected") from None


def words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise argparse.ArgumentTypeError(f"'{text}': names or numbers joined by commas expected")
    return words


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number of 1 or more expected")
    return int(text)
