"""Checks of decoded images, from the index of their cache: kinds, duplicates, and overlaps of sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from bench.doctor.findings import Finding

NEAR = 4
"""Bits of the perceptual hash that may differ between images that look alike."""
TINY = 32
USUAL = ("L", "RGB")
NAMED = 8
"""Characters from which the name of an image is taken for its own, in whichever set it occurs."""
LARGEST = 4000
"""Images that share a band of the hash beyond which they are not compared: blank or all alike, told by D023 or D030."""


def kinds(name: str, index: pd.DataFrame) -> list[Finding]:
    """Return D023: images of an unusual mode, constant or tiny ones."""
    found = []
    for mode, rows in index[~index["mode"].isin(USUAL)].groupby("mode"):
        how = "transparency is dropped" if mode in ("RGBA", "LA", "PA") else "converted to 8 bits"
        found.append(_finding("D023", "warning", name, f"{len(rows)} images are {mode}: {how}", rows))
    constant = index[index["sd"] == 0]
    if len(constant):
        black = int((constant["mean"] == 0).sum())
        text = f"{len(constant)} images are constant, {black} of them black"
        found.append(_finding("D023", "warning", name, text, constant))
    tiny = index[index[["width", "height"]].min(axis=1) < TINY]
    if len(tiny):
        found.append(_finding("D023", "warning", name, f"{len(tiny)} images have a side below {TINY} pixels", tiny))
    return found


def duplicates(name: str, index: pd.DataFrame) -> list[Finding]:
    """Return D030 and D031 of a set. `index` has columns uid, sha256, phash, sd, patient, y and, in a source, fold."""
    real = index[index["sd"] > 0]
    found = []
    same = real[real.duplicated("sha256", keep=False)].groupby("sha256")
    if len(same):
        across = same["patient"].nunique() > 1
        labels = same["y"].nunique() > 1
        sides = same["fold"].nunique() > 1 if "fold" in real else pd.Series(False, index=across.index)
        grave = bool((labels & sides).any())
        text = f"{len(same)} times the same pixels; {int(across.sum())} across patients, "
        text += f"{int(labels.sum())} with two labels" + (
            f", {int(sides.sum())} in two folds" if "fold" in real else ""
        )
        ids = tuple(str(uid) for uid in same["uid"].first().head(3))
        found.append(Finding("D030", "error" if grave else "warning", name, text, ids))
    near = near_pairs(list(real["phash"]))
    shas = real["sha256"].to_numpy()
    near = [pair for pair in near if shas[pair[0]] != shas[pair[1]]]
    if near:
        patients = real["patient"].to_numpy()
        apart = sum(patients[a] != patients[b] for a, b in near)
        uids = real["uid"].to_numpy()
        text = f"{len(near)} pairs of images look alike, {apart} of them of different patients"
        found.append(Finding("D031", "note", name, text, tuple(map(str, (uids[near[0][0]], uids[near[0][1]])))))
    return found


def overlaps(indexes: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return D032: images of a test set that are in the source, by pixels or by name, and D031: that look alike."""
    source = indexes["source"]
    found = []
    for name, index in indexes.items():
        if name == "source":
            continue
        real = index[index["sd"] > 0]
        pixels = real["sha256"].isin(source.loc[source["sd"] > 0, "sha256"])
        named = _names(real["uid"]).isin(set(_names(source["uid"]))) & (_names(real["uid"]).str.len() >= NAMED)
        both = real[pixels | named]
        if len(both):
            how = f"{int(pixels.sum())} by pixels, {int(named.sum())} by name"
            text = f"{len(both)} images of {name} are in the source ({how})"
            found.append(_finding("D032", "error", name, text, both))
        joined = pd.concat([source[source["sd"] > 0], real[~(pixels | named)]], ignore_index=True)
        border = int((source["sd"] > 0).sum())
        pairs = [(a, b) for a, b in near_pairs(list(joined["phash"])) if a < border <= b]
        if pairs:
            text = f"{len(pairs)} pairs of an image of {name} and one of the source look alike"
            found.append(Finding("D031", "note", name, text, (str(joined["uid"][pairs[0][1]]),)))
    return found


def near_pairs(hashes: Sequence[str], most: int = NEAR) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, of hashes (16 hexadecimal digits) of which at most `most` bits differ.

    Of most + 1 bands of bits two such hashes share one whole, so only hashes with a common band are compared.
    """
    if len(hashes) < 2:
        return []
    bits = np.array([int(one, 16) for one in hashes], dtype=np.uint64)
    edges = np.linspace(0, 64, most + 2).astype(int)
    found: set[tuple[int, int]] = set()
    for low, high in pairwise(edges):
        band = (bits >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(band[order]) != 0])
        for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            rows = order[start:end]
            if not 1 < len(rows) <= LARGEST:
                continue
            apart = np.bitwise_count(bits[rows][:, None] ^ bits[rows][None, :])
            for one, other in np.argwhere(np.triu(apart <= most, k=1)):
                a, b = int(rows[one]), int(rows[other])
                found.add((min(a, b), max(a, b)))
    return sorted(found)


def _names(uids: pd.Series) -> pd.Series:
    return uids.astype(str).str.partition(":")[2].str.lower()


def _finding(code: str, level: str, name: str, text: str, rows: pd.DataFrame) -> Finding:
    return Finding(code, level, name, text, tuple(str(uid) for uid in rows["uid"].head(3)))  # type: ignore[arg-type]
