"""Sources of vectors in place of images, such as the output of a foundation model; nothing is decoded or cached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.api import Backbone, Vector
from bench.data.cache import ImageCache
from bench.data.sources import Source
from bench.errors import DataInvalid, UsageError

Vectors = tuple[Sequence[str], np.ndarray]
"""Paths (N,) and vectors (N, D) float32."""


def vectors_of(sources: Mapping[str, Source]) -> dict[str, Vectors]:
    """Return the vectors of each set; empty where the sets are of images.

    Raises:
        DataInvalid: some sets are of images, or vectors of two sets have different lengths.
    """
    every = {name: source.dataset.vectors(source.root) for name, source in sources.items()}
    found = {name: vectors for name, vectors in every.items() if vectors is not None}
    lengths = {name: vectors.shape[1] for name, (_, vectors) in found.items()}
    if found and len(found) < len(every):
        raise DataInvalid(f"{', '.join(found)} holds vectors, {', '.join(every.keys() - found.keys())} images")
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataInvalid(f"vectors of different lengths: {each}: all sets of a task are made by one network")
    return found


def of_vectors(vectors: Vectors, table: pd.DataFrame) -> pd.Series:
    """Return the SHA-256 of the vector of each row of a table, by path."""
    shas = [hashlib.sha256(row.tobytes()).hexdigest() for row in _rows(vectors, table)]
    return pd.Series(shas, index=pd.Index(table["path"]))


def open_vectors(vectors: Vectors, table: pd.DataFrame, place: Path) -> ImageCache:
    """Return the vectors of the rows of a table in the form of an image cache."""
    return ImageCache(place, _rows(vectors, table), pd.Index(table["uid"]))


def _rows(vectors: Vectors, table: pd.DataFrame) -> np.ndarray:
    paths, values = vectors
    return values[pd.Index(paths).get_indexer(pd.Index(table["path"]))]


def fitting(backbone: Backbone, spec: str, found: Mapping[str, Vectors]) -> Backbone:
    """Return the backbone of a task; one of vectors gets their length.

    Raises:
        UsageError: vectors and a network of images, or images and no network.
    """
    of_vectors = isinstance(backbone.input, Vector)
    if of_vectors and not found:
        raise UsageError(f"backbone {spec} is for vectors, and the source holds images")
    if found and not of_vectors:
        raise UsageError(
            f'backbone {spec} is for images, and the source holds vectors: backbones = ["vector"] in the task'
        )
    return replace(backbone, **{"width": found["source"][1].shape[1]}) if of_vectors else backbone
