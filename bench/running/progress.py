"""The progress of a run on stderr: two bars with an ETA on a terminal, else a plain line per cell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from bench.cells.identity import BASELINE, Cell
from bench.running.attempt import Event
from bench.running.plan import PlannedCell

Watcher = Callable[[Event], None]
"""A function that is called with every event of a run."""


def watching(cells: Sequence[PlannedCell], jobs: int) -> AbstractContextManager[Watcher]:
    """Return a context manager that yields the watcher of a command, for the cells to compute."""
    several = len({(p.cell.task, p.cell.backbone, p.cell.seed) for p in cells}) > 1
    name = (lambda cell: str(cell)) if several else (lambda cell: f"{cell.spec} f{cell.fold}")
    baselines = sum(p.cell.spec == BASELINE for p in cells)
    if sys.stderr.isatty():
        return _bars(baselines, len(cells) - baselines, jobs, name)
    return nullcontext(_lines(len(cells), name))


def clock(seconds: float) -> str:
    """Return `h:mm:ss`."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _lines(total: int, name: Callable[[Cell], str]) -> Watcher:
    started, finished = time.monotonic(), 0
    begun: dict[Cell, float] = {}

    def watch(event: Event) -> None:
        nonlocal finished
        cell = event.planned.cell
        if event.kind == "started":
            begun[cell] = time.monotonic()
        if event.kind not in ("done", "failed", "blocked"):
            return
        finished += 1
        now = time.monotonic()
        left = (now - started) / finished * (total - finished)
        took = f"{now - begun.get(cell, now):.1f} s"
        what = event.kind if event.error is None else f"failed: {event.error.name}: {event.error.message}"
        print(f"[{finished}/{total}] {name(cell)} {what} ({took}, ETA {clock(left)})", file=sys.stderr, flush=True)

    return watch


@contextmanager
def _bars(baselines: int, methods: int, jobs: int, name: Callable[[Cell], str]) -> Iterator[Watcher]:
    from rich import progress as rich
    from rich.console import Console

    counts = (rich.TextColumn("{task.description:<10}"), rich.BarColumn(), rich.MofNCompleteColumn())
    times = (rich.TimeElapsedColumn(), rich.TextColumn("ETA"), rich.TimeRemainingColumn())
    where = rich.TextColumn("{task.fields[where]}")
    with rich.Progress(*counts, *times, where, console=Console(stderr=True)) as progress:
        bars = {
            kind: progress.add_task(kind, total=total, where="", visible=total > 0)
            for kind, total in (("baselines", baselines), ("methods", methods))
        }

        def watch(event: Event) -> None:
            cell = event.planned.cell
            bar = bars["baselines" if cell.spec == BASELINE else "methods"]
            if event.kind in ("started", "progress"):
                progress.update(bar, where=f"{name(cell)} {event.text}  ({jobs} jobs)")
                return
            if event.kind in ("held", "put back"):
                return
            progress.update(bar, advance=1)
            if event.error is not None:
                message = event.error.message.partition("\n")[0]
                progress.console.print(f"failed     {name(cell)}: {event.error.name}: {message}", markup=False)

        yield watch


@contextmanager
def counting(title: str, unit: str = "images") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (name, done, total) for work on images or other things that are counted."""
    if not sys.stderr.isatty():
        said: set[str] = set()

        def line(name: str, done: int, total: int) -> None:
            if done == total and name not in said:
                said.add(name)
                print(f"{title}: {name}, {total} {unit}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        bars: dict[str, object] = {}

        def bar(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(f"{title}: {name}", total=total)
            progress.update(bars[name], completed=done)  # type: ignore[arg-type]

        yield bar
