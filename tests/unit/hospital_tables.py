"""The table of a hospital's plugin, read from a generated tree in the official layout."""

import pandas as pd

from bench import registry
from tests import official_trees as trees

CONTRACT = {"uid", "path", "patient", "source", "drop"}
"""The columns that every dataset gives."""
NAMES = tuple(trees.TREES)


def table(root, spec, **tree):
    """Write the tree of a source below `root` and return its table by image: the uid without the source."""
    name = spec.partition(":")[0]
    trees.TREES[name](root, **tree)
    return read(root, spec)


def read(root, spec):
    rows = registry.DATASETS.build(spec).table(root)
    return rows.set_index(rows["uid"].str.partition(":")[2])


def column(rows, name):
    """Return a column as {image: value}, None where the value is not known."""
    return {key: None if pd.isna(value) else value for key, value in rows[name].items()}
