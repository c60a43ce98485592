"""The commands that compute what a report lacks: to be pasted, to be passed on, and each cell once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench import taskfile
from bench.cells.identity import BASELINE
from bench.reporting.numbers.grouping import grouped
from bench.running.plan import method_specs
from bench.settings import Settings, command, elsewhere
from bench.spec import split_specs


@dataclass(frozen=True)
class Line:
    """A call of `bench run` or `bench tune`; its text works in the folder from which the report was made."""

    settings: Settings
    verb: str = "run"

    def __str__(self) -> str:
        return command(self.verb, self.settings)

    @property
    def methods(self) -> tuple[str, ...]:
        """The specs that it names."""
        return tuple(split_specs(self.settings.methods))

    @property
    def portable(self) -> Line:
        """The command without the folders of this machine, with files by their names."""
        return replace(self, settings=elsewhere(self.settings))

    def of(self, methods: Iterable[str]) -> Line:
        """Return the command with other methods, each once."""
        return replace(self, settings=replace(self.settings, methods=",".join(dict.fromkeys(methods))))


def united(lines: Iterable[Line]) -> list[Line]:
    """Return one command for those that differ only in their methods."""
    methods = grouped((line.of(()), method) for line in lines for method in line.methods)
    return [place.of(names) for place, names in methods.items()]


def once(lines: Iterable[Line]) -> list[Line]:
    """Return commands that compute the same cells, each cell once.

    There is one per task, backbone and further options, with all their methods. A command for some folds leaves out
    the methods that another one computes for all folds.
    """
    methods = {line.of(()): line.methods for line in united(lines)}
    found = []
    for place, names in methods.items():
        made, again = set[str](), set[str]()
        if "all" in names:
            made = _specs(place.of(["all"]))
        if place.settings.folds:
            whole = replace(place, settings=replace(place.settings, folds=None))
            if place.settings.force:
                again = set(methods.get(whole, ()))
            else:
                made = _specs(whole.of(methods.get(whole, (BASELINE,))))
        if left := [name for name in names if name == "all" or not (name in again or _among(place, name, made))]:
            found.append(place.of(left))
    return found


def _among(line: Line, name: str, made: set[str]) -> bool:
    """Tell whether a method that a command names is among some specs; these are complete, the name may not be."""
    return bool(made) and _specs(line.of([name])) <= made | {BASELINE} and (name != BASELINE or BASELINE in made)


def _specs(line: Line) -> set[str]:
    task = taskfile.resolve(line.settings.task)
    return {BASELINE, *method_specs(line.settings.methods, line.settings.plugins, task)}
