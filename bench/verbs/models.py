"""`bench model` and `bench predict`: commands that hand out a model and apply it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.settings import read_settings, whole
from bench.verbs import add_verb


def add(verbs: Any) -> None:
    """Add the commands."""
    model = add_verb(verbs, "model", _model, "write the model of a finished cell to a folder, with a model card")
    model.add_argument("task", help="a task, as for `bench run --task`")
    model.add_argument("method", help="a method, as for `bench run --methods`")
    which = model.add_mutually_exclusive_group(required=True)
    which.add_argument("--fold", type=whole(0), metavar="K", help="the model of this fold")
    which.add_argument("--ensemble", action="store_true", help="the mean logit of the models of all folds")
    model.add_argument("--seed", type=whole(0), default=0, metavar="N", help="the seed (default: 0)")
    model.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, which must not exist")
    says = "suppress counts and scores of groups with fewer than N images of a class on the card (default: 10 for data "
    model.add_argument("--min-cell", type=whole(0), metavar="N", help=f"{says}under an agreement, else show all)")

    predict = add_verb(verbs, "predict", _predict, "apply a model of `bench model` to new images")
    predict.add_argument("model", type=Path, help="a folder of `bench model`")
    predict.add_argument("--csv", type=Path, required=True, metavar="FILE", help="a table that names the images")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="the predictions")
    predict.add_argument("--images", type=Path, metavar="DIR", help="folder of the images (default: that of the table)")
    predict.add_argument("--path-column", default="path", metavar="NAME", help="column of image files (default: path)")


def _model(args: argparse.Namespace) -> int:
    from bench.running.hand_out import hand_out

    folds = None if args.ensemble else (args.fold,)
    settings = replace(read_settings(args), methods=args.method, folds=folds, seeds=(args.seed,))
    return hand_out(settings, args.out, args.min_cell)


def _predict(args: argparse.Namespace) -> int:
    from bench.models.model_folder import load_model
    from bench.models.new_images import predict_table
    from bench.running.progress import counting

    model = load_model(args.model, read_settings(args).plugins)
    with counting("predicting") as progress:
        where = {"images": args.images, "path_column": args.path_column}
        return predict_table(model, args.csv, args.out, **where, progress=progress)
