"""`bench metrics --recompute`: scores of stored cells anew, from their predictions. No data, no model, no torch.

The cell itself stays as it is, byte for byte; an old one gets the metrics that came after it.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from bench import taskfile
from bench.cells.identity import cells_folder, scores_file
from bench.cells.predictions import ATTRIBUTE, read_predictions
from bench.cells.record import Record, Scores, SetScores, decode, read, scores_identity, set_scores
from bench.errors import BenchError, DataInvalid, NotWritten
from bench.files import not_written, to_json, write_json
from bench.lease import lease, mine
from bench.score.definitions import VERSION

ENDINGS_OF_OTHERS = (".failed.json", ".scores.json")


class _Held(BenchError):
    """Another process computes the cell: what it writes has today's metrics."""


def recompute(results: Path, task: str | None) -> int:
    """Score every cell of a task, or of all tasks, and write the scores that change; 1 if one had to be left.

    A cell that is damaged, or whose predictions are missing or of another cell, is named and left as it is. Safe
    beside a run; running it again changes nothing.

    Raises:
        BenchError: there are no cells.
        NotWritten: a folder cannot be written, or the disk is full.
    """
    from rich.console import Console
    from rich.progress import track

    cells = cells_folder(results, taskfile.resolve(task).name) if task else cells_folder(results)
    found = sorted(cells.glob("*/*/*.json" if task else "*/*/*/*.json"))
    files = [file for file in found if not file.name.endswith(ENDINGS_OF_OTHERS)]
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
    """Bring the scores of the cell whose JSON is `file` up to date; tell whether anything changed.

    Raises:
        BenchError: the cell is to be left as it is, or another process has it.
    """
    record, stored = read(file, Record), scores_file(file)
    before, version = stored.read_bytes() if stored.is_file() else b"", 0
    with contextlib.suppress(DataInvalid):  # damaged scores are made anew
        version = decode(before, Scores).version
    if version > VERSION:
        raise DataInvalid(f"scored by a newer bench: its metrics have version {version}, these {VERSION}")
    scores = Scores(version=VERSION, identity=scores_identity(record), sets=_scores(file, record))
    if to_json(scores) == before:
        return False
    place = file.with_suffix("")
    try:
        with lease(place) as other:
            if other is not None:
                raise _Held(f"{other} computes it")
            if to_json(read(file, Record)) != to_json(record) or not mine(place):
                raise _Held("another process has just written it")
            write_json(stored, scores)
    except OSError as error:
        raise not_written(file.parent, error.errno) from error
    return True


def _scores(file: Path, record: Record) -> dict[str, SetScores]:
    from bench.score.metrics import score_sets

    if not record.attributes:
        raise DataInvalid("it names no attribute")
    attribute, names = next(iter(record.attributes.items()))
    columns = ["logit", "y", ATTRIBUTE + attribute]
    table = read_predictions(file, record, ["set", *columns])
    sets = {
        str(name): tuple(rows[column].to_numpy() for column in columns)
        for name, rows in table.groupby("set", sort=False)
    }
    return {name: set_scores(found, attribute) for name, found in score_sets(sets, names).items()}
