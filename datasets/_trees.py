"""Phantom trees: the planted bias of each, its pictures and tables, and counts of what the plugin will leave out.

A tree takes its people, labels and pictures from the `phantom` plugin and writes them in the layout of an official
release. Faults are planted by running number, so that they depend on neither label nor group.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from .phantom import HOSPITALS, LOG_ODDS, SHARE, Phantom, read_path

VERSION = 1
"""Increased when the same arguments give other bytes."""
MARK = "SYNTHETIC PHANTOM"
CYCLE = 20
"""Each fault is planted in one of this many images."""
PLANTED = {
    "mimic_cxr": ("chest", "source", "age", "pneumothorax"),
    "chexpert": ("chest", "ood_neutral", "age", "pneumothorax"),
    "nih_cxr14": ("chest", "ood_reversed", "age", "pneumothorax"),
    "isic": ("skin", "source", "tone", "melanoma"),
    "fitzpatrick17k": ("skin", "ood_neutral", "tone", "melanoma"),
    "ddi": ("skin", "ood_reversed", "tone", "malignant"),
    "atlas": ("skin", "ood_neutral", "sex", "melanoma"),
    "pad_ufes_20": ("skin", "ood_reversed", "sex", "melanoma"),
}
"""Release -> `family`, `hospital` and `tied` of the phantom it is drawn from, and the release's name of the label."""
ATTRIBUTE = {"age": "age > 65", "tone": "dark", "sex": "female"}


@dataclass(frozen=True)
class Picture:
    """A picture of the phantom: its number, the person's number and its number among the person's, and who is on it."""

    number: int
    person: int
    shot: int
    path: str
    y: int
    """1 means pneumothorax, or melanoma."""
    age: int
    female: int
    fst: int

    @property
    def fault(self) -> int:
        """The number of the planted fault, 0 to CYCLE - 1; most numbers stand for no fault."""
        return self.number % CYCLE

    @property
    def there(self) -> bool:
        """Whether the tree contains the file of the picture."""
        return self.fault != 17


class Tree:
    """The tree of a release, written to `root`: pictures of a phantom, and how the plugin should treat them."""

    def __init__(self, name: str, root: Path, images: int, seed: int, progress: Callable[[int, int], None]) -> None:
        family, hospital, tied, self.label = PLANTED[name]
        dials: dict[str, Any] = {"family": family, "hospital": hospital, "tied": tied}
        self.root, self.source, self._progress = root, Phantom(**dials, images=images, seed=seed), progress
        self.tables: dict[str, list[Sequence[object]]] = {}
        self.reasons: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unreadable: list[str] = []

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures of the phantom, and report progress when the next is asked for."""
        paths = self.source.table(self.root)["path"]
        for number, path in enumerate(paths):
            patient, shot, y, age, female, fst = read_path(path)
            yield Picture(number, patient % 1_000_000, shot, path, y, int(age), female, fst)
            self._progress(number + 1, len(paths))

    def count(self, picture: Picture, reason: str = "", unknown: Mapping[str, bool] | None = None) -> None:
        """Count a row that the plugin should use, or drop for `reason`, and which of its columns are unknown."""
        reason = reason or ("" if picture.there else "FILE_MISSING")
        self.reasons[reason] += 1
        if not reason:
            self.unknown.update(name for name, is_unknown in (unknown or {}).items() if is_unknown)

    def draw(
        self, picture: Picture, place: str, *, rgba: bool = False, mirrored: bool = False, cut: bool = False
    ) -> None:
        """Draw a picture into the file `place`, unless it is planted as missing; with `cut`, the file is truncated."""
        if not picture.there:
            return
        pixels = self.source.image(self.root, picture.path)
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels))
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        if file.suffix.lower() == ".png":
            marks = PngImagePlugin.PngInfo()
            marks.add_text("Comment", MARK)
            (image.convert("RGBA") if rgba else image).save(data, "PNG", pnginfo=marks)
        else:
            image.save(data, "JPEG", quality=95, comment=MARK.encode())
        content = data.getvalue()
        if cut:
            self.unreadable.append(place)
            content = content[: len(content) // 2]
        file.write_bytes(content)

    def add(self, table: str, *row: object) -> None:
        """Add a row to a table."""
        self.tables.setdefault(table, []).append(row)

    def write_tables(self, headers: Mapping[str, str]) -> None:
        """Write the CSV tables, gzipped (without a time stamp) where a name ends in .gz."""
        for table, header in headers.items():
            text, file = io.StringIO(), self.root / table
            rows = self.tables.get(table, [])
            csv.writer(text, lineterminator="\n").writerows([header.split(","), *rows] if header else rows)
            data = text.getvalue().encode()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)

    def facts(self) -> dict[str, Any]:
        """Return the content of PHANTOM.json."""
        zero, one = self.source.chances()
        return {
            "generator": {"name": "phantom", "version": VERSION, **vars(self.source)},
            "planted": {
                "label": self.label,
                "attribute": ATTRIBUTE[self.source.tied],
                "log_odds": LOG_ODDS[self.source.tied][HOSPITALS.index(self.source.hospital)],
                "p_attribute": SHARE[self.source.tied],
                "p_label_given_0": round(zero, 6),
                "p_label_given_1": round(one, 6),
            },
            "rows": sum(self.reasons.values()),
            "used": self.reasons[""],
            "left_out": {reason: n for reason, n in sorted(self.reasons.items()) if reason},
            "unknown_among_used": dict(sorted(self.unknown.items())),
            "unreadable": self.unreadable,
        }
