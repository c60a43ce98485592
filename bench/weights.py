"""Files of weights, `.safetensors` or written by `torch.save`: read as tensors by name, and loaded into a network."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import pickle
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import DataError, DataMissing

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
"""Suffixes by which the name of a file is told from the tag of weights."""
INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "ema", "params")
"""Keys under which training scripts store the weights beside other values."""
OF_SAVE = (
    "save it with torch.save(model.state_dict(), FILE); files of whole models are not opened, because they can run code"
)
SHOWN = 5
"""Names of tensors that a message lists."""


def is_file(weights: str) -> bool:
    """Return whether `weights` names a file rather than a tag."""
    return weights.lower().endswith(SUFFIXES)


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file; raise DataMissing where there is none."""
    if not file.is_file():
        raise DataMissing(f"weights {file}", get_it="A relative path starts at the working directory.")
    return _sha256(file, file.stat().st_mtime_ns)


@cache
def _sha256(file: Path, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def without_folder(weights: str) -> str:
    """Return initial weights as others are told them: of a file its name and checksum, but not its folder."""
    return f"{Path(weights).name} (sha256 {sha256(Path(weights).absolute())})" if is_file(weights) else weights


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU; nothing in the file is executed.

    A file of `torch.save` may hold one set of weights under one of the keys `INSIDE`, also within each other.

    Raises:
        DataError: the file is damaged, holds a whole model, no tensors by name, or two sets of them.
    """
    import torch

    head = b""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        head = opened.read(9)
    try:
        # By its content: files are renamed. A length of 8 bytes and JSON begin a safetensors file.
        if head[8:] == b"{" or (file.suffix.lower() == ".safetensors" and head[:2] != b"PK"):
            from safetensors.torch import load_file

            content = load_file(file)
        else:
            with file.open("rb") as opened:  # torch itself goes by the name
                content = torch.load(opened, weights_only=True, map_location="cpu")
    except Exception as error:  # both libraries raise many kinds of errors for damaged files
        raise DataError(f"{file} cannot be read as a state dict ({_refused(error, head)}): {OF_SAVE}") from None
    return _tensors(content, file)


def _tensors(content: object, file: Path) -> dict[str, Tensor]:
    import torch

    while isinstance(content, Mapping) and (key := _key(content)):
        inner = content[key]
        copies = [repr(other) for other, value in content.items() if _tensors_in(value) > _tensors_in(inner) // 2]
        if len(copies) > 1:
            raise DataError(
                f"{file} has {len(copies)} sets of weights, under {', '.join(copies)}: save the one that counts"
            )
        content = inner
    if not isinstance(content, Mapping) or not content:
        kind = "an empty dict" if isinstance(content, Mapping) else type(content).__name__
        raise DataError(f"{file} holds {kind}: a state dict expected, name -> tensor")
    other = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if other:
        keys = listed([str(name) for name in content])
        raise DataError(
            f"{file}: {other[0]!r} is not a tensor: a state dict expected, name -> tensor, alone or under one of the "
            f"keys {', '.join(INSIDE)}; the file has the keys {keys}"
        )
    return {str(name): _dense(value) for name, value in content.items()}


def _key(content: Mapping[object, object]) -> str | None:
    """Return the key under which a dict of a training script holds the weights."""
    return next((key for key in INSIDE if isinstance(content.get(key), Mapping)), None)


def _tensors_in(value: object) -> int:
    """Return how many tensors a value holds by name; the state of an optimiser has numbers for names, and none."""
    import torch

    while isinstance(value, Mapping) and (key := _key(value)):
        value = value[key]
    named = value.items() if isinstance(value, Mapping) else ()
    return sum(isinstance(name, str) and isinstance(one, torch.Tensor) for name, one in named)


def _dense(value: Tensor) -> Tensor:
    """Return a tensor in a layout and a precision that can be computed with."""
    import torch

    value = value.to_dense() if value.layout != torch.strided else value
    return value.float() if value.is_floating_point() and value.itemsize < 2 else value


def _refused(error: Exception, head: bytes) -> str:
    """Return why a file of weights, which begins with `head`, could not be read."""
    if not head and not isinstance(error, OSError):
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it is a web page"
    if isinstance(error, pickle.UnpicklingError):  # torch's text is advice to programmers, to allow code
        wants = re.search(r"GLOBAL ([\w.]+)", str(error))
        return (
            f"it holds {wants[1]}, which is no tensor" if wants else "it is damaged, or holds other things than tensors"
        )
    return str(error).partition("\n")[0][:200]


def written(module: nn.Module) -> bytes:
    """Return the tensors of a module as a `.safetensors` file; equal tensors give equal bytes."""
    from safetensors.torch import save

    # Copies, because the format takes neither tensors that share memory nor other memory layouts.
    return save({name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()})


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], file: Path, what: str) -> None:
    """Load tensors into a module that has exactly these names and shapes; `what` names the module in errors.

    Raises:
        DataError: a tensor is missing, not expected, of another shape, or not finite.
    """
    require_same(state, module.state_dict(), file, what)
    module.load_state_dict(state, strict=False)


def require_same(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], file: Path, what: str, more: str = ""
) -> None:
    """Raise DataError, with the names that differ and `more`, unless two states have the same names and shapes.

    NaN and infinite values are refused as well. A counter of BatchNorm (`num_batches_tracked`) may be missing.
    """
    # `num_batches_tracked` is read neither in evaluation mode nor with a momentum.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unused = [name for name in state if name not in wanted]
    shapes = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if others := [name for name in wanted if name in state and not _numbers(state[name], wanted[name])]:
        raise DataError(
            f"{file}: {listed(others)}: values of {str(state[others[0]].dtype).removeprefix('torch.')}, floating-point "
            "numbers expected: save the network before it is quantised"
        )
    broken = [name for name in wanted if name in state and not state[name].isfinite().all()]
    if broken:
        raise DataError(f"{file}: {listed(broken)} {'are' if len(broken) > 1 else 'is'} NaN or infinite somewhere")
    if not (missing or unused or shapes):
        return
    text = [
        f"{file} does not hold the weights of {what}:",
        *(f"missing: {name}{_near(name, unused)}" for name in missing[:SHOWN]),
        *(f"not used: {name} {tuple(state[name].shape)}" for name in unused[:SHOWN]),
        *(f"{name}: {tuple(state[name].shape)}, {tuple(wanted[name].shape)} expected" for name in shapes[:SHOWN]),
        f"in all {len(missing)} missing, {len(unused)} not used, {len(shapes)} of another shape",
        *([more] if more else []),
    ]
    raise DataError("\n  ".join(text))


def _numbers(value: Tensor, wanted: Tensor) -> bool:
    return not value.is_meta and (value.is_floating_point() or not wanted.is_floating_point())


def listed(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _near(name: str, others: list[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.8)
    return f" (is it {near[0]}?)" if near else ""
