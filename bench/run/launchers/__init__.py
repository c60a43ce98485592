"""Launchers: what starts the cells of a run, and where. `--on NAME` chooses one; `local` and `slurm` are built in.

A launcher of your own is one file with one subclass of `Launcher`, given by `--plugin FILE.py` or by the entry-point
group `bench.launchers`. Its parameters have defaults; `--on NAME:parameter=value` sets them. One that computes the
cells while the run waits is done with `submit`:

    def submit(self, work, hear):
        for planned in work.cells:
            hear(Event("started", planned))
            hear(attempt(planned, work.settings))

`bench.run.attempt` leaves the result or the failure on disk, and two processes never compute the same cell. One that
hands the cells to a queue sets `queues` and says by `queued`, `cancel` and `leftovers` what became of them.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.api import Plugin
from bench.errors import UnknownName
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.run.attempt import Event
    from bench.run.plan import PlannedCell
    from bench.settings import Settings


@dataclass(frozen=True)
class Queued:
    """What a queue says of the job of a cell; `kind` is why one ended that is `gone`, a `FailureKind`."""

    job: str
    state: Literal["waiting", "running", "gone"]
    kind: str = ""


@dataclass(frozen=True)
class Work:
    """What a launcher is handed: the missing cells of a run that can be computed, baselines first."""

    task: str
    cells: tuple[PlannedCell, ...]
    settings: Settings
    jobs: int = 1
    """Cells at a time on this machine."""
    queued: Mapping[str, Queued] = field(default_factory=dict)
    """By the path of a cell, the jobs of this task; none of a cell in `cells` waits or runs."""


@dataclass(frozen=True)
class Submitted:
    """How many cells a queue took, in what ("3 arrays"), and why it did not take the rest."""

    cells: int
    where: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Launcher(Plugin, ABC):
    """One way of starting cells."""

    queues: ClassVar[bool] = False
    """Whether `submit` returns at once and a queue computes the cells later."""

    def accept(self, asked: Settings) -> Settings:
        """Return settings with `--jobs`, `--gpus` and `--per-gpu` as this launcher reads them; nothing is planned yet.

        Raises:
            UsageError: what this launcher cannot do.
        """
        return asked

    @abstractmethod
    def submit(self, work: Work, hear: Callable[[Event], None]) -> Submitted | None:
        """Compute the cells, telling `hear` of every event; or, where it `queues`, submit them and say how many.

        A method's cell starts from the weights of its fold's baseline: it must come after it.
        """

    def preview(self, work: Work) -> list[str]:
        """Return the lines by which `--dry-run` says what `submit` would queue."""
        return [f"would submit {planned.cell}" for planned in work.cells]

    def queued(self, results: Path, task: str) -> Mapping[str, Queued]:
        """Return, by the path of a cell, the jobs of a task that wait, run, or ended without result or failure."""
        return {}

    def cancel(self, results: Path, task: str | None) -> str:
        """Stop what waits or runs, of a task or of all; return what was done, such as `2 jobs cancelled`."""
        return ""

    def leftovers(self, results: Path, task: str, moving: set[str]) -> list[Path]:
        """Return files and folders that `bench clean` may remove: of submissions with no cell in `moving`."""
        return []


LAUNCHERS = Registry("launcher", Launcher, "bench.run.launchers")


def chosen(settings: Settings) -> Launcher:
    """Return the launcher that a run asks for: by name or spec, with what the options of the command line set.

    Raises:
        UnknownName: no such launcher, or an option that it does not have; with the nearest right spelling.
        UsageError: a value that is not allowed.
    """
    launcher = LAUNCHERS.build(settings.on, settings.plugins)
    given = {"profile": settings.profile, "group_by": settings.group_by}
    options = {name: value for name, value in given.items() if value is not None}
    fields = [field.name for field in dataclasses.fields(launcher)]
    for name in options:
        if name not in fields:
            raise UnknownName("option", name, fields, where=f" of launcher {settings.on}")
    return dataclasses.replace(launcher, **options)


def every(plugins: Sequence[Path] = ()) -> list[Launcher]:
    """Return all launchers, those with a queue first."""
    found = [LAUNCHERS.load(name, plugins)() for name in LAUNCHERS.catalogue(plugins)]
    return sorted(found, key=lambda launcher: not launcher.queues)


def queued(results: Path, task: str, plugins: Sequence[Path] = ()) -> dict[str, Queued]:
    """Return what all queues say of the cells of a task, by their paths."""
    return {cell: job for launcher in every(plugins) for cell, job in launcher.queued(results, task).items()}
