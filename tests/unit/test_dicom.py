"""DICOM films, written here by pydicom and read as a viewer shows them."""

import numpy as np
import pandas as pd
import pytest

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import read_image

pydicom = pytest.importorskip("pydicom")


def write(file, stored, *, bits=12, signed=False, kind="MONOCHROME2", **tags):
    """Write a film of stored values (H, W) without compression."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    film.Rows, film.Columns = stored.shape[:2]
    film.SamplesPerPixel, film.PhotometricInterpretation = (3 if stored.ndim == 3 else 1), kind
    if stored.ndim == 3:
        film.PlanarConfiguration = 0
    film.BitsAllocated, film.BitsStored, film.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    film.PixelRepresentation = int(signed)
    width = "<i2" if signed else "<u2" if bits > 8 else "u1"
    film.PixelData = stored.astype(width).tobytes()
    for name, value in tags.items():
        setattr(film, name, value)
    film.save_as(file, enforce_file_format=True)
    return file


RAMP = np.array([[0, 1000, 2000], [3000, 4000, 4095]])


def test_without_a_window_all_values_are_spread(tmp_path):
    shown = read_image(write(tmp_path / "film.dcm", RAMP))
    np.testing.assert_array_equal(shown, [[0, 62, 125], [187, 249, 255]])


def test_where_high_is_dark_it_is_inverted(tmp_path):
    plain = read_image(write(tmp_path / "a.dcm", RAMP))
    inverted = read_image(write(tmp_path / "b.dcm", RAMP, kind="MONOCHROME1"))
    np.testing.assert_array_equal(inverted, 255 - plain)


def test_a_window_cuts_and_stretches(tmp_path):
    """DICOM PS3.3, C.11.2.1.2: centre c = 2000 and width w = 2001: ((x - (c - .5)) / (w - 1) + .5) * 255."""
    shown = read_image(write(tmp_path / "film.dcm", RAMP, WindowCenter=2000, WindowWidth=2001))
    np.testing.assert_array_equal(shown, [[0, 0, 128], [255, 255, 255]])


def test_values_are_rescaled_before_the_window(tmp_path):
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 1000, "WindowWidth": 2001}
    shown = read_image(write(tmp_path / "film.dcm", RAMP, **tags))
    np.testing.assert_array_equal(shown, [[0, 0, 128], [255, 255, 255]])


def test_signed_values_and_colour(tmp_path):
    signed = read_image(write(tmp_path / "signed.dcm", RAMP - 2048, signed=True))
    np.testing.assert_array_equal(signed, [[0, 62, 125], [187, 249, 255]])
    colour = np.arange(24).reshape(2, 4, 3)
    shown = read_image(write(tmp_path / "colour.dcm", colour, bits=8, kind="RGB"))
    np.testing.assert_array_equal(shown, colour)


def test_films_go_into_the_cache_and_damaged_ones_are_listed(tmp_path):
    (tmp_path / "films").mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        write(tmp_path / "films" / f"{i:02d}.dcm", rng.integers(0, 4096, (16, 16)))
    (tmp_path / "films" / "07.dcm").write_bytes(b"not a film")
    names = [f"{i:02d}.dcm" for i in range(30)]
    table = pd.DataFrame({"uid": names, "path": names})
    options = {"size": 16, "channels": 1, "crop": "none", "cache_dir": tmp_path / "cache"}
    cache = image_cache(Pixels(Manifest(), "manifest", tmp_path / "films", **options), table)
    assert len(cache.array) == 29
    first = read_image(tmp_path / "films" / "00.dcm")
    np.testing.assert_array_equal(cache.array[0, :, :, 0], first)
