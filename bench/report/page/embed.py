"""What goes into a page: figures as data URIs, and the policy that keeps everything else out."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

from PIL import Image

PRINT_DPI = 300
"""Of the PNG files of `bench.report.figures.style`."""
SCREEN_DPI = 120
"""A figure of one column is 420 CSS pixels wide: its letters of 7 points are read without a magnifier."""
SHARPNESS = 1.25
"""Pixels of the embedded picture per CSS pixel; the file beside the page has them all."""


@dataclass(frozen=True)
class Picture:
    """A figure in a page; width and height in CSS pixels."""

    uri: str
    width: int
    height: int


def picture(png: bytes) -> Picture:
    """Return a figure of `PRINT_DPI`, smaller and in 256 colours: a fifth of the bytes, alike on a screen."""
    with Image.open(io.BytesIO(png)) as full:
        width, height = (round(side * SCREEN_DPI / PRINT_DPI) for side in full.size)
        size = (round(width * SHARPNESS), round(height * SHARPNESS))
        small = full.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    target = io.BytesIO()
    few_colours = small.quantize(256, dither=Image.Dither.NONE).convert("RGB")
    few_colours.save(target, format="webp", lossless=True)
    return Picture(f"data:image/webp;base64,{base64.b64encode(target.getvalue()).decode()}", width, height)


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page: its own style and script, its own pictures, no request."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
