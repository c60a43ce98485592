"""Files that are whole or not there: written beside their place, synced to the disk and renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import NotWritten


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the content, or None where the file is not there or not a JSON object."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_json(file: Path, value: object) -> None:
    """Write a value as JSON in one step: the file is there whole, or it is as it was before.

    Raises:
        NotWritten: the folder cannot be written, or the disk is full.
    """
    with replacing(file) as temporary:
        temporary.write_bytes(to_json(value))


def to_json(value: object) -> bytes:
    """Return a value as indented JSON: dictionaries, lists, structs, numbers of NumPy. NaN becomes null."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=1) + b"\n"


def _plain(value: Any) -> object:
    if hasattr(value, "item"):  # a scalar of NumPy or PyTorch
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} is no JSON")


def check_writable(folder: Path) -> None:
    """Raise NotWritten for a folder that cannot be written, before hours are spent on its content."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    if not os.access(folder, os.W_OK):
        raise not_written(folder, errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES)


def not_written(folder: Path, number: int | None) -> NotWritten:
    """Return the error of a folder that cannot be written, with the reason that the system gives."""
    return NotWritten(
        f"{folder} cannot be written: {os.strerror(number or 0)}. What is done stays done, the same command resumes."
    )


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path beside `file`; what is written there becomes `file` in one step, or nothing does.

    Raises:
        NotWritten: the folder cannot be written, or the disk is full.
    """
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
