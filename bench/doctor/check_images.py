"""Checks of decoded images, made on the index of their cache: unusual images, duplicates, and overlaps of sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from bench.api import Dataset
from bench.data.decoding import few_levels
from bench.decode import WIDE
from bench.doctor.findings import Finding, Level

NEAR = 4
"""Images look alike when at most this many bits of their perceptual hashes differ."""
TINY = 32
USUAL = ("L", "RGB")
NAMED = 8
"""Names of at least this many characters identify an image in whichever set they occur."""
LARGEST = 4000
"""Larger groups of images that share a band of the hash are not compared: they are blank or equal (D023, D030)."""


def unusual(name: str, index: pd.DataFrame, dataset: Dataset) -> list[Finding]:
    """Return D023: images of an unusual mode, of few grey levels, and constant or tiny ones."""
    kinds = []
    for mode in sorted({*index["mode"]} - {*USUAL}):
        how = "scaled from 16 bits to 8" if mode in WIDE else "converted to 8 bits, grey or RGB"
        how = "transparent parts are shown over black" if mode in ("RGBA", "LA", "La", "PA") else how
        kinds.append((index["mode"] == mode, f"are {mode}: {how}"))
    constant, black = index["sd"] == 0, (index["sd"] == 0) & (index["mean"] == 0)
    kinds.append((constant, f"are constant, {int(black.sum())} of them black"))
    kinds.append((index[["width", "height"]].min(axis=1) < TINY, f"have a side below {TINY} pixels"))
    text, few = few_levels(index, dataset)
    return [_finding("D023", "warning", name, text, few)] * bool(len(few)) + [
        _finding("D023", "warning", name, f"{int(rows.sum())} images {what}", index.loc[rows, "uid"])
        for rows, what in kinds
        if rows.any()
    ]


def duplicates(name: str, index: pd.DataFrame) -> list[Finding]:
    """Return D030 and D031 of a set. `index` has columns uid, sha256, phash, sd, patient, y and, in a source, fold."""
    real = index[index["sd"] > 0].reset_index(drop=True)
    found = []
    same = real[real.duplicated("sha256", keep=False)].groupby("sha256")
    if len(same):
        labels = same["y"].nunique() > 1
        text = f"{len(same)} images occur several times: {int((same['patient'].nunique() > 1).sum())} for several "
        text += f"patients, {int(labels.sum())} with two labels"
        level: Level = "warning"
        if "fold" in real:
            sides = same["fold"].nunique() > 1
            text += f", {int(sides.sum())} in two folds"
            level = "error" if (labels & sides).any() else "warning"
        found.append(_finding("D030", level, name, text, same["uid"].first()))
    near = [(a, b) for a, b in near_pairs(real["phash"]) if real["sha256"][a] != real["sha256"][b]]
    if near:
        apart = sum(real["patient"][a] != real["patient"][b] for a, b in near)
        text = f"{len(near)} pairs of images look alike, {apart} of them of different patients"
        found.append(_finding("D031", "note", name, text, real["uid"][list(near[0])]))
    return found


def overlaps(indexes: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return D032, images of a test set whose pixels or name are in the source, and D031, images that look alike."""
    source = indexes["source"]
    shown = source[source["sd"] > 0]
    found = []
    for name in [name for name in indexes if name != "source"]:
        real = indexes[name][indexes[name]["sd"] > 0]
        pixels, names = real["sha256"].isin(shown["sha256"]), _names(real["uid"])
        named = names.isin(set(_names(source["uid"]))) & (names.str.len() >= NAMED)
        both = real.loc[pixels | named, "uid"]
        if len(both):
            how = f"{int(pixels.sum())} by pixels, {int(named.sum())} by name"
            text = f"{len(both)} images of {name} are in the source ({how})"
            found.append(_finding("D032", "error", name, text, both))
        joined = pd.concat([shown, real[~(pixels | named)]], ignore_index=True)
        pairs = [(a, b) for a, b in near_pairs(joined["phash"]) if a < len(shown) <= b]
        if pairs:
            text = f"{len(pairs)} pairs of an image of {name} and one of the source look alike"
            found.append(_finding("D031", "note", name, text, joined["uid"][[pairs[0][1]]]))
    return found


def near_pairs(hashes: Sequence[str] | pd.Series, most: int = NEAR) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, of hashes (16 hexadecimal digits) that differ in at most `most` bits.

    The bits are divided into most + 1 bands. Two such hashes agree in at least one band, so only hashes that share a
    band are compared.
    """
    bits = np.array([int(one, 16) for one in hashes], dtype=np.uint64)
    found: set[tuple[int, int]] = set()
    for low, high in pairwise(np.linspace(0, 64, most + 2).astype(int)):
        band = (bits >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        for rows in map(np.asarray, pd.Series(band).groupby(band).indices.values()):
            if 1 < len(rows) <= LARGEST:
                apart = np.bitwise_count(bits[rows][:, None] ^ bits[rows][None, :])
                found |= set(map(tuple, rows[np.argwhere(np.triu(apart <= most, k=1))].tolist()))
    return sorted(found)


def _names(uids: pd.Series) -> pd.Series:
    return uids.astype(str).str.partition(":")[2].str.lower()


def _finding(code: str, level: Level, name: str, text: str, uids: pd.Series) -> Finding:
    return Finding(code, level, name, text, tuple(map(str, uids.head(3))))
