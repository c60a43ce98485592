"""The groups of each image in further attributes, beside the predictions: one file for all cells of a task.

No cell depends on them. A report reads them from the tables of the images where these are, and from the file elsewhere:
`image_id`, for each attribute `a_<attribute>` with the number of the group (-1: not known), and `unit`, if the task
decides on other units than images and patients. The metadata hold how each is coded, so that no other coding is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.api import NO_GROUP, Task
from bench.cells.predictions import ATTRIBUTE
from bench.data.attributes import ALSO, UNIT
from bench.errors import DataInvalid
from bench.files import replacing

CODED = "coded"
"""The entry of the metadata with the coding of each attribute."""


def groups_of(tables: Mapping[str, pd.DataFrame], task: Task) -> pd.DataFrame:
    """Return the groups of every image, and its unit, from the tables of all sets; the index is `image_id`."""
    names = {ALSO + name: ATTRIBUTE + name for name in task.also} | ({UNIT: UNIT} if task.unit_column else {})
    every = pd.concat([table[["uid", *names]] for table in tables.values()])
    return every.drop_duplicates("uid").rename(columns={"uid": "image_id", **names}).set_index("image_id")


def write_groups(file: Path, groups: pd.DataFrame, task: Task) -> None:
    """Write the groups in one step, unless the file holds the same.

    Raises:
        NotWritten: if the folder cannot be written or the disk is full.
    """
    coded = json.dumps(_coded(task))
    table = pa.Table.from_pandas(groups).replace_schema_metadata({CODED: coded})
    if file.is_file() and (before := _read(file)) is not None and before.equals(table, check_metadata=True):
        return
    with replacing(file) as temporary:
        pq.write_table(table, temporary)


def read_groups(file: Path, task: Task) -> pd.DataFrame | None:
    """Return the groups in a file, of the attributes that are coded there as they are now; None without a file.

    Raises:
        DataInvalid: the file is damaged.
    """
    if not file.is_file():
        return None
    table = _read(file)
    if table is None or CODED.encode() not in (table.schema.metadata or {}):
        raise DataInvalid(f"{file} is damaged: `bench run` writes it again")
    coded = json.loads(table.schema.metadata[CODED.encode()])
    now = json.loads(json.dumps(_coded(task)))
    known = [name for name in now if coded.get(name) == now[name] and name in table.column_names]
    found = table.to_pandas()
    found = found.set_index("image_id")[known] if "image_id" in found else found
    numbers = {ATTRIBUTE + name: len(one.names) for name, one in task.also.items()}
    if not all(found[name].between(NO_GROUP, numbers[name] - 1).all() for name in known if name in numbers):
        raise DataInvalid(f"{file} holds a group that its attribute does not have")
    return found


def _coded(task: Task) -> dict[str, object]:
    """Return what each column holds: the coding of an attribute, or the column of the unit."""
    coded: dict[str, object] = {ATTRIBUTE + name: one.coding for name, one in task.also.items()}
    return coded | ({UNIT: task.unit_column} if task.unit_column else {})


def _read(file: Path) -> pa.Table | None:
    try:
        return pq.read_table(file)
    except (OSError, ValueError):
        return None
