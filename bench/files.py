"""Atomic files: each is written beside its destination, synced to the disk, and renamed."""

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


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file is missing or holds anything else."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file in one step: afterwards it is complete, or as it was before. Text is written as UTF-8.

    Raises:
        NotWritten: the folder is not writable, or the disk is full.
    """
    with replacing(file) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(file: Path, value: object) -> None:
    """Write a value as JSON in one step; raises as `write_file`."""
    write_file(file, to_json(value))


def to_json(value: object) -> bytes:
    """Return a value as indented JSON: dictionaries, lists, structs and NumPy numbers. NaN becomes null."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=1) + b"\n"


def _plain(value: Any) -> object:
    if hasattr(value, "item"):  # a scalar of NumPy or PyTorch
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} is no JSON")


def check_writable(folder: Path) -> None:
    """Raise NotWritten if a folder is not writable, before hours are spent on its content."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    if not os.access(folder, os.W_OK):
        raise not_written(folder, errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES)


def not_written(folder: Path, number: int | None) -> NotWritten:
    """Return the error for a folder that cannot be written, with the operating system's reason."""
    return NotWritten(
        f"{folder} cannot be written: {os.strerror(number or 0)}. "
        "Finished cells are kept; run the same command again to resume."
    )


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a path beside `file`. After the block, the file written there replaces `file` in one step.

    Raises:
        NotWritten: the folder is not writable, or the disk is full.
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
