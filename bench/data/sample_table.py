"""Sample tables: one row per image of a set, with label and attribute checked and coded as numbers.

Rows that are left out are counted by reason; no row is left out silently. Images whose attribute is not known stay in
the table: the baseline is trained on them and they count in the AUC, but they belong to no group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from bench.api import NO_GROUP, Attribute, Coding, Dataset, Label
from bench.data.ages import intervals
from bench.data.attributes import ALSO, NONE, Also, further_codes, parts_of, read_attribute
from bench.data.columns import check_spelling, coded, place, require_columns, texts, unknown_value
from bench.data.finding_columns import FINDING, NO_LABELS, any_known, finding_codes
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
    "TIE": "left out so that label and attribute have the odds of [source.tie]",
}
"""Why a row is not used, in words; the other reasons are those of a release (`docs/datasets.md`)."""
Where = Mapping[str, tuple[str, ...]]
"""The values that rows of a set have, by column."""
CONTRACT = ("uid", "path", "patient", "source", "drop")


def whole_table(dataset: Dataset, root: Path) -> pd.DataFrame:
    """Return the table of a dataset with its name in messages; raises as the dataset does."""
    table = dataset.table(root)
    table.attrs.setdefault("file", f"the table of {type(dataset).__name__}")
    return table


def sample_rows(
    table: pd.DataFrame,
    where: Where,
    label: Label,
    attribute: Attribute,
    set_name: str,
    also: Also = NONE,
    unit: str = "",
    labels: Mapping[str, Label] = NO_LABELS,
) -> pd.DataFrame:
    """Return the images of one set: columns uid, path, patient, source, y (int8), a (int8), no_group, sorted by uid.

    For each attribute of `also`, and the column `unit`, there is a column too (`bench.data.attributes`). With `labels`
    there is one for each of them in place of `label`, and `y` is 0 (`bench.data.finding_columns`).

    Rows with a `drop` reason or without a label are left out. Where the attribute is not known, `a` is -1 and
    `no_group` is the reason, empty elsewhere. Several rows of one image become one where they agree, or by `combine` of
    the label. `attrs` of the result holds `file`, `set`, `rows` (of the set, before leaving any out), `left_out`
    (reason -> number of rows), `values` (what each of label and attribute became) and `notes` (what a person should
    know before training).

    Raises:
        DataMissing: a file without which label or attribute are unknown for all rows.
        DataInvalid: a column or value breaks the contract of `Dataset.table`, or no row with a group is left.
        UnknownName: the table does not have a column or value of `where`, `one`, `zero` or `values`.
    """
    origin = str(table.attrs["file"])
    parts, every = parts_of(attribute, also), [*(labels.values() or [label])]
    read_of = [one.column for one in (*every, *parts.values())]
    require_columns(table, dict.fromkeys((*CONTRACT, *read_of, *where, *filter(None, [unit]))), origin)
    _check_uids(table["uid"], origin, once="looked_in" not in table.attrs)
    inside = _inside(table, where, origin)
    # Spelling is checked against the whole table, because one site may lack a class.
    for coding in (*every, *parts.values()):
        check_spelling(table[coding.column], coding, origin)

    chosen = table[inside]
    _check_files(chosen, table.attrs.get("looked_in"), set_name)
    reason = texts(chosen["drop"]).fillna("")
    left_out = _counted(reason)
    chosen = chosen[reason == ""]
    groups, read = read_attribute(chosen, attribute, also, origin, table)
    labelled = [(one, coded(chosen, one, origin, table)) for one in every]
    of_label = any_known(labelled) if labels else labelled[0][1]
    (y, no_label), (a, no_group) = ((found["code"], found["why"]) for found in (of_label, groups))
    known = y.notna()
    left_out |= _counted("LABEL_" + no_label[~known])
    columns = {name: _filled(chosen, name, origin)[known] for name in ("uid", "path", "patient", "source")}
    result = pd.DataFrame({**columns, "y": y[known].astype("int8"), "a": a[known].fillna(NO_GROUP).astype("int8")})
    result["no_group"] = ("ATTRIBUTE_" + no_group[known]).where(result["a"] == NO_GROUP, "")
    result = result.join((further := further_codes(chosen, also, origin, table, unit))[known])
    if labels:
        result = result.join(finding_codes(labels, labelled)[known])
    several = int(result["uid"].duplicated().sum())
    if several:
        result = _one_row_an_image(
            result, {FINDING + name: one for name, one in labels.items()} or {"y": label}, origin
        )
        left_out["SAME_IMAGE"] = several
    if not (result["a"] != NO_GROUP).any():
        for column, (looked_for, get_it) in table.attrs.get("lacks", {}).items():
            if column in read_of:
                raise DataMissing(looked_for, get_it=get_it)
        counts = {**left_out, **without_group(result)}
        reasons = ", ".join(f"{name} {n}" for name, n in counts.items()) or "no row has these values"
        raise DataInvalid(f"{origin}: set '{set_name}' has no usable rows ({reasons})")
    result = result.sort_values("uid", kind="stable", ignore_index=True)
    result.attrs = {"file": origin, "set": set_name, "rows": int(inside.sum()), "left_out": left_out}
    result.attrs["prefix"] = table.attrs.get("prefix", "")
    result.attrs |= further.attrs
    result.attrs["notes"] = [*table.attrs.get("notes", ()), *_notes(result, table.attrs)]
    result.attrs["values"] = most_frequent(
        value for coding, found in (*labelled, *read) for value in _values(found, coding)
    )
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


def _one_row_an_image(table: pd.DataFrame, labels: Mapping[str, Label], origin: str) -> pd.DataFrame:
    """Return one row for each image of a table whose index numbers its rows; the header of the file is row 1.

    `labels` are those in the columns of the table.

    Raises:
        DataInvalid: rows of one image that disagree, in the label only without `combine`.
    """
    # A row that does not tell the group agrees with one that does.
    coded = ["a", *(name for name in table.columns if name.startswith((ALSO, FINDING)))]
    first = table.groupby("uid")[coded].transform("max")
    table = table.assign(**{name: table[name].where(table[name] >= 0, first[name]) for name in coded})
    table["no_group"] = table["no_group"].where(table["a"] == NO_GROUP, "")
    by = table.groupby("uid", sort=False)
    combined = {column: label.combine for column, label in labels.items() if label.combine}
    for column in dict.fromkeys(("patient", "source", *coded, "y")):
        if column in combined:
            continue
        differ = table["uid"].map(by[column].nunique()) > 1
        if differ.any():
            rows = table[table["uid"] == table["uid"][differ].iloc[0]]
            named = {key: f"the label {label.column!r}" for key, label in labels.items()} | {"a": "the attribute"}
            name = named.get(column, f"the {column.removeprefix(ALSO)}")
            hint = 'set combine = "any" or "all" in [label], or keep one row' if column in labels else "keep one row"
            raise DataInvalid(
                f"{origin}: rows {' and '.join(str(int(row) + 2) for row in rows.index[:2])} are one image, "
                f"{rows['path'].iloc[0]!r}, and differ in {name} ({int(differ.sum())} such rows): {hint}",
                code="D013",
            )
    for column, combine in combined.items():
        table = table.assign(**{column: by[column].transform("max" if combine == "any" else "min")})
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


def fingerprint(table: pd.DataFrame, contents: Mapping[str, str]) -> dict[str, Any]:
    """Return `{"n": rows, "sha": sha256}` of the sorted (uid, y, a, content); row order does not count, repeats do.

    A table without the column `a` has the same fingerprint for every attribute. `contents` maps a path to the checksum
    of its file; generated images have none.
    """
    columns = [pa.array(table[name]).cast(pa.large_string()) for name in ("uid", "y", "a") if name in table.columns]
    ends = pa.array([contents.get(path, "") + "\n" for path in table["path"].tolist()], pa.large_string())
    tab = pa.scalar("\t", pa.large_string())
    join = compute.binary_join_element_wise  # pyright: ignore[reportAttributeAccessIssue]  made when imported
    lines = sorted(join(*columns, ends, tab).to_pylist())
    return {"n": len(lines), "sha": hashlib.sha256("".join(lines).encode()).hexdigest()}


def _inside(table: pd.DataFrame, where: Where, origin: str) -> pd.Series:
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
        (np.array([not (word and word.isprintable()) for word in words.tolist()]), "is empty or not printable"),
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
