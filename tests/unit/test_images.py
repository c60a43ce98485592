"""Images: decoding, the cache on disk, the eight augmentations and the scaling to floats."""

import errno
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from inline_snapshot import snapshot
from PIL import Image

from bench.data import building, decoding
from bench.data.augment import dihedral, normalise
from bench.data.cache import image_cache, open_cache, verify
from bench.data.decoding import few_levels, perceptual_hash
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import fit, read_image
from bench.errors import DataInvalid, NotWritten, UsageError
from tests.prose import plain

SIZE = 16


def save(folder, n=12, seed=0, width=20, height=16):
    """Write n random colour images and return their table, in an order unlike that of the uids."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [f"{i:03d}.png" for i in range(n)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return pd.DataFrame({"uid": [f"manifest:m:{name}" for name in names], "path": names})[::-1]


def build(root, table, cache_dir, **changes):
    how = {"size": SIZE, "channels": 3, "crop": "centre", "cache_dir": cache_dir} | changes
    options = {name: how.pop(name) for name in ("jobs", "progress") if name in how}
    return image_cache(Pixels(Manifest(), "manifest", root, **how), table, **options)


def leftovers(cache_dir):
    return [path for path in cache_dir.rglob("*") if path.name.startswith(".")]


# --- decoding ----------------------------------------------------------------------------------


def test_modes_are_read_as_grey_or_colour(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    grey, colour = Image.fromarray(rgb[:, :, 0]), Image.fromarray(rgb)
    alpha = Image.fromarray(rgb[:, :, 1])
    rgba, la = colour.copy(), grey.copy()
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    palette = colour.quantize(200)
    expected = {
        "grey": (grey, rgb[:, :, 0]),
        "colour": (colour, rgb),
        # Over black, of a level its opacity is left.
        "rgba": (rgba, np.rint(rgb * (rgb[:, :, 1:2] / 255))),
        "la": (la, np.rint(rgb[:, :, 0] * (rgb[:, :, 1] / 255))),
        "palette": (palette, np.asarray(palette.convert("RGB"))),
        "bits": (grey.convert("1"), np.asarray(grey.convert("1").convert("L"))),
        "cmyk": (colour.convert("CMYK"), np.asarray(colour.convert("CMYK").convert("RGB"))),
    }
    for name, (image, pixels) in expected.items():
        file = tmp_path / f"{name}.{'tiff' if name == 'cmyk' else 'png'}"
        image.save(file)
        rounding = 1 if name in ("rgba", "la") else 0
        np.testing.assert_allclose(read_image(file).astype(int), pixels, atol=rounding, err_msg=name)


def test_transparent_palette_is_read_without_warning(tmp_path):
    palette = Image.new("P", (2, 2))
    palette.putpalette([200, 100, 50, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=bytes([51, 255]))  # a fifth of the first colour is left
    assert read_image(tmp_path / "p.png").tolist() == [[[40, 20, 10], [10, 20, 30]], [[40, 20, 10]] * 2]


def tiff(samples, *, bits, interpretation, width, count=1, **tags):
    """Return a TIFF of one row, of a kind that Pillow does not write; `samples` are its bytes."""
    names = {"extra": 338, "sample_format": 339}
    entries = {256: width, 257: 1, 258: bits, 259: 1, 262: interpretation, 273: None, 277: count, 278: 1}
    entries |= {279: len(samples)} | {names[name]: value for name, value in tags.items()}
    start = 8 + 2 + 12 * len(entries) + 4
    depths = struct.pack(f"<{count}H", *[bits] * count) if count > 2 else b""
    directory = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        if tag == 258 and depths:
            directory += struct.pack("<HHII", tag, 3, count, start)
        elif tag == 258:
            directory += struct.pack("<HHI2H", tag, 3, count, bits, bits if count == 2 else 0)
        else:
            directory += struct.pack("<HHII", tag, 4, 1, start + len(depths) if value is None else value)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + depths + samples


def png(samples, *, colour, width, transparent=b""):
    """Return a PNG of one row of 16 bits a sample; colour type 0 is grey, 2 RGB, 4 grey with alpha, 6 RGBA."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 16, colour, 0, 0, 0))
    head += chunk(b"tRNS", transparent) if transparent else b""
    data = chunk(b"IDAT", zlib.compress(b"\0" + np.array(samples, ">u2").tobytes()))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


def words(*values):
    return np.array(values, "<u2").tobytes()


def decoded(tmp_path, content, **options):
    """Return what is read of the bytes of a file, as a list; its name does not say what it is."""
    (tmp_path / "image").write_bytes(content)
    return read_image(tmp_path / "image", **options).tolist()


@pytest.mark.parametrize(
    ("levels", "content"),
    [
        ([255, 254, 0], tiff(bytes([0, 1, 255]), bits=8, interpretation=0, width=3)),  # low is bright
        ([255, 254, 0], tiff(words(0, 257, 65535), bits=16, interpretation=0, width=3)),
        ([255, 0], tiff(b"\xff\xf0\x00", bits=12, interpretation=1, width=2)),  # 4095 and 0
        ([0, 255, 17], tiff(b"\x0f\x10", bits=4, interpretation=1, width=3)),
        ([0, 0, 255], tiff(b"\xc0", bits=1, interpretation=0, width=3)),
        ([0, 128, 255], b"P5 3 1 4095\n" + np.array([0, 2048, 4095], ">u2").tobytes()),
        ([0, 1, 255], b"P5 3 1 65535\n" + np.array([0, 257, 65535], ">u2").tobytes()),
        ([0, 255], b"P4 2 1\n\x80"),
        ([50], tiff(bytes([100, 128]), bits=8, interpretation=1, width=1, count=2, extra=2)),
        ([100], tiff(bytes([100, 128]), bits=8, interpretation=1, width=1, count=2, extra=1)),  # premultiplied
        ([[50, 25, 0]], tiff(bytes([100, 50, 0, 128]), bits=8, interpretation=2, width=1, count=4, extra=2)),
        ([[100, 50, 0]], tiff(bytes([100, 50, 0, 128]), bits=8, interpretation=2, width=1, count=4, extra=1)),
        ([[100, 50, 0]], tiff(bytes([100, 50, 0, 128]), bits=8, interpretation=2, width=1, count=4, extra=0)),
        ([[235, 143, 189]], tiff(bytes([0, 100, 50, 20]), bits=8, interpretation=5, width=1, count=4)),  # CMYK
        ([[0, 119, 255]], b"P6 1 1 15\n" + bytes([0, 7, 15])),
    ],
)
def test_levels_of_other_depths_orders_and_opacities(tmp_path, levels, content):
    assert decoded(tmp_path, content) == [levels]


@pytest.mark.parametrize(
    ("why", "content"),
    [
        ("16 bits a sample, in colour", tiff(words(1, 2, 3), bits=16, interpretation=2, width=1, count=3)),
        ("16 bits a sample, in colour", tiff(words(1, 2, 3, 4), bits=16, interpretation=5, width=1, count=4)),
        ("16 bits a sample, in colour", png([0, 300, 4095], colour=2, width=1)),
        ("16 bits a sample, in colour or with transparency", png([0, 300], colour=4, width=1)),
        ("16 bits a sample, in colour", png([0, 300, 4095, 9], colour=6, width=1)),
        ("16 bits a sample, in colour or with transparency", png([0], colour=0, width=1, transparent=b"\0\0")),
        ("16 bits a sample, in colour", b"P6 1 1 65535\n" + bytes(6)),
        ("signed", tiff(b"\xff\x01", bits=8, interpretation=1, width=2, sample_format=2)),
        ("signed", tiff(words(65531, 500), bits=16, interpretation=1, width=2, sample_format=2)),
        ("32-bit", tiff(words(0, 1), bits=32, interpretation=1, width=1)),
        ("floating-point", tiff(words(0, 1), bits=32, interpretation=1, width=1, sample_format=3)),
        ("PNG, JPEG, TIFF", tiff(bytes(8), bits=64, interpretation=1, width=1, sample_format=3)),
        ("PNG, JPEG, TIFF, BMP, WEBP, GIF, JPEG2000, PPM or DICOM.: save it as PNG", b"text"),
        ("PNG, JPEG, TIFF", b""),
    ],
)
def test_what_would_come_out_wrong_is_refused_with_its_reason(tmp_path, why, content):
    with pytest.raises(ValueError, match=why):
        decoded(tmp_path, content)


def test_lab_is_converted_by_its_definition_or_refused(tmp_path):
    """L = 128 / 255 * 100 = 50.2 without a or b is Y = .186, which sRGB encodes as 119."""
    lab = tiff(bytes([128, 0, 0]), bits=8, interpretation=8, width=1, count=3)
    try:
        assert decoded(tmp_path, lab) == [[[119, 119, 119]]]
    except ValueError as error:  # before Pillow 13
        assert "LAB" in str(error)  # noqa: PT017


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "WEBP"])
def test_several_pages_or_frames_are_refused(tmp_path, kind):
    pages = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200)]
    pages[0].save(tmp_path / "x", kind, save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match="3 pages or frames, 1 allowed: save the one"):
        read_image(tmp_path / "x")
    pages[1].save(tmp_path / "x", kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.unique(read_image(tmp_path / "x")).tolist() == [100]


def test_of_a_photo_with_previews_the_photo_is_read(tmp_path):
    photo, preview = (Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (100, 200))
    photo.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[preview])
    assert np.unique(read_image(tmp_path / "x.jpg")).tolist() == [100]


@pytest.mark.parametrize("kind", ["BMP", "JPEG2000", "PPM", "GIF"])
def test_other_formats_hold_the_colours_that_were_written(tmp_path, kind):
    colours = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    Image.fromarray(colours).save(tmp_path / "x", kind)
    np.testing.assert_array_equal(read_image(tmp_path / "x"), colours)
    Image.fromarray(colours[:, :, 0]).save(tmp_path / "x", kind)
    grey = read_image(tmp_path / "x")
    np.testing.assert_array_equal(grey if grey.ndim == 2 else grey[:, :, 0], colours[:, :, 0])


def test_colour_of_sixteen_bits_in_jpeg_2000_is_refused(tmp_path):
    openjpeg = pytest.importorskip("openjpeg.utils")
    levels = np.tile(np.array([0, 256, 2048, 4095], np.uint16), (32, 8))
    assert decoded(tmp_path, bytes(openjpeg.encode_array(levels, bits_stored=12)))[0][:4] == [0, 16, 128, 255]
    colour = openjpeg.encode_array(np.dstack([levels] * 3), bits_stored=12, use_mct=False, photometric_interpretation=1)
    with pytest.raises(ValueError, match="12 bits a sample, in colour"):
        decoded(tmp_path, bytes(colour))


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="a folder, pipe or device, not a file: name an image file"):
            read_image(path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    levels = np.array([[0, 128, 129, 257], [32768, 65278, 65407, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / f"x.{suffix}")
    assert read_image(tmp_path / f"x.{suffix}").tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]


def test_sixteen_bits_that_hold_fewer(tmp_path):
    grey = png([0, 1, 16, 2048, 4095], colour=0, width=5)
    assert decoded(tmp_path, grey) == [[0, 0, 0, 8, 16]]
    assert decoded(tmp_path, grey, bits=12) == [[0, 0, 1, 128, 255]]
    low_is_bright = tiff(words(0, 2048, 4095), bits=16, interpretation=0, width=3)
    assert decoded(tmp_path, low_is_bright, bits=12) == [[255, 127, 0]]
    with pytest.raises(ValueError, match=r"grey levels 0 to 4095: 0 to 1023 \(10 bits\) allowed"):
        decoded(tmp_path, grey, bits=10)


def test_orientation_of_the_camera_is_applied(tmp_path):
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif)
    turned = read_image(tmp_path / "x.jpg")
    assert turned.shape == (32, 16, 3)
    assert turned[:12].min() > 200
    assert turned[20:].max() < 50


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_orientation_of_a_tiff_is_applied_as_of_a_png(tmp_path, orientation, compression):
    """Two rows of three pixels: turned, their rows would be mixed up in a file that is mapped into memory."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    film = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 10)
    film.save(tmp_path / "x.png", exif=exif)
    film.save(tmp_path / "x.tif", exif=exif, compression=compression)
    shown = {1: [[0, 10, 20], [30, 40, 50]], 6: [[30, 0], [40, 10], [50, 20]], 8: [[20, 50], [10, 40], [0, 30]]}
    found = read_image(tmp_path / "x.tif").tolist()
    assert found == shown.get(orientation, found)
    assert found == read_image(tmp_path / "x.png").tolist()


@pytest.mark.parametrize("content", [b"P1\n3 1\n0 1 0\n", b"P4\n3 1\n\x40"])
def test_bitmaps_of_one_bit_are_read_as_text_and_as_bytes(tmp_path, content):
    (tmp_path / "x.pbm").write_bytes(content)
    assert read_image(tmp_path / "x.pbm").tolist() == [[255, 0, 255]], "1 is black"


def test_fit_crops_resizes_and_converts():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit(wide, size=8, channels=3, crop="centre"), wide[:, 2:10])
    squeezed = fit(wide, size=8, channels=3, crop="none")
    expected = Image.fromarray(wide).resize((8, 8), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(squeezed, np.asarray(expected))
    grey = np.asarray(Image.fromarray(wide[:, 2:10]).convert("L"))
    np.testing.assert_array_equal(fit(wide, size=8, channels=1, crop="centre")[:, :, 0], grey)
    # Grey stored as three equal channels keeps its levels exactly.
    np.testing.assert_array_equal(fit(np.dstack([grey] * 3), size=8, channels=1, crop="none")[:, :, 0], grey)
    np.testing.assert_array_equal(fit(grey, size=8, channels=3, crop="none"), np.dstack([grey] * 3))
    for bad in (wide.astype(float), wide[None], np.dstack([wide, wide])):
        with pytest.raises(ValueError, match="uint8"):
            fit(bad, size=8, channels=3, crop="none")


# --- the cache ---------------------------------------------------------------------------------


def test_rows_hold_the_images_of_their_uids(tmp_path):
    table = save(tmp_path / "images")
    seen = []
    cache = build(tmp_path / "images", table, tmp_path / "cache", progress=lambda *counts: seen.append(counts))
    assert cache.array.shape == (12, SIZE, SIZE, 3)
    assert cache.array.dtype == np.uint8
    assert isinstance(cache.array, np.memmap)
    assert seen[-1] == (12, 12)
    for uid, path, row in zip(table["uid"], table["path"], cache.rows(table["uid"]), strict=True):
        pixels = read_image(tmp_path / "images" / path)[:, 2:18]
        np.testing.assert_array_equal(cache.array[row], pixels, err_msg=uid)
    with pytest.raises(DataInvalid) as error:
        cache.rows(["manifest:m:001.png", "elsewhere"])
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/cache/manifest/16x16x3-centre-dbb07745e24a: 1 images are not in this cache, first 'elsewhere'"
    )
    with pytest.raises(ValueError, match="read-only"):
        cache.array[0] = 0


def test_a_second_call_reads_no_image(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    first = build(tmp_path / "images", table, tmp_path / "cache")
    monkeypatch.setattr(Manifest, "image", lambda *_: pytest.fail("an image was decoded again"))
    again = build(tmp_path / "images", table.sample(frac=1, random_state=1), tmp_path / "cache")
    assert again.folder == first.folder


def test_index_and_description(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    index = pd.read_parquet(cache.folder / "index.parquet")
    facts = ["sha256", "mean", "sd", "phash", "width", "height", "mode", "darkest", "brightest"]
    assert list(index.columns) == ["uid", "row", *facts]
    assert set(zip(index["width"], index["height"], index["mode"], strict=True)) == {(20, 16, "RGB")}
    for row, mean, sd in zip(index["row"], index["mean"], index["sd"], strict=True):
        assert (mean, sd) == pytest.approx((cache.array[row].mean(), cache.array[row].std()), abs=1e-3)
    assert index["sha256"].nunique() == 12
    spec = json.loads((cache.folder / "cache.json").read_text())
    assert (spec["size"], spec["channels"], spec["crop"], spec["n"]) == (SIZE, 3, "centre", 12)


@pytest.mark.parametrize(
    ("largest", "bits"), [(255, 8), (500, 10), (1023, 10), (4095, 12), (9000, 14), (16383, 14), (17000, 0), (65535, 0)]
)
def test_bits_that_a_set_does_not_use_are_told(tmp_path, largest, bits):
    (tmp_path / "images").mkdir()
    for i in range(3):
        levels = np.full((20, 20), largest // (i + 1), np.uint16)
        levels[0, 0] = 0
        Image.fromarray(levels).save(tmp_path / "images" / f"{i}.png")
    table = pd.DataFrame({"uid": ["0", "1", "2"], "path": ["0.png", "1.png", "2.png"]})

    def told(dataset):
        how = Pixels(dataset, str(dataset), tmp_path / "images", SIZE, 1, "none", tmp_path / "cache")
        text, few = few_levels(pd.read_parquet(image_cache(how, table).folder / "index.parquet"), dataset)
        assert len(few) in (0, 3)
        return text if len(few) else ""

    assert (f"they seem to hold {bits} bits. Then write bits={bits} into the spec" in told(Manifest())) == bool(bits)
    assert told(Manifest()).startswith("3 images of 16 bits come out at grey levels 0 to") == bool(bits)
    assert told(Manifest(bits=bits or 16)) == told(Manifest(bits=16)) == ""
    brightest = Manifest(bits=bits or 16).image(tmp_path / "images", "0.png").max()
    assert brightest == pytest.approx(255 * largest / (2 ** (bits or 16) - 1), abs=0.5)


def test_files_of_eight_bits_may_be_dark():
    index = pd.DataFrame({"uid": ["a", "b"], "mode": ["L", "RGB"], "darkest": [0, 3], "brightest": [9, 12]})
    assert few_levels(index, Manifest())[1].empty


def test_levels_far_from_zero_are_told_of_too():
    index = pd.DataFrame({"uid": ["a", "b"], "mode": ["I;16"] * 2, "darkest": [120, 125], "brightest": [130, 140]})
    assert few_levels(index, Manifest())[0] == snapshot(
        "2 images of 16 bits come out at grey levels 120 to 140 of 255: stretch them, unless they hold 12 bits. Then write bits=12 into the spec of the dataset, as in manifest:csv=...,bits=12; bits=16 says that all is right"
    )


def test_files_of_twelve_bits_among_files_of_sixteen_are_counted(tmp_path):
    """Of 12 bits, 4095 comes out as 16; of a dark file of 16 bits, 4400 as 17."""
    (tmp_path / "images").mkdir()
    for i, largest in enumerate([65535, 4095, 4400, 30000, 1023]):
        Image.fromarray(np.array([[0, largest]], np.uint16)).save(tmp_path / f"images/{i}.png")
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "images/5.png")
    table = pd.DataFrame({"uid": list("012345"), "path": [f"{i}.png" for i in range(6)]})
    how = Pixels(Manifest(), "manifest", tmp_path / "images", SIZE, 1, "none", tmp_path / "cache")
    index = pd.read_parquet(image_cache(how, table).folder / "index.parquet")
    text, few = few_levels(index, Manifest())
    assert text == snapshot(
        "2 of 5 images of 16 bits come out with at most 17 of 256 grey levels, first 1: if they hold 12 bits or fewer, save them with 16 like the others; if they are dark or blank, write bits=16 into the spec of the dataset"
    )
    assert list(few) == ["1", "4"]
    assert few_levels(index, Manifest(bits=16))[1].empty
    assert few_levels(index[~index["uid"].isin(few)], Manifest())[1].empty


def test_anything_else_is_another_folder(tmp_path):
    images, caches = tmp_path / "images", tmp_path / "cache"
    table = save(images)
    folders = [build(images, table, caches).folder]
    folders += [build(images, table, caches, size=8).folder, build(images, table, caches, channels=1).folder]
    folders += [build(images, table, caches, crop="none").folder, build(images, table[:5], caches).folder]
    folders += [build(images, table, caches, contents={"000.png": content}).folder for content in ("0", "1")]
    assert len(set(folders)) == len(folders) == 7
    assert build(images, table, caches, channels=1).array.shape == (12, SIZE, SIZE, 1)


def test_a_cache_travels_to_other_processes_as_its_folder(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    sent = pickle.dumps(cache)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).array, cache.array)


def count_pools(monkeypatch):
    """Let the next builds start a pool after one image, and count those that do."""
    started = []
    pool = decoding.ProcessPoolExecutor
    monkeypatch.setattr(decoding, "ALONE", 0.0)
    monkeypatch.setattr(decoding, "ProcessPoolExecutor", lambda *a, **k: started.append(pool(*a, **k)) or started[-1])
    return started


def test_a_pool_gives_the_same_pixels(tmp_path, monkeypatch):
    table = save(tmp_path / "images", 60)
    alone = build(tmp_path / "images", table, tmp_path / "alone", jobs=2)
    pools = count_pools(monkeypatch)
    pooled = build(tmp_path / "images", table, tmp_path / "pooled", jobs=2)
    assert len(pools) == 1, "and none for the first, which took no time"
    np.testing.assert_array_equal(pooled.array, alone.array)


def test_a_dataset_that_others_cannot_import_is_decoded_here(tmp_path, monkeypatch):
    class Local(Manifest):
        pass

    class Plugin(Manifest):
        """As the registry loads it from a file given by path."""

        __module__, __qualname__ = "file_elsewhere", "Plugin"

    monkeypatch.setitem(sys.modules, "file_elsewhere", type(sys)("file_elsewhere"))
    table = save(tmp_path / "images")
    pools = count_pools(monkeypatch)
    for kind in (Local, Plugin):
        how = Pixels(kind(), "manifest", tmp_path / "images", SIZE, 1, "none", tmp_path / kind.__name__)
        assert len(image_cache(how, table, jobs=2).array) == 12
    assert not pools


def test_a_pool_that_breaks_loses_and_repeats_nothing(tmp_path, monkeypatch):
    def breaking(decode, paths, jobs):
        yield from map(decode, paths[:7])
        raise decoding.BrokenProcessPool

    table = save(tmp_path / "images")
    alone = build(tmp_path / "images", table, tmp_path / "alone")
    monkeypatch.setattr(decoding, "ALONE", 0.0)
    monkeypatch.setattr(decoding, "_pooled", breaking)
    broken = build(tmp_path / "images", table, tmp_path / "broken", jobs=2)
    np.testing.assert_array_equal(broken.array, alone.array)


SLOW = """
    import os, sys, time
    from pathlib import Path
    import pandas as pd
    from bench.data import decoding
    from bench.data.cache import image_cache
    from bench.data.pixels import Pixels
    from bench.datasets.manifest import Manifest

    class Slow(Manifest):
        def image(self, root, path):
            time.sleep(0.05)
            print("decoded", path, flush=True)
            return super().image(root, path)

    def main():
        root, cache_dir, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
        decoding.ALONE = 0.0
        how = Pixels(Slow(), "manifest", root, 16, 3, "centre", cache_dir)
        image_cache(how, pd.read_csv(root / "table.csv"), jobs=jobs,
                    progress=lambda done, total: print(done, flush=True))
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def slow_build(tmp_path, table, jobs):
    """Start a build that prints what it decodes, and after each twentieth of a second how far it is."""
    images, caches = tmp_path / "images", tmp_path / "cache"
    table.to_csv(images / "table.csv", index=False)
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    command = [sys.executable, "-c", "import slow; slow.main()", str(images), str(caches), str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)


def killed_build(tmp_path, table, jobs):
    """Kill a build in the middle and return the file of its lines; none of its processes is left."""
    caches = tmp_path / "cache"
    with slow_build(tmp_path, table, jobs) as builder:
        assert builder.stdout is not None
        for line in builder.stdout:
            if line.strip().isdigit() and int(line) >= 5:
                break
        children = Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()
        assert (len(children) >= jobs) == (jobs > 1)
        builder.send_signal(signal.SIGKILL)
    assert builder.returncode == -signal.SIGKILL
    assert leftovers(caches), "killed in the middle of a build"
    assert not list(caches.rglob("cache.json"))
    patience = time.monotonic() + 10
    while any(alive(child) for child in children) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)
    return next(iter(caches.rglob("rows.jsonl")))


def same_as_clean(tmp_path, cache, table):
    clean = build(tmp_path / "images", table, tmp_path / "clean")
    for name in ("images.npy", "index.parquet", "cache.json"):
        assert (cache.folder / name).read_bytes() == (clean.folder / name).read_bytes()
    assert not leftovers(tmp_path / "cache")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_build_leaves_no_process_and_is_gone_on_with(tmp_path, jobs, monkeypatch):
    table = save(tmp_path / "images", 60)
    lines = killed_build(tmp_path, table, jobs)
    before = len(lines.read_text().splitlines())
    assert before >= 5
    read, original = [], Manifest.image
    monkeypatch.setattr(Manifest, "image", lambda *given: read.append(given[2]) or original(*given))
    rebuilt = build(tmp_path / "images", table, tmp_path / "cache")
    assert len(read) == 60 - before, "what was decoded is not decoded again"
    same_as_clean(tmp_path, rebuilt, table)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc")
@pytest.mark.parametrize("damage", ["a row", "half a row", "half a line", "no line"])
def test_what_a_kill_left_half_is_done_again(tmp_path, damage):
    table = save(tmp_path / "images", 60)
    lines = killed_build(tmp_path, table, 1)
    pixels = lines.with_name("images.npy")
    if damage == "a row":
        content = bytearray(pixels.read_bytes())
        content[128 + 2 * SIZE * SIZE * 3] ^= 1
        pixels.write_bytes(content)
    elif damage == "half a row":
        pixels.write_bytes(pixels.read_bytes()[: 128 + 3 * SIZE * SIZE * 3 // 2])
    elif damage == "half a line":
        lines.write_text(lines.read_text()[:-20])
    else:
        lines.unlink()
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)


def test_a_file_that_is_mended_before_the_build_goes_on_is_read_again(tmp_path):
    table = save(tmp_path / "images", 60)
    good = (tmp_path / "images/003.png").read_bytes()
    # Of the same size: another size is another cache.
    (tmp_path / "images/003.png").write_bytes(good[:50] + bytes(len(good) - 50))

    def stop(done, total):
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "images", table, tmp_path / "cache", progress=stop)
    assert len(leftovers(tmp_path / "cache")) == 1
    (tmp_path / "images/003.png").write_bytes(good)
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)


@pytest.mark.parametrize("kill", [False, True])
def test_of_two_builders_at_once_one_decodes_and_the_other_waits_or_takes_over(tmp_path, kill):
    table = save(tmp_path / "images", 60)
    first, second = (slow_build(tmp_path, table, 1) for _ in range(2))
    counts = [first.stdout.readline() for _ in range(6)]
    assert counts
    if kill:
        first.send_signal(signal.SIGKILL)
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert second.returncode == 0
    assert first.returncode == (-signal.SIGKILL if kill else 0)
    decoded = sum(text.count("decoded ") for text in ("".join(counts), *said))
    # A killed decoder may have decoded one more than it wrote down.
    assert decoded <= 60 + kill * 2
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)


def test_a_flipped_bit_is_found(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    assert verify(cache) == []
    content = bytearray((cache.folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (cache.folder / "images.npy").write_bytes(content)
    assert verify(open_cache(cache.folder)) == ["manifest:m:011.png"]


def test_caches_of_credentialed_sources_are_closed_to_others(tmp_path):
    class Credentialed(Manifest):
        credentialed = True

    table = save(tmp_path / "images")
    options = {"size": SIZE, "channels": 3, "crop": "none", "cache_dir": tmp_path / "cache"}
    cache = image_cache(Pixels(Credentialed(), "theirs", tmp_path / "images", **options), table)
    assert cache.folder.parent.stat().st_mode & 0o777 == 0o700
    other = image_cache(Pixels(Manifest(), "manifest", tmp_path / "images", **options), table)
    assert other.folder.parent.stat().st_mode & 0o077 != 0


def test_a_copied_cache_is_found_on_another_machine(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    cache = build(tmp_path / "images", table, tmp_path / "cache")
    shutil.copytree(tmp_path / "images", tmp_path / "there/images", copy_function=shutil.copyfile)
    shutil.copytree(tmp_path / "cache", tmp_path / "there/cache", copy_function=shutil.copyfile)
    monkeypatch.setattr(Manifest, "image", lambda *_: pytest.fail("an image was decoded again"))
    copied = build(tmp_path / "there/images", table, tmp_path / "there/cache")
    np.testing.assert_array_equal(copied.array, cache.array)


def test_perceptual_hashes_are_near_for_like_images_and_far_for_others():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(12, 9, 9))
    pictures = [np.asarray(Image.fromarray(n).resize((64, 64), Image.Resampling.BICUBIC)) for n in noise]
    pictures = [np.clip(128 + 50 * p, 0, 255).astype(np.uint8)[:, :, None] for p in pictures]

    def apart(one, other):
        return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(other), 16)).bit_count()

    for picture in pictures:
        assert apart(picture, np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)) <= 4
        small = Image.fromarray(picture[:, :, 0]).resize((50, 50), Image.Resampling.LANCZOS)
        assert apart(picture, np.asarray(small)[:, :, None]) <= 4
        assert apart(picture, np.repeat(picture, 3, axis=2)) == 0
    assert min(apart(a, b) for i, a in enumerate(pictures) for b in pictures[:i]) > 10


def test_abandoned_folders_go_and_those_of_running_builds_stay(tmp_path):
    table = save(tmp_path / "images")
    place = build(tmp_path / "images", table, tmp_path / "cache").folder.parent
    folders = [place / f".{name}.part" for name in ("old", "young")]
    for folder in folders:
        folder.mkdir()
        (folder / "images.npy").write_bytes(b"half")
    long_ago = time.time() - 2 * building.ABANDONED_AFTER
    for path in (folders[0] / "images.npy", folders[0]):
        os.utime(path, (long_ago, long_ago))
    build(tmp_path / "images", table[:5], tmp_path / "cache")
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_full_disk_and_a_closed_folder_are_said(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten) as error:
        build(tmp_path / "images", table, tmp_path / "file")
    assert plain(error.value, tmp_path) == snapshot(
        "image cache <tmp>/file/manifest/16x16x3-centre-dbb07745e24a cannot be written (Not a directory): choose a folder by --cache or BENCH_CACHE"
    )

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array_header_1_0", full)
        with pytest.raises(NotWritten, match="no space left"):
            build(tmp_path / "images", table, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(building.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
        with pytest.raises(NotWritten) as error:
            build(tmp_path / "images", table, tmp_path / "cache")
        assert plain(error.value, tmp_path) == snapshot(
            "image cache <tmp>/cache/manifest/16x16x3-centre-dbb07745e24a cannot be written (no space left: 0.00 GB needed, 0.00 GB free): choose a folder by --cache or BENCH_CACHE"
        )
    build(tmp_path / "images", table, tmp_path / "cache")
    assert not leftovers(tmp_path / "cache")


def test_a_damaged_cache_is_not_read(tmp_path):
    table = save(tmp_path / "images")
    cache = build(tmp_path / "images", table, tmp_path / "cache")
    pixels = (cache.folder / "images.npy").read_bytes()
    (cache.folder / "images.npy").write_bytes(pixels[:-100])
    with pytest.raises(DataInvalid, match="delete it"):
        open_cache(cache.folder)
    with pytest.raises(DataInvalid) as error:
        open_cache(tmp_path / "nowhere")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/nowhere is not a complete image cache ([Errno 2] No such file or directory: '<tmp>/nowhere/cache.json'): delete it, it is built again"
    )


# --- augmentations and scaling -------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 8])
def test_eight_distinct_exact_poses(channels, size):
    image = torch.arange(channels * size * size, dtype=torch.uint8).reshape(1, channels, size, size)
    versions = dihedral(image.expand(8, -1, -1, -1).contiguous(), torch.arange(8))
    assert len({version.numpy().tobytes() for version in versions}) == 8
    for augmentation, version in enumerate(versions):
        expected = image[0].numpy()
        expected = expected[:, :, ::-1] if augmentation & 1 else expected
        expected = expected[:, ::-1, :] if augmentation & 2 else expected
        expected = expected.transpose(0, 2, 1) if augmentation & 4 else expected
        np.testing.assert_array_equal(version.numpy(), expected)


def test_poses_are_per_image_in_any_memory_layout():
    x = torch.randint(0, 256, (40, 6, 6, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    before, augmentation = x.clone(), torch.randint(0, 8, (40,))
    together = dihedral(x, augmentation)
    for i in range(40):
        assert torch.equal(together[i], dihedral(x[i : i + 1].contiguous(), augmentation[i : i + 1])[0])
    assert torch.equal(x, before), "the batch given stays as it was"


def test_poses_refuse_what_they_cannot_do():
    with pytest.raises(UsageError, match="0 to 7"):
        dihedral(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([8]))
    with pytest.raises(UsageError, match="square"):
        dihedral(torch.zeros(1, 1, 4, 5, dtype=torch.uint8), torch.tensor([1]))
    empty = torch.zeros(0, 3, 4, 4, dtype=torch.uint8)
    assert dihedral(empty, torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_scaled_by_the_imagenet_statistics(channels):
    x = torch.randint(0, 256, (4, channels, 6, 6), dtype=torch.uint8)
    out = normalise(x)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colour = np.repeat(x.numpy(), 3 // channels, axis=1)
    expected = (colour / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
