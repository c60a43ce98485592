"""Whether the files of a cell are as they were written: sizes at once, bytes on request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.cells.bounds import Beside, Identity
from bench.cells.identity import BASELINE, Cell
from bench.cells.record import Record, Scores, scores_identity
from bench.files import content_of, to_json

_ZEROS = "0" * 64


def sealed(record: Record | Scores) -> bytes:
    """Return the JSON of a record or of scores, with the checksum of itself in it."""
    content = to_json(replace(record, checksum=_ZEROS))
    return content.replace(_ZEROS.encode(), hashlib.sha256(content).hexdigest().encode())


def whole(content: bytes, checksum: str) -> bool:
    """Return whether the JSON of a record has its checksum; one without a checksum cannot be checked."""
    blank = content.replace(checksum.encode(), _ZEROS.encode())
    return not checksum or hashlib.sha256(blank).hexdigest() == checksum


def described(place: Path, endings: Iterable[str]) -> dict[str, Beside]:
    """Return size and checksum of the files of a cell that exist, by ending; `place` is its path without ending."""
    found = {}
    for ending in endings:
        if (file := place.with_name(place.name + ending)).is_file():
            content = content_of(file)
            found[ending] = Beside(len(content), hashlib.sha256(content).hexdigest())
    return found


def damaged(place: Path, content: bytes, found: Identity | Record, *, verify: bool) -> str:
    """Return which file of a cell is not as it was written, or "": by its size or, with `verify`, by its bytes.

    `content` is the JSON of the record, `found` what was read of it.
    """
    if verify and not whole(content, found.checksum):
        return "its record is damaged"
    for ending, written in found.beside.items():
        file = place.with_name(place.name + ending)
        try:
            same = file.stat().st_size == written.bytes
            same = same and not (verify and hashlib.sha256(content_of(file)).hexdigest() != written.sha256)
        except OSError:
            return f"its {ending[1:]} is missing"
        if not same:
            return f"its {ending[1:]} is damaged"
    return ""


class _Seal(msgspec.Struct, frozen=True):
    """The fields of a file of scores that tell whether it is whole."""

    identity: str
    checksum: str = ""


def damaged_scores(place: Path, found: Identity | Record, *, verify: bool) -> str:
    """Return whether the scores of a cell are missing or, with `verify`, damaged or of other predictions, or ""."""
    file = place.with_name(place.name + ".scores.json")
    try:
        if not verify:
            return "" if file.is_file() else "its scores are missing"
        content = content_of(file)
        seal = msgspec.json.decode(content, type=_Seal)
    except OSError:
        return "its scores are missing"
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "its scores are damaged"
    same = whole(content, seal.checksum) and seal.identity == scores_identity(found)
    return "" if same else "its scores are damaged"


def other_baselines(cells: Iterable[tuple[Cell, str]]) -> list[str]:
    """Return a sentence for each fold whose methods started from other weights than those of its Baseline.

    `cells` holds each cell with the checksum of its baseline. Weights that are trained again, after their cached file
    was removed or damaged, may differ between processors.
    """
    folds: dict[tuple[str, int, int], dict[str, list[str]]] = {}
    for cell, sha in cells:
        folds.setdefault((cell.backbone, cell.fold, cell.seed), {}).setdefault(sha, []).append(cell.spec)
    found = []
    for (backbone, fold, seed), by_weights in folds.items():
        if len(by_weights) > 1:
            usual = max(by_weights.values(), key=lambda specs: (BASELINE in specs, len(specs)))
            others = ", ".join(sorted(spec for specs in by_weights.values() if specs is not usual for spec in specs))
            found.append(
                f"Fold {fold}, seed {seed}, {backbone}: {others} started from other weights than the rest, because "
                "the baseline was trained again in between. Compute this fold again with --force"
            )
    return found
