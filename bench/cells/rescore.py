"""`bench metrics --recompute`: scores of stored cells anew, from their predictions. No data, no model, no torch.

What a cell is, its hash and all else of its record stay; an old cell gets the metrics that came after it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import taskfile
from bench.cells import store
from bench.errors import BenchError, DataInvalid, NotWritten
from bench.lease import lease, mine
from bench.run.plan import SCHEMA, folder
from bench.score.definitions import VERSION

COUNTS = ("n", "positives", "negatives", "true_positives", "false_positives")


class _Held(BenchError):
    """Another process computes the cell: what it writes has today's metrics."""


def recompute(results: Path, task: str | None) -> int:
    """Score every cell of a task, or of all tasks, and write the records that change; 1 if one had to be left.

    A cell whose record or predictions are missing, damaged or do not belong together is named and left as it is. Safe
    beside a run, and again = nothing to do.

    Raises:
        BenchError: where there are no cells.
        NotWritten: a folder that cannot be written, or a full disk.
    """
    from rich.console import Console
    from rich.progress import track

    below = f"{folder(taskfile.resolve(task).name)}/*/*" if task else "*/*/*"
    found = sorted((results / "cells").glob(f"{below}/*.json"))
    files = [file for file in found if not file.name.endswith(".failed.json")]
    if not files:
        raise BenchError(f"no cells{f' of {task}' if task else ''} in {results}: `bench run` makes them")
    written, left = 0, 0
    bar = {"console": Console(stderr=True), "disable": not sys.stderr.isatty()}
    for file in track(files, "scoring cells", **bar):
        try:
            written += rescore(file)
        except _Held as held:
            print(f"not now: {file}: {held}", file=sys.stderr)
        except NotWritten:
            raise
        except BenchError as error:
            left += 1
            print(f"left as it is: {file}: {error}", file=sys.stderr)
    print(f"{written} of {len(files)} cells have new scores, {left} left as they are")
    return int(left > 0)


def rescore(file: Path) -> bool:
    """Bring the scores of the cell of a JSON `file` up to date, by rename; tell whether anything changed.

    Raises:
        BenchError: where the cell is to be left as it is, or another process has it.
    """
    record = store.read_json(file)
    if record is None or not {"cell", "scores", "predictions"} <= set(record):
        raise DataInvalid("not a whole result")
    if record.get("schema") != SCHEMA:
        raise DataInvalid(f"schema {record.get('schema')}, {SCHEMA} expected")
    version = record.get("metrics_version")
    if not isinstance(version, int):
        raise DataInvalid(f"not a whole result: metrics_version {version!r}")
    if version > VERSION:
        raise DataInvalid(f"scored by a newer bench: its metrics have version {version}, these {VERSION}")
    try:
        updated = {**record, "scores": _scores(file, record), "metrics_version": VERSION}
    except (AttributeError, KeyError, TypeError) as error:  # a JSON of somebody else
        raise DataInvalid(f"not a whole result: {error!r}") from None
    if json.dumps(updated, sort_keys=True) == json.dumps(record, sort_keys=True):  # NaN equals NaN there
        return False
    place = file.with_suffix("")
    try:
        with lease(place) as other:
            if other is not None:
                raise _Held(f"{other} computes it")
            if json.dumps(store.read_json(file)) != json.dumps(record) or not mine(place):
                raise _Held("another process has just written it")
            store.write_json(file, updated)
    except OSError as error:
        raise store.not_written(file.parent, error.errno) from error
    return True


def _scores(file: Path, record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    from bench.score.metrics import score_sets

    stored = record["scores"]
    table = store.read_predictions(file, record, ["set", "y", "a", "logit"])
    sets = {
        str(name): tuple(rows[column].to_numpy() for column in ("logit", "y", "a"))
        for name, rows in table.groupby("set", sort=False)
    }
    if set(sets) != set(stored):
        raise DataInvalid(f"predictions of {', '.join(sorted(sets))}, scores of {', '.join(sorted(stored))}")
    groups = len(next(iter(stored.values()))["groups"])
    scores = score_sets(sets, [str(g) for g in range(groups)])
    names = _names(stored, scores)
    return {
        name: {**found, "groups": {names[g]: counts for g, counts in found["groups"].items()}}
        for name, found in scores.items()
    }


def _names(stored: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of each group by its number, told by its counts: JSON does not keep the order of names."""

    def counts(scored: Mapping[str, Any], group: str) -> list[Any]:
        values = [scored[name]["groups"][group] for name in sorted(scores)]
        return [[one[key] for key in COUNTS] + [repr(one["auc"])] for one in values]

    free = list(next(iter(stored.values()))["groups"])
    names = {}
    for g in next(iter(scores.values()))["groups"]:
        name = next((name for name in free if counts(stored, name) == counts(scores, g)), None)
        if name is None:
            raise DataInvalid("its counts are not those of its predictions: `bench run --force` makes both anew")
        names[g] = name
        free.remove(name)
    return names
