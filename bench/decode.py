"""Decoding of image files to uint8, grey or colour."""

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


def read_image(file: Path, *, bits: int | None = None) -> np.ndarray:
    """Return one image file as uint8 (H, W) or (H, W, 3), upright as its EXIF orientation says.

    Palettes are resolved, and transparent parts are shown over black. Grey levels of more than 8 bits are scaled so
    that the largest value of `bits` bits becomes 255 in every image; without `bits`, the number that the file declares
    counts, which is usually 16. A DICOM image is shown in its own window (`bench.dicom`). `docs/your-data.md` has the
    full list.

    Raises:
        OSError, ValueError: the file does not exist, is damaged, or cannot be scaled to 8 bits.
        DataMissing: the library that reads DICOM files is not installed.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("a folder, pipe or device, not a file: name an image file")
    if is_dicom(file):
        return read_dicom(file)
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
            return _narrow(np.asarray(image).astype(np.int64), 2 ** (bits or depth) - 1, high_is_dark)
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


def _narrow(levels: np.ndarray, top: int, high_is_dark: bool) -> np.ndarray:
    if levels.min() < 0 or levels.max() > top:
        raise ValueError(f"grey levels {levels.min()} to {levels.max()}: 0 to {top} ({top.bit_length()} bits) allowed")
    levels = top - levels if high_is_dark else levels
    return ((levels * 255 + top // 2) // top).astype(np.uint8)


def fit(pixels: np.ndarray, *, size: int, channels: int, crop: str) -> np.ndarray:
    """Return uint8 (H, W) or (H, W, 3) as uint8 (size, size, channels), channels 1 or 3.

    `crop="centre"` first cuts the image to its shorter side; otherwise the aspect ratio is ignored. An image of the
    right size is not resized (Lanczos), so its pixels stay as they are.

    Raises:
        ValueError: the pixels have another type or shape.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError(f"decoded as {pixels.dtype} {pixels.shape}: uint8 (H, W) or (H, W, 3) expected")
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if channels == 1 else "RGB")
    if crop == "centre":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(size, size, channels)
