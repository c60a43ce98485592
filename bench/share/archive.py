"""Export archives: a gzipped tar whose first member is a manifest with the sizes and checksums of all files.

The same files give the same bytes. An archive that is read is not trusted: every name, size and checksum is compared
with the manifest before a file is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import bench
from bench.errors import DataInvalid, DataMissing
from bench.files import replacing

MANIFEST = "MANIFEST.json"
FORMAT = "bench export"
SCHEMA = 1
"""Schema of the archive; raised when an older reader would misread a newer archive."""
MOST_FILES = 200_000
MOST_BYTES = 16 * 2**30
"""Largest size of all unpacked files. The cells of a task take megabytes, with predictions some hundred megabytes."""
MOST_TEXT = 64 * 2**20
"""Largest size of the manifest, which is read into memory."""
_BLOCK = 2**20
_NAME = re.compile(r"\w[\w.+@=-]*(/\w[\w.+@=-]*)*", re.ASCII)


def pack(target: Path, about: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
    """Write an archive in one step; `files` are contents or paths by name, `about` goes into the manifest.

    Raises:
        DataInvalid: if a name is not allowed in an archive.
        NotWritten: if the folder cannot be written or the disk is full.
    """
    contents = dict(sorted(files.items()))
    wrong = [name for name in contents if not _NAME.fullmatch(name)]
    if wrong:
        raise DataInvalid(f"{wrong[0]!r} is not a valid name of a file in an export")
    table: dict[str, dict[str, Any]] = {}
    for name in contents:
        data = _data(contents, name)
        table[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = {**about, "format": FORMAT, "schema": SCHEMA, "bench": bench.__version__, "files": table}
    # Without time, owner and name of the file, two exports of the same results are equal.
    with (
        replacing(target) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
        for name in contents:
            _add(tar, name, _data(contents, name))


def unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Write the files of an archive into an empty folder and return its manifest.

    Raises:
        DataMissing: if the file does not exist.
        DataInvalid: if it is not an export, has another schema, or has a member that differs from the manifest in
            name, size or checksum, is a link, leads out of the folder, or brings the total above `MOST_BYTES`.
    """
    if not file.is_file():  # a FIFO would be read for ever
        raise DataMissing(f"export {file}", get_it="`bench export --help` says how to write one.")
    try:
        with gzip.open(file) as stream:
            meter = _Meter(stream)
            with tarfile.open(fileobj=meter, mode="r|") as tar:
                return _unpack(tar, meter, folder)
    except DataInvalid as error:
        raise DataInvalid(f"{file}: {error}") from None
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, RecursionError) as error:
        raise DataInvalid(f"{file} is not a complete export: {error}") from None


class _Meter(io.RawIOBase):
    """A stream that raises an error once more is read than is allowed, because headers can claim any length."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self.stream, self.left = stream, _BLOCK

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DataInvalid("it has a member that is longer than allowed")
        return data


def _unpack(tar: tarfile.TarFile, meter: _Meter, folder: Path) -> dict[str, Any]:
    first = _next(tar, meter)
    if first is None or first.name != MANIFEST or first.type not in _REGULAR or first.size > MOST_TEXT:
        raise DataInvalid(f"not an export: its first member must be {MANIFEST}, of at most {MOST_TEXT} bytes")
    meter.left += first.size
    opened = tar.extractfile(first)
    assert opened is not None
    manifest = _manifest(opened.read())
    table: dict[str, dict[str, Any]] = manifest["files"]
    missing = dict(table)
    while (member := _next(tar, meter)) is not None:
        expected = missing.pop(member.name, None)
        if expected is None or member.type not in _REGULAR:
            why = "a link or a device" if expected else "there twice" if member.name in table else "not in the manifest"
            raise DataInvalid(f"{member.name!r} is {why}: only files in the manifest are read, and each only once")
        if member.size != expected["bytes"]:
            raise DataInvalid(f"{member.name!r} has {member.size} bytes, the manifest says {expected['bytes']}")
        meter.left += member.size
        _keep(tar, member, expected["sha256"], folder / member.name)
    if missing:
        raise DataInvalid(f"{len(missing)} files of the manifest are missing, first {next(iter(missing))!r}")
    return manifest


def _manifest(data: bytes) -> dict[str, Any]:
    manifest = json.loads(data)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataInvalid(f"not an export: its manifest does not have the format '{FORMAT}'")
    if manifest.get("schema") != SCHEMA:
        made = f"schema {manifest.get('schema')} (bench {manifest.get('bench')})"
        raise DataInvalid(f"an export with {made}; this is bench {bench.__version__}, which reads schema {SCHEMA}")
    kinds = {"task": str, "synthetic": bool, "predictions": bool, "undefined": list, "min_cell": int}
    for name, kind in kinds.items():
        if type(manifest.get(name)) is not kind or (kind is int and not 0 <= manifest[name] <= 10**9):
            raise DataInvalid(f"the manifest's {name} is {str(manifest.get(name))[:40]!r}, {kind.__name__} expected")
    table = manifest.get("files")
    if not isinstance(table, dict) or len(table) > MOST_FILES:
        raise DataInvalid(f"the manifest lists no files, or more than {MOST_FILES}")
    for name, entry in table.items():
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise DataInvalid(f"{name!r} is not a valid name of a file in an export")
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0 or not isinstance(entry.get("sha256"), str):
            raise DataInvalid(f"the manifest has no size and checksum of {name!r}")
    if sum(entry["bytes"] for entry in table.values()) > MOST_BYTES:
        raise DataInvalid(f"its files have more than {MOST_BYTES} bytes")
    return manifest


_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


def _next(tar: tarfile.TarFile, meter: _Meter) -> tarfile.TarInfo | None:
    meter.left = _BLOCK
    return tar.next()


def _keep(tar: tarfile.TarFile, member: tarfile.TarInfo, sha256: str, target: Path) -> None:
    opened, digest = tar.extractfile(member), hashlib.sha256()
    assert opened is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as written:
        while block := opened.read(_BLOCK):
            digest.update(block)
            written.write(block)
    if digest.hexdigest() != sha256:
        raise DataInvalid(f"{member.name!r} was changed: its checksum differs from the manifest")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _data(files: Mapping[str, bytes | Path], name: str) -> bytes:
    content = files[name]
    return content if isinstance(content, bytes) else content.read_bytes()
