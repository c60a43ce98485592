"""Decoding of image files to uint8, grey or colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DICOM = (".dcm", ".dicom")
_WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read_image(file: Path) -> np.ndarray:
    """Return an image file as uint8 (H, W) or (H, W, 3), rotated according to its EXIF orientation.

    Transparency is dropped and palettes are resolved. Grey levels of 16 bits are scaled so that 65535 becomes 255, in
    the same way for all images. A DICOM film (`.dcm`) is mapped by its own window, see `bench.dicom`.

    Raises:
        OSError, ValueError: the file does not exist, is damaged, or cannot be scaled to 8 bits.
        DataMissing: the library that reads DICOM files is not installed.
    """
    if file.suffix.lower() in DICOM:
        from bench.dicom import read_dicom

        return read_dicom(file)
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode in _WIDE:
            return _narrow(np.asarray(image).astype(np.int64), image.mode)
        if image.mode == "F":
            raise ValueError("floating-point pixels have no fixed range: save it with 8 or 16 bits")
        # A palette may contain transparency as bytes, which only RGBA preserves.
        image = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB"))


def _narrow(levels: np.ndarray, mode: str) -> np.ndarray:
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"grey levels {levels.min()} to {levels.max()} (mode {mode}): 0 to 65535 allowed")
    return ((levels + 128) // 257).astype(np.uint8)


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
