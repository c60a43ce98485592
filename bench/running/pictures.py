"""The pictures of a cell, which figures show: activation maps of a few images, and masks in strips.

    cam/image_id, cam/y, cam/a, cam/logit   (K,)        images of the first out-of-distribution set
    cam/map                                 (K, h, w)   float32: see `bench.learn.activation`
    strip/<kind>/<block>                    (bins,)     float32: values that a method kept, per block of the extractor

They are stored beside the predictions and, like them, never exported: maps can reveal the images of patients.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import NO_GROUP
from bench.data.image_split import ImageSplit
from bench.errors import PluginBroken
from bench.learn.activation import activation_maps

Pictures = dict[str, np.ndarray]
KINDS = ("bias", "prediction", "mask")
"""The kinds of values that a method may keep, see `bench.api.Run.keep`."""
BINS = 512
IMAGES = 12


def chosen(split: ImageSplit) -> np.ndarray:
    """Return the positions (K,) of one image per group and class, at most 12, by group, then class.

    Of each it is the image whose id has the smallest SHA-256, so that the selection depends on no result.
    """
    first: dict[tuple[int, int], tuple[str, int]] = {}
    classes, groups = split.y.cpu().numpy(), split.a.cpu().numpy()
    for at, (uid, y, a) in enumerate(zip(split.uids, classes.tolist(), groups.tolist(), strict=True)):
        if a == NO_GROUP:
            continue
        rank = hashlib.sha256(str(uid).encode()).hexdigest()
        first[a, int(y)] = min(first.get((a, int(y)), (rank, at)), (rank, at))
    return np.array([first[key][1] for key in sorted(first)][:IMAGES], dtype=np.int64)


def maps(model: nn.Module, split: ImageSplit, logits: np.ndarray) -> Pictures:
    """Return the `cam/` part; it is empty if the logit is no linear function of pooled maps."""
    at = chosen(split)
    found = activation_maps(model.eval(), split.images(torch.from_numpy(at)))
    if found is None:
        return {}
    columns = {"y": split.y.cpu().numpy().astype("int8"), "a": split.a.cpu().numpy().astype("int8"), "logit": logits}
    return {
        "cam/image_id": split.uids[at].astype(str),
        **{f"cam/{name}": values[at] for name, values in columns.items()},
        "cam/map": found.float().cpu().numpy(),
    }


def strips(kind: str, values: Mapping[str, Tensor]) -> Pictures:
    """Return the `strip/` part of one kind, from tensors by parameter name, without the head.

    The entries of a block are in the order of its parameters. If there are more than 512, each bin is a mean.

    Raises:
        PluginBroken: an unknown kind.
    """
    if kind not in KINDS:
        raise PluginBroken(f"run.keep('{kind}', ...): one of {', '.join(KINDS)} expected")
    found = blocks({name: value.ndim for name, value in values.items()})
    flat = {block: torch.cat([values[name].detach().flatten() for name in names]) for block, names in found.items()}
    return {f"strip/{kind}/{block}": _binned(entries.cpu().numpy()) for block, entries in flat.items()}


def blocks(dimensions: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the parameter names of each top-level block of the extractor, in order, by the name of the block.

    Each child of the extractor is a block. A convolution outside of any child starts a block, and the single layers
    after it join that block. The first block is called `stem`; the others have the name of the child, or a counter if
    that name is a number. `dimensions` maps parameter names to their number of dimensions.
    """
    found: list[tuple[str, list[str]]] = []  # child, its parameters
    for name, ndim in dimensions.items():
        if not name.startswith("features."):
            continue
        path = name.split(".")
        while path[0] == "features":  # in DenseNet and EfficientNet, torchvision uses the name again
            path = path[1:]
        lone = len(path) < 3
        if not found or (path[0] != found[-1][0] and (not lone or ndim == 4)):
            found.append((path[0], []))
        found[-1][1].append(name)
    return {
        "stem" if i == 0 else f"block{i}" if child.isdigit() else child: names for i, (child, names) in enumerate(found)
    }


def _binned(flat: np.ndarray) -> np.ndarray:
    if len(flat) <= BINS:
        return flat.astype("float32")
    edges = np.arange(BINS + 1) * len(flat) // BINS
    return (np.add.reduceat(flat, edges[:-1], dtype="float64") / np.diff(edges)).astype("float32")


def packed(pictures: Mapping[str, np.ndarray]) -> bytes:
    """Return the content of a file for `np.load`. Equal pictures give equal bytes, because no time is stored."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**pictures}  # for the type checker: `savez` has other named parameters too
    np.savez(buffer, **arrays)
    return buffer.getvalue()
