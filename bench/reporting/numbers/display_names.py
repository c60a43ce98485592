"""The names that tables print of data sets, attributes and networks, and the keys of citations."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

_FOUND = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
CITED: Mapping[str, str] = _FOUND["cite"]
"""The key of \\cite of each method."""


def display_name(name: str) -> str:
    """Return the name of a test set, dataset, attribute or backbone that tables print."""
    return _FOUND["names"].get(name, name.replace("_", " "))


def capitalised(words: str) -> str:
    """Return words with a capital first letter; the others stay as they are."""
    return words[:1].upper() + words[1:]
