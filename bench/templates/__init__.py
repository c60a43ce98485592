"""Files that `bench new` writes."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from bench.errors import UsageError


def write_method(name: str, folder: Path) -> list[Path]:
    """Write a working method and its test into `folder`; return both paths.

    Raises:
        UsageError: on a name that is no file name or taken, or a file that is there already.
    """
    from bench import registry

    stem = name.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise UsageError(f"'{name}': letters, digits and dashes expected, a letter first, such as my-method")
    if stem in registry.METHODS.catalogue():
        raise UsageError(f"a method called '{stem}' is part of the suite: choose another name")
    words = [word.capitalize() for word in stem.split("_") if word]
    changes = {"{stem}": stem, "{title}": "-".join(words), "{class}": "".join(words)}
    written = []
    for template, file in (("method.py.txt", f"{stem}.py"), ("test_method.py.txt", f"test_{stem}.py")):
        text = (files(__name__) / template).read_text(encoding="utf-8")
        for key, value in changes.items():
            text = text.replace(key, value)
        path = folder / file
        if path.exists():
            raise UsageError(f"{path} is there already")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
