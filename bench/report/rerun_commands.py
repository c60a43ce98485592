"""The lines of the command line that make what a report lacks: to be pasted, to be handed on, and each cell once."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import taskfile
from bench.cells.identity import BASELINE
from bench.run.plan import Settings, method_specs

RESULTS, CACHE = Path("results"), Path(".cache")
"""Where `bench run` has its folders unless it is told otherwise, or by BENCH_CACHE."""
FOLDS, FORCE = "--folds", "--force"


@dataclass(frozen=True)
class Line:
    """A call of `bench run` or `bench tune`; as text it works where the report was asked for.

    `backbone` is given where it is not the task's first, `more` are further options.
    """

    settings: Settings
    methods: tuple[str, ...]
    backbone: str | None = None
    more: tuple[str, ...] = ()
    verb: str = field(default="run", kw_only=True)

    def __str__(self) -> str:
        given = self.settings
        files = [
            *(("--plugin", file) for file in given.plugins),
            ("--splits", given.splits),
            ("--baseline", given.baseline),
            ("--results", None if given.results == RESULTS.absolute() else given.results),
            ("--cache", None if given.cache == cache_folder() else given.cache),
            ("--data", given.data),
        ]
        words = ["--task", given.task, "--methods", ",".join(self.methods)]
        words += ["--backbone", self.backbone] if self.backbone else []
        words += [*self.more, *(str(word) for name, file in files if file for word in (name, file))]
        return shlex.join(["bench", self.verb, *words])

    @property
    def handed_on(self) -> Line:
        """The line without the folders of this machine: of a file its name is left."""
        return replace(self, settings=elsewhere(self.settings))


def cache_folder() -> Path:
    """Return the folder of the cache where no option names one."""
    return Path(os.environ.get("BENCH_CACHE", CACHE)).absolute()


def elsewhere(settings: Settings) -> Settings:
    """Return settings for a line that is read on another machine."""
    base = taskfile.parse(settings.task)[0]
    return replace(
        settings,
        task=Path(base).name + settings.task.removeprefix(base),
        results=RESULTS.absolute(),
        cache=cache_folder(),
        data=None,
        plugins=tuple(Path(file.name) for file in settings.plugins),
        splits=settings.splits and Path(settings.splits.name),
        baseline=settings.baseline and Path(settings.baseline.name),
    )


def once(lines: Iterable[Line]) -> list[Line]:
    """Return lines that make the same cells: one per task, backbone and further options, with all methods of it.

    What a line makes for every fold, no line makes for some folds alone.
    """
    united: dict[Line, tuple[str, ...]] = {}
    for line in lines:
        place = replace(line, methods=())
        united[place] = tuple(dict.fromkeys([*united.get(place, ()), *line.methods]))
    found = []
    for place, methods in united.items():
        made: set[str] = set()
        if "all" in methods:
            made = _specs(replace(place, methods=("all",)))
        if FOLDS in place.more and FORCE in place.more:
            made = set(united.get(replace(place, more=(FORCE,)), ()))
        elif FOLDS in place.more:
            whole = replace(place, more=())
            made = _specs(replace(whole, methods=united.get(whole, (BASELINE,))))
        if left := tuple(method for method in methods if method not in made):
            found.append(replace(place, methods=left))
    return found


def _specs(line: Line) -> set[str]:
    recipe = taskfile.resolve(line.settings.task).recipe
    return {BASELINE, *method_specs(",".join(line.methods), line.settings.plugins, recipe)}
