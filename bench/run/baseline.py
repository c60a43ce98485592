"""The baseline of a fold: trained once from its training part, kept by what defines it, shared by all methods."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from bench import learn
from bench.data.split import ImageSplit
from bench.data.task_data import TaskData
from bench.errors import DataInvalid
from bench.learn.network import Net, build_net
from bench.run.context import CellRun, packed
from bench.run.plan import Cell
from bench.run.store import replacing
from bench.seeds import seed_of


def load_baseline(file: Path, backbone: str) -> tuple[Net, str]:
    """Return a baseline and the SHA-256 of its file.

    Raises:
        DataInvalid: where the file is damaged.
    """
    content = file.read_bytes()
    net = build_net(backbone)
    try:
        net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises a different error for each way in which a file can be damaged
        raise DataInvalid(f"{file} is not a checkpoint of {backbone} ({error}): delete it and run again") from error
    return net, hashlib.sha256(content).hexdigest()


def train_baseline(
    file: Path,
    cell: Cell,
    data: TaskData,
    splits: Mapping[str, Callable[[], ImageSplit]],
    report: Callable[[str], None] | None = None,
) -> None:
    """Train a baseline with the prediction loss for the epochs of the recipe; keep the last epoch (SWiFT, 4.3).

    The paper's code keeps the epoch with the best validation AUC: its baseline has then seen the data from
    which the external set is cut.
    """
    recipe = data.task.recipe
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed_of(cell.seed, "baseline", cell.fold, "init"))
        net = build_net(cell.backbone, weights=data.task.weights)
    run = CellRun(
        net, recipe, splits, frozenset({"train"}), seed=cell.seed, task="baseline", fold=cell.fold,
        method="baseline", report=report,
    )  # fmt: skip
    if recipe.pretrain_optimiser == "adam":
        optimiser: torch.optim.Optimizer = torch.optim.Adam(run.model.parameters(), lr=recipe.pretrain_lr)
    else:
        optimiser = torch.optim.SGD(
            run.model.parameters(),
            lr=recipe.pretrain_lr,
            momentum=recipe.pretrain_momentum,
            weight_decay=recipe.pretrain_weight_decay,
        )
    learn.finetune(
        run, run.model, loss=learn.blend(1.0), split="train", epochs=recipe.pretrain_epochs,
        lr=recipe.pretrain_lr, optimiser=optimiser, decay=recipe.pretrain_decay, stage="pre-training",
    )  # fmt: skip
    with replacing(file) as temporary:
        temporary.write_bytes(packed(run.model.state_dict()))
