"""Convert checkpoints of users into the weights of a baseline: every tensor is used or named, or they are refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn, zeros

from bench import registry
from bench.api import Backbone
from bench.errors import DataError
from bench.learn.network import build_net
from bench.weights import listed, read_tensors, require_same

OF_TRAINING = re.compile(
    r"loss|criterion|metric|auroc|accuracy|pos_weight|class_weight|(^|_)(auc|acc|f1)(_|$)|^n_averaged$", re.I
)
"""Names of modules and buffers of a training script that no forward pass contains; the last counts averaged models."""
OF_LAYERS = re.compile(r"(^|\.)(weight|bias|running_\w+|num_batches_tracked|original\d)$")
"""Names of tensors that belong to a layer."""
EXTRACTOR = "features."
"""What the suite puts before the names of the extractor."""
CURES = (
    "Is --backbone right? If these are layers of the head, all but the last belong to the extractor: `bench new "
    "backbone my-net` writes a backbone, whose `build` returns your network without its last layer; name it in the "
    "task and with --plugin. Delete tensors that the forward pass does not use, as in state.pop({name}). See "
    "docs/your-model.md"
)


class Converted(NamedTuple):
    """The weights of a baseline, and the tensors of the file that were left out: those of a loss or a metric."""

    state: dict[str, Tensor]
    left_out: tuple[str, ...]


def user_checkpoint_state(
    file: Path, backbone: str | Backbone, *, size: int | None = None, outputs: int = 1
) -> Converted:
    """Return the weights of a user's checkpoint as the state of a baseline.

    Names may be those of the suite (`features.`, `head.`) or of the backbone's own package, whatever a wrapper puts
    before them. When the extractor has its tensors, one linear layer must be left, the head, beside tensors of a loss
    or a metric. Two outputs, the logits of a softmax, are converted exactly: z = z1 - z0. With several `outputs`, the
    head must have as many: one for each finding, in the order of the task.

    Raises:
        DataError: the file is no state dict; a tensor is missing, of another shape or NaN; or others are left than one
            linear layer.
    """
    backbone = registry.backbone(backbone) if isinstance(backbone, str) else backbone
    net = build_net(backbone, size=size, weights="none", outputs=outputs)
    wanted = net.state_dict()
    content = {name.replace("_orig_mod.", ""): value for name, value in read_tensors(file).items()}
    names = [name.removeprefix(EXTRACTOR) for name in wanted if name.startswith(EXTRACTOR)]
    prefix = _prefix(content, names, file)
    extractor = {prefix + name: wanted[EXTRACTOR + name] for name in names}
    rest = [name for name in content if name not in extractor]
    complete = all(name in content for name in extractor if not name.endswith("num_batches_tracked"))
    compared = {name: value for name, value in content.items() if name in extractor or not complete}
    more = f"the file has {len(content)} tensors: {listed(list(content))}; is --backbone right?"
    require_same(compared, extractor, file, "this backbone", more)
    left_out = [name for name in rest if any(map(OF_TRAINING.search, name.removeprefix(prefix).split(".")))]
    head = _head(content, [name for name in rest if name not in left_out], net.linear, file)
    state = {EXTRACTOR + name: content[prefix + name] for name in names if prefix + name in content} | head
    state = {name: state[name].to(value.dtype) if name in state else value for name, value in wanted.items()}
    return Converted(state, tuple(_shaped(content, left_out)))


def _prefix(content: Mapping[str, Tensor], names: Sequence[str], file: Path) -> str:
    """Return what most tensors of the extractor have before their name in the file.

    Raises:
        DataError: the file has none of them, or two copies of the network.
    """
    known, found = frozenset(names), Counter[str]()
    for key in content:
        parts = key.split(".")
        ends = (".".join(parts[at:]) for at in range(len(parts)))
        found.update(key.removesuffix(end) for end in ends if end in known)
    if not found:
        raise DataError(
            f"{file} has no tensor of this backbone, such as {listed(list(names[:2]))}; it has {len(content)} tensors: "
            f"{listed(list(content))}. Is --backbone right?"
        )
    most = max(found.values())
    best = [prefix for prefix, number in found.items() if number == most]
    if len(best) > 1 and most > len(names) // 2:
        copies = " and ".join(repr(prefix) for prefix in best)
        raise DataError(f"{file} has {len(best)} copies of the network, under {copies}: save the one that counts")
    return min(best, key=len)


def _head(content: Mapping[str, Tensor], rest: Sequence[str], wanted: nn.Linear, file: Path) -> dict[str, Tensor]:
    """Return the last layer as weight (K, D) and bias (K,) under the names of the suite, as `wanted`."""
    width, findings = wanted.in_features, wanted.out_features
    many = "one or two outputs" if findings == 1 else f"{findings} outputs, one per finding in the order of the task,"
    expected = f"one linear layer of {width} inputs and {many} is expected beside the extractor"
    layers = {name.rpartition(".")[0] for name in rest}
    if len(layers) != 1:
        if not rest:
            raise DataError(f"{file}: {expected}, and no tensor is left: is it a network without its last layer?")
        lines = "\n  ".join(_shaped(content, rest))
        # A layer may be used, so that none is proposed for deletion.
        name = next((repr(name) for name in rest if not OF_LAYERS.search(name)), "NAME")
        cures = CURES.format(name=name)
        raise DataError(f"{file}: {expected}, but these {len(rest)} tensors are left:\n  {lines}\n{cures}")
    (layer,) = layers
    parts = {name.rpartition(".")[2]: content[name] for name in rest}
    at = f"{layer}." if layer else ""
    weight, bias = parts.get("weight", zeros(0)), parts.get("bias")
    if set(parts) - {"weight", "bias"} or weight.ndim != 2 or weight.shape[1] != width:
        raise DataError(f"{file}: {expected}, found {', '.join(_shaped(content, rest))}")
    outputs = len(weight)
    if findings > 1 and outputs != findings:
        raise DataError(f"{file}: {expected}, found {', '.join(_shaped(content, rest))}")
    if outputs > 2 and findings == 1:
        raise DataError(
            f"{file}: {layer}, its last layer, has {outputs} outputs; one logit or two classes expected. Keep the row "
            f"of the label: state['{at}weight'] = state['{at}weight'][k : k + 1], and the same for the bias. If it is "
            "not the last layer, see docs/your-model.md"
        )
    if bias is None:
        raise DataError(
            f"{file}: missing: {at}bias. If the layer was built without one, add "
            f"state['{at}bias'] = torch.zeros({outputs})"
        )
    found = {"head.1.weight": weight, "head.1.bias": bias}
    broken = [name for name in rest if not (content[name].is_floating_point() and content[name].isfinite().all())]
    if broken or bias.shape != (outputs,):
        raise DataError(f"{file}: {', '.join(_shaped(content, broken or rest))}: finite numbers, one bias per output")
    # In double precision, because half precision would round the difference.
    softmax = outputs == 2 and findings == 1
    return {k: v.double()[1:2] - v.double()[0:1] for k, v in found.items()} if softmax else found


def _shaped(content: Mapping[str, Tensor], names: Sequence[str]) -> list[str]:
    return [f"{name} {tuple(content[name].shape)}" for name in names]
