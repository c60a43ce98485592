"""What grows with what, how it should, and the process in which one point is measured.

    python -m tests.perf.scaling_rows "scoring" 1000 FOLDER

prints the seconds and MB of one point as JSON. Seconds are CPU seconds of one thread (of a report those of both its
processes), the median of three, or the lower of two where that takes long. MB are the most anonymous memory of the
process, of a report the first, over what it had once everything was imported.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from tests.perf import scaling_work as work
from tests.perf.memory import anonymous, peak

IMAGES = (1_000, 3_000, 10_000, 30_000, 100_000)
PARAMETERS = (100_000, 1_000_000, 10_000_000, 30_000_000, 100_000_000)
CELLS, REPORTED = (110, 330, 1_100, 3_300, 11_000), (660, 2_200, 6_600)
RATED = ("resnet50", "densenet121", "efficientnet_b3")
ENOUGH = 5.0
"""Seconds after which a point is timed twice and no more: the first time also pays for memory that is taken anew."""
BUSY = 0.1
"""Cores that others may use while a point is measured before it is said of it."""

Growth = Literal["straight", "at most straight", "flat", "any"]


@dataclass(frozen=True)
class Row:
    """One line of a figure: what is done, by which number, and how its seconds and its memory should grow."""

    what: str
    unit: Literal["images", "parameters", "cells", "images at 224 pixels"]
    sizes: tuple[int, ...]
    prepare: Callable[[Path, int], work.Work]
    seconds: Growth = "straight"
    megabytes: Growth = "straight"
    trains: bool = False
    """Whether it needs an optimiser, the first of which imports a compiler."""
    times: int = 3
    """How often a point is timed at most; once, where a second time would find what the first one kept."""


ROWS = (
    Row("tables, folds and external sets", "images", IMAGES, work.tables, megabytes="at most straight"),
    Row("building the image cache", "images", IMAGES, work.building, megabytes="at most straight"),
    Row("reading an epoch's batches", "images", IMAGES, work.reading, megabytes="flat"),
    Row("scoring predictions", "images", IMAGES, work.scoring, megabytes="flat"),
    Row("training an epoch, and predicting", "images", IMAGES, work.epoch, megabytes="flat", trains=True),
    Row("importances", "parameters", PARAMETERS, work.importances),
    Row("masks", "parameters", PARAMETERS, work.masks),
    Row("masked steps", "parameters", PARAMETERS, work.masked_step, trains=True),
    Row("choice of what is pruned", "parameters", PARAMETERS, work.pruning),
    Row("bench run --dry-run", "cells", CELLS, work.plan, megabytes="flat"),
    Row("bench status", "cells", CELLS, work.status, megabytes="flat"),
    Row("bench report", "cells", REPORTED, work.report, megabytes="at most straight", times=1),
    *(
        Row(
            f"{backbone}, {how}",
            "images at 224 pixels",
            (work.FEW,),
            partial(function, backbone),
            "any",
            "any",
            trains=True,
        )
        for backbone in RATED
        for how, function in (("trained", work.trained), ("forward", work.forward))
    ),
)


def measure(row: Row, size: int, folder: Path) -> dict[str, object]:
    """Return seconds, MB and whether others used the machine meanwhile."""
    torch.set_num_threads(1)
    if row.trains:
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    before, times = anonymous(), []
    with peak() as most:
        prepared = row.prepare(folder, size)
        wall, others = time.perf_counter(), _machine()
        while len(times) < row.times and (len(times) < 2 or sum(times) < ENOUGH):
            begun = _worked()
            prepared()
            times.append(_worked() - begun)
        wall = time.perf_counter() - wall
        others = _machine() - others - sum(times)
    return {
        "seconds": statistics.median_low(times),
        "MB": most[0] - before,
        "busy": others > BUSY * wall + 0.05,
    }


def _worked() -> float:
    """Return the CPU seconds of this process and of those that it started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _machine() -> float:
    """Return the seconds that all cores have worked (user, nice and system) since the machine started."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, first[1:4])) / 100


if __name__ == "__main__":
    torch.manual_seed(0)
    chosen = next(row for row in ROWS if row.what == sys.argv[1])
    print(json.dumps(measure(chosen, int(sys.argv[2]), Path(sys.argv[3]))))
