"""The cells that an artefact needs: how many of them are there, and which commands compute the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bench.cells.identity import predictions_file
from bench.cells.record import Record
from bench.reporting.figures.sweeps import OF_TASK, variants
from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.rerun_commands import Line
from bench.reporting.task_results import TaskResults
from bench.running.ablate import values
from bench.running.plan import undefined, under
from bench.running.plan_file import expand
from bench.settings import Settings

PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Need:
    """Cells of some specs, which the preset of the task completes; those not defined on its groups are ignored.

    The cells are of all folds, or of `fold` and seed 0 only, on `backbone` or the first one of the task. `part` is
    what they must have beside their scores: `PREDICTIONS`, or pictures whose names begin with it. `task` is another
    task, by spec. `ablate` is a parameter of a method or a field of the task that the command ablates. For a field, the
    cells are of each variant of the task, and the specs are those of which some variant has cells. If no cell is there,
    the command calls the specs `named`; it is `bench run` or another `verb`. `also` are specs whose cells count, too,
    but are not asked for.
    """

    specs: tuple[str, ...]
    task: str = ""
    backbone: str | None = None
    fold: int | None = None
    part: str = ""
    ablate: str = ""
    verb: str = "run"
    named: str = ""
    also: tuple[str, ...] = ()

    def runs(self, settings: Settings) -> list[Settings]:
        """Return the runs that compute all of the cells, whether or not they are there."""
        return expand(
            replace(
                settings,
                task=self.task or settings.task,
                backbone=self.backbone,
                methods=",".join(self.specs),
                folds=None if self.fold is None else (self.fold,),
                ablate=self.ablate if self.ablate in OF_TASK else None,  # else the specs name every setting
            )
        )

    def count(self, results: TaskResults) -> tuple[int, int]:
        """Return how many of the cells are there, and how many there could be."""
        one = self._of(results)
        if one.info.elsewhere:
            return len(one.cells), len(one.cells)
        specs = self._defined(one)
        there = sum(len(folds) for part in self._variants(one) for folds in self._there(part, specs).values())
        return there, len(specs) * self._wanted(one) * self._folds(one)

    def any(self, results: TaskResults, *, bare: bool = False) -> bool:
        """Tell whether one of the cells is there, on any backbone; `bare` ignores `part`."""
        one = self._of(results)
        specs = {*self._specs(one), *self.also}
        return any(c.cell.spec in specs and (bare or self._has(one, c)) for c in one.cells)

    def each(self, results: TaskResults) -> bool:
        """Tell whether each of the specs has a cell in some fold."""
        one = self._of(results)
        found = self._there(one, self._defined(one))
        return bool(found) and all(found.values())

    def whole(self, results: TaskResults) -> bool:
        """Tell whether each cell is there in some fold on the same backbone; of variants, those of one method."""
        one = self._of(results)
        variants = self._variants(one)
        if len(variants) < self._wanted(one):
            return False
        found = [{(item.cell.spec, item.cell.backbone) for item in part.cells} for part in variants]
        if self.ablate in OF_TASK:
            return any(spec != BASELINE for spec, _ in set.intersection(*found))
        return any({(spec, backbone) for spec in self._specs(one)} <= found[0] for _, backbone in found[0])

    def lines(self, results: TaskResults) -> list[Line]:
        """Return the commands that compute the specs with missing cells."""
        one = self._of(results)
        if one.info.elsewhere:
            return []
        specs = self._defined(one)
        more: dict[str, Any] = {"ablate": self.ablate} if self.ablate else {}
        more |= {"folds": (self.fold,)} if self.fold is not None else {}
        if self.named and not self.any(results, bare=True):
            return [one.line([self.named], self.backbone, verb=self.verb, **more)]
        if self.verb != "run":
            return []  # `bench tune` chooses parameters, then runs the cells
        if self.ablate:
            there, wanted = self.count(results)
            return [one.line(specs if self.ablate in OF_TASK else specs[:1], None, **more)] * (there < wanted)
        known, there = (self._there(one, specs, bare=bare) for bare in (True, False))
        bare = [spec for spec in specs if known[spec] - there[spec]]
        lacking = [spec for spec in specs if len(known[spec]) < self._folds(one) and spec not in bare]
        found = [one.line(lacking, self.backbone, **more)] if lacking else []
        return [*found, one.line(bare, self.backbone, force=True, **more)] if bare else found

    def _of(self, results: TaskResults) -> TaskResults:
        return results.other(self.task) if self.task else results

    def _folds(self, one: TaskResults) -> int:
        return one.task.folds if self.fold is None else 1

    def _variants(self, one: TaskResults) -> list[TaskResults]:
        """Return the task, or those of its variants that have results."""
        return list(variants(one, self.ablate).values()) if self.ablate in OF_TASK else [one]

    def _wanted(self, one: TaskResults) -> int:
        """Return how many variants there could be."""
        return len(values(one.task, self.ablate)) if self.ablate in OF_TASK else 1

    def _defined(self, one: TaskResults) -> list[str]:
        specs = self._specs(one)
        if self.ablate in OF_TASK:
            others = [part for part in self._variants(one) if part is not one]
            specs = sorted({c.cell.spec for part in others for c in part.cells} - {BASELINE}) or specs
        network = self.backbone or one.task.backbones[0]
        left_out = undefined(specs, one.task, network, one.settings.plugins)
        return [spec for spec in specs if spec not in left_out]

    def _specs(self, one: TaskResults) -> list[str]:
        """Return the specs under the preset of the task."""
        return list(dict.fromkeys(under(spec, one.task.preset, one.settings.plugins) for spec in self.specs))

    def _there(self, one: TaskResults, specs: Iterable[str], *, bare: bool = False) -> dict[str, set[int]]:
        """Return the folds that are there of each spec; `bare` ignores `part`."""
        network = self.backbone or one.task.backbones[0]
        found: dict[str, set[int]] = {spec: set() for spec in specs}
        for item in one.cells:
            cell = item.cell
            fits = cell.spec in found and cell.backbone == network
            fits &= self.fold is None or (cell.fold, cell.seed) == (self.fold, 0)
            if fits and (bare or self._has(one, item)):
                found[cell.spec].add(cell.fold)
        return found

    def _has(self, one: TaskResults, item: Record) -> bool:
        if self.part == PREDICTIONS:
            return predictions_file(one.settings.results, item.cell.identity).is_file()
        return not self.part or any(name.startswith(self.part) for name in one.pictures(item) or {})
