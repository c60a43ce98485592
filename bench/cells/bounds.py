"""The bounds of numbers in stored cells and in archives, which may come from elsewhere, and the identity of a cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isnan
from typing import Annotated

import msgspec

from bench.data.set_facts import Count as Count
from bench.scoring.definitions import METRICS, WIDE

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A p, an AUC, a gap, or the standard deviation of one."""
Change = Annotated[float, msgspec.Meta(ge=-2, le=2)]
"""A difference of two AUCs or gaps, or an end of its interval."""
Wide = Annotated[float, msgspec.Meta(ge=WIDE[0], le=WIDE[1])]
"""A number of a group that may have any value, such as the slope of its calibration."""
OverFolds = Annotated[float, msgspec.Meta(ge=-100, le=100)]
"""An end of an interval over few folds, which may be wider than any difference."""


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside a record: its size and SHA-256."""

    bytes: Count
    sha256: str


class Identity(msgspec.Struct, frozen=True):
    """The fields that tell whether a cell is up to date and whole. A plan of ten thousand cells reads only these."""

    schema: int
    hash: str
    attributes: dict[str, tuple[str, ...]] = {}
    baseline_sha256: str = ""
    predictions_sha256: str = ""
    beside: dict[str, Beside] = {}
    checksum: str = ""


def identity_of(content: bytes) -> Identity | None:
    """Return schema and hash from the JSON of a cell of any schema; None if it is damaged."""
    try:
        return _IDENTITY.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


_IDENTITY = msgspec.json.Decoder(Identity)


def within_range(metrics: Mapping[str, float], own: Collection[str] | None = None) -> None:
    """Raise ValueError, with its name, for a metric that is neither NaN nor in its range.

    That is 0 to 1; of differences between groups -1 to 1, and to 2 of a sum of two; or the `bounds` of the metric.
    With `own`, names that are neither there nor in `METRICS` are those of plugins that are not here: any value is
    allowed.
    """
    for name, value in metrics.items():
        known = METRICS.get(name)
        if known is None and own is not None and name not in own:
            continue
        low = -1 if known is not None and known.kind == "gap" else 0
        high = 2 if name.endswith("_sum") else 1
        if known is not None and known.bounds:
            low, high = known.bounds
        if not (isnan(value) or low <= value <= high):
            raise ValueError(f"{name} is {value}, {low} to {high} expected")


def check_object(value: object, *, numbers: bool) -> None:
    """Raise ValueError for JSON that is no object or, with `numbers`, whose values are not numbers or null."""
    if not isinstance(value, dict):
        raise ValueError(f"an object expected, got {type(value).__name__}")
    for name, one in value.items() if numbers else ():
        if one is not None and type(one) not in (int, float):
            raise ValueError(f"{name}: a number or null expected, got {type(one).__name__}")


def check_counts(n: int, positives: int, negatives: int, true_positives: int, false_positives: int) -> None:
    """Raise ValueError for counts of a group that contradict each other."""
    if positives + negatives != n:
        raise ValueError(f"{positives} positives and {negatives} negatives are not n={n}")
    if true_positives > positives or false_positives > negatives:
        raise ValueError("more true or false positives than images of the class")
