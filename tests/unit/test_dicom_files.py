"""DICOM films that pydicom ships, and films in the image cache."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import read_image
from tests.unit.dicom_films import pydicom, write

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


BARS = {5: (255, 0, 0), 15: (255, 128, 128), 25: (0, 255, 0), 35: (128, 255, 128), 45: (0, 0, 255), 55: (128, 128, 255)}
BARS |= {65: (0, 0, 0), 75: (64, 64, 64), 85: (192, 192, 192), 95: (255, 255, 255)}
"""Row -> colour of the test picture that DCMTK, GDCM and others compressed, in the files SC_*."""
FULL = ("RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded")
SAME = {
    "MR_small.dcm": [f"MR_small_{how}.dcm" for how in FULL],
    "liver_1frame.dcm": ["liver_expb_1frame.dcm"],
    "rtdose_1frame.dcm": ["rtdose_expb_1frame.dcm", "rtdose_rle_1frame.dcm"],
    "SC_rgb_small_odd.dcm": ["SC_rgb_small_odd_big_endian.dcm"],
    "SC_rgb_rle.dcm": ["SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm", "SC_ybr_full_422_uncompressed.dcm"],
}
DAMAGED = {"JPEG-lossy.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "badVR.dcm"}


def shipped():
    """Return name -> dataset of each film of one frame."""
    films = {}
    for file in sorted(SHIPPED.rglob("*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            film = pydicom.dcmread(file, force=True) if file.is_file() else {}
            if "PixelData" in film and "Rows" in film and film.get("NumberOfFrames") in (None, 1, "1A"):
                films[file] = film
    return films


def test_every_film_of_one_frame_that_pydicom_ships_is_read_or_refused():
    pytest.importorskip("libjpeg")
    pytest.importorskip("openjpeg")
    films = shipped()
    assert len(films) > 80
    read, refused = {}, {}
    for file, film in films.items():
        try:
            read[file.name] = read_image(file)
            assert read[file.name].shape == (film.Rows, film.Columns, 3)[: read[file.name].ndim]
        except ValueError as error:
            refused[file.name] = str(error)
    assert set(refused) == DAMAGED
    assert all(why.startswith("DICOM: ") for why in refused.values())
    for plain, others in SAME.items():
        for other in others:
            np.testing.assert_allclose(read[plain].astype(int), read[other], atol=6 * ("ybr" in other), err_msg=other)
    bars = [name for name, pixels in read.items() if name.startswith("SC_") and pixels.shape == (100, 100, 3)]
    assert len(bars) > 14
    for name in bars:
        pixels = [read[name][row, 50].astype(int) for row in BARS]
        np.testing.assert_allclose(pixels, list(BARS.values()), atol=6, err_msg=name)


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
