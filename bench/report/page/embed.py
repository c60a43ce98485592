"""What goes into a page: figures as data URIs, Markdown as HTML, and the policy that keeps everything else out."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from PIL import Image

PRINT_DPI = 300
"""Of the PNG files of `bench.report.figures.style`."""
SCREEN_DPI = 120
"""A figure of one column is 420 CSS pixels wide: its letters of 7 points are read without a magnifier."""
SHARPNESS = 1.25
"""Pixels of the embedded picture per CSS pixel; the file beside the page has them all."""
DEEPER = 2
"""The first heading of a table's Markdown is that of a section; what is below it stands two levels deeper."""


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


def html(markdown: str) -> Markup:
    """Return a table's Markdown as HTML without its title; tables scroll in a box of their own.

    HTML in it is shown as text, but for `<ins>`, which underlines a second place.
    """
    text = _reader().render(markdown)
    return Markup(text.replace("&lt;ins&gt;", "<ins>").replace("&lt;/ins&gt;", "</ins>"))


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page: its own style and script, its own pictures, no request."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    reader.core.ruler.push("below the title", _below_the_title)
    return reader


def _below_the_title(state: object) -> None:
    """Take the title away, and let the headings begin where the section's own ends."""
    tokens: list[Token] = state.tokens  # type: ignore[attr-defined]
    if [token.tag for token in tokens[:1]] == ["h1"]:
        del tokens[:3]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + DEEPER - 1, 6)}"


class _Renderer(RendererHTML):
    """Puts tables in boxes, and says by a class what stands to the right."""

    def table_open(self, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
        return '<div class="box" tabindex="0" role="region" aria-label="Table">\n<table>\n'

    def table_close(self, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
        return "</table>\n</div>\n"

    def th_open(self, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
        return f'<th scope="col"{_right(tokens[place])}>'

    def td_open(self, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
        return f"<td{_right(tokens[place])}>"


def _right(token: Token) -> str:
    # The policy forbids style attributes, which the library writes.
    return ' class="number"' if token.attrGet("style") == "text-align:right" else ""
