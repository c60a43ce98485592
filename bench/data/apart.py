"""Which patients are tested on and which are trained on: nobody is both."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pandas as pd

from bench.api import Task
from bench.data.folds import folds
from bench.errors import DataInvalid


def hold_out(source: pd.DataFrame, share: float, name: str, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the source without a share of its patients, and these as a test set, stratified like folds."""
    part = Fraction(share).limit_denominator(100)
    held = folds(source, part.denominator, stratify=task.stratify, task=task) < part.numerator
    kept, test = (source[rows].reset_index(drop=True) for rows in (~held, held))
    left_out = source.attrs["left_out"]
    left_out = {**left_out, "IN_OTHER_TEST_SET": left_out.get("IN_OTHER_TEST_SET", 0) + int(held.sum())}
    kept.attrs = {**source.attrs, "left_out": left_out}
    test.attrs = {**source.attrs, "set": name, "rows": len(test), "left_out": {}, "values": (), "notes": []}
    return kept, test


def keep_apart(source: pd.DataFrame, ood: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return `source` without the patients that also occur in a test set of the same dataset.

    Test sets are used whole, so a lesion or patient of two sites stays in the test set. The rows are counted in
    `attrs["left_out"]` as IN_OTHER_TEST_SET.

    Raises:
        DataInvalid: an image is in both, or no row is left.
    """
    for table in ood:
        both = source.loc[source["uid"].isin(table["uid"]), "path"]
        if len(both):
            raise DataInvalid(
                f"{len(both)} images are in training and in test set '{table.attrs['set']}', first {both.iloc[0]}: "
                "change `where` of the task, or delete their rows from one of the tables",
                code="D032",
            )
    keep = ~_patients(source).isin({patient for table in ood for patient in _patients(table)})
    result = source[keep].reset_index(drop=True)
    if result.empty:
        raise DataInvalid("every patient of the source set also occurs in a test set: check `where` of the task")
    if not keep.all():
        left_out = source.attrs.get("left_out", {})
        left_out = {**left_out, "IN_OTHER_TEST_SET": left_out.get("IN_OTHER_TEST_SET", 0) + int((~keep).sum())}
        result.attrs = {**source.attrs, "left_out": left_out}
    return result


def same_ids(source: pd.DataFrame, tests: Iterable[pd.DataFrame]) -> list[str]:
    """Return a note for each test set from another table that has patient ids of the source."""
    notes = []
    for table in tests:
        mine, theirs = source.attrs.get("prefix"), table.attrs.get("prefix")
        if mine and theirs and mine != theirs:
            ids = [set(one["patient"].str.removeprefix(prefix)) for one, prefix in ((source, mine), (table, theirs))]
            if both := sorted(ids[0] & ids[1]):
                notes.append(
                    f"{len(both)} patient ids, such as {both[0]!r}, are in the training table and in that of test set "
                    f"'{table.attrs['set']}': they are taken for different people; give both datasets one prefix= if "
                    "they are the same"
                )
    return notes


def _patients(table: pd.DataFrame) -> pd.Series:
    # A uid starts with the name of its dataset; equal names of patients in two datasets are different people.
    return table["uid"].str.partition(":")[0] + ":" + table["patient"]
