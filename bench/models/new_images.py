"""Predictions of a stored model on new images, one row each:

    image_id         the path of the image, as it was given; an apostrophe before one that begins like a formula
    a_<attribute>    the number of its group, -1 where it is not known; only of a model that needs the attribute
    logit, score     empty where the image cannot be read
    decision         1 where the score is above the threshold of the model, else 0
    model            the beginning of the checksum of the weights

`bench predict` writes rows beside the table as they come, and continues from them.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.api import NO_GROUP
from bench.cells.predictions import ATTRIBUTE
from bench.data.columns import coded, require_columns, texts
from bench.data.decoding import decoded_rows
from bench.data.table_files import read_table_file
from bench.errors import DataError, DataInvalid, DataMissing, UsageError, clean, no_formula, of_no_formula
from bench.files import check_writable, not_written, write_file
from bench.learn.device import device
from bench.models.model_folder import StoredModel, as_tensor
from bench.scoring.threshold import predicted_positive

BATCH, SHOWN = 64, 10
"""Images that are predicted at a time, and images that a message names."""
NUMBERS = ("logit", "score", "decision")
Key = tuple[str, ...]
"""The path of an image and, of a model that needs it, the number of its group."""
Row = tuple[str, ...]


def predict_images(
    model: StoredModel, files: Sequence[str | Path], groups: Sequence[Any] | None = None, *, jobs: int = 1
) -> pd.DataFrame:
    """Return a row for each image file, in order; `why` says why it has no logit.

    `groups` are the values of the attribute, as the table of the training has them, for a model that needs it.
    """
    table, attribute = pd.DataFrame({"uid": [str(file) for file in files]}), model.config.attribute
    if attribute is not None and groups is not None:
        table[attribute.column] = list(groups)
    keys = _keys(model, table, "groups")
    every = [(*row, why) for row, why in _predicted(model, Path(), keys, jobs)]
    found = pd.DataFrame(every, columns=[*_columns(model), "why"])
    return found.assign(**{name: pd.to_numeric(found[name]) for name in _columns(model)[1:-1]})


def predict_table(
    model: StoredModel,
    file: Path,
    out: Path,
    *,
    images: Path | None = None,
    path_column: str = "path",
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> int:
    """Predict the images that a table names, write `out`, and return the exit code: 3 if an image cannot be read.

    `images` is the folder at which paths start, by default that of the table. Rows that `out` has are kept unless the
    image is newer than `out`, and an interrupted prediction is continued.

    Raises:
        UsageError: `out` exists and holds other things than predictions of this model.
        DataMissing, DataInvalid: there is no table, or it lacks a column or a path.
        DataError: no image can be read.
    """
    keys, folder = _keys(model, _read(file, path_column), str(file)), images or file.absolute().parent
    part, columns = out.with_name(f".{out.name}.part"), _columns(model)
    check_writable(out.absolute().parent)
    found = {**_rows_of(out, model, folder), **_rows_of(part, model, folder)}
    done = {key: row for key, row in found.items() if row}
    if changed := sum(key in found and key not in done for key in set(keys)):
        print(f"predicted again, as the image is newer than its prediction: {changed}", file=sys.stderr)
    left, unreadable = [key for key in dict.fromkeys(keys) if key not in done], dict[Key, str]()
    write_file(part, _text([columns, *done.values()]))
    try:
        with part.open("a", encoding="utf-8") as opened:
            for number, (row, why) in enumerate(_predicted(model.to(device()), folder, left, os.cpu_count() or 1), 1):
                if why:
                    unreadable[left[number - 1]] = why
                else:
                    done[left[number - 1]] = row
                    opened.write(_text([row]))
                if number % BATCH == 0:
                    opened.flush()
                progress(file.name, number, len(left))
    except OSError as error:
        raise not_written(out.absolute().parent, error.errno) from error
    rows = sum(key in unreadable for key in keys)
    told = _told(unreadable, f"{rows} of {len(keys)}")
    if not done:
        part.unlink()
        raise DataError(f"{told}\nIs {folder} the folder of the images? --images names another")
    empty = {key: (*key, *("" for _ in NUMBERS), _name(model)) for key in unreadable}
    write_file(out, _text([columns, *((done.get(key) or empty[key]) for key in keys)]))
    part.unlink()
    if unreadable:
        again = "Their rows are empty. The same command predicts them once they can be read."
        print(f"{clean(told)}\n{again}", file=sys.stderr)
    decided, before = [done[key][-2] for key in keys if key in done], len(set(keys)) - len(left)
    print(
        f"{len(decided)} of {len(keys)} images predicted{f', {before} of them before' * bool(before)}: "
        f"{decided.count('1')} as {clean(model.config.label_names[1])}, at a score above {model.config.threshold:g}"
    )
    print(out)
    return 3 if unreadable else 0


@torch.no_grad()
def _predicted(model: StoredModel, folder: Path, keys: Sequence[Key], jobs: int) -> Iterator[tuple[Row, str]]:
    """Yield the row of each image in a folder, and why it has no logit or ""."""
    decoded, where = decoded_rows(model.how(folder), [key[0] for key in keys], jobs), next(model.parameters()).device
    for start in range(0, len(keys), BATCH):
        part, found = keys[start : start + BATCH], list(islice(decoded, BATCH))
        good = [number for number, one in enumerate(found) if not isinstance(one, str)]
        logit = np.full(len(part), np.nan, dtype=np.float32)
        if good:
            a = torch.tensor([int(part[n][1]) for n in good], device=where) if model.config.attribute else None
            logit[good] = model(as_tensor([found[n][0] for n in good]).to(where), a).float().cpu().numpy()  # type: ignore
        with np.errstate(over="ignore"):
            score = 1 / (1 + np.exp(-logit.astype(float)))
        decision = predicted_positive(logit, model.config.threshold)
        for key, one, *numbers in zip(part, found, logit, score, decision, strict=True):
            why = one if isinstance(one, str) else "" if np.isfinite(numbers[0]) else "its logit is NaN or infinite"
            written = ["" if why else f"{number:.9g}" for number in numbers]
            yield (*key, *written, _name(model)), why


def _columns(model: StoredModel) -> Row:
    attribute = model.config.attribute
    return ("image_id", *([ATTRIBUTE + attribute.column] if attribute else []), *NUMBERS, "model")


def _name(model: StoredModel) -> str:
    return model.config.sha256[:12]


def _read(file: Path, path_column: str) -> pd.DataFrame:
    """Return a table with the paths of images as `uid`."""
    if not file.is_file():
        raise DataMissing(f"table {file}", get_it="--csv names a table with a column of paths.")
    table = read_table_file(file)
    require_columns(table, [path_column], str(file))
    paths = texts(table[path_column])
    if table.empty or paths.isna().any():
        row = 1 if table.empty else int(paths.isna().to_numpy().argmax()) + 2
        raise DataInvalid(f"{file}: row {row}, column {path_column!r} is empty")
    return table.assign(uid=paths)


def _keys(model: StoredModel, table: pd.DataFrame, origin: str) -> list[Key]:
    """Return the key of each image; of a model that needs the attribute, with the number of its group."""
    attribute, uids = model.config.attribute, [str(uid) for uid in table["uid"]]
    if attribute is None:
        return [(uid,) for uid in uids]
    if attribute.column not in table.columns:
        raise DataInvalid(
            f"{origin}: no column {attribute.column!r}: this model ({model.config.title}) decides by the group of each "
            f"patient ({', '.join(attribute.names)}), so it cannot be used without it"
        )
    a = coded(table, attribute, origin)["code"].fillna(NO_GROUP).astype(int)
    if unknown := int((a == NO_GROUP).sum()):
        print(f"{unknown} images without a known '{attribute.column}' get the threshold of all groups", file=sys.stderr)
    return [(uid, str(group)) for uid, group in zip(uids, a, strict=True)]


def _rows_of(file: Path, model: StoredModel, folder: Path) -> dict[Key, Row]:
    """Return the rows of earlier predictions of this model, without those of images that could not be read.

    The row of an image in `folder` that is newer than the file is empty.
    """
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    whole = io.StringIO(text[: text.rfind("\n") + 1], newline="")  # a name may hold what `splitlines` splits at
    first, *rows = [tuple(row) for row in csv.reader(whole)] or [()]
    if first != _columns(model) or any(len(row) != len(first) or row[-1] != _name(model) for row in rows):
        raise UsageError(f"{file} exists and does not hold predictions of this model: choose another --out")
    rows = [(of_no_formula(row[0]), *row[1:]) for row in rows]
    written = file.stat().st_mtime_ns
    return {row[: -len(NUMBERS) - 1]: () if _newer(folder / row[0], written) else row for row in rows if row[-2]}


def _newer(image: Path, written: int) -> bool:
    try:
        return image.stat().st_mtime_ns > written
    except (OSError, ValueError):
        return False


def _text(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([(no_formula(row[0]), *row[1:]) for row in rows])
    return text.getvalue()


def _told(unreadable: Mapping[Key, str], images: str) -> str:
    shown = [f"{key[0]}: {why}" for key, why in islice(unreadable.items(), SHOWN)]
    shown += [f"and {len(unreadable) - SHOWN} more"] if len(unreadable) > SHOWN else []
    return "\n  ".join([f"{images} images cannot be read:", *shown])
