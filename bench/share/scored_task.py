"""What a file of predictions made elsewhere lacks and the table of its task knows: label, attribute, patient and set.

Rows of the two are joined by the name of the image. Nothing is guessed: images that the task does not use are left out
and counted, and so are those that were not predicted.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from bench.api import Task
from bench.cells.predictions import ATTRIBUTE
from bench.data.columns import texts
from bench.data.task_data import task_data
from bench.errors import DataError, DataInvalid
from bench.reporting.render.text import listed
from bench.scoring.metrics import VALIDATION
from bench.settings import Settings
from bench.share.scored_file import ABSENT, USUAL, Columns

NEEDED = ("label", "attribute")
SOURCE, TRAIN = "source", "train"


def completed(
    table: pd.DataFrame, given: Columns, task: Task, settings: Settings, origin: str
) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return the table with the columns that it lacks, which rows (N,) are of images of the task, and what to say.

    The columns are `y`, `a_<attribute>`, `patient` and `set`. An image of the training table is of the validation set
    where its fold is the fold of the row, and of the training set elsewhere.

    Raises:
        DataMissing, DataInvalid: the task's tables cannot be read, or have none of the images, and the file lacks the
            label or the attribute.
    """
    whole = np.ones(len(table), dtype=bool)
    columns = {role: _column(table, getattr(given, role), USUAL[role]) for role in ("image", "patient", "set", "fold")}
    columns["label"] = _column(table, given.label, (task.label.column, *USUAL["label"]))
    columns["attribute"] = _column(table, None, (task.attribute.column, f"{ATTRIBUTE}{task.attribute.column}"))
    lacking = [role for role in (*NEEDED, "patient", "set") if columns[role] is None]
    if not lacking or not columns["image"] or columns["image"] == ABSENT:
        return table, whole, []
    ids = texts(table[columns["image"]]).fillna("").astype(str)
    try:
        every = _images(task, settings)
        by, names, key = _key(every, ids, task, origin)
        known = every.assign(key=key)[key.isin(names)]
        if "set" in lacking and (twice := known["key"].duplicated()).any():
            one = known[known["key"] == known.loc[twice, "key"].iloc[0]]
            sets = listed(one["set"])
            raise DataInvalid(f"{origin}: image {one['key'].iloc[0]!r} is in {sets}: a column `set` must say which")
    except DataError as error:
        if set(lacking) & set(NEEDED):
            raise
        return table, whole, [f"no column of the {listed(lacking)}, and the task cannot tell: {error}"]
    said = [f"{listed(lacking)}: read from the table of task {task.name}, by the {by} of each image"]
    rows = known.drop_duplicates("key").set_index("key").reindex(names)
    found = rows["set"].notna().to_numpy()
    if lost := ids[~found].nunique():
        first = ids[~found].iloc[0]
        said.append(
            f"left out: {int((~found).sum())} rows of {lost} images that the task does not use, first {first!r}"
        )
    values = {"label": rows["y"], "attribute": rows["a"], "patient": rows["patient"]}
    names = {"label": "y", "attribute": f"{ATTRIBUTE}{task.attribute.column}", "patient": "patient"}
    more = {names[role]: values[role].to_numpy() for role in lacking if role in names}
    if "set" in lacking:
        fold = texts(table[columns["fold"]]).to_numpy() if columns["fold"] not in (None, ABSENT) else None
        more["set"] = _sets(rows, fold)
        said += _not_predicted(known, every, fold is None)
    return table.assign(**more), found, said


def _column(table: pd.DataFrame, given: str | None, usual: tuple[str, ...]) -> str | None:
    return given or next((name for name in usual if name in table.columns), None)


def _images(task: Task, settings: Settings) -> pd.DataFrame:
    """Return uid, path, patient, y, a, set and fold of every image of a task, set by set; no image is read."""
    tables = task_data(task, settings.data, settings.plugins).tables
    columns = ["uid", "path", "patient", "y", "a", "fold"]
    parts = [one.reindex(columns=columns).assign(set=name) for name, one in tables.items()]
    return pd.concat(parts, ignore_index=True)


def _key(known: pd.DataFrame, ids: pd.Series, task: Task, origin: str) -> tuple[str, pd.Series, pd.Series]:
    """Return what names an image, by which most rows are found: its name, and its values of the rows and of the task.

    What several images share, such as `1.png` in two folders, names none.
    """
    paths = known["path"]
    ways = {
        "id": (ids, known["uid"]),
        "path": (ids, paths),
        "file name": (ids.map(_name), paths.map(_name)),
        "file name without suffix": (ids.map(_stem), paths.map(_stem)),
    }
    several = {
        by: _shared(ids, mine) or _shared(known["uid"], theirs[theirs.isin(mine)])
        for by, (mine, theirs) in ways.items()
    }
    found = {by: int(mine.isin(theirs).sum()) for by, (mine, theirs) in ways.items() if not several[by]}
    best = max(found, key=lambda by: found[by])
    if found[best]:
        return best, *ways[best]
    why = next((f"; several images have one {by}, such as {one!r}" for by, one in several.items() if one), "")
    raise DataInvalid(
        f"{origin}: none of its images, such as {ids.iloc[0]!r}, is in the tables of task {task.name}, with ids such "
        f"as {known['uid'].iloc[0]!r}{why}"
    )


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _shared(images: pd.Series, keys: pd.Series) -> str:
    """Return a key that several images have, "" if there is none."""
    many = images.groupby(keys).nunique() > 1
    return str(many.idxmax()) if many.any() else ""


def _sets(rows: pd.DataFrame, fold: np.ndarray | None) -> np.ndarray:
    """Return the set of each row; `fold` (N,) is the text of the column of folds."""
    own = rows["fold"].map(lambda number: f"{number:.0f}", na_action="ignore").to_numpy(dtype=object)
    validation = np.zeros(len(rows), dtype=bool) if fold is None else np.asarray(own == fold, dtype=bool)
    inside = np.where(validation, VALIDATION, TRAIN)
    return np.where(rows["set"].eq(SOURCE), inside, rows["set"].fillna(TRAIN))


def _not_predicted(known: pd.DataFrame, whole: pd.DataFrame, without_fold: bool) -> list[str]:
    """Return a sentence for each test set with images that no row predicts, and one on the training table."""
    said = []
    for name, images in whole[whole["set"] != SOURCE].groupby("set", sort=False):
        lost = images["uid"][~images["uid"].isin(known["uid"])]
        if len(lost) == len(images):
            said.append(f"{name}: no predictions")
        elif len(lost):
            said.append(f"{name}: {len(lost)} of {len(images)} images have no prediction, first {lost.iloc[0]!r}")
    if without_fold and known["set"].eq(SOURCE).any():
        said.append("no column of the fold: which images of the training table are for validation is not known")
    return said
