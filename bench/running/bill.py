"""What a command will cost: the images that its missing cells pass through a network, and the hours that these take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.api import Sizes
from bench.cells.identity import BASELINE
from bench.data.task_data import TaskData
from bench.errors import BenchError, number_of
from bench.running.plan import PlannedCell, build_method, has_weights
from bench.running.status import typical_seconds

SPEED = 1000
"""Images per second that a GPU is assumed to train on, and to pass forward, where no speed was measured."""


@dataclass
class Bill:
    """The cost of the missing cells of a command, added up run by run."""

    cells: int = 0
    baselines: int = 0
    """Weights to train; tasks may share them."""
    trained: float = 0.0
    """Images in training steps, over all epochs."""
    forward: float = 0.0
    """Images that are only passed forward."""
    seconds: float = 0.0
    """Of cells like which others have finished, as those took."""
    timed: int = 0
    """Cells in `seconds`; the images of all others are counted."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Cells whose method does not say what it costs, by method."""
    trained_speed: float = SPEED
    forward_speed: float = SPEED
    """Images per second; `bench doctor TASK --probe` measures them."""
    assumed: int = 0
    """Folds, over all runs, whose external set is not known yet and counts as large as the validation part."""
    _origins: set[str] = field(default_factory=set)

    def add(self, todo: Sequence[PlannedCell], data: TaskData) -> None:
        """Add the missing cells of a run."""
        recipe, tests = data.task.recipe, sum(len(data.split(name, 0)) for name in data.task.ood)
        sizes = {fold: self._sizes(data, fold) for fold in {p.cell.fold for p in todo}}
        times = {spec: typical_seconds(p.settings.results, p.cell) for p in todo for spec in [p.cell.spec]}
        for planned in todo:
            here, trains = sizes[planned.cell.fold], self._trains(planned)
            self.cells += 1
            self.baselines += trains
            if (seconds := times[planned.cell.spec]) is not None:
                self.seconds += seconds
                self.timed += 1
                continue
            work = build_method(planned.cell.runs, planned.settings.plugins).work(here, recipe)
            if work is None:
                self.unknown[planned.cell.spec] += 1
                continue
            self.trained += work[0]
            if trains:
                self.trained += recipe.pretrain_epochs * len(data.joint.split("train", planned.cell.fold))
            self.forward += work[1] + here.val + tests

    def _trains(self, planned: PlannedCell) -> bool:
        """Return whether a cell trains the weights of its baseline: the first of those that need them."""
        if planned.cell.spec != BASELINE or planned.origin in self._origins or planned.settings.baseline:
            return False
        self._origins.add(planned.origin)
        return not has_weights(planned)

    @property
    def hours(self) -> float:
        return (self.seconds + self.trained / self.trained_speed + self.forward / self.forward_speed) / 3600

    def says(self) -> str:
        """Return cells, baselines and hours in a sentence or two."""
        measured = self.trained_speed != SPEED
        speed, of = ("the measured speeds", "of this device") if measured else (f"{SPEED:,} images per second", "")
        hours = f"{self.hours:.2g} {'hours' if measured else 'GPU hours'}"
        todo = f"{number_of(self.cells, 'cell')} to compute, {number_of(self.baselines, 'baseline')} to train"
        text = f"{todo}: about {hours} {of}".rstrip()
        if self.timed < self.cells:
            text += f", at {speed} where no cell of the method has finished yet"
        if self.assumed:
            sets = number_of(self.assumed, "fold")
            text += f"; external sets of {sets} are not known yet and count as large as the validation part"
        others = ", ".join(f"{name} ({n})" for name, n in self.unknown.items())
        return f"{text}. Without cells whose cost is not known: {others}" if others else text

    def _sizes(self, data: TaskData, fold: int) -> Sizes:
        train, val = len(data.split("train", fold)), len(data.split("val", fold))
        try:
            return Sizes(train, val, len(data.split("external", fold)))
        except BenchError:  # a baseline chooses its groups, or it cannot be balanced
            self.assumed += 1
            return Sizes(train, val, val)
