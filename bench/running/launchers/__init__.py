"""Launchers: how and where the cells of a run are started. `--on NAME` chooses one; `local` and `slurm` are built in.

Your own launcher is one file with one subclass of `Launcher`, loaded by `--plugin FILE.py` or through the entry-point
group `bench.launchers`. All its parameters have defaults; `--on NAME:parameter=value` sets them. A launcher that
computes the cells while the run waits needs only `submit`:

    def submit(self, work, hear):
        for planned in work.cells:
            hear(Event("started", planned))
            hear(attempt(planned))

`bench.running.attempt` writes the result or the failure to disk, and two processes never compute the same cell. A
launcher that submits the cells to a queue sets `queues`, and reports and removes its jobs with `queued`, `cancel` and
`leftovers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.api import Plugin
from bench.errors import UnknownName
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.running.attempt import Event
    from bench.running.plan import PlannedCell
    from bench.settings import Settings


@dataclass(frozen=True)
class Queued:
    """The job of a cell in a queue.

    If it is `gone`, `kind` says why it ended, as a `FailureKind`; if it is `waiting`, why it will not start by itself.
    """

    job: str
    state: Literal["waiting", "running", "gone"]
    kind: str = ""


@dataclass(frozen=True)
class Work:
    """The work for a launcher: the missing cells of a command that can be computed, baselines first.

    They may be of several tasks and backbones; each cell has the settings of its own run.
    """

    cells: tuple[PlannedCell, ...]
    settings: Settings
    """The first run, whose options of execution all runs share."""
    jobs: int = 1
    """The number of cells at a time on this machine."""
    queued: Mapping[str, Queued] = field(default_factory=dict)
    """The jobs of these tasks by the path of the cell. No cell in `cells` has a waiting or running job."""


@dataclass(frozen=True)
class Submitted:
    """How many cells a queue accepted, in how many parts ("3 arrays"), and why it refused the rest."""

    cells: int
    where: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Launcher(Plugin, ABC):
    """A way of starting cells."""

    queues: ClassVar[bool] = False
    """Whether `submit` returns at once and a queue computes the cells later."""

    def accept(self, asked: Settings) -> Settings:
        """Return the settings with `--jobs`, `--gpus` and `--per-gpu` adapted to this launcher, before planning.

        Raises:
            UsageError: a combination that this launcher does not support.
        """
        return asked

    @abstractmethod
    def submit(self, work: Work, hear: Callable[[Event], None]) -> Submitted | None:
        """Compute the cells and call `hear` with every event; or, if it `queues`, submit them and return how many.

        The cell of a method starts from the weights of its fold's baseline, which must be computed before.
        """

    def preview(self, work: Work) -> list[str]:
        """Return what `submit` would queue, as lines for `--dry-run`."""
        return [f"would submit {planned.cell}" for planned in work.cells]

    def queued(self, results: Path, task: str) -> Mapping[str, Queued]:
        """Return the jobs of a task that wait, run, or ended without result or failure, by the path of the cell."""
        return {}

    def cancel(self, results: Path, task: str | None) -> str:
        """Cancel waiting and running cells of one task or of all; return a summary such as `2 jobs cancelled`."""
        return ""

    def leftovers(self, results: Path, task: str, moving: set[str]) -> list[Path]:
        """Return files and folders that `bench clean` may remove: those of submissions without a cell in `moving`."""
        return []


LAUNCHERS = Registry("launcher", Launcher, "bench.running.launchers")


def chosen(settings: Settings) -> Launcher:
    """Return the launcher of a run, from its name or spec and the launcher options of the command line.

    Raises:
        UnknownName: no such launcher, or an option that it does not have; the message suggests the nearest spelling.
        UsageError: a value that is not allowed.
    """
    launcher = LAUNCHERS.build(settings.on, settings.plugins)
    given = {"profile": settings.profile, "group_by": settings.group_by}
    options = {name: value for name, value in given.items() if value is not None}
    known = [field.name for field in fields(launcher)]
    for name in options:
        if name not in known:
            raise UnknownName("option", name, known, where=f" of launcher {settings.on}")
    return replace(launcher, **options)


def every(plugins: Sequence[Path] = ()) -> list[Launcher]:
    """Return all launchers, those with a queue first."""
    found = [LAUNCHERS.load(name, plugins)() for name in LAUNCHERS.catalogue(plugins)]
    return sorted(found, key=lambda launcher: not launcher.queues)


def queued(results: Path, task: str, plugins: Sequence[Path] = ()) -> dict[str, Queued]:
    """Return the jobs of a task in all queues, by the path of the cell."""
    return {cell: job for launcher in every(plugins) for cell, job in launcher.queued(results, task).items()}
