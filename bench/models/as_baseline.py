"""The folder of a model as `--baseline`, so that a method starts from what another one made."""

from __future__ import annotations

from pathlib import Path

from bench.api import Input, Task
from bench.errors import DataError
from bench.models.model_config import CONFIG, read_config


def is_model(file: Path) -> bool:
    """Return whether the file of a baseline is the weights of a model's folder."""
    return (file.parent / CONFIG).is_file()


def check_baseline(file: Path, task: Task, given: Input) -> str:
    """Return what the model in the folder of `file` is; `given` is what the task gives its networks.

    Raises:
        DataError: the model is no single network, or was given images that were made in another way.
    """
    config, name = read_config(file.parent), file.parent.name
    if not config.network:
        raise DataError(
            f"--baseline {name}: {config.title} is no single network (an ensemble, or a network with masks or shifts "
            "around it), and methods start from one: give the folder of one fold of another method"
        )
    own, crop, channels = config.members[0].input, config.crop, config.channels
    if (own, crop, channels) != (given, task.crop, min(task.channels, given.channels)):
        raise DataError(
            f"--baseline {name}: its network was given {own}, crop {crop}, from images of {channels} channels. "
            f"This task gives {given}, crop {task.crop}, from {task.channels}. Set image_size, crop and channels, and\n"
            f"[baseline]\nmean = {list(own.mean)}\nstd = {list(own.std)}\nrange = {[own.low, own.high]}\n"
            f'resize = "{own.interpolation}"'
        )
    return f"--baseline {name}: {config.title} of {config.task}, for '{config.label}'"
