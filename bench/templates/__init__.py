"""Templates of the files that `bench new` writes."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from bench.api import CONTRACT
from bench.errors import UsageError


def write_copy(example: Path, file: Path) -> Path:
    """Copy an example that the suite ships to `file`, and return its path.

    Raises:
        UsageError: a file that is there already.
    """
    if file.exists():
        raise UsageError(f"{file} is there already")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    return file


def write_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a working method or backbone and its test into `folder`; return both paths.

    Raises:
        UsageError: if the name is not a valid file name or is taken, or if a file already exists.
    """
    from bench import registry

    stem = name.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise UsageError(f"'{name}': a letter expected, then letters, digits and dashes, such as my-{kind}")
    known = {one.kind: one for one in registry.Registry.every}
    if stem in known[kind].catalogue():
        raise UsageError(f"the suite already has a {kind} called '{stem}': choose another name")
    words = [word.capitalize() for word in stem.split("_") if word]
    changes = {"{stem}": stem, "{title}": "-".join(words), "{class}": "".join(words), "{contract}": str(CONTRACT)}
    written = []
    for template, file in ((f"{kind}.py.txt", f"{stem}.py"), (f"test_{kind}.py.txt", f"test_{stem}.py")):
        text = (files(__name__) / template).read_text(encoding="utf-8")
        for key, value in changes.items():
            text = text.replace(key, value)
        path = folder / file
        if path.exists():
            raise UsageError(f"{path} already exists")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
