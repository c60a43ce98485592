"""Export archives: a gzipped tar of regular files behind a manifest of their sizes and checksums.

The same files give the same bytes. What is read is believed in nothing: the manifest comes first, and every name, size
and checksum is held against it before a file is kept.
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
"""Of the archive; bumped when what is in it changes so that an older reader would misread it."""
MOST_FILES = 200_000
MOST_BYTES = 16 * 2**30
"""Of all files unpacked. The cells of a task are megabytes; with predictions, some hundred of them."""
MOST_TEXT = 64 * 2**20
"""Of the manifest, which is held in memory."""
_BLOCK = 2**20
_NAME = re.compile(r"\w[\w.+@=-]*(/\w[\w.+@=-]*)*", re.ASCII)


def pack(target: Path, about: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
    """Write an archive of files by name, contents or paths, at once; `about` goes into its manifest.

    Raises:
        NotWritten: a folder that cannot be written, or a full disk.
    """
    contents = dict(sorted(files.items()))
    wrong = [name for name in contents if not _NAME.fullmatch(name)]
    if wrong:
        raise DataInvalid(f"{wrong[0]!r} cannot be the name of a file in an export")
    table: dict[str, dict[str, Any]] = {}
    for name in contents:
        data = _data(contents, name)
        table[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = {**about, "format": FORMAT, "schema": SCHEMA, "bench": bench.__version__, "files": table}
    # No time, owner or name of the file: two exports of the same results are equal.
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
        DataMissing: no such file.
        DataInvalid: no export, one of another schema, or a member that is not as the manifest says: another name,
            size or checksum, a link, a path out of the folder, more than `MOST_BYTES` in all.
    """
    try:
        with gzip.open(file) as stream:
            meter = _Meter(stream)
            with tarfile.open(fileobj=meter, mode="r|") as tar:
                return _unpack(tar, meter, folder)
    except FileNotFoundError:
        raise DataMissing(f"export {file}", get_it="`bench export --task NAME` writes one.") from None
    except DataInvalid as error:
        raise DataInvalid(f"{file}: {error}") from None
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, RecursionError) as error:
        raise DataInvalid(f"{file} is no whole export: {error}") from None


class _Meter(io.RawIOBase):
    """A stream that ends in an error once more is read than was allowed: headers can claim any length."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self.stream, self.left = stream, _BLOCK

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DataInvalid("a member that is longer than it may be")
        return data


def _unpack(tar: tarfile.TarFile, meter: _Meter, folder: Path) -> dict[str, Any]:
    first = _next(tar, meter)
    if first is None or first.name != MANIFEST or first.type not in _REGULAR or first.size > MOST_TEXT:
        raise DataInvalid(f"no export: {MANIFEST} of at most {MOST_TEXT} bytes expected first")
    meter.left += first.size
    manifest = _manifest(_content(tar, first))
    table: dict[str, dict[str, Any]] = manifest["files"]
    missing = dict(table)
    while (member := _next(tar, meter)) is not None:
        expected = missing.pop(member.name, None)
        if expected is None or member.type not in _REGULAR:
            why = "a link or a device" if expected else "there twice" if member.name in table else "not in the manifest"
            raise DataInvalid(f"{member.name!r} is {why}: only files that the manifest names, each once, are read")
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
        raise DataInvalid(f"no export: its manifest is not of format '{FORMAT}'")
    if manifest.get("schema") != SCHEMA:
        made = f"schema {manifest.get('schema')} (bench {manifest.get('bench')})"
        raise DataInvalid(f"an export of {made}; this is bench {bench.__version__}, which reads schema {SCHEMA}")
    table = manifest.get("files")
    if not isinstance(table, dict) or len(table) > MOST_FILES:
        raise DataInvalid(f"the manifest lists no files, or more than {MOST_FILES}")
    for name, entry in table.items():
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise DataInvalid(f"{name!r} is no name of a file in an export")
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0 or not isinstance(entry.get("sha256"), str):
            raise DataInvalid(f"{name!r} has no size and checksum")
    if sum(entry["bytes"] for entry in table.values()) > MOST_BYTES:
        raise DataInvalid(f"more than {MOST_BYTES} bytes unpacked")
    return manifest


_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


def _next(tar: tarfile.TarFile, meter: _Meter) -> tarfile.TarInfo | None:
    meter.left = _BLOCK
    return tar.next()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = tar.extractfile(member)
    assert opened is not None
    return opened.read()


def _keep(tar: tarfile.TarFile, member: tarfile.TarInfo, sha256: str, target: Path) -> None:
    opened, digest = tar.extractfile(member), hashlib.sha256()
    assert opened is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as written:
        while block := opened.read(_BLOCK):
            digest.update(block)
            written.write(block)
    if digest.hexdigest() != sha256:
        raise DataInvalid(f"{member.name!r} was changed: its checksum is not that of the manifest")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _data(files: Mapping[str, bytes | Path], name: str) -> bytes:
    content = files[name]
    return content if isinstance(content, bytes) else content.read_bytes()
