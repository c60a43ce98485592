"""Mounts the top-level folder `methods/` of a checkout; in a wheel the files are here already."""

from pathlib import Path

_root = Path(__file__).parents[2]
if (_root / "pyproject.toml").is_file():
    __path__ = [*__path__, str(_root / "methods")]
