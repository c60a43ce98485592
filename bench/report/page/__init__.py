"""`reports/<task>/index.html`: the report of a task as one file, which asks nothing of any network.

What is in it comes from the cells and from the files of the artefacts, which lie beside it. No name of an image, a
host or a folder is in it: a page is handed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.cells.identity import slug
from bench.cells.record import Failure, Fit, Record
from bench.report.numbers.ablations import MAIN
from bench.report.numbers.aggregate import SYNTHETIC, Results
from bench.report.numbers.comparison import why_not_published
from bench.report.numbers.task_info import key_of, label_of
from bench.report.page.embed import Picture, picture, policy
from bench.report.page.provenance import provenance
from bench.report.render.document import PART, PART_LEVEL, Section, named, page_part
from bench.report.render.text import html_prose, listed
from bench.report.rerun_commands import Line, once
from bench.report.tables import main_table
from bench.report.task_results import TaskResults
from bench.report.words.conclusions import findings

NAME = "index.html"
"""Name of the file, of a task and of all tasks."""


@dataclass(frozen=True)
class Shown:
    """An artefact as a page shows it: its files by suffix, and the lines that make the cells that are missing."""

    name: str
    says: str
    files: Mapping[str, bytes]
    missing: Sequence[Line] = ()


def page(material: TaskResults, artefacts: Sequence[Shown]) -> bytes:
    """Return the page of a task, the same bytes for the same cells and artefacts."""
    results, info = material.tested(material.results), material.info
    shown = {item.name: item for item in artefacts if item.files}
    return _render(
        "page.html.j2",
        info=info,
        synthetic=SYNTHETIC if info.synthetic else "",
        groups=listed(info.group_names),
        found=found(results),
        findings=findings(results),
        main=page_part(Section("", main_table.tables(results)), PART_LEVEL),
        main_files=_files(shown[MAIN]) if MAIN in shown else (),
        sections=_sections([item for name, item in shown.items() if name != MAIN]),
        provenance=page_part(Section("", provenance(results, material.cells, material.task)), PART_LEVEL),
        failures=_failures(material.failures, material.cells),
        missing=[_title(item) for item in artefacts if item.missing],
        lines=[str(line.handed_on) for line in once(line for item in artefacts for line in item.missing)],
        left_out=_left_out(material.left_out),
        unpublished=why_not_published(info).strip(),
    )


def index(every: Iterable[Results], across: Sequence[Shown] = ()) -> bytes:
    """Return the page that links those of several tasks, each with what was found in a line, and methods over them."""
    tasks = [
        {
            "folder": slug(results.info.name),
            "name": results.info.name,
            "says": results.info.says,
            "synthetic": results.info.synthetic,
            "found": found(results),
        }
        for results in every
    ]
    return _render("index.html.j2", tasks=tasks, sections=_sections(across))


def found(results: Results) -> str:
    """What came of a task, in a line: how much was run, and where a gap is smaller than Baseline's."""
    info = results.info
    methods = len({row.method for row in results.rows if row.excluded != "undefined"})
    run = f"{methods} {'method' if methods == 1 else 'methods'}, {results.found} of {results.folds} folds."
    if not any(row.compared for row in results.rows):
        return f"{run} Nothing is compared."
    places = []
    for backbone in results.backbones:
        for name in info.ood:
            column = results.column(backbone, name, info.gap)
            if lower := [row.label for row in column if row.separable and row.difference < 0]:
                where = f"{name}, {backbone}" if len(results.backbones) > 1 else name
                places.append(f"{where} ({listed(lower)})")
    gap = info.title(info.gap)
    if not places:
        return f"{run} No method's reduction of {gap} is supported by the fold spread."
    return f"{run} {gap} lower than Baseline's on {'; '.join(places)}."


def _left_out(lines: Sequence[str]) -> list[str]:
    """The files that are left out, and why; of their names only those of cells are shown, of reasons no more than one.

    What follows a second colon is the message of an error, which may name an image.
    """
    found = [_LEFT_OUT.search(line) for line in lines]
    others = sum(match is None for match in found)
    foreign = [f"{others} {'file is' if others == 1 else 'files are'} of no cell."] if others else []
    return [*(f"{match[1]}: {match[2]}." for match in found if match), *foreign]


_LEFT_OUT = re.compile(r"(?:^|/)([\w.+@-]+/[\w.+@-]+/f\d+-s\d+)\.[a-z.]+: (.+?)(?:: |$)")


def _sections(items: Sequence[Shown]) -> list[dict[str, Any]]:
    """Figures, or report texts as HTML, with the names of the files beside the page."""

    def drawn(item: Shown) -> Picture | None:
        return picture(item.files["png"]) if "png" in item.files else None

    with ThreadPoolExecutor() as pool:  # Pillow works without the interpreter's lock
        pictures = list(pool.map(drawn, items))
    return [
        {"name": item.name, "title": _title(item), "files": _files(item), "picture": shown}
        | {"text": Markup(item.files.get(PART, b"").decode())}
        for item, shown in zip(items, pictures, strict=True)
    ]


def _title(item: Shown) -> str:
    """`Table 6: random, hard and soft masks`; of what is not the paper's, what it says alone."""
    kind, _, number = item.name.partition("-")
    return f"{kind.capitalize()} {number}: {item.says}" if number.isdigit() else item.says[:1].upper() + item.says[1:]


def _files(item: Shown) -> tuple[str, ...]:
    return tuple(named(item.name, item.files))


def _failures(failures: Sequence[Failure], cells: Sequence[Record]) -> list[str]:
    """Cells that failed and were not made since, by the class of the error: its message may name an image."""
    done = {key_of(item.cell) for item in cells}
    open_ = sorted((item for item in failures if key_of(item.cell) not in done), key=lambda i: key_of(i.cell))
    return [f"Failed: {_named(item.cell)}: {item.error.name}." for item in open_]


def _named(cell: Fit) -> str:
    return f"{label_of(cell)}, {cell.backbone}, fold {cell.fold}, seed {cell.seed}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = html_prose
    return environment


def _render(name: str, **context: object) -> bytes:
    # What stands in the file and not what stands in a template: the policy names the style and the script by hash.
    style, script = (Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("style.css", "sort.js"))
    own = {"style": Markup(style), "script": Markup(script), "policy": policy(style, script)}
    return _environment().get_template(name).render(**own, **context).encode()
