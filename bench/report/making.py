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

Files = Mapping[str, bytes]


def made_alone(material: Material, making: Sequence[Artefact]) -> dict[str, Files]:
    """Return the files of each artefact by its name."""
    return {item.name: item.make(material) for item in making}


def made_by_two(material: Material, making: Sequence[Artefact]) -> dict[str, Files]:
    """Return the same; a second process draws figures of the task while this one makes tables, then figures too.

    What either makes does not depend on the other. Raises what making an artefact raises.
    """
    if (os.cpu_count() or 1) < 2:
        return made_alone(material, making)
    # Spawned, not forked: threads that were started here would be copied with their locks shut.
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _take, (material,))
    try:
        waiting = {item.name: pool.submit(_make, item.name) for item in making if item.drawn}
        made = {item.name: item.make(material) for item in making if not item.drawn}
        # From the end, so that the two meet; what has begun there cannot be cancelled.
        made |= {item.name: item.make(material) for item in making[::-1] if item.drawn and waiting[item.name].cancel()}
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
