"""From the results of a task to the files of its figures. Importing this module imports matplotlib."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.cells.record import Record
from bench.data.task_data import open_data
from bench.decode import as_bytes
from bench.errors import DataError
from bench.reporting.figures import (
    activation_maps,
    cost_gain,
    curves,
    distances,
    features_figure,
    forest,
    frontier_figure,
    further_forest,
    roc,
    strips,
    sweeps,
    trade_off,
)
from bench.reporting.figures.style import Drawn, files
from bench.reporting.numbers import frames, further
from bench.reporting.numbers.aggregate import COST
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.task_results import TaskResults
from bench.running.plan import under


@files
def changes(results: TaskResults) -> Drawn | None:
    """Draw what each method changes against Baseline; nothing if nothing is compared."""
    places = [place for place in results.answered if place.lines]
    return Drawn(forest.draw(places, results.info), forest.table(places)) if places else None


@files
def attributes(results: TaskResults) -> Drawn | None:
    """Draw what mitigating one attribute did to others; nothing if none is measured."""
    found = [one for one in results.measured if one.lines or one.why]
    if not any(one.lines for one in found):
        return None
    return Drawn(further_forest.draw(found, results.info), further.frame(found, results.info))


@files
def tradeoff(results: TaskResults) -> Drawn:
    """Draw disparity against accuracy."""
    table, info = results.results, results.info
    frame = frames.by_fold(table)
    shown = frames.of_tests(frame, info.ood, ("auc", info.gap))
    return Drawn(trade_off.draw(frame, table.info, table.backbones), shown)


@files
def distance(results: TaskResults) -> Drawn | None:
    """Draw how far methods are from the untied model."""
    return (
        None if results.distances.empty else Drawn(distances.draw(results.distances, results.info), results.distances)
    )


@files
def costs(results: TaskResults) -> Drawn | None:
    """Draw what a method costs against what it changes; nothing if there is nothing to compare or no cost to show."""
    gained = cost_gain.gains(frames.by_fold(results.results))
    tested = results.tested(results.results)
    supported = [(row.backbone, row.set, row.metric, row.spec) for row in tested.rows if row.supported]
    spent = frames.costs(results.tables[0].cells, results.results)
    if spent.empty or not gained["metric"].isin((results.info.gap, "auc")).any():
        return None
    changes = frames.of_tests(gained, results.info.ood, ("auc", results.info.gap))
    counted = spent[spent["metric"].isin(frames.COSTS)]
    shown = pd.concat([changes.assign(what="change from Baseline"), counted.assign(what="cost")])
    return Drawn(cost_gain.draw(gained, spent, results.info, supported), shown)


@files
def frontier(results: TaskResults) -> Drawn | None:
    """Draw what thresholds make of every method at bounds on EOdds; nothing where that is not defined."""
    frame = results.equal_odds
    shown = frame[frame["goal"] == "balanced_accuracy"]
    return None if shown.empty else Drawn(frontier_figure.draw(shown, results.info), shown)


@files
def features(results: TaskResults) -> Drawn | None:
    """Draw what features know of the attribute against the gap; nothing where no cell has a probe."""
    frame = results.known_features
    return None if frame.empty else Drawn(features_figure.draw(frame, results.info), frame)


@files
def roc_curves(results: TaskResults, name: str) -> Drawn | None:
    """Draw ROC curves by group on the test set `name`; nothing if its metrics by group are suppressed."""
    if name in results.results.suppressed:
        return None
    known = {(row.backbone, row.spec): row for row in results.results.rows}
    parts: list[tuple[dict[str, object], dict[str, Any]]] = []
    left_out: list[str] = []
    for item in results.tables[0].cells:
        cell = item.cell
        try:
            images, logit = results.scored(item)
        except (OSError, ValueError) as error:
            left_out.append(f"{cell.spec} f{cell.fold} ({type(error).__name__})")
            continue
        row = known[cell.backbone, cell.spec]
        named = {**{key: getattr(row, key) for key in frames.METHOD}, "fold": cell.fold}
        here = (images["set"] == name).to_numpy()
        parts.append((named, {"a": images["a"][here], "y": images["y"][here], "logit": logit[here]}))
    if left_out:
        print(f"left out of the ROC curves, no predictions to read: {', '.join(left_out)}", file=sys.stderr)
    if not parts:
        return None
    curves_of_folds = roc.curves(parts)
    return Drawn(roc.draw(curves_of_folds, results.info, display_name(name)), roc.means(curves_of_folds, results.info))


@files
def figure_1(results: TaskResults) -> Drawn | None:
    """Draw class activation maps of Baseline beside those of SWiFT; nothing where Figure 5 is not drawn."""
    return _activation(results, "figure-1", sweeps.ILLUSTRATED)


@files
def figure_3(results: TaskResults) -> Drawn:
    """Draw both importances and the mask."""
    frame, method = _strips(results)
    return Drawn(strips.strips(frame, of=method, synthetic=results.info.synthetic), _numbered(frame))


@files
def figure_4(results: TaskResults) -> Drawn | None:
    """Draw scores and costs against epochs of fine-tuning."""
    frame = sweeps.of_task(sweeps.variants(results, sweeps.EPOCHS))
    titles = {"seconds": "Time (seconds)", "images": "Images passed", COST: "Cost (epochs)"}
    return _curves(frame, results.info, curves.Across("Epochs of fine-tuning"), titles)


@files
def figure_5(results: TaskResults) -> Drawn | None:
    """Draw class activation maps; nothing if small cells are suppressed, because each row shows a single image."""
    return _activation(results, "figure-5", sweeps.COMPARED)


@files
def figure_6(results: TaskResults) -> Drawn | None:
    """Draw scores against the share of the head that is reset."""
    across = curves.Across("Share of the head's weights that is reset", star="share at the mean of the mask")
    return _curves(sweeps.of_head(results), results.info, across)


@files
def figure_7(results: TaskResults) -> Drawn | None:
    """Draw scores against the size of the external set."""
    found = sweeps.variants(results, sweeps.EXTERNAL)
    ticks = sweeps.images(found)
    across = curves.Across("External set: share and number of images", ticks)
    frame = sweeps.of_task(found)
    sizes = frame["x"].map({share: words.partition("\n")[2] for share, words in ticks.items()})
    return _curves(frame.assign(images=sizes), results.info, across)


@files
def figure_8(results: TaskResults) -> Drawn:
    """Draw the mask block by block; Figure 9 is the same of another task."""
    frame, method = _strips(results)
    masks = frame[frame["kind"] == "mask"]
    return Drawn(strips.masks_by_layer(masks, of=method, synthetic=results.info.synthetic), _numbered(masks))


def _curves(
    frame: pd.DataFrame, info: TaskInfo, across: curves.Across, costs: Mapping[str, str] | None = None
) -> Drawn | None:
    figure = curves.draw(frame, info, across, costs)
    if figure is None:
        return None
    shown = [frames.of_tests(frame, info.ood, info.columns), frames.of_tests(frame, ("",), tuple(costs or {}))]
    return Drawn(figure, pd.concat(shown))


def _numbered(strip: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of bins with the number of each in its block, from 0."""
    return strip.assign(bin=strip.groupby(["kind", "block"], sort=False).cumcount())


def _activation(results: TaskResults, name: str, specs: Sequence[str]) -> Drawn | None:
    info = results.info
    if info.min_cell:
        print(f"{name} shows single images: it is not made with --min-cell", file=sys.stderr)
        return None
    if not info.synthetic:
        print(f"{name} shows images of patients: do not pass it on; it has no CSV", file=sys.stderr)
    frame = _maps(results, specs)
    figure = activation_maps.cams(frame, _images(results, frame["image_id"]), synthetic=info.synthetic)
    return Drawn(figure, activation_maps.numbers(frame) if info.synthetic else None)


def _first_cells(results: TaskResults, specs: Sequence[str]) -> list[Record]:
    """Return the cells of fold 0 and seed 0 on the first backbone, in the order of `specs`."""
    place = (0, 0, results.task.backbones[0])
    cells = [item for item in results.cells if (item.cell.fold, item.cell.seed, item.cell.backbone) == place]
    wanted = [under(spec, results.task.preset) for spec in specs]
    return [item for spec in wanted for item in cells if item.cell.spec == spec]


def _strips(results: TaskResults) -> tuple[pd.DataFrame, str]:
    """Return a row per bin of the stored strips, with kind, block and value, and the name of the method."""
    (item,) = _first_cells(results, sweeps.MASKED)
    parts = [
        pd.DataFrame({"kind": name.split("/")[1], "block": name.split("/")[2], "value": values})
        for name, values in (results.pictures(item) or {}).items()
        if name.startswith("strip/")
    ]
    return pd.concat(parts, ignore_index=True), f"{item.cell.title}, {display_name(item.cell.backbone)} backbone"


def _maps(results: TaskResults, specs: Sequence[str]) -> pd.DataFrame:
    """Return a row per method and image, as `activation_maps.cams` takes them, of images that all methods have."""
    info, parts = results.info, []
    for item in _first_cells(results, specs):
        kept = results.pictures(item) or {}
        part = pd.DataFrame({name: kept[f"cam/{name}"].tolist() for name in ("image_id", "logit", "a", "y")})
        parts.append(part.assign(method=item.cell.title, positive=info.label_names[1], map=list(kept["cam/map"])))
    frame = pd.concat(parts, ignore_index=True)
    frame["group"] = [info.group_names[a] for a in frame["a"]]
    frame["label"] = [info.label_names[y] for y in frame["y"]]
    shared = frame.groupby("image_id")["method"].transform("nunique") == frame["method"].nunique()
    return frame[shared].reset_index(drop=True)


def _images(results: TaskResults, uids: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the pixels of those images that are in the image cache; nothing is decoded."""
    try:
        data = open_data(results.settings)
        cached = data.cached(next(iter(results.task.ood)), results.settings.cache)
    except DataError:
        return {}
    if cached is None:
        return {}
    rows = {uid: row for row, uid in enumerate(cached.uids)}
    return {uid: as_bytes(np.array(cached.array[rows[uid]])) for uid in uids if uid in rows}
