"""Worker processes on this machine; the run waits for them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from bench.cells.identity import cells_folder
from bench.errors import UsageError, number_of
from bench.lease import holders_below, lives
from bench.processes import computes_cells, here, parent
from bench.running.attempt import Event
from bench.running.history import remembered
from bench.running.launchers import Launcher, Work
from bench.running.launchers.local.pool import run_pool
from bench.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Local(Launcher):
    """Worker processes on this machine, on its cores or GPUs."""

    def accept(self, asked: Settings) -> Settings:
        """Use all visible GPUs if `--per-gpu` is given without `--gpus`; refuse GPUs that this process does not see."""
        if asked.gpus:
            found, where = visible()
            known = found or "CUDA_VISIBLE_DEVICES" in os.environ
            if known and (hidden := [gpu for gpu in asked.gpus if gpu not in found]):
                raise UsageError(
                    f"--gpus {','.join(hidden)}: not visible here ({where}); visible: {', '.join(found) or 'none'}"
                )
        return replace(asked, gpus=visible_gpus()) if asked.per_gpu and not asked.gpus else asked

    def submit(self, work: Work, hear: Callable[[Event], None]) -> None:
        """Compute the cells in `work.jobs` processes; raise KeyboardInterrupt after Ctrl-C."""
        run_pool(work.cells, work.jobs, hear, gpus=work.settings.gpus)

    def cancel(self, results: Path, task: str | None) -> str:
        """Stop the runs on this machine that compute cells of one task or of all in these results.

        A lease is a file that anybody may have written. A process is signalled only if the holder of the lease lives
        and is its child, and its command line is that of a run.
        """
        found = [by for name in remembered(results, task) for by in holders_below(cells_folder(results, name))]
        named = {by.parent: by for by in found if by.where == here() and not by.job}
        runs = [pid for pid, by in named.items() if lives(by) and parent(by.pid) == pid and computes_cells(pid)]
        for pid in runs:
            # Its workers end with it, and their leases then count as those of dead processes.
            os.kill(pid, signal.SIGTERM)
        others = ", ".join(str(pid) for pid in sorted({*named} - {*runs}))
        alone = f"; left alone, because it is no `bench run` on these results: process {others}" if others else ""
        return f"{number_of(len(runs), 'run')} on this machine stopped{alone}"


def visible_gpus() -> tuple[str, ...]:
    """Return the names of the visible GPUs.

    Raises:
        UsageError: there are none.
    """
    found, where = visible()
    if not found:
        raise UsageError(
            f"--per-gpu: no GPU is visible ({where}): name GPUs with --gpus 0,1, or omit --per-gpu; without a GPU, "
            "--jobs sets the number of cells at a time"
        )
    return found


def visible() -> tuple[tuple[str, ...], str]:
    """Return the names in CUDA_VISIBLE_DEVICES, else those that `nvidia-smi` lists, and which of the two it was.

    As CUDA does, it reads indices and names of GPUs and of their parts (MIG) up to the first entry that is neither.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        entries = [entry.strip() for entry in given.split(",")]
        found = takewhile(lambda entry: re.fullmatch(r"\d+|(GPU|MIG)-\S+", entry), entries)
        return tuple(dict.fromkeys(found)), f"CUDA_VISIBLE_DEVICES is '{given}'"
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
        if found := tuple(re.findall(r"^GPU (\d+):", told.stdout, re.MULTILINE)):
            return found, "by nvidia-smi"
    return (), "nvidia-smi lists none"
