"""The baseline of a fold: trained once, on its training part, stored by its identity, and shared by all methods.

While a baseline is trained, a checkpoint holds all that the next step depends on, in one file that is replaced on a
timer. A process that resumes from it produces the same bytes as one that was never stopped, on the same kind of
processor.
"""

from __future__ import annotations

import copy
import hashlib
import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

import bench
from bench import learn
from bench.api import Input, Recipe
from bench.cells.identity import Cell
from bench.data.image_split import ImageSplit
from bench.data.task_data import TaskData
from bench.errors import DataInvalid, EmptyGroup, NotWritten, seconds_of
from bench.files import read_sealed, write_sealed
from bench.learn.device import device
from bench.learn.joint_loss import joint_objective
from bench.learn.load_checkpoint import user_checkpoint_state
from bench.learn.losses import Loss
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.learn.train import Stateful
from bench.net import Net
from bench.running.context import CellRun, Splits, packed, unpacked
from bench.running.plan import PRETRAIN_SPLITS
from bench.scoring.metrics import auc_of_sorted
from bench.seeds import seed_of

EVERY = seconds_of("BENCH_CHECKPOINT_EVERY", 600, zero=True)
"""Seconds between two checkpoints, the most work that can be lost. Tests set a shorter time in the environment."""


def load_baseline(file: Path, data: TaskData) -> tuple[Net, str]:
    """Return the baseline of a task and the SHA-256 of its file; of several findings, with the output of the task's.

    Raises:
        DataInvalid: the file is damaged.
    """
    content = read_sealed(file)
    if content is None:
        raise DataInvalid(f"{file} is damaged: run again, which trains it again")
    net = build_net(data.network, size=data.task.image_size, weights="none", outputs=data.task.outputs)
    try:
        net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises a different error for each kind of damage
        raise DataInvalid(f"{file} is not a checkpoint of this backbone ({error}): delete it and run again") from error
    return net.of_output(data.task.output), hashlib.sha256(content).hexdigest()


def take_baseline(file: Path, user_checkpoint: Path, data: TaskData) -> None:
    """Store the weights of a user's checkpoint as the baseline; raise DataError if they do not fit the backbone."""
    how = {"size": data.task.image_size, "outputs": data.task.outputs}
    write_sealed(file, packed(user_checkpoint_state(user_checkpoint, data.network, **how).state))


POOR = 0.6
"""A given model with a lower AUC on its own validation part is warned of."""


def judge_given(run: CellRun, z: np.ndarray, y: np.ndarray, given: Input) -> None:
    """Log the AUC of a user's model on the validation part, and warn where it is low; z and y are (N,)."""
    order = z.argsort(kind="stable")
    auc = auc_of_sorted(z[order], y[order])
    run.log(user_checkpoint_auc=auc)
    if auc < POOR:
        run.warn(
            f"the model of --baseline has an AUC of {auc:.3f} on its own validation part: were its images preprocessed "
            f"in another way? It was given {given}. [baseline] in the task states mean, std, range and resize"
        )


SEEN = (
    "the same checkpoint is the baseline of all folds: if it was trained on images of the source set, it has seen "
    "images of the external set and of `val`, and gaps on them are smaller than on new images. Write {fold} in the "
    "path of --baseline to use one checkpoint per fold"
)


def train_baseline(
    file: Path,
    cell: Cell,
    data: TaskData,
    splits: Splits,
    report: Callable[[str], None] | None = None,
    prepare: str = "bench prepare TASK",
) -> None:
    """Train a baseline with the prediction loss for the epochs of the recipe; keep the last epoch (SWiFT, 4.3).

    The paper's code keeps the epoch with the best validation AUC, so its baseline has seen the data from which the
    external set is drawn. `pretrain_checkpoint` selects that rule, or a choice on images held out from training. A
    training that was killed resumes from its last checkpoint, which is removed once the weights are written. `prepare`
    is the command that fetches initial weights, for the error where they are missing.

    `data` and `splits` are those of all findings of a task (`TaskData.joint`), for each of which there is an output.
    """
    recipe = data.task.recipe
    trained_on, *chosen_on = PRETRAIN_SPLITS[recipe.pretrain_checkpoint]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed_of(cell.seed, "baseline", cell.fold, "init"))
        net = build_net(data.network, size=data.task.image_size, prepare=prepare, outputs=data.task.outputs).to(
            device()
        )
    run = CellRun(net, recipe, splits, frozenset({trained_on}), replace(cell, task="baseline"), report=report)
    optimiser = _optimiser(recipe, run.model)
    best = _Best(run.model, splits[chosen_on[0]]()) if chosen_on else None
    plateau = ReduceLROnPlateau(optimiser, factor=0.1, patience=10) if recipe.pretrain_plateau else None

    def after_epoch(loss: float) -> None:
        if best is not None:
            best.look()
        if plateau is not None:
            plateau.step(loss)

    parts = {name: part for name, part in (("best", best), ("plateau", plateau)) if part is not None}
    checkpoint = Checkpoint(file.with_suffix(".checkpoint"), parts, run.progress)
    schedule = "cosine" if recipe.pretrain_decay else "constant"
    how = learn.Training(optimiser=optimiser, schedule=schedule, after_epoch=after_epoch, checkpoint=checkpoint)
    loss: Loss = learn.objective(run, trained_on, 1.0)
    if data.combinations is not None:
        loss = joint_objective(run, trained_on, torch.from_numpy(data.combinations).to(device()))
    epochs, lr = recipe.pretrain_epochs, recipe.pretrain_lr
    learn.finetune(run, run.model, loss=loss, split=trained_on, epochs=epochs, lr=lr, stage="pre-training", how=how)
    write_sealed(file, packed(run.model.state_dict() if best is None else best.state))
    checkpoint.remove()


def _optimiser(recipe: Recipe, net: Net) -> torch.optim.Optimizer:
    parameters, lr = list(net.parameters()), recipe.pretrain_lr
    momentum, decay = recipe.pretrain_momentum, recipe.pretrain_weight_decay
    if recipe.pretrain_optimiser == "adam":
        optimiser: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=lr)
    else:
        optimiser = torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=decay)
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


class Checkpoint:
    """The checkpoint of one training; implements `bench.learn.train.Checkpoint`.

    A checkpoint that is damaged, or was written by other code (of bench or torch), is not resumed, because the weights
    would belong to neither version. Training then starts again, with a warning. A checkpoint that cannot be written
    causes a warning only: if the disk stays full, writing the result fails with an error.

    Args:
        file: named like the result, so that its name covers everything that defines the numbers.
        parts: objects whose state changes during training, besides those that the training loop passes.
        say: called with a one-line warning.
    """

    def __init__(self, file: Path, parts: Mapping[str, Stateful], say: Callable[[str], None]) -> None:
        self._file, self._parts, self._say, self._last = file, parts, say, time.monotonic()

    def resume(self, parts: Mapping[str, Stateful]) -> bool:
        """Restore the stored state of every part; return whether there was one."""
        if not self._file.is_file():
            return False
        kept = unpacked(self._file)
        if kept is None or kept.get("code") != _code():
            why = "is damaged" if kept is None else "was written by other code"
            self._say(f"warning: the checkpoint {self._file.name} {why}: pre-training starts again")
            return False
        for name, part in {**self._parts, **parts}.items():
            part.load_state_dict(kept[name])
        return True

    def keep(self, parts: Mapping[str, Stateful]) -> None:
        """Write the state of every part if the last checkpoint is old enough."""
        if time.monotonic() - self._last < EVERY:
            return
        states = {name: part.state_dict() for name, part in {**self._parts, **parts}.items()}
        try:
            write_sealed(self._file, packed({**states, "code": _code()}))
        except (NotWritten, DataInvalid) as error:
            self._say(f"warning: no checkpoint: {error}")
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file; called once the result is written."""
        self._file.unlink(missing_ok=True)


@cache
def _code() -> str:
    """Return a digest of the code that computes: torch and every module of the package."""
    digest, root = hashlib.sha256(torch.__version__.encode()), Path(bench.__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
