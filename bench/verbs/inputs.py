"""`bench prepare`, `doctor` and `phantom`: commands for images and tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.settings import read_settings, whole
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add the commands."""
    says = "decode the images of a task and download its weights before a run"
    jobs = {"help": "processes that decode images (default: one per core)"}
    parser = add_verb(verbs, "prepare", _prepare, says, jobs=jobs)
    parser.add_argument("task", help="a task, as for `bench run --task`")
    parser.add_argument("--verify", action="store_true", help="compare every decoded image with its checksum")

    parser.add_argument(
        "--features", metavar="BACKBONE", help="write the features of a network with its initial weights to --out"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="with --features: a .parquet or .npz file; its task is put beside it"
    )

    parser = add_verb(verbs, "doctor", _doctor, "check the data of a task or a dataset for errors")
    parser.add_argument("task", help="a task, as for `bench run --task`, or a dataset such as nih_cxr14")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--fast", action="store_true", help="check tables and the images decoded so far (default)")
    depth.add_argument("--full", action="store_true", help="decode every image first, into the cache that runs use")
    probe = "measure for 20 seconds how fast this machine trains, and print what the missing cells would cost on it"
    depth.add_argument("--probe", action="store_true", help=probe)
    parser.add_argument("--json", action="store_true", help="print JSON, with counts and without the names of images")

    phantom = add_verb(verbs, "phantom", _phantom, "generate images in the layout of an official release of a dataset")
    phantom.add_argument("names", nargs="+", metavar="dataset", help="a dataset, such as mimic_cxr")
    phantom.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="write to DIR/DATASET; pass --data DIR to other commands"
    )
    # Below 40 images, some of the planted faults do not occur; above 50,000, running numbers leave their range.
    images = "images per dataset, 40 to 50000 (default: 1000)"
    phantom.add_argument("--images", type=whole(40, 50_000), default=1000, metavar="N", help=images)
    phantom.add_argument("--seed", type=whole(0), default=0, help="each seed gives other patients (default: 0)")


def _prepare(args: argparse.Namespace) -> int:
    from bench.running import prepare

    if bool(args.features) != bool(args.out) or (args.features and args.verify):
        raise UsageError("--features BACKBONE and --out FILE belong together, and --verify is without them")
    if args.features:
        from bench.share.features_file import write_features

        return write_features(read_settings(args), args.features, args.out)
    return prepare.prepare_task(read_settings(args), check=args.verify)


def _doctor(args: argparse.Namespace) -> int:
    if args.probe:
        from bench.doctor.speed_probe import run_probe

        return run_probe(read_settings(args), as_json=args.json)
    from bench.doctor.diagnosis import run_doctor

    return run_doctor(read_settings(args), full=args.full, as_json=args.json)


def _phantom(args: argparse.Namespace) -> int:
    from bench.data.phantom_tree import write_trees
    from bench.running.progress import counting

    how = {"images": args.images, "seed": args.seed, "plugins": read_settings(args).plugins}
    with counting("drawing") as progress:
        folders = write_trees(args.names, args.out, progress=progress, **how)
    for folder in folders:
        print(folder)
    return 0
