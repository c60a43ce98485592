"""Checksums of image files: what is read again, and what is noticed."""

import hashlib
import os
from pathlib import Path

import pytest

from bench.data import checksums as module
from bench.data.checksums import checksums


@pytest.fixture
def read(monkeypatch):
    """The paths that were read, in order."""
    found, whole = [], module._sha256
    monkeypatch.setattr(module, "_sha256", lambda file: found.append(Path(file).name) or whole(file))
    return found


def sha(content):
    return hashlib.sha256(content).hexdigest()


def test_each_file_is_read_once_and_again_where_it_changed(tmp_path, read, monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    root, cache = tmp_path / "films", tmp_path / "cache"
    root.mkdir()
    for name in "ab":
        (root / name).write_bytes(name.encode())
    told = []
    found = checksums(root, ["a", "b", "a", "none"], cache, progress=lambda done, total: told.append((done, total)))
    assert dict(found) == {"a": sha(b"a"), "b": sha(b"b"), "none": ""}
    assert (sorted(read), told) == (["a", "b"], [(1, 2), (2, 2)])
    assert dict(checksums(root, ["b"], cache)) == {"b": sha(b"b")}
    assert len(read) == 2
    # The same size and the same time of modification, as `cp -p` and archives leave them.
    before = (root / "a").stat()
    (root / "a").write_bytes(b"c")
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert dict(checksums(root, ["a", "b"], cache, trust=True)) == {"a": sha(b"a"), "b": sha(b"b")}
    assert dict(checksums(root, ["a", "b"], cache)) == {"a": sha(b"c"), "b": sha(b"b")}
    assert read[2:] == ["a"]
    assert dict(checksums(root, ["a", "b"], cache, trust=True)) == {"a": sha(b"c"), "b": sha(b"b")}


def test_verify_finds_a_change_that_size_and_times_do_not_show(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(module, "_state", lambda file: (1, 2, 3))
    checksums(tmp_path, ["a"], tmp_path / "cache")
    (tmp_path / "a").write_bytes(b"b")
    found = checksums(tmp_path, ["a"], tmp_path / "cache")
    assert (dict(found), found.attrs) == ({"a": sha(b"a")}, {"unnoticed": 0})
    found = checksums(tmp_path, ["a"], tmp_path / "cache", verify=True)
    assert (dict(found), found.attrs) == ({"a": sha(b"b")}, {"unnoticed": 1})


def test_a_damaged_or_unwritable_table_costs_time_alone(tmp_path, read):
    (tmp_path / "a").write_bytes(b"a")
    cache = tmp_path / "cache"
    checksums(tmp_path, ["a"], cache)
    (store,) = (cache / "checksums").iterdir()
    store.write_bytes(store.read_bytes()[:100])
    assert dict(checksums(tmp_path, ["a"], cache)) == {"a": sha(b"a")}
    assert read == ["a", "a"]
    (tmp_path / "file").write_text("")
    assert dict(checksums(tmp_path, ["a"], tmp_path / "file")) == {"a": sha(b"a")}
