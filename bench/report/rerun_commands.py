"""The lines of the command line that make what a report lacks: to be pasted, to be handed on, and each cell once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench import taskfile
from bench.cells.identity import BASELINE
from bench.run.plan import method_specs
from bench.settings import Settings, command, elsewhere
from bench.spec import split_specs


@dataclass(frozen=True)
class Line:
    """A call of `bench run` or `bench tune`; as text it works where the report was asked for."""

    settings: Settings
    verb: str = "run"

    def __str__(self) -> str:
        return command(self.verb, self.settings)

    @property
    def methods(self) -> tuple[str, ...]:
        """The specs that it names."""
        return tuple(split_specs(self.settings.methods))

    @property
    def handed_on(self) -> Line:
        """The line without the folders of this machine: of a file its name is left."""
        return replace(self, settings=elsewhere(self.settings))

    def of(self, methods: Iterable[str]) -> Line:
        """Return the line with other methods."""
        return replace(self, settings=replace(self.settings, methods=",".join(methods)))


def once(lines: Iterable[Line]) -> list[Line]:
    """Return lines that make the same cells: one per task, backbone and further options, with all methods of it.

    What a line makes for every fold, no line makes for some folds alone.
    """
    united: dict[Line, tuple[str, ...]] = {}
    for line in lines:
        place = line.of(())
        united[place] = tuple(dict.fromkeys([*united.get(place, ()), *line.methods]))
    found = []
    for place, methods in united.items():
        made: set[str] = set()
        if "all" in methods:
            made = _specs(place.of(["all"]))
        if place.settings.folds:
            whole = replace(place, settings=replace(place.settings, folds=None))
            made = (
                set(united.get(whole, ())) if place.settings.force else _specs(whole.of(united.get(whole, (BASELINE,))))
            )
        if left := tuple(method for method in methods if method not in made):
            found.append(place.of(left))
    return found


def _specs(line: Line) -> set[str]:
    recipe = taskfile.resolve(line.settings.task).recipe
    return {BASELINE, *method_specs(line.settings.methods, line.settings.plugins, recipe)}
