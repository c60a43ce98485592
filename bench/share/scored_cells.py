"""Cells of predictions that were made elsewhere, from the rows of `bench.share.scored_file`.

They are cells of the task in the backbone `elsewhere`, without a cost and an environment. The method that all others
are compared with has the spec `baseline`, whatever it is called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.api import Attribute, Label, Task
from bench.cells.identity import BASELINE, ELSEWHERE, SCHEMA
from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Cost, Fit, Images, Record
from bench.cells.rescore import set_scores
from bench.data.columns import texts
from bench.data.sample_table import CONTRACT, fingerprint, sample_rows, without_group
from bench.data.set_facts import set_facts
from bench.errors import DataInvalid, UnknownName, UsageError, clean
from bench.reporting.render.text import listed
from bench.scoring.definitions import VERSION
from bench.scoring.metrics import VALIDATION, score_sets

PLACE = "set and fold"
"""The column of a set and, of the validation set, a fold: there, all methods have the same images."""


def methods_of(rows: pd.DataFrame, reference: str) -> list[str]:
    """Return the methods in the order of the file, the reference first; a single method is the reference.

    Raises:
        UnknownName: there is no such method.
    """
    names = [str(name) for name in rows["method"].unique()]
    if len(names) == 1 and reference == BASELINE:
        return names
    if reference not in names:
        raise UnknownName("method", reference, names, where="; --reference names the one that others are compared with")
    return [reference, *(name for name in names if name != reference)]


def images_of(
    table: pd.DataFrame, rows: pd.DataFrame, label: Label, attribute: Attribute, origin: str
) -> dict[str, pd.DataFrame]:
    """Return the sample table of each place: of each test set, and of the validation set of each fold.

    Raises:
        DataInvalid: rows of one image that disagree, or that some method or fold lacks; or as `sample_rows`.
    """
    for coding in (label, attribute):
        if coding.column in CONTRACT and coding.column != "source":
            raise UsageError(f"{origin}: column {coding.column!r} has a name that the suite uses itself: rename it")
    every = pd.DataFrame(
        {
            "uid": rows["image"],
            "path": rows["image"],
            "patient": rows["patient"].fillna("image:" + rows["image"]),
            "source": "elsewhere",
            "drop": "",
            label.column: table[label.column],
            attribute.column: table[attribute.column],
            PLACE: places(rows),
        }
    )
    by = every.groupby([PLACE, "uid"], sort=False)
    for column in ("patient", label.column, attribute.column):
        several = texts(every[column]).fillna("").groupby([every[PLACE], every["uid"]]).transform("nunique") > 1
        if several.any():
            first = every[several].iloc[0]
            raise DataInvalid(
                f"{origin}: rows of image {first['uid']!r} in {first[PLACE]} differ in {column!r} "
                f"({int(several.sum())} such rows): one image has one value",
                code="D013",
            )
    once = every[by.cumcount() == 0].reset_index(drop=True)
    _check_whole(rows, once, origin)
    once.attrs = {"file": origin, "looked_in": "", "patients": bool(rows["patient"].notna().any())}
    return {
        str(place): sample_rows(once, {PLACE: (str(place),)}, label, attribute, str(place))
        for place in once[PLACE].unique()
    }


def places(rows: pd.DataFrame) -> pd.Series:
    """Return the set of each row and, in the validation set, its fold."""
    return rows["set"].where(rows["set"] != VALIDATION, VALIDATION + ", fold " + rows["fold"].astype(str))


def _check_whole(rows: pd.DataFrame, images: pd.DataFrame, origin: str) -> None:
    """Raise DataInvalid unless every method and fold has every image of a set."""
    there = images[PLACE].value_counts().to_dict()
    for (method, fold, seed, place), part in rows.groupby(["method", "fold", "seed", places(rows)], sort=False):
        if len(part) < there[place]:
            wanted = images["uid"][images[PLACE] == place]
            lacking = wanted[~wanted.isin(part["image"])]
            raise DataInvalid(
                f"{origin}: method {method!r}, fold {fold}, seed {seed} has {len(part)} of the {there[place]} images "
                f"of {place}, without {lacking.iloc[0]!r}: all methods and folds must predict the same images of a "
                "set. If each image was predicted in one fold only, --fold none takes all of them as one fold"
            )


def incomplete(rows: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """Return which folds and sets a method lacks that others have, and on which folds it is compared."""
    said = []
    folds = {method: sorted(part.unique()) for method, part in rows.groupby("method")["fold"]}
    every, base = sorted(rows["fold"].unique()), folds[methods[0]]
    for method in methods:
        if lacking := [str(fold) for fold in every if fold not in folds[method]]:
            both = [str(fold) for fold in folds[method] if fold in base]
            compared = f"compared with {methods[0]} on fold {listed(both)}" if both else "not compared: no common fold"
            compared = (
                "all others are compared with it on the folds that both have" if method == methods[0] else compared
            )
            said.append(f"{method}: fold {listed(lacking)} missing; {compared}")
        sets = rows["set"][rows["method"] == method].unique()
        if gone := [name for name in rows["set"].unique() if name not in sets]:
            said.append(f"{method}: no predictions of {listed(gone)}")
    return said


def cells_of_rows(
    rows: pd.DataFrame, images: Mapping[str, pd.DataFrame], methods: Sequence[str], task: Task, synthetic: bool
) -> Iterator[tuple[Record, pd.DataFrame]]:
    """Yield the record of each method, fold and seed with its predictions; `task` has the coding of the file."""
    rows = rows.assign(place=places(rows))
    order = [VALIDATION, *task.ood]
    for _, part in rows.groupby(["method", "fold", "seed"], sort=False):
        method, fold, seed = (part[name].iloc[0] for name in ("method", "fold", "seed"))
        frames, tables = [], {}
        for name in sorted(part["set"].unique(), key=order.index):
            here = part[part["set"] == name]
            tables[name] = table = images[here["place"].iloc[0]]
            frames.append(_predictions(name, table, here, task.attribute.column))
        row = list(methods).index(str(method))
        yield _record(
            str(method), row, (int(fold), int(seed)), tables, pd.concat(frames, ignore_index=True), task, synthetic
        )


def _predictions(name: str, images: pd.DataFrame, rows: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """Return the predictions of a set with the columns of `bench.cells.predictions`."""
    return pd.DataFrame(
        {
            "image_id": images["uid"].to_numpy(),
            "set": name,
            "cluster": pd.factorize(images["patient"])[0].astype("int32"),
            "y": images["y"].to_numpy(),
            "logit": rows.set_index("image")["logit"].loc[images["uid"]].to_numpy(),
            ATTRIBUTE + attribute: images["a"].to_numpy(),
        }
    )


def _record(
    method: str,
    row: int,
    place: tuple[int, int],
    tables: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    task: Task,
    synthetic: bool,
) -> tuple[Record, pd.DataFrame]:
    attribute, groups = task.attribute.column, task.attribute.names
    columns = ["logit", "y", ATTRIBUTE + attribute]
    sets = {
        str(name): tuple(part[column].to_numpy() for column in columns)
        for name, part in predictions.groupby("set", sort=False)
    }
    spec = BASELINE if row == 0 else spec_of_name(method)
    content = pd.util.hash_pandas_object(predictions, index=False).to_numpy().tobytes()
    record = Record(
        schema=SCHEMA,
        hash=hashlib.sha256(f"{task.name} {spec} {place} ".encode() + content).hexdigest(),
        cell=Fit(
            task=task.name,
            backbone=ELSEWHERE,
            method=spec,
            title=clean(method),
            row=row,
            spec=spec,
            parameters={},
            version=1,
            fold=place[0],
            seed=place[1],
        ),
        synthetic=synthetic,
        made="elsewhere",
        attributes={attribute: groups},
        data={name: Images(**fingerprint(table.assign(path=""), {})) for name, table in tables.items()},
        left_out={name: found for name, table in tables.items() if (found := table.attrs["left_out"])},
        without_group={name: found for name, table in tables.items() if (found := without_group(table))},
        facts={name: set_facts(table, task.label) for name, table in tables.items()},
        scores={name: set_scores(found, attribute) for name, found in score_sets(sets, groups).items()},
        metrics_version=VERSION,
        cost=Cost(),
    )
    return record, predictions


def spec_of_name(method: str) -> str:
    """Return the spec of a method that is called anything: its name where that is one, else with a hash."""
    if re.fullmatch(r"[A-Za-z0-9_][\w.+-]{0,79}", method, re.ASCII) and method != BASELINE:
        return method
    safe = re.sub(r"[^\w+-]", "_", method[:40], flags=re.ASCII)
    return f"m{safe}-{hashlib.sha256(method.encode()).hexdigest()[:8]}"
