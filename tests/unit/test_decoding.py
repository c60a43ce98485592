"""Reading an image file: modes, depths, opacities, orientations, and what is refused."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from bench.decode import fit, read_image


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


PREMULTIPLIED = pytest.mark.skipif(int(PIL.__version__.partition(".")[0]) < 13, reason="Pillow before 13 refuses it")


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
        pytest.param(
            [100], tiff(bytes([100, 128]), bits=8, interpretation=1, width=1, count=2, extra=1), marks=PREMULTIPLIED
        ),
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
    for bad in (wide.astype(int), wide[None], np.dstack([wide, wide])):
        with pytest.raises(ValueError, match="uint8"):
            fit(bad, size=8, channels=3, crop="none")
