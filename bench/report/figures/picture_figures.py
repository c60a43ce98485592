"""Figures 3, 5, 8 and 9 of the paper from what cells keep beside their predictions, of fold 0 and seed 0."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from bench.data.task_data import open_data
from bench.errors import DataError
from bench.report.figures.activation_maps import cams
from bench.report.figures.picture_cells import COMPARED, MASKED, cells_of
from bench.report.figures.strips import masks_by_layer, strips
from bench.report.figures.style import STYLE, to_bytes
from bench.report.task_results import Material


def figure_3(material: Material) -> dict[str, bytes]:
    """Both importances and the mask."""
    return _drawn(strips, strip_frame(material), of=_method(material), synthetic=material.info.synthetic)


def figure_8(material: Material) -> dict[str, bytes]:
    """The mask, block by block; Figure 9 is the same of another task."""
    frame = strip_frame(material)
    return _drawn(
        masks_by_layer, frame[frame["kind"] == "mask"], of=_method(material), synthetic=material.info.synthetic
    )


def figure_5(material: Material) -> dict[str, bytes]:
    """Class activation maps; nothing where small cells are withheld, because each row shows one image."""
    info = material.info
    if info.min_cell:
        print("figure-5 shows single images: it is not made with --min-cell", file=sys.stderr)
        return {}
    if not info.synthetic:
        print("figure-5 holds images of patients: it must not be handed on", file=sys.stderr)
    frame = cam_frame(material)
    return _drawn(cams, frame, _images(material, frame["image_id"]), synthetic=info.synthetic)


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


def _drawn(draw: Callable[..., Figure], *given: Any, **named: Any) -> dict[str, bytes]:
    with style.context(["default", STYLE]):  # whatever the user's matplotlibrc says
        return to_bytes(draw(*given, **named))
