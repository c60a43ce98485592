"""The cells that Figures 3, 5, 8 and 9 are drawn from: those of fold 0 and seed 0, whatever they look like."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cells.record import Record
from bench.report.rerun_commands import Line
from bench.report.task_results import Material
from bench.run.plan import undefined

COMPARED = ("baseline", "llft", "diff_prune", "swift")
"""The columns of Figure 5."""
MASKED = ("swift",)
"""Whose importances and mask Figures 3, 8 and 9 show."""


def figure(material: Material, number: int) -> dict[str, bytes]:
    """Return one of the figures by its number in the paper."""
    from bench.report.figures import picture_figures

    return {
        3: picture_figures.figure_3,
        5: picture_figures.figure_5,
        8: picture_figures.figure_8,
        9: picture_figures.figure_8,
    }[number](material)


def cells_of(material: Material, specs: Sequence[str]) -> dict[str, Record]:
    """Return the cells by their spec, in the order of `specs`."""
    there = {item.cell.spec: item for item in material.cells if _shown(item, material)}
    return {spec: there[spec] for spec in specs if spec in there}


def missing(material: Material, specs: Sequence[str], part: str) -> list[Line]:
    """Return the lines that make the cells, and those that make anew such as are from before pictures were kept.

    `part` is what must be there: `cam/` or `strip/`.
    """
    wanted, there = _wanted(material, specs), cells_of(material, specs)
    lacking = [spec for spec in wanted if spec not in there]
    bare = [spec for spec, cell in there.items() if not _has(material, cell, part)]
    lines = [material.line(lacking, folds=(0,))] if lacking else []
    return [*lines, material.line(bare, folds=(0,), force=True)] if bare else lines


def count(material: Material, specs: Sequence[str], part: str) -> tuple[int, int]:
    """Return how many of the cells are there with their pictures, and how many there could be."""
    found = [cell for cell in cells_of(material, specs).values() if _has(material, cell, part)]
    return len(found), len(_wanted(material, specs))


def _shown(item: Record, material: Material) -> bool:
    known = item.cell
    return (known.fold, known.seed, known.backbone) == (0, 0, material.task.backbones[0])


def _has(material: Material, cell: Record, part: str) -> bool:
    return any(name.startswith(part) for name in material.pictures(cell) or {})


def _wanted(material: Material, specs: Sequence[str]) -> list[str]:
    left_out = undefined(list(specs), material.task, material.settings.plugins)
    return [spec for spec in specs if spec not in left_out]
