"""The progress of a run on stderr: two bars with an ETA on a terminal, else a plain line per cell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from bench.cells.identity import BASELINE
from bench.run.attempt import Event

Watcher = Callable[[Event], None]
"""A function that is called with every event of a run."""


def watching(baselines: int, methods: int, jobs: int) -> AbstractContextManager[Watcher]:
    """Return a context manager that yields the watcher of a run, for the number of cells to compute."""
    return _bars(baselines, methods, jobs) if sys.stderr.isatty() else nullcontext(_lines(baselines + methods))


def short(event: Event) -> str:
    """Return `swift f1`."""
    return f"{event.planned.cell.spec} f{event.planned.cell.fold}"


def clock(seconds: float) -> str:
    """Return `h:mm:ss`."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _lines(total: int) -> Watcher:
    started, finished = time.monotonic(), 0
    begun: dict[str, float] = {}

    def watch(event: Event) -> None:
        nonlocal finished
        if event.kind == "started":
            begun[short(event)] = time.monotonic()
        if event.kind not in ("done", "failed", "blocked"):
            return
        finished += 1
        now = time.monotonic()
        left = (now - started) / finished * (total - finished)
        took = f"{now - begun.get(short(event), now):.1f} s"
        what = event.kind if event.error is None else f"failed: {event.error.name}: {event.error.message}"
        print(f"[{finished}/{total}] {short(event)} {what} ({took}, ETA {clock(left)})", file=sys.stderr, flush=True)

    return watch


@contextmanager
def _bars(baselines: int, methods: int, jobs: int) -> Iterator[Watcher]:
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
            bar = bars["baselines" if event.planned.cell.spec == BASELINE else "methods"]
            if event.kind in ("started", "progress"):
                progress.update(bar, where=f"{short(event)} {event.text}  ({jobs} jobs)")
                return
            if event.kind in ("held", "put back"):
                return
            progress.update(bar, advance=1)
            if event.error is not None:
                message = event.error.message.partition("\n")[0]
                progress.console.print(f"failed     {short(event)}: {event.error.name}: {message}", markup=False)

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
