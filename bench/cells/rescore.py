"""`bench metrics --recompute`: score stored cells again from their predictions, without data, models or torch.

The cell itself does not change. An old cell gets the metrics that were defined after it was computed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import taskfile
from bench.cells.identity import cells_folder, scores_file
from bench.cells.intact import sealed
from bench.cells.predictions import ATTRIBUTE, read_predictions
from bench.cells.record import (
    COUNTS,
    AttributeScores,
    GroupScores,
    Numbers,
    Record,
    Scores,
    SetScores,
    decode,
    read,
    scores_identity,
)
from bench.cells.store import again
from bench.errors import BenchError, DataInvalid, NotWritten, number_of
from bench.files import content_of, not_written, to_json, write_file
from bench.lease import lease, mine
from bench.scoring.definitions import METRICS, VERSION
from bench.settings import Settings, command

ENDINGS_OF_OTHERS = (".failed.json", ".scores.json")


class _Held(BenchError):
    """Another process computes the cell, and will write it with today's metrics."""


def recompute(settings: Settings, last_run: Callable[[str], Settings]) -> int:
    """Score every cell of a task, or of all tasks if none is set, and write the scores that changed.

    A cell that is damaged, or whose predictions are missing or belong to another cell, is reported and left as it is;
    the exit code is then 1. A run may compute cells at the same time. Running the command again changes nothing.

    Args:
        settings: the folder of results, and the task or "".
        last_run: returns the settings with which a task was last run, for the commands in messages.

    Raises:
        BenchError: if there are no cells.
        NotWritten: if a folder cannot be written or the disk is full.
    """
    from rich.console import Console
    from rich.progress import track

    results, task = settings.results, settings.task
    cells = cells_folder(results, taskfile.resolve(task).name) if task else cells_folder(results)
    found = sorted(cells.glob("*/*/*.json" if task else "*/*/*/*.json"))
    files = [file for file in found if not file.name.endswith(ENDINGS_OF_OTHERS)]
    if not files:
        hint = command("run", settings if task else replace(settings, task="NAME"))
        raise BenchError(f"no cells{f' of {task}' if task else ''} in {results}: `{hint}` computes them")
    written, left = 0, 0
    seen = sys.stderr.isatty()  # a bar that is disabled ends in an empty line before rich 15
    for file in track(files, "scoring cells", console=Console(stderr=True)) if seen else files:
        try:
            written += rescore(file, last_run)
        except _Held as held:
            print(f"skipped: {file}: {held}", file=sys.stderr)
        except NotWritten:
            raise
        except BenchError as error:
            left += 1
            print(f"not scored: {file}: {error}", file=sys.stderr)
    print(f"{written} of {number_of(len(files), 'cell')} scored again, {left} could not be scored")
    return int(left > 0)


def rescore(file: Path, last_run: Callable[[str], Settings]) -> bool:
    """Bring the scores of the cell whose JSON is `file` up to date; return whether anything changed.

    Raises:
        BenchError: if the cell cannot be scored, or another process computes it.
    """
    record, stored = read(file, Record), scores_file(file)
    before, version = content_of(stored) if stored.is_file() else b"", 0
    with contextlib.suppress(DataInvalid):  # damaged scores are replaced
        version = decode(before, Scores).version
    if version > VERSION:
        raise DataInvalid(f"scored by a newer bench: its metrics have version {version}, ours have version {VERSION}")
    try:
        sets = _scores(file, record)
    except DataInvalid as error:
        hint = again(last_run(record.cell.task), record.cell.identity, force=True)
        raise DataInvalid(f"{error}: `{hint}` computes the cell again") from None
    scores = Scores(version=VERSION, identity=scores_identity(record), sets=sets)
    if sealed(scores) == before:
        return False
    place = file.with_suffix("")
    try:
        with lease(place) as other:
            if other is not None:
                raise _Held(f"{other} computes the cell")
            if to_json(read(file, Record)) != to_json(record) or not mine(place):
                raise _Held("another process has just written the cell")
            write_file(stored, sealed(scores))
    except OSError as error:
        raise not_written(file.parent, error.errno) from error
    return True


def _scores(file: Path, record: Record) -> dict[str, SetScores]:
    from bench.scoring.metrics import score_sets

    if not record.attributes:
        raise DataInvalid("it has no attribute")
    attribute, names = next(iter(record.attributes.items()))
    columns = ["logit", "y", ATTRIBUTE + attribute]
    table = read_predictions(file, record, ["set", *columns])
    sets = {
        str(name): tuple(rows[column].to_numpy() for column in columns)
        for name, rows in table.groupby("set", sort=False)
    }
    return {name: set_scores(found, attribute) for name, found in score_sets(sets, names).items()}


def set_scores(found: Mapping[str, Any], attribute: str) -> SetScores:
    """Return the result of `bench.scoring.metrics.evaluate` as it is stored."""
    groups = tuple(
        GroupScores(
            name=name,
            **{key: counts[key] for key in COUNTS},
            metrics=Numbers({key: value for key, value in counts.items() if key not in COUNTS}),
        )
        for name, counts in found["groups"].items()
    )
    plain = ("n", "positives", "degenerate", "degenerate_tuned_threshold")
    own = ("tuned_threshold", *(name for name, metric in METRICS.items() if not metric.needs_attribute))
    gaps = {key: value for key, value in found.items() if key not in (*plain, *own, "groups")}
    return SetScores(
        **{key: found[key] for key in plain},
        metrics=Numbers({key: found[key] for key in own if key in found}),
        attributes={attribute: AttributeScores(groups=groups, metrics=Numbers(gaps))},
    )
