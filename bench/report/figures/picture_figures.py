"""Figures 3, 5, 8 and 9 of the paper from what cells keep beside their predictions, of fold 0 and seed 0."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from bench.cells.record import Record
from bench.data.task_data import open_data
from bench.errors import DataError
from bench.report.task_results import Material

COMPARED = ("baseline", "llft", "diff_prune", "swift")
"""The columns of Figure 5."""
MASKED = ("swift",)
"""Whose importances and mask Figures 3, 8 and 9 show."""


def figure_3(material: Material) -> dict[str, bytes]:
    """Both importances and the mask."""
    from bench.report.figures import strips, style

    frame, synthetic = strip_frame(material), material.info.synthetic
    return style.files(lambda: strips.strips(frame, of=_method(material), synthetic=synthetic))


def figure_8(material: Material) -> dict[str, bytes]:
    """The mask, block by block; Figure 9 is the same of another task."""
    from bench.report.figures import strips, style

    frame, synthetic = strip_frame(material), material.info.synthetic
    masks = frame[frame["kind"] == "mask"]
    return style.files(lambda: strips.masks_by_layer(masks, of=_method(material), synthetic=synthetic))


def figure_5(material: Material) -> dict[str, bytes]:
    """Class activation maps; nothing where small cells are withheld, because each row shows one image."""
    from bench.report.figures import activation_maps, style

    info = material.info
    if info.min_cell:
        print("figure-5 shows single images: it is not made with --min-cell", file=sys.stderr)
        return {}
    if not info.synthetic:
        print("figure-5 holds images of patients: it must not be handed on", file=sys.stderr)
    frame = cam_frame(material)
    images = _images(material, frame["image_id"])
    return style.files(lambda: activation_maps.cams(frame, images, synthetic=info.synthetic))


def cells_of(material: Material, specs: Sequence[str]) -> dict[str, Record]:
    """Return the cells of fold 0 and seed 0 by their spec, in the order of `specs`."""
    place = (0, 0, material.task.backbones[0])
    found = {
        item.cell.spec: item for item in material.cells if (item.cell.fold, item.cell.seed, item.cell.backbone) == place
    }
    return {spec: found[spec] for spec in specs if spec in found}


def strip_frame(material: Material) -> pd.DataFrame:
    """Return a row per bin: kind, block, value."""
    pictures = material.pictures(cells_of(material, MASKED)[MASKED[0]]) or {}
    parts = (
        pd.DataFrame({"kind": name.split("/")[1], "block": name.split("/")[2], "value": values})
        for name, values in pictures.items()
        if name.startswith("strip/")
    )
    return pd.concat(parts, ignore_index=True)


def cam_frame(material: Material) -> pd.DataFrame:
    """Return a row per method and image, see `activation_maps.cams`; images that all of the methods have."""
    info, rows = material.info, []
    for cell in cells_of(material, COMPARED).values():
        kept = material.pictures(cell) or {}
        columns = (kept[f"cam/{name}"] for name in ("image_id", "y", "a", "logit", "map"))
        for uid, y, a, logit, weighted in zip(*columns, strict=True):
            rows.append(
                {
                    "method": cell.cell.title,
                    "image_id": str(uid),
                    "group": info.group_names[a],
                    "label": info.label_names[y],
                    "positive": info.label_names[1],
                    "logit": float(logit),
                    "map": weighted,
                }
            )
    frame = pd.DataFrame(rows)
    shared = frame.groupby("image_id")["method"].transform("nunique") == frame["method"].nunique()
    return frame[shared].reset_index(drop=True)


def _images(material: Material, uids: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the pixels of those images that are in the image cache; nothing is decoded."""
    given = material.settings
    try:
        data = open_data(given)
        cached = data.cached(next(iter(material.task.ood)), given.cache)
    except DataError:
        return {}
    if cached is None:
        return {}
    rows = {uid: row for row, uid in enumerate(cached.uids)}
    return {uid: np.array(cached.array[rows[uid]]) for uid in uids if uid in rows}


def _method(material: Material) -> str:
    known = cells_of(material, MASKED)[MASKED[0]].cell
    return f"{known.title}, {known.backbone} backbone"
