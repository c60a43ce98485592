"""Every table and figure of a task's report: its name, what it shows, how it is made, and what makes its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.cells.identity import slug
from bench.report.figures import picture_cells, sweeps
from bench.report.figures import task_figures as drawn
from bench.report.numbers.ablations import MAIN, Table
from bench.report.numbers.aggregate import Results
from bench.report.numbers.comparison import Comparison, compare
from bench.report.numbers.paper_layout import FIGURES, Block, Layout, blocks, blocks_of, layouts
from bench.report.rerun_commands import Line
from bench.report.tables import group_table
from bench.report.tables import main_table as tables
from bench.report.tables import paper_tables as paper
from bench.report.tables.published_tables import FORMATS
from bench.report.tables.published_tables import NAME as PUBLISHED
from bench.report.tables.tuned_table import PART as TUNED
from bench.report.tables.tuned_table import collect_tuned
from bench.report.task_results import Material
from bench.run.plan import method_specs

ABLATION = "ablation-"


@dataclass(frozen=True)
class Artefact:
    """A table or figure; `name` is the stem of its files, `paper` its number in the paper, empty where it has none.

    `make` gives the files by suffix, `missing` the lines that make what is missing, none where it can be made,
    `count` how many cells of how many are there, and `rest` the lines that make the cells that it can be made without.
    """

    name: str
    says: str
    make: Callable[[Material], Mapping[str, bytes]]
    missing: Callable[[Material], list[Line]]
    count: Callable[[Material], tuple[int, int]]
    rest: Callable[[Material], list[Line]] = lambda _: []
    paper: str = ""
    partial: bool = False
    """Made whatever is missing, which it says."""
    drawn: bool = False
    """A figure: matplotlib draws it, which takes seconds."""
    named_only: bool = False
    """Not made unless it is asked for by name: it shows images of patients."""

    def lines(self, material: Material) -> list[Line]:
        """Return the lines that make every cell that is not there."""
        there, wanted = self.count(material)
        return (self.rest(material) if there < wanted else []) or self.missing(material)


def paper_tables(tables: Sequence[tuple[Layout, list[Block]]], *, partial: bool = False) -> list[Artefact]:
    """Return tables of the paper, each made of some blocks."""
    return [_paper_table(*table, partial=partial) for table in tables]


def _paper_table(layout: Layout, made_of: Sequence[Block], *, partial: bool) -> Artefact:
    def missing(material: Material) -> list[Line]:
        found = [material.other(block.task).missing(layout.rows, block.backbone) for block in made_of]
        return list(dict.fromkeys(line for lines in found for line in lines))

    def rest(material: Material) -> list[Line]:
        return [line for block in made_of for line in material.other(block.task).rest(layout.rows, block.backbone)]

    def count(material: Material) -> tuple[int, int]:
        counts = [material.other(block.task).count(layout.rows, block.backbone) for block in made_of]
        return sum(there for there, _ in counts), sum(every for _, every in counts)

    def make(material: Material) -> dict[str, bytes]:
        return paper.make(layout, made_of, material)

    return Artefact(layout.name, layout.says, make, missing, count, rest, f"Table {layout.number}", partial)


def of_paper(material: Material, names: Mapping[str, str]) -> list[Artefact]:
    """Return the paper's tables and figures with other tasks, by name, in place of its own; a figure for each task."""
    figures = [
        _elsewhere(item, material.other(names[task]))
        for name, tasks in FIGURES.items()
        for task in tasks
        for item in artefacts(material.other(names[task]))
        if item.name == name
    ]
    return [*paper_tables([(layout, blocks(layout, names)) for layout in layouts()], partial=True), *figures]


def _elsewhere(item: Artefact, material: Material) -> Artefact:
    name = material.task.name
    return replace(
        item,
        name=f"{item.name}-{slug(name)}",
        says=f"{item.says}, {name}",
        make=lambda _: item.make(material),
        missing=lambda _: item.missing(material),
        count=lambda _: item.count(material),
        rest=lambda _: item.rest(material),
    )


def artefacts(material: Material) -> list[Artefact]:
    """Return the artefacts of a task, whether or not their cells are there, in the order of its report."""
    return [
        Artefact(MAIN, "all methods on every test set", _main, *_COMPARED),
        Artefact("trade-off", "disparity against accuracy", drawn.trade_off, *_COMPARED, drawn=True),
        Artefact("cost-gain", "what methods take against what they change", drawn.cost_gain, *_COMPARED, drawn=True),
        Artefact("groups", "rates of every group and the images they rest on", _groups, *_COMPARED),
        *(_roc(name) for name in material.info.ood),
        *paper_tables(blocks_of(material.settings.task, material.task)),
        *sorted([*_pictures(material), _FIGURE_4, _FIGURE_6, _FIGURE_7], key=lambda item: item.paper),
        *(_ablation(table) for table in material.tables[1:]),
        Artefact(TUNED, "methods with parameters chosen on held-out images", _tuned, _nothing_tuned, _tuned_cells),
        *([_PUBLISHED] if material.cells and _compared(material) else []),
    ]


_FIGURE_4 = Artefact(
    "figure-4",
    "scores and costs against epochs of fine-tuning",
    drawn.epochs,
    partial(sweeps.missing_of_task, field=sweeps.EPOCHS),
    partial(sweeps.count_of_task, field=sweeps.EPOCHS),
    partial(sweeps.rest_of_task, field=sweeps.EPOCHS),
    "Figure 4",
    drawn=True,
)
_FIGURE_6 = Artefact(
    "figure-6",
    "scores against the share of the head that is reset",
    drawn.reset,
    sweeps.missing_of_head,
    sweeps.count_of_head,
    sweeps.rest_of_head,
    "Figure 6",
    drawn=True,
)
_FIGURE_7 = Artefact(
    "figure-7",
    "scores against the size of the external set",
    drawn.external,
    partial(sweeps.missing_of_task, field=sweeps.EXTERNAL),
    partial(sweeps.count_of_task, field=sweeps.EXTERNAL),
    partial(sweeps.rest_of_task, field=sweeps.EXTERNAL),
    "Figure 7",
    drawn=True,
)


def _roc(name: str) -> Artefact:
    make = partial(drawn.roc, name=name)
    return Artefact(
        f"roc-{slug(name)}",
        f"ROC curves by group on {name}",
        make,
        _no_predictions,
        _all_methods,
        _all_rest,
        drawn=True,
    )


def _pictures(material: Material) -> list[Artefact]:
    """Figures of what cells keep; masks of a skin task are the paper's Figure 8, those of films its Figure 9."""
    masks = 9 if material.task.channels == 1 else 8

    def entry(number: int, says: str, specs: Sequence[str], part: str, *, patients: bool = False) -> Artefact:
        return Artefact(
            f"figure-{number}",
            says,
            partial(picture_cells.figure, number=number),
            partial(picture_cells.missing, specs=specs, part=part),
            partial(picture_cells.count, specs=specs, part=part),
            paper=f"Figure {number}",
            drawn=True,
            named_only=patients,
        )

    return [
        entry(3, "importances and mask over the parameters", picture_cells.MASKED, "strip/"),
        entry(5, "class activation maps", picture_cells.COMPARED, "cam/", patients=not material.info.synthetic),
        entry(masks, "the mask block by block", picture_cells.MASKED, "strip/"),
    ]


def _table(material: Material, table: Results) -> dict[str, bytes]:
    results = material.tested(table)
    made = {"tex": tables.latex(results), "md": tables.markdown(results), "csv": tables.csv(results)}
    return {kind: text.encode() for kind, text in made.items()}


def _main(material: Material) -> dict[str, bytes]:
    return _table(material, material.results)


def _groups(material: Material) -> dict[str, bytes]:
    table = group_table.frame(material.results, material.tables[0].cells)
    return {"md": group_table.markdown(material.results, table).encode(), "csv": group_table.csv(table).encode()}


def _nothing_run(material: Material) -> list[Line]:
    return [] if material.tables[0].cells else [material.line(["all"])]


def _no_predictions(material: Material) -> list[Line]:
    # Cells of another site may come without.
    there = material.tables[0].cells
    return [] if drawn.predicted(material) else [material.line(["all"], force=bool(there))]


def _every(material: Material) -> list[str]:
    return method_specs("all", material.settings.plugins, material.task.recipe)


def _all_methods(material: Material) -> tuple[int, int]:
    return material.count(_every(material))


def _all_rest(material: Material) -> list[Line]:
    return _nothing_run(material) or material.rest(_every(material))


_COMPARED = (_nothing_run, _all_methods, _all_rest)
"""What is made of the main table."""


def _ablation(table: Table) -> Artefact:
    specs = list(dict.fromkeys(item.cell.spec for item in [*table.cells, *table.failures]))

    def missing(material: Material) -> list[Line]:
        return [] if table.cells else [material.line(specs)]

    return Artefact(
        table.name,
        f"ablation of {table.part}",
        lambda material: _table(material, material.results_of(table)),
        missing,
        partial(Material.count, specs=specs),
        partial(Material.rest, specs=specs),
    )


def _tuned(material: Material) -> dict[str, bytes]:
    results = collect_tuned(material.cells, material.failures, material.info)
    return _table(material, results) if results else {}


def _nothing_tuned(material: Material) -> list[Line]:
    # It chooses, then runs what was chosen.
    return [] if material.tuned else [material.line(["all"], verb="tune")]


def _tuned_cells(material: Material) -> tuple[int, int]:
    return material.count({item.cell.spec for item in material.tuned})


def _compared(material: Material) -> Comparison | None:
    return compare([material.results_of(table) for table in material.tables])


def _published(material: Material) -> dict[str, bytes]:
    compared = _compared(material)
    return {kind: make(compared).encode() for kind, make in FORMATS.items()} if compared else {}


_PUBLISHED = Artefact(
    PUBLISHED,
    "our numbers beside the published ones",
    _published,
    lambda _: [],
    _all_methods,
)
