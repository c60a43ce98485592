"""Results on disk. A cell is done when its JSON stands there with today's hash; the JSON is written last.

<results>/cells/<task>/<backbone>/<method>/f0-s0.json          the cell: scores, costs, facts
                                          f0-s0.parquet       its predictions: set, image_id, y, a, logit, group
                                          f0-s0.pictures.npz  what figures need of it (see `bench.run.pictures`)
                                          f0-s0.failed.json   why it failed, with the traceback
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bench.errors import DataInvalid, DataMissing, NotWritten
from bench.lease import abandon, running
from bench.run.plan import SCHEMA, Cell, folder

State = Literal["done", "stale", "failed", "pending"]


def cell_file(results: Path, cell: Cell) -> Path:
    """Return where the JSON of a cell stands."""
    return results / "cells" / f"{cell.path}.json"


def failure_file(results: Path, cell: Cell) -> Path:
    """Return where the failure of a cell stands."""
    return results / "cells" / f"{cell.path}.failed.json"


def predictions_file(results: Path, cell: Cell) -> Path:
    """Return where the predictions of a cell stand."""
    return results / "cells" / f"{cell.path}.parquet"


def pictures_file(results: Path, cell: Cell) -> Path:
    """Return where the pictures of a cell stand, if it has any."""
    return results / "cells" / f"{cell.path}.pictures.npz"


def state(results: Path, cell: Cell, expected: str) -> State:
    """Return how the files of a cell stand against the hash that it would have today."""
    found = identity(cell_file(results, cell))
    if found is None:
        return "failed" if failure_file(results, cell).is_file() else "pending"
    return "done" if found == (SCHEMA, expected) and predictions_file(results, cell).is_file() else "stale"


def identity(file: Path) -> tuple[int, str] | None:
    """Return schema and hash of a cell's record, None where there is no whole one.

    Not parsed: among ten thousand cells that would take most of the time of a plan. `write_json` puts the keys of the
    record, and no others, one space from the margin.
    """
    try:
        content = file.read_bytes()
    except OSError:
        return None
    found = _HASH.search(content), _SCHEMA.search(content)
    if found[0] is None or found[1] is None or not content.endswith(b"}\n"):
        return None
    return int(found[1][1]), found[0][1].decode()


_HASH = re.compile(rb'^ "hash": "([0-9a-f]*)"', re.MULTILINE)
_SCHEMA = re.compile(rb'^ "schema": (\d+)', re.MULTILINE)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the content, or None where the file is not there or not a JSON object."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def save_cell(results: Path, cell: Cell, record: dict[str, Any], predictions: Any, pictures: bytes) -> None:
    """Write the predictions (a DataFrame), the pictures and then the record, each by rename.

    A failure of before goes before the record comes, as do pictures of before where there are none (no bytes) now.

    Raises:
        NotWritten: where the folder cannot be written or the disk is full.
    """
    file = predictions_file(results, cell)
    with replacing(file) as temporary:
        predictions.to_parquet(temporary, index=False)
    stored = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    if pictures:
        with replacing(pictures_file(results, cell)) as temporary:
            temporary.write_bytes(pictures)
    else:
        pictures_file(results, cell).unlink(missing_ok=True)
    failure_file(results, cell).unlink(missing_ok=True)
    write_json(cell_file(results, cell), {**record, "predictions": stored})


def read_predictions(file: Path, record: Mapping[str, Any], columns: list[str] | None = None) -> Any:
    """Return the predictions (a DataFrame) of the cell whose JSON is `file` and holds `record`.

    Raises:
        DataMissing: where they are not there.
        DataInvalid: where they are not those of the record, or cannot be read.
    """
    import pandas as pd

    try:
        content = file.with_suffix(".parquet").read_bytes()
    except OSError:
        get_it = "`bench run --force` makes them anew."
        raise DataMissing(f"its predictions {file.with_suffix('.parquet').name}", get_it=get_it) from None
    if hashlib.sha256(content).hexdigest() != record["predictions"]["sha256"]:
        raise DataInvalid("its predictions are damaged or of another run: `bench run --force` makes them anew")
    try:
        return pd.read_parquet(io.BytesIO(content), columns=columns)
    except (OSError, ValueError, KeyError) as error:
        raise DataInvalid(f"its predictions cannot be read: {str(error).partition(chr(10))[0]}") from None


def save_failure(results: Path, cell: Cell, record: dict[str, Any]) -> Path:
    """Write why a cell failed; counts the attempts."""
    file = failure_file(results, cell)
    before = read_json(file) or {}
    write_json(file, {**record, "attempt": int(before.get("attempt", 0)) + 1})
    return file


def write_json(file: Path, record: dict[str, Any]) -> None:
    """Write a JSON file by rename."""
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def check_writable(folder: Path) -> None:
    """Raise NotWritten for a folder in which nothing can be written, before hours are spent on what goes there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    if not os.access(folder, os.W_OK):
        raise not_written(folder, errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES)


def not_written(folder: Path, number: int | None) -> NotWritten:
    """Return the error of a folder that cannot be written, with what the system says."""
    return NotWritten(
        f"{folder} cannot be written: {os.strerror(number or 0)}. What is done stays done, the same command resumes."
    )


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path beside `file`; what is written there becomes `file` at once, or nothing does."""
    temporary = file.with_name(f".{file.name}.{platform.node()}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise not_written(file.parent, error.errno) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def clear_temporaries(results: Path, task: str, cache: Path) -> None:
    """Remove what killed writers of a task and its cache left behind; a file of a living writer is left alone.

    That is half-written files, leases of cells, and checkpoints of baselines whose weights stand.
    """
    for file in (results / "cells" / folder(task)).glob("*/*/.*.lease.*"):
        abandon(file)
    for file in (cache / "baselines").glob("*.checkpoint"):
        if file.with_suffix(".pt").is_file():
            with contextlib.suppress(OSError):
                file.unlink()
    kept = (cache / name for name in ("baselines", "shared"))
    for file in (*(results / "cells" / folder(task)).glob("*/*/.*"), *(f for one in kept for f in one.glob(".*"))):
        if ".lease." in file.name:
            continue
        host, _, pid = file.name.rpartition(".")
        here = host.endswith(f".{platform.node()}") and pid.isdigit()
        with contextlib.suppress(OSError):
            if not running(int(pid)) if here else time.time() - file.stat().st_mtime > 3600:
                file.unlink()
