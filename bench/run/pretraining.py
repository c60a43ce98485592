"""The baseline of a fold: trained once, on its training part, stored by its identity, and shared by all methods."""

from __future__ import annotations

import copy
import hashlib
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from bench import learn
from bench.api import Recipe
from bench.cells.identity import Cell
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData
from bench.errors import DataInvalid, EmptyGroup
from bench.files import write_file
from bench.learn.device import device
from bench.learn.load_checkpoint import user_checkpoint_state
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.learn.train import Stateful
from bench.net import Net
from bench.run.checkpoint import Checkpoint
from bench.run.context import CellRun, packed
from bench.run.plan import PRETRAIN_SPLITS
from bench.score.metrics import auc_of_sorted
from bench.seeds import seed_of


def load_baseline(file: Path, backbone: str) -> tuple[Net, str]:
    """Return a baseline and the SHA-256 of its file.

    Raises:
        DataInvalid: the file is damaged.
    """
    content = file.read_bytes()
    net = build_net(backbone)
    try:
        net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises a different error for each kind of damage
        raise DataInvalid(f"{file} is not a checkpoint of {backbone} ({error}): delete it and run again") from error
    return net, hashlib.sha256(content).hexdigest()


def take_baseline(file: Path, user_checkpoint: Path, backbone: str) -> None:
    """Store the weights of a user's checkpoint as the baseline; raise DataError if they do not fit the backbone."""
    write_file(file, packed(user_checkpoint_state(user_checkpoint, backbone)))


SEEN = (
    "the same checkpoint is the baseline of all folds: if it was trained on images of the source set, it has seen "
    "images of the external set and of `val`, and gaps on them are smaller than on new images. Write {fold} in the "
    "path of --baseline to use one checkpoint per fold"
)


def train_baseline(
    file: Path,
    cell: Cell,
    data: TaskData,
    splits: Mapping[str, Callable[[], ImageSplit]],
    report: Callable[[str], None] | None = None,
) -> None:
    """Train a baseline with the prediction loss for the epochs of the recipe; keep the last epoch (SWiFT, 4.3).

    The paper's code keeps the epoch with the best validation AUC, so its baseline has seen the data from which the
    external set is drawn. `pretrain_checkpoint` selects that rule, or a choice on images held out from training. A
    training that was killed resumes from its last checkpoint, which is removed once the weights are written.
    """
    recipe = data.task.recipe
    trained_on, *chosen_on = PRETRAIN_SPLITS[recipe.pretrain_checkpoint]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed_of(cell.seed, "baseline", cell.fold, "init"))
        net = build_net(cell.backbone, weights=data.task.weights).to(device())
    run = CellRun(net, recipe, splits, frozenset({trained_on}), replace(cell, task="baseline"), report=report)
    optimiser = _optimiser(recipe, run.model)
    best = _Best(run.model, splits[chosen_on[0]]()) if chosen_on else None
    plateau = ReduceLROnPlateau(optimiser, factor=0.1, patience=10) if recipe.pretrain_plateau else None

    def after_epoch(loss: float) -> None:
        if best is not None:
            best.look()
        if plateau is not None:
            plateau.step(loss)

    every: dict[str, Stateful | None] = {"best": best, "plateau": plateau}
    parts = {name: part for name, part in every.items() if part is not None}
    checkpoint = Checkpoint(file.with_suffix(".checkpoint"), parts, run.progress)
    learn.finetune(
        run,
        run.model,
        loss=learn.objective(run, trained_on, 1.0),
        split=trained_on,
        epochs=recipe.pretrain_epochs,
        lr=recipe.pretrain_lr,
        stage="pre-training",
        how=learn.Training(
            optimiser=optimiser,
            schedule="cosine" if recipe.pretrain_decay else "constant",
            after_epoch=after_epoch,
            checkpoint=checkpoint,
        ),
    )
    write_file(file, packed(run.model.state_dict() if best is None else best.state))
    checkpoint.remove()


def _optimiser(recipe: Recipe, net: Net) -> torch.optim.Optimizer:
    parameters, lr = list(net.parameters()), recipe.pretrain_lr
    decay = {"momentum": recipe.pretrain_momentum, "weight_decay": recipe.pretrain_weight_decay}
    adam = recipe.pretrain_optimiser == "adam"
    optimiser = torch.optim.Adam(parameters, lr=lr) if adam else torch.optim.SGD(parameters, lr=lr, **decay)
    if (largest := recipe.pretrain_clip) is not None:

        def clip(*_: object) -> None:
            torch.nn.utils.clip_grad_norm_(parameters, largest)

        optimiser.register_step_pre_hook(clip)
    return optimiser


class _Best:
    """The weights of the epoch with the highest AUC on a split; the first such epoch in a tie.

    Raises:
        EmptyGroup: the split has images of one class only, so that its AUC is undefined.
    """

    def __init__(self, net: Net, split: ImageSplit) -> None:
        if split.y.min() == split.y.max():
            raise EmptyGroup(
                f"pretrain_checkpoint: {split.name} has images of one class only, so no epoch can be chosen on it: "
                "use pretrain_checkpoint=last or fewer folds"
            )
        self.net, self.split, self.auc = net, split, -math.inf
        self.state = net.state_dict()

    def look(self) -> None:
        """Score the current weights, and leave the network in training mode."""
        z = predict(self.net, self.split).cpu().numpy()
        self.net.train()
        order = z.argsort(kind="stable")
        auc = auc_of_sorted(z[order], self.split.y.cpu().numpy()[order])
        if auc > self.auc:
            self.auc, self.state = auc, copy.deepcopy(self.net.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"auc": self.auc, "state": self.state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.auc, self.state = state_dict["auc"], state_dict["state"]
