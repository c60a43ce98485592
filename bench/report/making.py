"""The files of artefacts, made in this process and, where there is another core, in one more."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from bench.report.artefacts import Artefact, artefacts
from bench.report.material import Material
from bench.report.patients import Redrawn
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
    figures, rest = ([item for item in making if item.drawn is drawn] for drawn in (True, False))
    sets = material.info.ood if rest else ()
    # Spawned, not forked: threads that were started here would be copied with their locks shut.
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _take, (material,))
    try:
        redraws = {name: pool.submit(_redraw, name) for name in sets[(len(sets) + 1) // 2 :]}
        waiting = {item.name: pool.submit(_make, item.name) for item in figures}
        with counting("patients redrawn", "draws") as watch:
            for name in sets[: (len(sets) + 1) // 2]:
                material.redraws[name] = material.redraw(name, watch)
        made: dict[str, Files] = {}

        def draw(item: Artefact) -> None:
            # What has begun in the other process cannot be cancelled.
            if waiting[item.name].cancel():
                made[item.name] = item.make(material)

        while figures and not all(future.done() for future in redraws.values()):
            draw(figures.pop())  # from the end, so that the two meet
        material.redraws.update({name: future.result() for name, future in redraws.items()})
        made |= {item.name: item.make(material) for item in rest}
        while figures:
            draw(figures.pop())
        made |= {name: future.result() for name, future in waiting.items() if name not in made}
    except BrokenProcessPool:
        return made_alone(material, making)  # most likely it was killed for want of memory; one needs less
    finally:
        pool.shutdown(cancel_futures=True)
    return {item.name: made[item.name] for item in making}


_taken: dict[str, tuple[Material, dict[str, Artefact]]] = {}


def _take(material: Material) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches both: it ends at once and without a word
    _taken[""] = material, {item.name: item for item in artefacts(material)}


def _make(name: str) -> Files:
    material, every = _taken[""]
    return every[name].make(material)


def _redraw(name: str) -> Redrawn:
    return _taken[""][0].redraw(name)
