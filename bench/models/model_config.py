"""What a folder says of its model: `config.json`, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

import bench
from bench.api import Attribute, Input
from bench.data.user_checkpoint import IN_FOLDER
from bench.errors import DataInvalid, DataMissing, UsageError
from bench.files import read_json

WEIGHTS, CONFIG, CARD = IN_FOLDER, "config.json", "README.md"
FORMAT, SCHEMA = "bench model", 1
LARGEST = 1 << 15
"""Pixels of a side that a folder may ask for; a larger number is damage, and would take all memory."""
AGAIN = "`bench model` writes it again"


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network: the fold that it was fitted on, what it is given, and the code that it has for each group."""

    fold: int
    input: Input
    codes: tuple[int, ...]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is, what it is given, and how it decides."""

    format: Literal["bench model"] = FORMAT
    schema: int = SCHEMA
    bench: str
    task: str
    method: str
    title: str
    backbone: str
    versions: tuple[int, int]
    """Of the backbone and of how it prepares images."""
    size: Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
    channels: Literal[1, 3]
    crop: Literal["none", "centre"]
    file_bits: Annotated[int, msgspec.Meta(ge=1, le=16)] | None
    """Bits that image files of 16 hold."""
    label: str
    label_names: tuple[str, str]
    attribute: Attribute | None
    """The attribute of each image, if the model needs it."""
    threshold: float
    """The score above which an image is predicted as the second of `label_names`."""
    threshold_from: str
    members: tuple[Member, ...]
    """The networks whose mean logit is that of the model."""
    network: bool
    """Whether the tensors are those of one network with nothing around it, which `--baseline` takes."""
    synthetic: bool
    credentialed: bool
    cells: tuple[str, ...]
    """Hashes of the cells that were scored."""
    sha256: str = ""
    """Of the weights."""

    def __post_init__(self) -> None:
        if not self.members or not 0 <= self.threshold <= 1:
            raise ValueError("one network or more and a threshold from 0 to 1 expected")


def read_config(folder: Path) -> Config:
    """Return the config of a folder.

    Raises:
        DataMissing: there is no folder.
        DataInvalid: it holds no model, is damaged, or was written by another version.
    """
    if not folder.is_dir():
        raise DataMissing(f"model {folder}", get_it="`bench model TASK METHOD --fold 0 --out DIR` writes one.")
    found = read_json(folder / CONFIG)
    if found.get("format") != FORMAT:
        raise DataInvalid(f"{folder / CONFIG} is missing, damaged, or not of a model of this suite: {AGAIN}")
    if found.get("schema") != SCHEMA:
        raise DataInvalid(
            f"{folder / CONFIG}: schema {found.get('schema')}, written by bench {found.get('bench')}; this is bench "
            f"{bench.__version__}, which reads schema {SCHEMA}: {AGAIN}"
        )
    try:
        return msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config)
    except (msgspec.MsgspecError, UsageError) as error:
        raise DataInvalid(f"{folder / CONFIG} is damaged ({error}): {AGAIN}") from None
