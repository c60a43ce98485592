"""The files of artefacts, made in this process and, where there is another core, in one more."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from bench.report.artefacts import Artefact, artefacts
from bench.report.numbers.patient_intervals import Redrawn
from bench.report.task_results import Material
from bench.run.progress import counting

Files = Mapping[str, bytes]
ENOUGH = 50
"""Cells of which a report takes longer than a second process to start."""


def made_alone(material: Material, making: Sequence[Artefact]) -> dict[str, Files]:
    """Return the files of each artefact by its name."""
    return {item.name: item.make(material) for item in making}


def made_by_two(material: Material, making: Sequence[Artefact]) -> dict[str, Files]:
    """Return the same; a second process redraws the patients of half of the test sets, and draws figures of the task.

    What either makes does not depend on the other. Raises what making an artefact raises.
    """
    if (os.cpu_count() or 1) < 2 or len(material.cells) < ENOUGH:
        return made_alone(material, making)
    figures, rest = deque(item for item in making if item.drawn), [item for item in making if not item.drawn]
    sets = material.info.ood if rest else ()
    half = (len(sets) + 1) // 2
    made: dict[str, Files] = {}

    def redraw_there() -> None:
        for name in sets[half:]:
            material.redraws[name] = pool.submit(_redraw, name).result()

    def draw_there() -> None:
        # One by one: what a pool was given it does not give back, and one process would wait for the other.
        while item := _next(figures.popleft):
            made[item.name] = pool.submit(_make, item.name).result()

    def draw_here(until: Callable[[], bool]) -> None:
        while not until() and (item := _next(figures.pop)):  # from the end, so that the two meet
            made[item.name] = item.make(material)

    # Spawned, not forked: threads that were started here would be copied with their locks shut.
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _take, (material,))
    thread = ThreadPoolExecutor(1)
    try:
        pool.submit(os.getpid)  # the process starts, and takes the material, before anything here changes it
        redrawn, drawn = thread.submit(redraw_there), thread.submit(draw_there)
        with counting("patients redrawn", "draws") as watch:
            for name in sets[:half]:
                material.redraws[name] = material.redraw(name, watch)
        draw_here(redrawn.done)
        redrawn.result()
        made |= {item.name: item.make(material) for item in rest}
        draw_here(lambda: False)
        drawn.result()
    except BrokenProcessPool:
        figures.clear()
        return made_alone(material, making)  # most likely it was killed for want of memory; one needs less
    finally:
        figures.clear()
        pool.shutdown(cancel_futures=True)
        thread.shutdown()
    return {item.name: made[item.name] for item in making}


def _next(take: Callable[[], Artefact]) -> Artefact | None:
    with suppress(IndexError):
        return take()
    return None


_taken: dict[str, tuple[Material, dict[str, Artefact]]] = {}


def _take(material: Material) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches both: it ends at once and without a word
    _taken[""] = material, {item.name: item for item in artefacts(material)}
    gc.freeze()  # as in `bench.report.reports`


def _make(name: str) -> Files:
    material, every = _taken[""]
    return every[name].make(material)


def _redraw(name: str) -> Redrawn:
    return _taken[""][0].redraw(name)
