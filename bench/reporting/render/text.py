"""Text for each medium: LaTeX, Markdown and HTML are escaped here and nowhere else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from math import isfinite

from markupsafe import Markup, escape

from bench.errors import clean

UNDEFINED = "–"
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "[": "{[}",  # after the end of a row, it would begin an argument
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "±": r"$\pm$", "−": "$-$"},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "–": "--", "—": "---"},
    **{"’": "'", "‘": "`", "“": "``", "”": "''", "…": r"\ldots{}", "\u00a0": "~"},
    **{"†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"$^\S$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$"},
    **{"≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$", "≈": r"$\approx$", "×": r"$\times$", "·": r"$\cdot$"},
    **{"∞": r"$\infty$", "√": r"$\surd$", "½": r"$\frac12$", "µ": r"$\mu$", "ß": r"\ss{}", "ı": r"\i{}"},
    **{"◆": r"$\diamond$", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}"},
    **{"å": r"\aa{}", "Å": r"\AA{}", "ł": r"\l{}", "Ł": r"\L{}", "¿": "?`", "¡": "!`", "£": r"\pounds{}"},
}
_ACCENTS = {
    **dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030c", "`'^~=u.\"v", strict=True)),
    **dict(zip("\u030a\u030b\u0323\u0327\u0331", "rHdcb", strict=True)),
}
"""Combining accents and the commands of LaTeX that set them."""
_CAPITALS = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")


def tex(text: object) -> str:
    """Escape text for plain pdflatex.

    Signs, accented Latin letters and Greek become commands. Other letters stay as they are; `unset` finds them.
    """
    return "".join(_tex_of(sign) for sign in unicodedata.normalize("NFC", _one_line(text)))


def unset(latex: str) -> str:
    """Return the characters of a text for LaTeX that pdflatex does not set, each once."""
    return "".join(dict.fromkeys(sign for sign in latex if not sign.isascii()))


def _tex_of(sign: str) -> str:
    if sign in _TEX or sign.isascii():
        return _TEX.get(sign, sign)
    base, *accents = unicodedata.normalize("NFD", sign)
    if accents and base.isascii() and all(accent in _ACCENTS for accent in accents):
        base = {"i": r"\i", "j": r"\j"}.get(base, base)
        for accent in accents:
            base = f"\\{_ACCENTS[accent]}{{{base}}}"
        return base
    kind, _, name = unicodedata.name(sign, "").partition(" LETTER ")
    name = name.removeprefix("FINAL ").lower().replace("lamda", "lambda")
    if kind == "GREEK SMALL" and name.isalpha() and name != "omicron":
        return f"$\\{name}$"
    return f"$\\{name.capitalize()}$" if kind == "GREEK CAPITAL" and name.capitalize() in _CAPITALS else sign


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
    return re.sub(r"[\t\n]+", " ", clean(text))
