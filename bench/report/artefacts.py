"""Every table and figure of a task's report: what it shows, the cells that it needs, and the function that makes it.

A new figure is its module in `bench.report.figures` and a line in `artefacts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bench import registry
from bench.cells.identity import slug
from bench.errors import UnknownName, UsageError
from bench.report.figures import picture_figures, sweeps
from bench.report.figures import task_figures as drawn
from bench.report.needs import PREDICTIONS, Need, united
from bench.report.numbers.ablations import MAIN, Table
from bench.report.numbers.aggregate import Results
from bench.report.numbers.comparison import Comparison
from bench.report.numbers.paper_layout import FIGURES, Block, Layout, blocks, blocks_of, layouts
from bench.report.render import document
from bench.report.render.table import csv
from bench.report.rerun_commands import Line, once
from bench.report.tables import group_table, main_table, paper_tables, published_tables
from bench.report.tables.published_tables import NAME as PUBLISHED
from bench.report.tables.tuned_table import PART as TUNED
from bench.report.tables.tuned_table import collect_tuned
from bench.report.task_results import TaskResults
from bench.run.ablate import ablations
from bench.run.plan import build_method, method_specs

ABLATION = "ablation-"


@dataclass(frozen=True)
class Artefact:
    """A table or figure; `name` is the stem of its files, `paper` its number in the paper, empty where it has none.

    It can be made where enough of its `needs` is there: any cell, a cell of each spec, or one need as a whole. `make`
    gives its files by suffix from the results of `task`, another one by spec, or of the task of the report.
    """

    name: str
    says: str
    make: Callable[[TaskResults], Mapping[str, bytes]]
    needs: Sequence[Need]
    enough: Literal["any", "each", "whole"] = "any"
    paper: str = ""
    partial: bool = False
    """Made whatever is missing, which it says."""
    named_only: bool = False
    """Not made unless it is asked for by name: it shows images of patients."""
    task: str = ""

    def files(self, results: TaskResults) -> Mapping[str, bytes]:
        """Return the files by suffix."""
        return self.make(self._of(results))

    def possible(self, results: TaskResults) -> bool:
        """Whether enough cells are there to make it."""
        one = self._of(results)
        if self.enough == "each":
            return all(need.each(one) for need in self.needs)
        return any(need.any(one) if self.enough == "any" else need.whole(one) for need in self.needs)

    def lines(self, results: TaskResults) -> list[Line]:
        """Return the commands that compute every cell that is not there."""
        one = self._of(results)
        return united(line for need in self.needs for line in need.lines(one))

    def count(self, results: TaskResults) -> tuple[int, int]:
        """Return how many of its cells are there, and how many there could be."""
        counts = [need.count(self._of(results)) for need in self.needs]
        return sum(there for there, _ in counts), sum(wanted for _, wanted in counts)

    def _of(self, results: TaskResults) -> TaskResults:
        return results.other(self.task) if self.task else results


def artefacts(results: TaskResults) -> list[Artefact]:
    """Return the artefacts of a task, whether or not their cells are there, in the order of its report."""
    names = tuple(method_specs("all", results.settings.plugins, results.task.recipe))
    shown = tuple({item.cell.spec for item in results.tables[0].cells})
    main = [Need(names, named="all", also=shown)]
    scored = [replace(main[0], part=PREDICTIONS)]
    tuned = tuple({item.cell.spec for item in results.tuned})
    rocs = [
        Artefact(f"roc-{slug(name)}", f"ROC curves by group on {name}", partial(drawn.roc, name=name), scored)
        for name in results.info.ood
    ]
    of_paper = [*_sweeps(results), *_pictures(results)]
    compared, published = results.compared if results.cells else None, []
    if compared:
        make = partial(_published, compared)
        published = [Artefact(PUBLISHED, "our numbers beside the published ones", make, main)]
    return [
        Artefact(MAIN, "all methods on every test set", _main, main),
        Artefact("trade-off", "disparity against accuracy", drawn.trade_off, main),
        Artefact("cost-gain", "what methods take against what they change", drawn.cost_gain, main),
        Artefact("groups", "rates of every group and the images they rest on", _groups, main),
        *rocs,
        *(_paper_table(*table) for table in blocks_of(results.settings.task, results.task)),
        *sorted(of_paper, key=lambda item: item.paper),
        *(_ablation(table) for table in results.tables[1:]),
        Artefact(
            TUNED,
            "methods with parameters chosen on held-out images",
            _tuned,
            [Need(tuned, verb="tune", named="all")],
        ),
        *published,
    ]


def of_paper(results: TaskResults, names: Mapping[str, str]) -> list[Artefact]:
    """Return the paper's tables and figures with other tasks, by name, in place of its own; a figure for each task."""
    figures = [
        replace(item, name=f"{name}-{slug(names[task])}", says=f"{item.says}, {names[task]}", task=names[task])
        for name, tasks in FIGURES.items()
        for task in tasks
        for item in artefacts(results.other(names[task]))
        if item.name == name
    ]
    tables = [_paper_table(layout, blocks(layout, names), partial=True) for layout in layouts()]
    return [*tables, *figures]


def _paper_table(layout: Layout, made_of: Sequence[Block], *, partial: bool = False) -> Artefact:
    return Artefact(
        layout.name,
        layout.says,
        lambda results: _encoded(paper_tables.make(layout, made_of, results)),
        [Need(tuple(layout.rows), block.task, block.backbone) for block in made_of],
        "each",
        f"Table {layout.number}",
        partial,
    )


def _sweeps(results: TaskResults) -> list[Artefact]:
    """Curves against a field of the task, which need all variants of a method, or all settings of one."""
    said = {name: build_method(name).ablations for name in registry.METHODS.catalogue()}
    ablated = tuple(name for name, settings in said.items() if settings)
    reset = [
        Need((name, *ablations(name, results.settings.plugins)[sweeps.RESET]), ablate=sweeps.RESET)
        for name in ablated
        if sweeps.RESET in said[name]
    ]

    epochs, external = ([Need(ablated, ablate=field)] for field in sweeps.OF_TASK)
    return [
        _figure(4, "scores and costs against epochs of fine-tuning", drawn.epochs, epochs, "whole"),
        _figure(6, "scores against the share of the head that is reset", drawn.reset, reset, "whole"),
        _figure(7, "scores against the size of the external set", drawn.external, external, "whole"),
    ]


def _pictures(results: TaskResults) -> list[Artefact]:
    """Figures of what cells keep; masks of a skin task are the paper's Figure 8, those of films its Figure 9."""
    masks = 9 if results.task.channels == 1 else 8
    strips = [Need(picture_figures.MASKED, fold=0, part="strip/")]
    maps = [Need(picture_figures.COMPARED, fold=0, part="cam/")]
    activations = _figure(5, "class activation maps", picture_figures.figure_5, maps, "each")
    return [
        _figure(3, "importances and mask over the parameters", picture_figures.figure_3, strips, "each"),
        replace(activations, named_only=not results.info.synthetic),
        _figure(masks, "the mask block by block", picture_figures.figure_8, strips, "each"),
    ]


def _figure(
    number: int,
    says: str,
    make: Callable[[TaskResults], Mapping[str, bytes]],
    needs: Sequence[Need],
    enough: Literal["each", "whole"],
) -> Artefact:
    return Artefact(f"figure-{number}", says, make, needs, enough, f"Figure {number}")


def _ablation(table: Table) -> Artefact:
    specs = dict.fromkeys(item.cell.spec for item in [*table.cells, *table.failures])
    return Artefact(
        table.name,
        f"ablation of {table.part}",
        lambda results: _table(results, results.results_of(table)),
        [Need(tuple(specs))],
    )


def _main(results: TaskResults) -> dict[str, bytes]:
    return _table(results, results.results)


def _table(results: TaskResults, table: Results) -> dict[str, bytes]:
    tested = results.tested(table)
    text = document.written(main_table.section(tested))
    return _encoded({"tex": main_table.latex(tested), **text, "csv": main_table.csv(tested)})


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {kind: text.encode() for kind, text in texts.items()}


def _groups(results: TaskResults) -> dict[str, bytes]:
    frame = group_table.frame(results.results, results.tables[0].cells)
    return _encoded({**document.written(group_table.section(results.results, frame)), "csv": csv(frame)})


def _tuned(results: TaskResults) -> dict[str, bytes]:
    table = collect_tuned(results.cells, results.failures, results.info)
    return _table(results, table) if table else {}


def _published(compared: Comparison, _: TaskResults) -> dict[str, bytes]:
    text = document.written(published_tables.section(compared))
    return _encoded({**text, "csv": published_tables.csv(compared), "tex": published_tables.latex(compared)})


def chosen(every: Sequence[Artefact], only: str) -> list[Artefact]:
    """Return the artefacts that `--only` names, joined by commas.

    Raises:
        UnknownName, UsageError: for a name that is none of them, with the nearest right spelling, and for no name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--only: name at least one of {', '.join(item.name for item in every)}")
    by_name = {item.name: item for item in every}
    for name in names:
        if name not in by_name:
            raise UnknownName("artefact", name, by_name)
    return [by_name[name] for name in dict.fromkeys(names)]


def listing(every: Sequence[Artefact], material: TaskResults) -> list[str]:
    """Return a line for each artefact with the commands that make the cells it lacks; last, those for all of them."""
    rows, below = [("name", "paper", "cells", "shows")], [[]]
    for item in every:
        there, wanted = item.count(material)
        rows.append((item.name, item.paper or "-", f"{there} of {wanted}", item.says))
        below.append(item.lines(material))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    found = []
    for row, lines in zip(rows, below, strict=True):
        found.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        found += [f"    {line}" for line in lines]
    return [*found, *_everything(every, material)]


def _everything(items: Iterable[Artefact], material: TaskResults) -> list[str]:
    """Return the lines that make all cells that some artefacts lack, each cell once, below a heading; none if none."""
    lines = once(line for item in items for line in item.lines(material))
    return ["all that is missing:", *(f"    {line}" for line in lines)] if lines else []


def lacking(items: Sequence[Artefact], material: TaskResults) -> list[str]:
    """Return how many cells are there of each artefact that lacks some, and the lines that make the others."""
    counts = {item.name: item.count(material) for item in items if item.lines(material)}
    found = [f"{name}: {there} of {wanted} cells are there" for name, (there, wanted) in counts.items()]
    return [*found, *_everything(items, material)]
