"""`reports/<task>/index.html`: the report of a task as one file that loads nothing from the network.

It is made from the cells and from the files of the artefacts beside it. A page is meant to be passed on, so it names no
image, host or folder.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from bench.cells.identity import slug
from bench.errors import number_of
from bench.reporting.numbers.ablations import MAIN
from bench.reporting.numbers.aggregate import Results, warning_of
from bench.reporting.numbers.comparison import why_not_published
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.grouping import grouped
from bench.reporting.numbers.patient_intervals import units
from bench.reporting.numbers.task_info import label_of, unresolved
from bench.reporting.page.first_screen import first_screen
from bench.reporting.page.provenance import provenance
from bench.reporting.render.document import PART, Section, environment, named, page_part
from bench.reporting.render.text import listed
from bench.reporting.rerun_commands import Line, once
from bench.reporting.tables import data_table, main_table
from bench.reporting.tables.claims_table import CLAIMED
from bench.reporting.tables.published_tables import PUBLISHED
from bench.reporting.task_results import TaskResults
from bench.reporting.words.conclusions import findings

NAME = "index.html"
"""Name of the file, for a task and for the list of all tasks."""
PRINT_DPI = 300
"""Resolution of the PNG files of `bench.reporting.figures.style`."""
SCREEN_DPI = 120
"""Resolution of a figure on the page: one column is 420 CSS pixels wide, so that letters of 7 points are readable."""
SHARPNESS = 1.25
"""Pixels of the embedded picture per CSS pixel; the file beside the page has full resolution."""


DATA = ("csv", "pdf")
"""The files of the main table and of the forest plot that the first screen links."""


@dataclass(frozen=True)
class Shown:
    """An artefact on a page: its files by suffix, and the commands that compute its missing cells."""

    name: str
    says: str
    files: Mapping[str, bytes]
    missing: Sequence[Line] = ()

    @property
    def title(self) -> str:
        """`Table 6: random, hard and soft masks`; without a number unless it is one of the paper's."""
        kind, _, number = self.name.partition("-")
        if number.isdigit():
            return f"{kind.capitalize()} {number}: {self.says}"
        return self.says[:1].upper() + self.says[1:]


def page(results: TaskResults, artefacts: Sequence[Shown]) -> bytes:
    """Return the page of a task, the same bytes for the same cells and artefacts."""
    table, info = results.tested(results.results), results.info
    shown = {item.name: item for item in artefacts if item.files}
    return _render(
        "page.html.j2",
        info=info,
        synthetic=warning_of(info),
        heading=f"{info.label_names[1]} by {display_name(info.attribute_name)}",
        screen=first_screen(results.answered),
        drawn=units(table),
        screen_files=[
            f"{name}.{suffix}"
            for name in (MAIN, "forest")
            if name in shown
            for suffix in shown[name].files
            if suffix in DATA
        ],
        found=found(table),
        findings=findings(table),
        data=page_part(Section("", data_table.sections(table))),
        main=page_part(Section("", main_table.tables(table, data=False))),
        main_files=named(MAIN, shown[MAIN].files) if MAIN in shown else (),
        parts=_parts([item for name, item in shown.items() if name != MAIN]),
        provenance=page_part(Section("", provenance(table, results.cells, results.task))),
        failures=[
            # Without the message of the error, which may name an image.
            f"Failed: {label_of(item.cell)}, {item.cell.backbone}, fold {item.cell.fold}, seed {item.cell.seed}: "
            f"{item.error.name}."
            for item in unresolved(results.failures, results.cells)
        ],
        missing=[item.title for item in artefacts if item.missing],
        lines=[str(line.portable) for line in once(line for item in artefacts for line in item.missing)],
        left_out=_left_out(results.left_out),
        unpublished=why_not_published(info).strip(),
    )


def index(every: Iterable[Results], across: Sequence[Shown] = (), *, title: str = "Reports", above: str = "") -> bytes:
    """Return the page that links the pages of several tasks, with a summary of each, and shows methods over tasks.

    `above` is the way to the folder of the reports, such as "../".
    """
    tasks = [{"folder": above + slug(table.info.name), "info": table.info, "found": found(table)} for table in every]
    return _render("index.html.j2", tasks=tasks, sections=_sections(across), title=title)


def found(results: Results) -> str:
    """Return a summary of a task in a line: how much was run, and where a gap is smaller than Baseline's."""
    info = results.info
    methods = len({row.method for row in results.rows if row.excluded != "undefined"})
    run = f"{number_of(methods, 'method')}, {results.found} of {number_of(results.folds, 'fold')}."
    if not any(row.compared for row in results.rows):
        return f"{run} Nothing is compared."
    if results.family is None or not results.patients:
        return f"{run} Nothing is tested."
    places = []
    for backbone, name in results.places:
        column = results.column(backbone, name, info.gap)
        if lower := [row.label for row in column if row.supported and row.difference < 0]:
            places.append(f"{results.named(name, backbone)} ({listed(lower)})")
    gap = info.title(info.gap)
    if not places:
        return f"{run} No method's reduction of {gap} is supported."
    return f"{run} Supported: {gap} is lower than Baseline's on {'; '.join(places)}."


def _left_out(lines: Sequence[str]) -> list[str]:
    """Return which files of cells are left out, and why, and how many other files.

    A message of an error, which may name an image, follows a second colon and is dropped.
    """
    found = [_LEFT_OUT.search(line) for line in lines]
    others = sum(match is None for match in found)
    foreign = [f"{others} {'file does' if others == 1 else 'files do'} not belong to a cell."] if others else []
    return [*(f"{match[1]}: {match[2]}." for match in found if match), *foreign]


_LEFT_OUT = re.compile(r"(?:^|/)([\w.+@-]+/[\w.+@-]+/f\d+-s\d+)\.[a-z.]+: (.+?)(?:: |$)")


def _parts(items: Sequence[Shown]) -> dict[str, list[dict[str, Any]]]:
    """Return the sections of the page by heading: own tables, own figures, and what follows the paper."""
    kinds = grouped((_kind(item), item) for item in items)
    return {kind: _sections(kinds.get(kind, [])) for kind in ("tables", "figures", "paper")}


def _kind(item: Shown) -> str:
    if item.name.partition("-")[2].isdigit() or item.name in (CLAIMED, PUBLISHED):
        return "paper"
    return "figures" if "png" in item.files else "tables"


def _sections(items: Sequence[Shown]) -> list[dict[str, Any]]:
    """Return figures, or report texts as HTML, with the names of the files beside the page."""
    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter's lock
        pictures = list(pool.map(lambda item: picture(item.files["png"]) if "png" in item.files else None, items))
    return [
        {"name": item.name, "title": item.title, "files": list(named(item.name, item.files)), "picture": shown}
        | {"text": Markup(item.files.get(PART, b"").decode())}
        for item, shown in zip(items, pictures, strict=True)
    ]


def picture(png: bytes) -> dict[str, str | int]:
    """Return a figure of `PRINT_DPI`, smaller and in 256 colours: a sixth of the bytes, and alike on a screen.

    The keys are those of an image of HTML: `src`, `width` and `height`, in CSS pixels.
    """
    with Image.open(io.BytesIO(png)) as full:
        width, height = (round(side * SCREEN_DPI / PRINT_DPI) for side in full.size)
        size = (round(width * SHARPNESS), round(height * SHARPNESS))
        small = full.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    target = io.BytesIO()
    few_colours = small.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGB")
    few_colours.save(target, format="webp", lossless=True)
    source = f"data:image/webp;base64,{base64.b64encode(target.getvalue()).decode()}"
    return {"src": source, "width": width, "height": height}


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page: its own style, script and pictures, and no requests."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _render(name: str, **context: object) -> bytes:
    # Read here and not included by a template, because the policy names the style and the script by their hash.
    style, *scripts = (
        Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("style.css", "sort.js", "page.js")
    )
    script = "\n".join(scripts)
    own = {"style": Markup(style), "script": Markup(script), "policy": policy(style, script)}
    return environment(Path(__file__).parent).get_template(name).render(**own, **context).encode()
