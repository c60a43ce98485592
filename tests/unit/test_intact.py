"""The checksums of a cell: of its record, and of the files beside it."""

import pytest
from msgspec import structs

from bench.cells.bounds import identity_of
from bench.cells.intact import damaged, described, sealed, whole
from bench.cells.record import Record, decode
from bench.files import read_sealed, write_sealed
from tests.factory import record


@pytest.fixture
def stored(tmp_path):
    place = tmp_path / "f0-s0"
    place.with_name("f0-s0.parquet").write_bytes(b"predictions")
    made = structs.replace(record("swift", 0), beside=described(place, (".parquet", ".pictures.npz")))
    return place, sealed(made)


def found(place, content, *, verify):
    return damaged(place, content, identity_of(content), verify=verify)


def test_what_is_written_is_whole_and_read_back(stored):
    place, content = stored
    read = decode(content, Record)
    assert [*read.beside] == [".parquet"]
    assert len(read.checksum) == 64
    assert found(place, content, verify=True) == ""


def test_every_changed_byte_of_a_record_is_seen(stored):
    _, content = stored
    checksum = identity_of(content).checksum
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 1
        assert not whole(bytes(changed), checksum)


def test_a_size_is_seen_at_once_and_a_byte_on_request(stored):
    place, content = stored
    file = place.with_name("f0-s0.parquet")
    file.write_bytes(b"predictionz")
    assert found(place, content, verify=False) == ""
    assert found(place, content, verify=True) == "its parquet is damaged"
    file.write_bytes(b"pred")
    assert found(place, content, verify=False) == "its parquet is damaged"
    file.unlink()
    assert found(place, content, verify=False) == "its parquet is missing"


def test_a_sealed_file_is_read_only_whole_and_under_its_name(tmp_path):
    file = tmp_path / "weights.pt"
    assert read_sealed(file) is None
    write_sealed(file, b"content")
    written = read_sealed(file)
    assert written is not None
    assert written.startswith(b"content")
    for at in range(len(written)):
        file.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        assert read_sealed(file) is None
        file.write_bytes(written[:at])
        assert read_sealed(file) is None
    (tmp_path / "other.pt").write_bytes(written)
    assert read_sealed(tmp_path / "other.pt") is None
