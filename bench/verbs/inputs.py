"""`bench prepare`, `doctor` and `phantom`: what looks at images and tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.settings import arguments, read_settings


def add(verbs: Any) -> None:
    """Add them to the command line."""
    _add_prepare(verbs)
    _add_doctor(verbs)
    _add_phantom(verbs)


def _add_prepare(verbs: Any) -> None:
    parser = verbs.add_parser(
        "prepare", help="decode images and fetch weights, before a run needs them", allow_abbrev=False
    )
    parser.set_defaults(call=_prepare)
    parser.add_argument("task", help="as for `bench run --task`")
    parser.add_argument("--verify", action="store_true", help="hold every image against its checksum")
    arguments(parser, "prepare", jobs={"help": "processes that decode (default: all cores)"})


def _add_doctor(verbs: Any) -> None:
    parser = verbs.add_parser("doctor", help="what is wrong with the data of a task or a dataset", allow_abbrev=False)
    parser.set_defaults(call=_doctor)
    parser.add_argument("task", help="a task as for `bench run --task`, or a dataset such as nih_cxr14")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--fast", action="store_true", help="tables, and images that are decoded already (the default)")
    depth.add_argument("--full", action="store_true", help="decode every image, into the cache that a run would make")
    parser.add_argument("--json", action="store_true", help="for machines: counts, and no name of an image")
    arguments(parser, "doctor")


def _add_phantom(verbs: Any) -> None:
    phantom = verbs.add_parser(
        "phantom", help="write generated images in the layout of an official release", allow_abbrev=False
    )
    phantom.set_defaults(call=_phantom)
    phantom.add_argument("names", nargs="+", metavar="dataset", help="such as mimic_cxr")
    phantom.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the trees come to DIR/DATASET: later pass --data DIR"
    )
    phantom.add_argument("--images", type=_phantom_images, default=1000, help="40 to 50000 a tree (default: 1000)")
    phantom.add_argument("--seed", type=_seed, default=0, help="another seed gives other people (default: 0)")
    arguments(phantom, "phantom")


def _prepare(args: argparse.Namespace) -> int:
    from bench.run import prepare

    return prepare.prepare_task(read_settings(args), check=args.verify)


def _doctor(args: argparse.Namespace) -> int:
    from bench.doctor.diagnosis import run_doctor

    return run_doctor(read_settings(args), full=args.full, as_json=args.json)


def _phantom(args: argparse.Namespace) -> int:
    from bench.data.phantom_tree import write_trees
    from bench.run.progress import counting

    how = {"images": args.images, "seed": args.seed, "plugins": read_settings(args).plugins}
    with counting("drawing") as progress:
        folders = write_trees(args.names, args.out, progress=progress, **how)
    for folder in folders:
        print(folder)
    return 0


def _phantom_images(text: str) -> int:
    # Below 40 not every planted fault occurs; above 50,000 the running numbers leave their range.
    if not text.isdigit() or not 40 <= int(text) <= 50_000:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 40 to 50000 expected")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}': a whole number of 0 or more expected")
    return int(text)
