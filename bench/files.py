"""Atomic files: each is written beside its destination, synced to the disk, and renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import DataInvalid, NotWritten, UsageError
from bench.processes import here

IN_CHECKOUT = {"profiles": "slurm", "examples": "docs/examples", "published": "results/published"}
"""Data folder of the wheel (see `pyproject.toml`) -> where it is in a checkout."""


def shipped(name: str) -> Path:
    """Return a folder of data files that the checkout keeps at its top and the wheel keeps in this package.

    `name` is profiles, examples or published.
    """
    installed = Path(__file__).parent / name
    return installed if installed.is_dir() else Path(__file__).parents[1] / IN_CHECKOUT[name]


def content_of(file: Path) -> bytes:
    """Return the bytes of a file; raise OSError for a FIFO or a device, too, whose reading may never end."""
    if not (stat.S_ISREG(mode := file.stat().st_mode) or stat.S_ISDIR(mode)):  # a folder has an error of its own
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return file.read_bytes()


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file is missing or holds anything else."""
    try:
        record = json.loads(content_of(file).decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def read_toml(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file that a user wrote; raise UsageError if it is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # Windows' editors write a mark in front
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not TOML, which is text in UTF-8: save it in this encoding") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file in one step: afterwards it is complete, or as it was before. Text is written as UTF-8.

    Raises:
        NotWritten: the folder is not writable, or the disk is full.
    """
    with replacing(file) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_sealed(file: Path, content: bytes) -> None:
    """Write a file of a cache, followed by a checksum of its name and content; raises as `write_file`."""
    write_file(file, content + _seal(file, content))


def read_sealed(file: Path) -> bytes | None:
    """Return a whole file that `write_sealed` wrote under this name; None if it is missing, damaged or another one."""
    try:
        written = content_of(file)
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    return written if written[-size:] == _seal(file, written[:-size]) else None


def _seal(file: Path, content: bytes) -> bytes:
    digest = hashlib.sha256(file.name.encode())
    digest.update(content)
    return digest.digest()


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
        DataInvalid: a folder has the name of the file, or a file that of its folder.
    """
    temporary = file.with_name(f".{file.name}.{here()}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise not_written(file.parent, error.errno) from error
        if file.is_dir():
            raise DataInvalid(f"{file} is a folder, where a file is written: remove it and run again") from error
        if not file.parent.is_dir():
            raise DataInvalid(f"{file.parent} has a file in the place of a folder: remove it and run again") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
