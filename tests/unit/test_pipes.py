"""What is no file in the place of a file, a FIFO or a folder, is refused or counted as missing: nothing waits for it."""

import os
import signal

import pytest

from bench import taskfile
from bench.cells.record import Record, read
from bench.data import split_manifest
from bench.data.checksums import checksums
from bench.errors import DataInvalid, DataMissing
from bench.files import content_of, read_json, write_json
from bench.lease import holders_below
from bench.share.archive import unpack


@pytest.fixture
def pipe(tmp_path):
    """A FIFO without a writer; who opens it is ended after 10 seconds."""

    def ended(*_):
        os.close(os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK))  # lets go a thread that waits
        raise AssertionError("waited for a FIFO")

    os.mkfifo(tmp_path / "pipe")
    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(10)
    yield tmp_path / "pipe"
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_pipe_is_no_file(pipe, tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        content_of(pipe)
    with pytest.raises(DataInvalid, match="not a regular file"):
        read(pipe, Record)
    assert read_json(pipe) == {}
    with pytest.raises(DataMissing):
        unpack(pipe, tmp_path / "unpacked")
    with pytest.raises(DataMissing):
        split_manifest.read(pipe, taskfile.resolve("phantom-cxr-age"))


def test_a_pipe_among_images_is_a_missing_file_and_among_leases_nobodys(pipe, tmp_path):
    os.mkfifo(tmp_path / ".f0-s0.lease.1")
    (tmp_path / "film").write_bytes(b"x")
    found = checksums(tmp_path, ["film", "pipe"], tmp_path / "cache")
    assert [bool(found[name]) for name in ("film", "pipe")] == [True, False]
    assert list(holders_below(tmp_path)) == []


def test_a_folder_in_the_place_of_a_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "cell.json").mkdir()
    (tmp_path / "baseline").write_text("x")
    for file, named in (("cell.json", "cell.json is a folder"), ("baseline/cell.json", "baseline has a file")):
        with pytest.raises(DataInvalid, match=f"{named}.*: remove it and run again"):
            write_json(tmp_path / file, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["baseline", "cell.json"], "nothing is left behind"
