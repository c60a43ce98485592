"""Templates of the files that `bench new` writes."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from bench.errors import UsageError


def write_method(name: str, folder: Path) -> list[Path]:
    """Write a working method and its test into `folder`; return both paths.

    Raises:
        UsageError: if the name is not a valid file name or is taken, or if a file already exists.
    """
    from bench import registry

    stem = name.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise UsageError(f"'{name}': a letter expected, then letters, digits and dashes, such as my-method")
    if stem in registry.METHODS.catalogue():
        raise UsageError(f"the suite already has a method called '{stem}': choose another name")
    words = [word.capitalize() for word in stem.split("_") if word]
    changes = {"{stem}": stem, "{title}": "-".join(words), "{class}": "".join(words)}
    written = []
    for template, file in (("method.py.txt", f"{stem}.py"), ("test_method.py.txt", f"test_{stem}.py")):
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
