"""The files that a block of code opens, seen by an audit hook of Python."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

CODE = tuple(importlib.machinery.all_suffixes())
"""Suffixes of modules, which an import inside of `fit` opens; what it compiles goes to a folder `__pycache__`."""
METADATA = (".dist-info", ".egg-info")
"""Suffixes of the folders that describe packages; those of editable installations are not among installed packages."""
SYSTEM = ("/proc/", "/sys/", "/dev/")
_LISTENING: list[list[str]] = []
"""The lists to which the hook adds names. A hook cannot be removed, so there is one for the whole process."""


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Yield a list that receives the name of every file that Python opens in the block, for reading or writing, once.

    Modules, files of installed packages and devices are left out. Of the files that a library opens in C, only Parquet
    files are seen, in which predictions are stored.
    """
    _install()
    found: list[str] = []
    _LISTENING.append(found)
    try:
        yield found
    finally:
        _LISTENING.pop()


@cache
def _install() -> None:
    import pyarrow.parquet

    sys.addaudithook(_hook)
    for reader in (pyarrow.parquet.ParquetDataset, pyarrow.parquet.ParquetFile):
        reader.__init__ = _audited(reader.__init__)


def _audited(start: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor of a reader of files that raises the audit event of `open` first."""

    @wraps(start)
    def audited(self: object, source: Any, *args: Any, **options: Any) -> None:
        for one in source if isinstance(source, list) else [source]:
            sys.audit("open", one, "rb", 0)
        start(self, source, *args, **options)

    return audited


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _LISTENING or event not in ("open", "sqlite3.connect"):
        return
    name = arguments[0]
    if not isinstance(name, str | bytes | os.PathLike):  # the number of a file that is already open
        return
    if name in sys.path:  # where modules and the metadata of packages are looked for; it need not be a file
        return
    file = str(Path(os.fsdecode(name)).absolute())
    folder = Path(file).parent
    if folder.name == "__pycache__" or folder.suffix in METADATA:
        return
    if file.endswith(CODE) or file.startswith((*SYSTEM, *_packages())):
        return
    for found in _LISTENING:
        if file not in found:
            found.append(file)


def _packages() -> tuple[str, ...]:
    """Return the folders of Python, of installed packages and of the suite."""
    suite = str(Path(__file__).parents[1])
    return tuple(f"{folder}{os.sep}" for folder in {sys.prefix, sys.base_prefix, suite})
