"""Convert checkpoints of users into the weights of a baseline. Every key must be known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from bench.errors import DataError
from bench.learn.network import BACKBONES, build_net

INSIDE = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which training scripts store the weights beside other values."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")
"""Prefixes that wrappers (DataParallel, torch.compile, Lightning) add to every name."""
SHOWN = 3


def user_checkpoint_state(file: Path, backbone: str) -> dict[str, torch.Tensor]:
    """Return the weights of a user's checkpoint as the state of a baseline.

    Names may be those of the suite (`features.`, `head.`) or of torchvision, with `fc` or `classifier` as the last
    layer. A last layer with two outputs, the logits of a softmax, is converted exactly: z = z1 - z0.

    Raises:
        DataError: if the file is not a state dict, or its keys and shapes differ from those of the backbone.
    """
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds of errors for damaged files
        raise DataError(
            f"{file} cannot be read as a state dict ({str(error).partition(chr(10))[0][:200]}): save it with "
            "torch.save(model.state_dict(), FILE); files of whole models are not opened, because they can run code"
        ) from None
    state = _bare(_tensors(content, file))
    net = build_net(backbone)
    if not any(name.startswith(("features.", "head.")) for name in state) or "head.1.weight" not in state:
        state = _from_torchvision(state)
    state = _one_output(state, file)
    wanted = net.state_dict()
    _check(state, wanted, file, backbone)
    return {name: state[name].to(value.dtype) if name in state else value for name, value in wanted.items()}


def _tensors(content: object, file: Path) -> dict[str, torch.Tensor]:
    for name in INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{file} holds {type(content).__name__}: a state dict expected, name -> tensor")
    other = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if other:
        raise DataError(f"{file}: {other[0]!r} is not a tensor: a state dict expected, alone or in {', '.join(INSIDE)}")
    return {str(name): value for name, value in content.items()}


def _bare(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in [one for _ in range(3) for one in PREFIXES]:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _from_torchvision(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    last = re.compile(r"^(?:fc|classifier|head)(?:\.\d+)?\.(weight|bias)$")
    renamed = {}
    for name, value in state.items():
        found = last.match(name)
        renamed[f"head.1.{found[1]}" if found else f"features.{name}"] = value
    return renamed


def _one_output(state: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    weight = state.get("head.1.weight")
    outputs = len(weight) if weight is not None and weight.ndim == 2 else 1
    if outputs > 2:
        raise DataError(
            f"{file}: its last layer has {outputs} outputs; one logit or two classes expected. Keep the row of the "
            "label: state['fc.weight'] = state['fc.weight'][k : k + 1], and the same for the bias"
        )
    if outputs == 2:
        both = ("head.1.weight", "head.1.bias")
        state = {**state, **{name: state[name][1:2] - state[name][0:1] for name in both if name in state}}
    return state


def _check(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], file: Path, backbone: str) -> None:
    # `num_batches_tracked` is read neither in evaluation mode nor with a momentum.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    shapes = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if not (missing or unexpected or shapes):
        return
    text = [
        f"{file} is not a checkpoint of {backbone}:",
        *(f"missing: {name}{_near(name, unexpected)}" for name in missing[:SHOWN]),
        *(f"not expected: {name}" for name in unexpected[:SHOWN]),
        *(f"{name}: {tuple(state[name].shape)}, {tuple(wanted[name].shape)} expected" for name in shapes[:SHOWN]),
        f"in all {len(missing)} missing, {len(unexpected)} not expected, {len(shapes)} of another shape",
        f"is --backbone right? known: {', '.join(BACKBONES)}",
    ]
    raise DataError("\n  ".join(text))


def _near(name: str, others: list[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.8)
    return f" (is it {near[0]}?)" if near else ""
