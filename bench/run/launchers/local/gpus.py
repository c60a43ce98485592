"""The GPUs of this machine."""

from __future__ import annotations

import os
import re
import subprocess

from bench.errors import UsageError


def visible() -> tuple[str, ...]:
    """Return the names of the GPUs of this machine: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists.

    Raises:
        UsageError: there are none.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        found = tuple(name.strip() for name in given.split(",") if name.strip() not in ("", "-1"))
        where = f"CUDA_VISIBLE_DEVICES is '{given}'"
    else:
        found, where = _listed(), "nvidia-smi lists none"
    if not found:
        raise UsageError(
            f"--per-gpu: no GPU is visible ({where}): name them by --gpus 0,1, or leave --per-gpu out; without a GPU, "
            "--jobs says how many cells run at a time"
        )
    return found


def _listed() -> tuple[str, ...]:
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(re.findall(r"^GPU (\d+):", told, re.MULTILINE))
