"""What the phantom trees share: the pictures and their marks, tables, and the count of what a plugin will leave out.

A tree takes its people, labels and pictures from the `phantom` plugin and writes them in the layout of an official
release. Faults are planted by running number, so that they are tied to neither label nor group.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from .phantom import HOSPITALS, LOG_ODDS, SHARE, Phantom

VERSION = 1
"""Bumped when the same arguments give other bytes."""
MARK = "SYNTHETIC PHANTOM"
CYCLE = 20
"""Each fault that is planted by running number falls on one image in so many."""


@dataclass(frozen=True)
class Drawn:
    """One picture of the phantom: running numbers of picture, person and picture of the person, and who is on it."""

    number: int
    person: int
    shot: int
    path: str
    y: int
    """1 is pneumothorax, or melanoma."""
    age: int
    female: int
    fst: int

    @property
    def fault(self) -> int:
        """Place in the cycle of planted faults."""
        return self.number % CYCLE

    @property
    def there(self) -> bool:
        """Whether the tree has the file of the picture."""
        return self.fault != 17


class Tree:
    """A tree that is being written below `root`: pictures of `source`, and what its plugin should make of them."""

    def __init__(self, root: Path, source: Phantom, progress: Callable[[int, int], None]) -> None:
        self.root, self.source, self._progress = root, source, progress
        self.reasons: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unreadable: list[str] = []

    def drawn(self) -> Iterator[Drawn]:
        """Yield the people and labels of the phantom; what is written of one is written before the next."""
        table = self.source.table(self.root)
        label = "pneumothorax" if self.source.family == "chest" else "melanoma"
        fst = table["fst"].fillna(0)
        for i, row in enumerate(zip(table["path"], table[label], table["age"], table["female"], fst, strict=True)):
            path, y, age, female, skin = row
            patient, _, rest = path.partition("/")
            shot = int(rest.partition("-")[0])
            yield Drawn(i, int(patient) % 1_000_000, shot, path, int(y), int(age), int(female), int(skin))
            self._progress(i + 1, len(table))

    def count(self, drawn: Drawn, reason: str = "", unknown: Iterable[str] = ()) -> None:
        """Note what the plugin should do with one row: use it, or drop it for `reason`; which columns it lacks."""
        reason = reason or ("" if drawn.there else "FILE_MISSING")
        self.reasons[reason] += 1
        if not reason:
            self.unknown.update(unknown)

    def picture(
        self, drawn: Drawn, place: str, *, rgba: bool = False, mirrored: bool = False, cut: bool = False
    ) -> None:
        """Draw a picture that is to be there into the file `place`; with `cut` the file ends half-way."""
        if not drawn.there:
            return
        pixels = self.source.image(self.root, drawn.path)
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels))
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        held = io.BytesIO()
        if file.suffix.lower() == ".png":
            marks = PngImagePlugin.PngInfo()
            marks.add_text("Comment", MARK)
            (image.convert("RGBA") if rgba else image).save(held, "PNG", pnginfo=marks)
        else:
            image.save(held, "JPEG", quality=95, comment=MARK.encode())
        content = held.getvalue()
        if cut:
            self.unreadable.append(place)
            content = content[: len(content) // 2]
        file.write_bytes(content)

    def write(self, place: str, header: str, rows: Iterable[Sequence[object]]) -> None:
        """Write a CSV table, gzipped where its name says so, without the time of day in it."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header.split(","), *rows])
        self.text(place, text.getvalue())

    def text(self, place: str, content: str) -> None:
        """Write a text file, gzipped where its name says so."""
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        held = content.encode()
        file.write_bytes(gzip.compress(held, mtime=0) if file.suffix == ".gz" else held)

    def facts(self, attribute: str, label: str) -> dict[str, Any]:
        """Return what PHANTOM.json says of the tree."""
        zero, one = self.source.chances()
        return {
            "generator": {"name": "phantom", "version": VERSION, **vars(self.source)},
            "planted": {
                "label": label,
                "attribute": attribute,
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


Fill = Callable[[Tree], None]
Write = Callable[..., Mapping[str, Any]]


def layout(family: str, hospital: str, tied: str, *, attribute: str, label: str) -> Callable[[Fill], Write]:
    """Make a function that fills a `Tree` with pictures of such a phantom one that writes it below a folder.

    The result returns what PHANTOM.json says, with the `attribute` and the `label` whose odds ratio is planted.
    """

    def written(fill: Fill) -> Write:
        def write(root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
            dials: dict[str, Any] = {"family": family, "hospital": hospital, "tied": tied}
            tree = Tree(root, Phantom(**dials, images=images, seed=seed), progress)
            fill(tree)
            return tree.facts(attribute, label)

        return write

    return written
