"""Every table and figure of a task's report: what it shows, the cells that it needs, and the function that makes it.

A new figure is a module in `bench.reporting.figures`, a function in `task_figures` and an entry in `artefacts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from bench import registry, taskfile
from bench.cells.identity import BASELINE, slug
from bench.reporting.figures import sweeps
from bench.reporting.needs import PREDICTIONS, Need
from bench.reporting.numbers.ablations import MAIN, Table
from bench.reporting.numbers.claims import CLAIMS
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.paper_layout import FIGURES, Block, Layout, blocks, blocks_of, layouts
from bench.reporting.numbers.untied import USUAL
from bench.reporting.rerun_commands import Line, united
from bench.reporting.tables import (
    claims_table,
    common_mix_table,
    equal_odds_table,
    features_table,
    further_table,
    group_table,
    main_table,
    paper_tables,
    untied_table,
)
from bench.reporting.tables.claims_table import CLAIMED
from bench.reporting.tables.published_tables import PUBLISHED, files
from bench.reporting.tables.tuned_table import TUNED, collect_tuned
from bench.reporting.tables.untied_table import UNTIED
from bench.reporting.task_results import TaskResults
from bench.running.ablate import ablations
from bench.running.plan import build_method, method_specs
from bench.settings import Settings

ABLATION, FURTHER, MIX = "ablation-", "attributes", "common-mix"

Files = Mapping[str, str | bytes]
"""Contents by suffix."""


@dataclass(frozen=True)
class Artefact:
    """A table or figure.

    `name` is the stem of its files, `paper` its number in the paper or empty. `build` makes its files from the results
    of the task of the report. It can be made if `enough` of its `needs` is there: any cell, a cell of each spec, or one
    need as a whole.
    """

    name: str
    says: str
    build: Callable[[TaskResults], Files]
    needs: Sequence[Need]
    enough: Literal["any", "each", "whole"] = "any"
    paper: str = ""
    partial: bool = False
    """Made even if cells are missing; it names them."""
    named_only: bool = False
    """Made only if it is asked for by name, because it shows images of patients."""

    def make(self, results: TaskResults) -> dict[str, bytes]:
        """Return the files by suffix."""
        made = self.build(results)
        return {suffix: data.encode() if isinstance(data, str) else data for suffix, data in made.items()}

    def possible(self, results: TaskResults) -> bool:
        """Tell whether enough cells are there to make it."""
        if self.enough == "each":
            return all(need.each(results) for need in self.needs)
        return any(need.any(results) if self.enough == "any" else need.whole(results) for need in self.needs)

    def lines(self, results: TaskResults) -> list[Line]:
        """Return the commands that compute the missing cells, one for all commands that differ only in methods."""
        return united(line for need in self.needs for line in need.lines(results))

    def count(self, results: TaskResults) -> tuple[int, int]:
        """Return how many of its cells are there, and how many there could be."""
        counts = [need.count(results) for need in self.needs]
        return sum(there for there, _ in counts), sum(wanted for _, wanted in counts)


def artefacts(results: TaskResults) -> list[Artefact]:
    """Return the artefacts of a task in the order of its report, whether or not their cells are there."""
    elsewhere = results.info.elsewhere
    names = () if elsewhere else tuple(method_specs("all", results.settings.plugins, results.task))
    shown = tuple({item.cell.spec for item in results.tables[0].cells})
    main = [Need(names, named="all", also=shown)]
    scored = [replace(main[0], part=PREDICTIONS)]
    predicted = [
        Artefact(MAIN, "all methods on every test set", lambda one: main_table.files(one.tested(one.results)), main),
        Artefact("forest", "what each method changes against Baseline", _drawing("changes"), scored),
        Artefact("trade-off", "disparity against accuracy", _drawing("tradeoff"), main),
        Artefact(
            "equal-odds",
            "every method at equal fairness, against Baseline with thresholds",
            equal_odds_table.files,
            scored,
        ),
        Artefact("frontier", "balanced accuracy against the EOdds that thresholds allow", _drawing("frontier"), scored),
        Artefact("groups", "rates of every group and the number of images behind each", group_table.files, main),
        *_further(results, main),
        *(
            Artefact(f"roc-{slug(name)}", f"ROC curves by group on {name}", _drawing("roc_curves", name), scored)
            for name in results.info.ood
        ),
    ]
    if elsewhere:
        return predicted
    tuned = tuple({results.relative(item.cell.spec) for item in results.cells if item.cell.tuned})
    own = [_paper_table(*table) for table in blocks_of(results.settings.task, results.task)]
    own += sorted([*_sweeps(), *_pictures(results)], key=lambda item: item.paper)
    return [
        *predicted[:3],
        Artefact("features", "what the features know of the attribute, beside the gap", features_table.files, main),
        Artefact("features-gap", "what the features know against the gap", _drawing("features"), main),
        Artefact("cost-gain", "what methods cost against what they change", _drawing("costs"), main),
        *predicted[3:],
        *own,
        *(_ablation(table, results) for table in results.tables[1:]),
        Artefact(
            TUNED,
            "methods with parameters chosen on held-out images",
            _tuned,
            [Need(tuned, verb="tune", named="all")],
        ),
        *_untied(results, names),
        *_published(results, main),
        _claims(own, _blocks(results)),
    ]


def _further(results: TaskResults, needs: Sequence[Need]) -> list[Artefact]:
    """Return the tables and the figure of further attributes, of a task that has some."""
    if not results.task.also or results.info.elsewhere:
        return []
    says = f"what mitigating {display_name(results.info.attribute_name)} did to other attributes"
    return [
        Artefact(FURTHER, says, further_table.files, needs),
        Artefact(MIX, "gaps at a common mix of other attributes", common_mix_table.files, needs),
        Artefact(f"{FURTHER}-forest", f"{says}, with intervals", _drawing("attributes"), needs),
    ]


def of_paper(results: TaskResults, names: Mapping[str, str]) -> list[Artefact]:
    """Return the paper's tables and figures with other tasks, by name, in place of its own; a figure for each task."""
    figures = [
        _of_task(item, names[task])
        for name, tasks in FIGURES.items()
        for task in tasks
        for item in artefacts(results.other(names[task]))
        if item.name == name
    ]
    tables = [_paper_table(layout, blocks(layout, names), partial=True) for layout in layouts()]
    drawn = {name: [Block(names[task], "", None) for task in tasks] for name, tasks in FIGURES.items()}
    needed = {layout.name: blocks(layout, names) for layout in layouts()} | drawn
    return [*tables, *figures, replace(_claims([*tables, *figures], needed), partial=True)]


def _of_task(item: Artefact, task: str) -> Artefact:
    """Return an artefact for another task, by spec."""
    return replace(
        item,
        name=f"{item.name}-{slug(task)}",
        says=f"{item.says}, {task}",
        build=lambda results: item.build(results.other(task)),
        needs=[replace(need, task=task) for need in item.needs],
    )


def _drawing(name: str, *more: str) -> Callable[[TaskResults], Files]:
    """Return a function of `task_figures`; matplotlib is imported when the first figure is drawn."""

    def build(results: TaskResults) -> Files:
        from bench.reporting.figures import task_figures

        return getattr(task_figures, name)(results, *more)

    return build


def _need(layout: Layout, block: Block) -> Need:
    return Need(tuple(layout.rows), block.task, block.backbone)


def _paper_table(layout: Layout, made_of: Sequence[Block], *, partial: bool = False) -> Artefact:
    return Artefact(
        layout.name,
        layout.says,
        lambda results: paper_tables.make(layout, made_of, results),
        [_need(layout, block) for block in made_of],
        "each",
        f"Table {layout.number}",
        partial,
    )


def _blocks(results: TaskResults) -> Mapping[str, Sequence[Block]]:
    """Return what stands for the blocks of the paper's tables and figures in the report of one task."""
    figures = () if results.task.attribute.grouped else FIGURES
    drawn = {name: [Block(results.settings.task, "", None)] for name in figures}
    return {layout.name: made for layout, made in blocks_of(results.settings.task, results.task)} | drawn


def _claims(items: Iterable[Artefact], needed: Mapping[str, Sequence[Block]]) -> Artefact:
    """Return the paper's claims, on the cells of those tables and figures that they name."""
    read = {name for claim in CLAIMS for name in claim.needs if name in needed}
    kept = [item for item in items if item.paper.lower().replace(" ", "-") in read]
    needs = list(dict.fromkeys(need for item in kept for need in item.needs))
    says = "the paper's claims, one by one"
    return Artefact(CLAIMED, says, lambda results: claims_table.make(needed, results), needs)


def _sweeps() -> list[Artefact]:
    """Return the curves against a field of the task, or against a parameter of a method."""
    return [
        _figure(4, "scores and costs against epochs of fine-tuning", "whole"),
        _figure(6, "scores against the share of the head that is reset", "whole"),
        _figure(7, "scores against the size of the external set", "whole"),
    ]


def _pictures(results: TaskResults) -> list[Artefact]:
    """Return the figures of stored pictures; the masks of a skin task are the paper's Figure 8, of an X-ray task 9."""
    masks = _figure(8, "the mask block by block")
    if results.task.channels == 1:
        masks = replace(masks, name="figure-9", paper="Figure 9")
    real = not results.info.synthetic
    return [
        replace(_figure(1, "class activation maps of Baseline and SWiFT"), named_only=real),
        _figure(3, "importances and mask over the parameters"),
        replace(_figure(5, "class activation maps"), named_only=real),
        masks,
    ]


def _figure(number: int, says: str, enough: Literal["each", "whole"] = "each") -> Artefact:
    needs = figure_needs()[number]
    return Artefact(f"figure-{number}", says, _drawing(f"figure_{number}"), needs, enough, f"Figure {number}")


@cache
def figure_needs() -> dict[int, list[Need]]:
    """Return the cells that each figure of the paper needs, of whatever task."""
    ablated = {name: build_method(name).ablations for name in registry.METHODS.catalogue()}
    methods = tuple(name for name, settings in ablated.items() if settings)
    strips = [Need(sweeps.MASKED, fold=0, part="strip/")]
    reset = [
        Need((name, *ablations(name)[sweeps.RESET]), ablate=sweeps.RESET)
        for name in methods
        if sweeps.RESET in ablated[name]
    ]
    epochs, external = ([Need(methods, ablate=field)] for field in sweeps.OF_TASK)
    maps, two = ([Need(specs, fold=0, part="cam/")] for specs in (sweeps.COMPARED, sweeps.ILLUSTRATED))
    return {1: two, 3: strips, 4: epochs, 5: maps, 6: reset, 7: external, 8: strips, 9: strips}


def paper_runs(settings: Settings, names: Mapping[str, str]) -> list[Settings]:
    """Return the runs that compute every cell of the paper's tables and figures, with the tasks of `names`."""
    needs = [_need(layout, block) for layout in layouts() for block in blocks(layout, names)]
    needs += [
        replace(need, task=names[task])
        for name, tasks in FIGURES.items()
        for task in tasks
        for need in figure_needs()[int(name.rpartition("-")[2])]
    ]
    # Runs of one task follow each other, so that its tables are read once.
    runs = [run for need in sorted(needs, key=lambda need: need.task) for run in need.runs(settings)]
    methods = grouped((replace(run, methods=""), run.methods) for run in runs)
    return [replace(run, methods=",".join(dict.fromkeys(specs))) for run, specs in methods.items()]


def _ablation(table: Table, results: TaskResults) -> Artefact:
    specs = dict.fromkeys(results.relative(item.cell.spec) for item in [*table.cells, *table.failures])
    return Artefact(
        table.name,
        f"ablation of {table.part}",
        lambda one: main_table.files(one.tested(one.results_of(table))),
        [Need(tuple(specs))],
    )


def _published(results: TaskResults, needs: Sequence[Need]) -> list[Artefact]:
    compared = results.compared if results.cells else None
    if compared is None:
        return []
    return [Artefact(PUBLISHED, "our numbers beside the published ones", lambda _: files(compared), needs)]


def _untied(results: TaskResults, names: tuple[str, ...]) -> list[Artefact]:
    """Return the distance to the untied model, of a task with a planted tie."""
    tie, spec = results.task.source.tie, results.settings.task
    if tie is None or tie.untied or "draw" in taskfile.fields_of(spec)[1]:
        return []
    drawn = [taskfile.vary(spec, "draw", number) for number in range(USUAL)]
    needs = [Need(names, task) for task in drawn]
    needs += [Need((BASELINE,), taskfile.vary(task, "untied", True)) for task in drawn]
    return [
        Artefact(UNTIED, "distance to the untied model", untied_table.files, needs),
        Artefact(f"{UNTIED}-forest", "distance to the untied model, drawn", _drawing("distance"), needs),
    ]


def _tuned(results: TaskResults) -> Files:
    table = collect_tuned(results.cells, results.failures, results.info)
    return main_table.files(results.tested(table)) if table else {}
