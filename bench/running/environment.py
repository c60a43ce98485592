"""The environment of a result: versions, device and commit. It is not part of the identity."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import bench
from bench.api import Recipe
from bench.cells.record import Environment

BUILT_FROM = Path(bench.__file__).parent / "commit.txt"
"""Of a wheel: the commit that it was built from (`setup.py`). Around an installed package git knows another project."""


@cache
def describe(recipe: Recipe) -> Environment:
    """Return versions, host, processor and the commit of the checkout (empty outside one).

    If the code changed between the submission of a job and its start, `submitted` describes the submitted code.
    """
    import torch

    from bench.learn.device import device

    return Environment(
        bench=bench.__version__,
        commit=commit(),
        changed_files=changed_files(),
        python=platform.python_version(),
        versions={name: version(name) for name in ("torch", "torchvision", "numpy", "pandas", "scikit-learn")},
        host=platform.node(),
        device=torch.cuda.get_device_name() if device().type == "cuda" else platform.machine(),
        submitted=json.loads(os.environ.get("BENCH_SUBMITTED_CODE", "{}")),
        precision=precision(recipe),
    )


def precision(recipe: Recipe) -> str:
    """Return the precision in which networks of this recipe are trained on this device."""
    from bench.learn.device import device, halved

    return "training under bfloat16 autocast" if halved(recipe, device().type) else "float32"


def code(plugins: Sequence[Path] = ()) -> dict[str, str]:
    """Return all that identifies a state of the code: version, commit, hashes of its files and of plugins.

    Files are hashed, not the diff of a checkout: an installed package has no diff, and a diff lacks new files.
    """
    import bench.datasets
    import bench.methods

    folders = [Path(bench.__file__).parent, *map(Path, (*bench.methods.__path__, *bench.datasets.__path__))]
    files = sorted({file.resolve() for folder in folders for file in folder.rglob("*.py")})
    return {
        "bench": bench.__version__,
        "commit": commit(),
        "files": _short(b"".join(file.read_bytes() for file in files)),
        **{f"plugin {file.name}": _short(file.read_bytes()) for file in plugins},
    }


def commit() -> str:
    """Return the commit of the checkout, or the one that the wheel was built from; empty if neither is known."""
    return BUILT_FROM.read_text().strip() if BUILT_FROM.is_file() else _git("rev-parse", "HEAD")


def changed_files() -> bool:
    """Return whether this is a checkout with uncommitted changes."""
    return not BUILT_FROM.is_file() and bool(_git("status", "--porcelain", "--untracked-files=no"))


def version_line() -> str:
    """Return what `bench --version` prints."""
    state = ", with uncommitted changes" if changed_files() else ""
    return f"bench {bench.__version__} (commit {commit()[:12] or 'unknown'}{state})"


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
