"""Text for each medium: LaTeX, Markdown and HTML are escaped here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import isfinite

from markupsafe import Markup, escape

UNDEFINED = "–"
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "±": r"$\pm$", "−": "$-$"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "’": "'"},
    **{"†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"$^\S$"},
}


def tex(text: object) -> str:
    """Escape text for plain pdflatex; letters outside Latin-1 become question marks, control characters spaces."""
    return "".join(_TEX.get(sign, sign if sign.isascii() or _known(sign) else "?") for sign in _one_line(text))


def md(text: object) -> str:
    """Escape Markdown, and HTML in it."""
    return re.sub(r"([\\`*_\[\]|<>&~$])", lambda match: _ENTITIES.get(match[1], f"\\{match[1]}"), _one_line(text))


def html(text: object) -> Markup:
    """Escape HTML."""
    return escape(_one_line(text))


def tex_prose(text: object) -> str:
    """Escape a sentence for LaTeX; a command in backticks is set in typewriter."""
    return _prose(text, tex, r"\texttt{{{}}}")


def md_prose(text: object) -> str:
    """Escape a sentence for Markdown; a command in backticks stays code."""
    return "".join(f"`{part}`" if code else md(part) for part, code in _spans(text))


def html_prose(text: object) -> Markup:
    """Escape a sentence for HTML; a command in backticks becomes code."""
    return Markup(_prose(text, html, "<code>{}</code>"))


def number(value: float, decimals: int) -> str:
    """Return a number with fixed decimals, or – if it is undefined."""
    return f"{value:.{decimals}f}" if isfinite(value) else UNDEFINED


def signed(value: float, decimals: int) -> str:
    """Return a difference with its sign; a rounded zero has a plus."""
    shown = round(value, decimals) + 0.0
    return f"{shown:+.{decimals}f}".replace("-", "−") if isfinite(shown) else UNDEFINED


def listed(names: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def slug(text: str) -> str:
    """Return a text as a part of a LaTeX label."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", text)


def _prose(text: object, escaped: Callable[[object], str], code: str) -> str:
    return "".join(code.format(escaped(part)) if is_code else escaped(part) for part, is_code in _spans(text))


def _spans(text: object) -> list[tuple[str, bool]]:
    """Split a sentence into parts, each with whether it is in backticks."""
    return [(part, bool(place % 2)) for place, part in enumerate(re.split("`([^`]+)`", _one_line(text))) if part]


def _one_line(text: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", str(text))


def _known(sign: str) -> bool:
    return sign.isalpha() and "À" <= sign <= "ÿ" and sign not in "ÐðÞþ"
