"""Archives of an export: the same bytes again, and a bad one is refused by name."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest
from inline_snapshot import snapshot

from bench.errors import DataInvalid, DataMissing
from bench.share import archive
from bench.share.archive import MANIFEST, pack, unpack
from tests.prose import plain

FILES = {"task.toml": b"name", "cells/small/swift/f0-s0.json": b"{}"}


FACTS = {"task": "t", "synthetic": True, "predictions": False, "undefined": [], "min_cell": 0}
"""What a manifest says beside its files."""


def written(path, entries, manifest=None, **changes):
    """An archive of these (name, bytes or TarInfo) members behind a manifest that names all bytes."""
    named = {name: data for name, data in entries if isinstance(data, bytes)}
    table = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in named.items()}
    head = {"format": archive.FORMAT, "schema": archive.SCHEMA, "bench": "0", **FACTS, "files": table}
    about = manifest or head | changes
    text = json.dumps(about).encode()
    with gzip.GzipFile(path, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, data in [(MANIFEST, text), *entries]:
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(data, tarfile.TarInfo) else data
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_what_is_packed_is_unpacked(tmp_path):
    pack(tmp_path / "a.tar.gz", FACTS, FILES)
    (tmp_path / "out").mkdir()
    about = unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (about["task"], about["schema"], sorted(about["files"])) == ("t", 1, sorted(FILES))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES


def test_the_same_files_give_the_same_bytes_without_time_owner_and_name(tmp_path):
    pack(tmp_path / "a.tar.gz", {}, FILES)
    pack(tmp_path / "other.tar.gz", {}, dict(reversed(FILES.items())))
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar.getmembers()} == {(0, 0, 0, "", 0o644)}


def link(name, kind, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("../out.json", b"x")], "'../out.json' is not a valid name of a file"),
        ([("a/../../out.json", b"x")], "'a/../../out.json' is not a valid name of a file"),
        ([("/etc/out", b"x")], "'/etc/out' is not a valid name of a file"),
        ([("a//b", b"x")], "'a//b' is not a valid name of a file"),
        ([(".hidden", b"x")], "'.hidden' is not a valid name of a file"),
        ([("C:\\out", b"x")], "is not a valid name of a file"),
        ([("a", b"x"), ("a", b"x")], "'a' is there twice"),
        ([("a", b"x"), ("l", link("l", tarfile.SYMTYPE, "/etc/passwd"))], "'l' is not in the manifest"),
        ([("a", link("a", tarfile.SYMTYPE, "/etc/passwd")), ("a", b"x")], "'a' is a link or a device"),
        ([("a", link("a", tarfile.LNKTYPE, "MANIFEST.json")), ("a", b"x")], "'a' is a link or a device"),
        ([("a", link("a", tarfile.FIFOTYPE, "")), ("a", b"x")], "'a' is a link or a device"),
    ],
    ids=["up", "up inside", "absolute", "empty part", "hidden", "drive", "twice", "more", "link", "hard link", "fifo"],
)
def test_a_member_that_is_no_plain_file_of_the_manifest_is_refused(tmp_path, entries, says):
    file = written(tmp_path / "bad.tar.gz", entries)
    (tmp_path / "in" / "out").mkdir(parents=True)
    with pytest.raises(DataInvalid) as caught:
        unpack(file, tmp_path / "in" / "out")
    assert says in str(caught.value)
    assert "bad.tar.gz" in str(caught.value)
    outside = [path for path in tmp_path.rglob("*") if path.name.startswith("out") and path.is_file()]
    assert outside == []


def entry(data, **changes):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 7}, "an export with schema 7 (bench 0); this is bench"),
        ({"format": "other"}, "not an export: its manifest does not have the format 'bench export'"),
        ({"files": {"a": entry(b"xy")}}, "'a' has 1 bytes, the manifest says 2"),
        ({"files": {"a": entry(b"x", sha256="0" * 64)}}, "'a' was changed: its checksum differs from the manifest"),
        ({"files": {"a": entry(b"x"), "b": entry(b"y")}}, "1 files of the manifest are missing, first 'b'"),
        ({"files": {}}, "'a' is not in the manifest"),
        ({"files": {"a": {"bytes": -1, "sha256": ""}}}, "the manifest has no size and checksum of 'a'"),
        ({"files": {"a": {"bytes": True, "sha256": ""}}}, "the manifest has no size and checksum of 'a'"),
        ({"files": {"a": entry(b"x", bytes=2**50)}}, "its files have more than"),
        ({"files": None}, "the manifest lists no files"),
    ],
    ids=["schema", "format", "size", "checksum", "missing", "not named", "negative", "no number", "huge", "no table"],
)
def test_a_manifest_that_does_not_fit_its_files_is_refused(tmp_path, changes, says):
    file = written(tmp_path / "bad.tar.gz", [("a", b"x")], **changes)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid) as caught:
        unpack(file, tmp_path / "out")
    assert says in str(caught.value)


def test_a_header_that_claims_to_be_endless_is_not_read_into_memory(tmp_path):
    """Of a pax header that says it has 200 MB the first few are enough to refuse it."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 200 * 2**20
    with gzip.GzipFile(tmp_path / "bomb.tar.gz", "wb") as zipped:
        zipped.write(header.tobuf())
        zipped.write(bytes(3 * 2**20))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid) as error:
        unpack(tmp_path / "bomb.tar.gz", tmp_path / "out")
    assert plain(error.value, tmp_path) == snapshot("<tmp>/bomb.tar.gz: it has a member that is longer than allowed")


@pytest.mark.parametrize("size", [0, 1, 30, 200, -40])
def test_half_an_archive_or_none_is_said_to_be_no_whole_export(tmp_path, size):
    pack(tmp_path / "a.tar.gz", {}, FILES)
    (tmp_path / "half.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:size])
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid, match=r"half.tar.gz(: not an export| is not a complete export)"):
        unpack(tmp_path / "half.tar.gz", tmp_path / "out")
    with pytest.raises(DataMissing, match="bench export"):
        unpack(tmp_path / "none.tar.gz", tmp_path / "out")
