"""Sample tables: one row per image of a set, with label and attribute checked and coded as numbers.

Rows that are left out are counted by reason; no row is left out silently. Images whose attribute is not known stay in
the table: the baseline is trained on them and they count in the AUC, but they belong to no group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.api import NO_GROUP, Attribute, Coding, Dataset, Label, Task
from bench.data.ages import intervals
from bench.data.columns import check_spelling, coded, place, require_columns, texts, unknown_value
from bench.data.folds import folds
from bench.data.set_facts import Value, most_frequent
from bench.errors import DataInvalid, DataMissing

TOO_MANY = 10
"""If more than one file in this many is missing, the folder is taken to be wrong."""
REASONS = {
    "FILE_CORRUPT": "the file cannot be read",
    "FILE_MISSING": "the file is missing",
    "LABEL_MISSING": "the label is not known",
    "LABEL_NOT_LISTED": "the value of the label is in no list of the task",
    "LABEL_IMPOSSIBLE": "the number of the label cannot be",
    "LABEL_AMBIGUOUS": "the range of the label spans two classes",
    "ATTRIBUTE_MISSING": "the attribute is not known",
    "ATTRIBUTE_NOT_LISTED": "the value of the attribute is in no list of the task",
    "ATTRIBUTE_IMPOSSIBLE": "the number of the attribute cannot be",
    "ATTRIBUTE_AMBIGUOUS": "the range of the attribute spans two groups",
    "SAME_IMAGE": "another row names the same image",
    "IN_OTHER_TEST_SET": "the patient is in a test set",
}
"""Why a row is not used, in words; the other reasons are those of a release (`docs/datasets.md`)."""
CONTRACT = ("uid", "path", "patient", "source", "drop")


def sample_table(
    dataset: Dataset,
    root: Path,
    where: Mapping[str, tuple[str, ...]],
    label: Label,
    attribute: Attribute,
    set_name: str,
) -> pd.DataFrame:
    """Return the images of one set: columns uid, path, patient, source, y (int8), a (int8), no_group, sorted by uid.

    Rows with a `drop` reason or without a label are left out. Where the attribute is not known, `a` is -1 and
    `no_group` is the reason, empty elsewhere. Several rows of one image become one where they agree, or by `combine` of
    the label. `attrs` of the result holds `file`, `set`, `rows` (of the set, before leaving any out), `left_out`
    (reason -> number of rows), `values` (what each of label and attribute became) and `notes` (what a person should
    know before training).

    Raises:
        DataMissing: raised by the dataset; or a file without which label or attribute are unknown for all rows.
        DataInvalid: a column or value breaks the contract of `Dataset.table`, or no row with a group is left.
        UnknownName: the table does not have a column or value of `where`, `one`, `zero` or `values`.
    """
    table = dataset.table(root)
    origin = str(table.attrs.get("file", f"the table of {type(dataset).__name__}"))
    require_columns(table, (*CONTRACT, label.column, attribute.column, *where), origin)
    _check_uids(table["uid"], origin, once="looked_in" not in table.attrs)
    inside = _inside(table, where, origin)
    # Spelling is checked against the whole table, because one site may lack a class.
    for coding in (label, attribute):
        check_spelling(table[coding.column], coding, origin)

    chosen = table[inside]
    _check_files(chosen, table.attrs.get("looked_in"), set_name)
    reason = texts(chosen["drop"]).fillna("")
    left_out = _counted(reason)
    chosen = chosen[reason == ""]
    read = [(coding, coded(chosen, coding, origin, table)) for coding in (label, attribute)]
    (y, no_label), (a, no_group) = ((found["code"], found["why"]) for _, found in read)
    known = y.notna()
    left_out |= _counted("LABEL_" + no_label[~known])
    columns = {name: _filled(chosen, name, origin)[known] for name in ("uid", "path", "patient", "source")}
    result = pd.DataFrame({**columns, "y": y[known].astype("int8"), "a": a[known].fillna(NO_GROUP).astype("int8")})
    result["no_group"] = ("ATTRIBUTE_" + no_group[known]).where(result["a"] == NO_GROUP, "")
    several = int(result["uid"].duplicated().sum())
    if several:
        result = _one_row_an_image(result, label, origin)
        left_out["SAME_IMAGE"] = several
    if not (result["a"] != NO_GROUP).any():
        for column, (looked_for, get_it) in table.attrs.get("lacks", {}).items():
            if column in (label.column, attribute.column):
                raise DataMissing(looked_for, get_it=get_it)
        counts = {**left_out, **without_group(result)}
        reasons = ", ".join(f"{name} {n}" for name, n in counts.items()) or "no row has these values"
        raise DataInvalid(f"{origin}: set '{set_name}' has no usable rows ({reasons})")
    result = result.sort_values("uid", kind="stable", ignore_index=True)
    result.attrs = {"file": origin, "set": set_name, "rows": int(inside.sum()), "left_out": left_out}
    result.attrs["prefix"] = table.attrs.get("prefix", "")
    result.attrs["notes"] = [*table.attrs.get("notes", ()), *_notes(result, table.attrs)]
    result.attrs["values"] = most_frequent(value for coding, found in read for value in _values(found, coding))
    return result


def without_group(table: pd.DataFrame) -> dict[str, int]:
    """Return why images of a table have no group: reason -> number of images."""
    return _counted(table["no_group"])


def _counted(reasons: pd.Series) -> dict[str, int]:
    return {str(reason): int(n) for reason, n in reasons[reasons != ""].value_counts().sort_index().items()}


def _check_files(chosen: pd.DataFrame, looked_in: str | None, set_name: str) -> None:
    """Raise DataMissing where so many files of a person's own table are missing that the folder must be wrong."""
    missing = chosen["drop"].eq("FILE_MISSING")
    if looked_in is not None and missing.sum() * TOO_MANY > len(chosen):
        first = chosen["path"][missing].iloc[0]
        raise DataMissing(
            f"{int(missing.sum())} of {len(chosen)} images of set '{set_name}', first {first},",
            get_it=f"Paths are looked up in {looked_in}: give images=FOLDER, relative to the table, path_column=COLUMN "
            "or suffix=.png.",
            code="D020",
        )


def _one_row_an_image(table: pd.DataFrame, label: Label, origin: str) -> pd.DataFrame:
    """Return one row for each image of a table whose index numbers its rows; the header of the file is row 1.

    Raises:
        DataInvalid: rows of one image that disagree, in the label only without `combine`.
    """
    # A row that does not tell the group agrees with one that does.
    a = table["a"].where(table["a"] != NO_GROUP, table.groupby("uid")["a"].transform("max"))
    table = table.assign(a=a, no_group=table["no_group"].where(a == NO_GROUP, ""))
    by = table.groupby("uid", sort=False)
    for column in ["patient", "source", "a", *([] if label.combine else ["y"])]:
        differ = table["uid"].map(by[column].nunique()) > 1
        if differ.any():
            rows = table[table["uid"] == table["uid"][differ].iloc[0]]
            name = {"y": f"the label {label.column!r}", "a": "the attribute"}.get(column, f"the {column}")
            hint = 'set combine = "any" or "all" in [label], or keep one row' if column == "y" else "keep one row"
            raise DataInvalid(
                f"{origin}: rows {' and '.join(str(int(row) + 2) for row in rows.index[:2])} are one image, "
                f"{rows['path'].iloc[0]!r}, and differ in {name} ({int(differ.sum())} such rows): {hint}",
                code="D013",
            )
    if label.combine:
        table = table.assign(y=by["y"].transform("max" if label.combine == "any" else "min"))
    return table.drop_duplicates("uid")


def _notes(used: pd.DataFrame, attrs: Mapping[Any, Any]) -> list[str]:
    alone = int(used["patient"].str.startswith("image:").sum())
    if not alone or not attrs.get("patients"):
        return []
    return [f"{alone} of {len(used)} images have no patient id, and each counts as a patient"]


def _values(read: pd.DataFrame, coding: Coding) -> list[Value]:
    """Count each value as the table writes it, beside the name of its group or the reason why it has none.

    Numbers of one group are one line, from the smallest to the largest.
    """
    groups = read["code"].map(lambda code: coding.names[int(code)], na_action="ignore")
    span = (read["why"] == "") & bool(coding.bounds)
    read = read.assign(group=groups.fillna(read["why"].str.lower().str.replace("_", " ")), span=span)
    if coding.bounds:  # a line for each group of numbers, not for each number
        spans = read[span].groupby("group")["word"].transform(_span)
        read = read.assign(word=spans.reindex(read.index).fillna(read["word"]))
    counts = read.groupby(["code", "group", "word", "span"], dropna=False).size()
    return [
        Value(coding.column, word, n, group, span=many)
        for (_, group, word, many), n in zip(counts.index.tolist(), counts.tolist(), strict=True)
    ]


def _span(words: pd.Series) -> str:
    low = intervals(words)["low"]
    least, most = (str(words.iloc[int(at)]) for at in (low.argmin(), low.argmax()))
    return least if least == most else f"{least} to {most}"


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


def content_notes(table: pd.DataFrame, contents: pd.Series) -> list[str]:
    """Return notes on files of a set that changed unnoticed, and on files that are the same, byte for byte.

    `contents` are the checksums by path, see `bench.data.checksums`.
    """
    notes = []
    if unnoticed := contents.attrs.get("unnoticed"):
        notes.append(f"{unnoticed} files changed, but not their size and times: results from them are stale now")
    shas = table["path"].map(contents)
    several = table[shas.duplicated(keep=False) & (shas != "")]
    if len(several):
        people = several.groupby(shas)["patient"].nunique()
        notes.append(
            f"{len(several)} images have the same content as another one: {len(people)} different files in all, "
            f"{int((people > 1).sum())} of them of several patients; `bench doctor TASK --full` names some"
        )
    return notes


def fingerprint(table: pd.DataFrame, contents: Mapping[str, str]) -> dict[str, Any]:
    """Return `{"n": rows, "sha": sha256}` of the sorted (uid, y, a, content); row order does not count, repeats do.

    A table without the column `a` has the same fingerprint for every attribute. `contents` maps a path to the checksum
    of its file; generated images have none.
    """
    columns = [table[name] for name in ("uid", "y", "a") if name in table.columns]
    rows = zip(*columns, [contents.get(str(path), "") for path in table["path"]], strict=True)
    lines = sorted("\t".join(map(str, row)) + "\n" for row in rows)
    return {"n": len(lines), "sha": hashlib.sha256("".join(lines).encode()).hexdigest()}


def _inside(table: pd.DataFrame, where: Mapping[str, tuple[str, ...]], origin: str) -> pd.Series:
    inside = pd.Series(True, index=table.index)
    for column, values in where.items():
        words = texts(table[column])
        if column == "patient":  # as the file of a person's own table has it
            words = words.str.removeprefix(table.attrs.get("prefix", ""))
        for value in values:
            if not (words == value).any():
                raise unknown_value(value, words, column, origin)
        inside &= words.isin(values)
    return inside


def _check_uids(uids: pd.Series, origin: str, *, once: bool) -> None:
    words = texts(uids).fillna("")
    for bad, why in (
        (np.array([not (word and str(word).isprintable()) for word in words]), "is empty or not printable"),
        (words.duplicated().to_numpy() & once, "occurs twice"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataInvalid(f"{origin}: row {row + 1}, column 'uid': {words.iloc[row]!r} {why}", code="D013")


def _filled(table: pd.DataFrame, name: str, origin: str) -> pd.Series:
    words = texts(table[name])
    empty = words.fillna("") == ""
    if empty.any():
        raise DataInvalid(f"{place(table, empty, origin, name)} is empty")
    return words.astype(str)


def _patients(table: pd.DataFrame) -> pd.Series:
    # A uid starts with the name of its dataset; equal names of patients in two datasets are different people.
    return table["uid"].str.partition(":")[0] + ":" + table["patient"]
