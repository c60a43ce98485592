"""A report text with tables in it, as Markdown, HTML and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.errors import clean
from bench.reporting.render import table as writers
from bench.reporting.render.table import Entry, Table
from bench.reporting.render.text import html, html_prose, md, md_prose, slug, tex, tex_prose, unset


@dataclass(frozen=True)
class Section:
    """A title, which may be empty, and the blocks below it: paragraphs, lists of sentences, tables and sections.

    `warning` is printed in bold above the blocks.
    """

    title: str
    body: Sequence[str | Sequence[str] | Table | Section]
    warning: str = ""


@dataclass(frozen=True)
class Float:
    """Tables that share a caption, a label and notes in LaTeX; `wide` ones span both columns of a page.

    `brief` sentences and the meanings of the signs that occur end the caption where notes are left out. With `side`,
    the tables are one, and their titles stand in a first column of this title.
    """

    caption: str
    label: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    warning: str = ""
    wide: bool = True
    brief: Sequence[str] = ()
    signs: Mapping[str, str] = field(default_factory=dict)
    side: str = ""


PART = "html"
"""Suffix of a report text as a part of a page, which is not written as a file."""


def written(section: Section) -> dict[str, str]:
    """Return a report text by suffix: as Markdown, and as the part of a page that shows it."""
    return {"md": markdown(section), PART: page_part(section)}


def named(stem: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of an artefact by name, without the part of the page."""
    return {f"{stem}.{suffix}": data for suffix, data in files.items() if suffix != PART}


def markdown(section: Section, level: int = 1) -> str:
    """Return a section for a page that renders Markdown; titles of tables are headings one level below its own."""
    parts = [f"{'#' * level} {md(section.title)}"] if section.title else []
    parts += [f"**{md(section.warning)}**"] if section.warning else []
    for block in section.body:
        match block:
            case str():
                parts.append(md_prose(block))
            case Table():
                parts += [f"{'#' * (level + 1)} {md(block.title)}"] if block.title else []
                parts.append(writers.markdown(block))
            case Section():
                parts.append(markdown(block, level + 1).rstrip())
            case _:
                parts.append("\n".join(f"- {md_prose(sentence)}" for sentence in block))
    return "\n\n".join(part for part in parts if part) + "\n"


def page_part(section: Section) -> Markup:
    """Return a section without its title as a part of a page, whose headings are below the second level."""
    return Markup(environment().get_template("part.html.j2").module.part(section, 2))  # type: ignore[attr-defined]


@cache
def environment(*folders: Path) -> Environment:
    """Return the templates of HTML, of this folder and of others."""
    found = Environment(
        loader=FileSystemLoader([Path(__file__).parent, *folders]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    found.filters |= {"line": html, "prose": html_prose}
    found.globals["printed"] = writers.printed
    return found


def latex(blocks: Iterable[Float | str], *, plain: bool = False) -> str:
    """Return floats and paragraphs to \\input into a document that loads booktabs and graphicx and nothing else.

    A table that is wider than the text is scaled down to it. `plain` leaves out notes and paragraphs. Where pdflatex
    does not set a character, the first lines name it and what does.
    """
    parts = []
    for block in blocks:
        if isinstance(block, Float):
            parts.append(_float(_brief(block) if plain else block))
        elif not plain:
            parts.append(rf"{{\sloppy {tex_prose(block)}\par}}")
    head = [r"% \usepackage{booktabs,graphicx}"]
    if signs := unset("".join(parts)):
        head.append(f"% xelatex or lualatex with a font that has them: pdflatex does not set {' '.join(signs)}")
    return "\n\n".join(["\n".join(head), *parts]) + "\n"


def _brief(item: Float) -> Float:
    """Return a float with the least that a reader needs in its caption, in place of notes."""
    used = {value.sign for table in item.tables for row in table.rows for value in row if isinstance(value, Entry)}
    says = [item.caption, *item.brief, *(f"{sign} {says}." for sign, says in item.signs.items() if sign in used)]
    return replace(item, caption=" ".join(says), notes=())


def _float(item: Float) -> str:
    kind = "table*" if item.wide else "table"
    warning = rf"\textbf{{{tex(item.warning)}}} " if item.warning else ""
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{warning}{tex(item.caption)}}}",
        rf"\label{{tab:{slug(item.label)}}}",
        r"\par\vspace{4pt}",
    ]
    if item.side:
        lines.append(_fitted(writers.latex(*item.tables, side=item.side)))
    else:
        for table in item.tables:
            lines += [rf"\textit{{{tex(table.title)}}}\\[2pt]"] if table.title else []
            lines.append(_fitted(writers.latex(table)))
    if item.notes:
        notes = "\\\\\n".join(tex_prose(note) for note in item.notes)
        lines += [r"\begin{minipage}{\linewidth}\scriptsize\raggedright", notes, r"\end{minipage}"]
    return "\n".join([*lines, rf"\end{{{kind}}}"])


def _fitted(tabular: str) -> str:
    """Return a tabular that is no wider than the text."""
    width = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
    return rf"\resizebox{{{width}}}{{!}}{{%" + "\n" + tabular + "}\\\\[6pt]"
