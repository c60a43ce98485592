"""What is noted of every image while it is decoded: checksum, brightness, perceptual hash, and what the file was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
"""Pixels of the side to which an image is reduced before its perceptual hash is taken."""


@dataclass(frozen=True)
class Facts:
    """Of one row of a cache: SHA-256 of its pixels, their mean and standard deviation (0 to 255), a perceptual hash
    (16 hexadecimal digits); of its file: width, height and mode (Pillow's name)."""

    sha256: str
    mean: float
    sd: float
    phash: str
    width: int
    height: int
    mode: str


def facts(row: np.ndarray, decoded: np.ndarray, file: Path) -> Facts:
    """Return the facts of a row uint8 (S, S, C), of the `decoded` image and of its `file`, if it has one."""
    # Pillow counts in one pass over the bytes; NumPy's mean and deviation convert them all to eight times the size.
    histogram = np.array(_picture(row).histogram()).reshape(-1, 256).sum(axis=0)
    levels, n = np.arange(256), row.size
    mean = float(histogram @ levels) / n
    sd = float(histogram @ (levels - mean) ** 2 / n) ** 0.5
    try:
        with Image.open(file) as opened:
            width, height, mode = opened.width, opened.height, opened.mode
    except (OSError, ValueError, SyntaxError):
        height, width, mode = decoded.shape[0], decoded.shape[1], "L" if decoded.ndim == 2 else "RGB"
    digest = hashlib.sha256(row.data).hexdigest()
    return Facts(digest, round(mean, 3), round(sd, 3), perceptual_hash(row), width, height, mode)


def perceptual_hash(row: np.ndarray) -> str:
    """Return 64 bits, as 16 hexadecimal digits, that change little where an image uint8 (S, S, C) does.

    Each bit tells whether one of the 64 lowest frequencies (DCT-II of the grey image at 32 x 32) is above their median;
    the constant term, which is brightness, counts for none and its bit stays 0.
    """
    from scipy.fft import dctn  # takes a quarter of a second to import, and plans and reports need no hash

    grey = _picture(row).convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    low = np.asarray(dctn(small, norm="ortho"))[:8, :8].reshape(-1)
    bits = low > np.median(low[1:])
    bits[0] = False
    return f"{int(np.packbits(bits).tobytes().hex(), 16):016x}"


def _picture(row: np.ndarray) -> Image.Image:
    return Image.fromarray(row[:, :, 0] if row.shape[2] == 1 else row)
