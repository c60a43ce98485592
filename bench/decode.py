"""Decoding of image files, grey or colour, to uint8 or to all their grey levels."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from bench.dicom import is_dicom, read_dicom

SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2", ".ppm", ".pgm")
"""Suffixes of image files, in lower case. The type of a file is recognised by its first bytes, not by its suffix."""
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "PPM")
"""Formats that Pillow may read: those whose depth, colour and transparency it is known to read correctly."""
WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's names for grey levels of more than 8 bits."""
_BITS, _INTERPRETATION, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


def read_image(file: Path, *, bits: int | None = None, deep: bool = False) -> np.ndarray:
    """Return one image file as uint8 (H, W) or (H, W, 3), upright as its EXIF orientation says.

    Palettes are resolved, and transparent parts are shown over black. Grey levels of more than 8 bits are scaled so
    that the largest value of `bits` bits becomes 255 in every image; without `bits`, the number that the file declares
    counts, which is usually 16. With `deep` they are uint16, and the largest value becomes 65535. A DICOM image is
    shown in its own window (`bench.dicom`). `docs/your-data.md` has the full list.

    Raises:
        OSError, ValueError: the file does not exist, is damaged, or cannot be scaled to 8 bits.
        DataMissing: the library that reads DICOM files is not installed.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("a folder, pipe or device, not a file: name an image file")
    if is_dicom(file):
        return read_dicom(file, deep=deep)
    # By its name, Pillow maps a raw TIFF into memory, and mixes up its rows where it turns it by 90 degrees.
    with file.open("rb") as stream:
        try:
            opened = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError(f"no image that can be read ({', '.join(FORMATS)} or DICOM): save it as PNG") from None
        depth = _check(opened, file)
        high_is_dark = opened.mode in WIDE and _tag(opened, _INTERPRETATION) == 0
        image = ImageOps.exif_transpose(opened)
        if image.mode in WIDE:
            levels = np.asarray(image).astype(np.int64)
            return _narrow(levels, 2 ** (bits or depth) - 1, high_is_dark, np.uint16 if deep else np.uint8)
        grey = image.mode in ("1", "L", "LA", "La")
        if image.has_transparency_data:
            image = image.convert("LA") if image.mode == "La" else image
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
        return np.asarray(image.convert("L" if grey else "RGB"))


def _check(image: ImageFile, file: Path) -> int:
    """Return the bits of a sample; raise ValueError for what would not come out as it is shown."""
    depth, frames = _depth(image, file), getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a photo with previews, of which the first picture is the photo
        raise ValueError(f"{frames} pages or frames, 1 allowed: save the one that counts as a file")
    if image.mode == "F" or depth == 32 or _tag(image, _SAMPLE_FORMAT) == 2:
        raise ValueError("floating-point, signed or 32-bit pixels have no known range: save it with 8 or 16 bits")
    if depth > 8 and (image.mode not in WIDE or image.has_transparency_data):
        # Pillow keeps the upper 8 bits of each sample, which of 12 bits in 16 leaves 16 levels.
        raise ValueError(f"{depth} bits a sample, in colour or with transparency: save it with 8 bits, or in grey")
    return depth


def _depth(image: ImageFile, file: Path) -> int:
    """Return the bits of a sample: in the file where Pillow reduces them to 8, in memory where it does not."""
    if image.format == "JPEG2000" and image.mode not in WIDE:
        content = file.read_bytes()
        start = content.find(b"\xff\x4f\xff\x51")  # of the codestream; byte 42 holds the depth of the first component
        return (content[start + 42] & 0x7F) + 1
    if image.format == "PPM" and image.mode not in WIDE and image.tile[0].codec_name.startswith("ppm"):
        largest = (image.tile[0].args or " ")[-1]  # that the header allows, but of 1 bit a letter
        return largest.bit_length() if isinstance(largest, int) else 1
    return _tag(image, _BITS) or (16 if image.mode in WIDE or ";16" in str(image.tile) else 8)


def _tag(image: ImageFile, number: int) -> int | None:
    value = getattr(image, "tag_v2", {}).get(number)
    return max(value) if isinstance(value, tuple) else value


def _narrow(levels: np.ndarray, top: int, high_is_dark: bool, kind: type[np.unsignedinteger]) -> np.ndarray:
    if levels.min() < 0 or levels.max() > top:
        raise ValueError(f"grey levels {levels.min()} to {levels.max()}: 0 to {top} ({top.bit_length()} bits) allowed")
    levels = top - levels if high_is_dark else levels
    return ((levels * np.iinfo(kind).max + top // 2) // top).astype(kind)


LEVELS = {8: np.uint8, 16: np.uint16, 32: np.float32}
"""Bits of a cached value -> its type."""


def fit(
    pixels: np.ndarray, *, size: int, channels: int, crop: str, bits: int = 8, interpolation: str = "lanczos"
) -> np.ndarray:
    """Return an image (H, W) or (H, W, 3) as (size, size, channels) with 8, 16 or 32 `bits` a value, channels 1 or 3.

    The image is uint8, uint16, or floats in which black is 0 and white is 1, as they are stored with 32 bits.
    `crop="centre"` first cuts the image to its shorter side; otherwise the aspect ratio is ignored. An image of the
    right size is not resized, so its pixels stay as they are.

    Raises:
        ValueError: the pixels have another type or shape, or are NaN or infinite.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    kinds = (np.uint8,) if bits == 8 and pixels.dtype.kind == "u" else (np.uint8, np.uint16, np.float32, np.float64)
    if pixels.dtype not in kinds or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        expected = " or ".join(np.dtype(kind).name for kind in kinds)
        raise ValueError(f"decoded as {pixels.dtype} {pixels.shape}: {expected} (H, W) or (H, W, 3) expected")
    how = Image.Resampling[interpolation.upper()]
    if bits == 8 and pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if channels == 1 else "RGB")
        return np.asarray(_resized(image, size, crop, how)).reshape(size, size, channels)
    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    values = (pixels / top).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("prepared as values that are NaN or infinite")
    if values.ndim == 3 and channels == 1:
        values = values @ np.array(LUMA, dtype=np.float32)
    planes = [values] * channels if values.ndim == 2 else list(np.moveaxis(values, 2, 0))
    fitted = np.stack([np.asarray(_resized(Image.fromarray(plane), size, crop, how)) for plane in planes], axis=2)
    if bits == 32:
        return fitted
    return np.rint(np.clip(fitted, 0, 1) * np.iinfo(LEVELS[bits]).max).astype(LEVELS[bits])


LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level, as in Pillow's conversion (ITU-R 601-2)."""


def as_bytes(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8; of floats, 0 becomes 0 and 1 becomes 255."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _resized(image: Image.Image, size: int, crop: str, how: Image.Resampling) -> Image.Image:
    if crop == "centre":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image if image.size == (size, size) else image.resize((size, size), how)
