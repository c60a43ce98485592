"""Worker processes on this machine; the run waits for them."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.run.attempt import Event
from bench.run.cell_states import holders
from bench.run.launchers import Launcher, Work
from bench.run.launchers.local import gpus
from bench.run.launchers.local.pool import run_pool
from bench.run.status import status_of
from bench.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Local(Launcher):
    """Worker processes on this machine, on its cores or GPUs."""

    def accept(self, asked: Settings) -> Settings:
        """Deal the cells over all GPUs that are visible, where `--per-gpu` comes without `--gpus`."""
        return replace(asked, gpus=gpus.visible()) if asked.per_gpu and not asked.gpus else asked

    def submit(self, work: Work, hear: Callable[[Event], None]) -> None:
        """Compute the cells in `work.jobs` processes; raises KeyboardInterrupt after Ctrl-C."""
        run_pool(work.cells, work.settings, work.jobs, hear)

    def cancel(self, results: Path, task: str | None) -> str:
        """Stop the runs on this machine that compute cells of these results."""
        found = [by for status in status_of(results, task) for by in holders(status.planned, results).values()]
        pools = {by.parent for by in found if by.host == platform.node() and not by.job and by.parent > 1}
        for pid in pools:
            # Its workers leave with it; their leases are those of processes that are gone.
            os.kill(pid, signal.SIGTERM)
        return f"{len(pools)} runs on this machine stopped"
