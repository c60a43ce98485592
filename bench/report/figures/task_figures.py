"""From the material of a task to the files of its figures; matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import sys
from typing import Any

from bench.report.figures import sweeps
from bench.report.numbers import frames
from bench.report.numbers.aggregate import COST
from bench.report.task_results import TaskResults

Files = dict[str, bytes]


def trade_off(material: TaskResults) -> Files:
    """Disparity against accuracy."""
    from bench.report.figures import style, trade_off

    results = material.results
    frame = frames.by_fold(results)
    return style.files(lambda: trade_off.draw(frame, results.info, results.backbones))


def cost_gain(material: TaskResults) -> Files:
    """What a method takes against what it changes; no files where there is nothing to compare, or no cost is shown."""
    from bench.report.figures import cost_gain, style

    gained = cost_gain.gains(frames.by_fold(material.results))
    spent = frames.costs(material.tables[0].cells, material.results)
    if spent.empty or not gained["metric"].isin((material.info.gap, "auc")).any():
        return {}
    return style.files(lambda: cost_gain.draw(gained, spent, material.info))


def epochs(material: TaskResults) -> Files:
    """Scores and costs against epochs of fine-tuning."""
    from bench.report.figures import curves, style

    frame = sweeps.of_task(sweeps.variants(material, sweeps.EPOCHS))
    costs = {"seconds": "Time (seconds)", COST: "Cost (epochs)"}
    return style.files(lambda: curves.draw(frame, material.info, curves.Across("Epochs of fine-tuning"), costs))


def external(material: TaskResults) -> Files:
    """Scores against the size of the external set."""
    from bench.report.figures import curves, style

    found = sweeps.variants(material, sweeps.EXTERNAL)
    across = curves.Across("External set: share and number of images", sweeps.images(found))
    return style.files(lambda: curves.draw(sweeps.of_task(found), material.info, across))


def reset(material: TaskResults) -> Files:
    """Scores against the share of the head that is reset."""
    from bench.report.figures import curves, style

    across = curves.Across("Share of the head's weights that is reset", star="share at the mean of the mask")
    return style.files(lambda: curves.draw(sweeps.of_head(material), material.info, across))


def roc(material: TaskResults, name: str) -> Files:
    """ROC curves by group on one test set; no files where metrics by group of the set are suppressed."""
    from bench.report.figures import roc, style

    if name in material.results.suppressed:
        return {}
    known = {(row.backbone, row.spec): row for row in material.results.rows}
    parts: list[tuple[dict[str, object], dict[str, Any]]] = []
    left_out: list[str] = []
    for item in material.tables[0].cells:
        cell = item.cell
        row = known[cell.backbone, cell.spec]
        try:
            images, logit = material.scored(item)
        except (OSError, ValueError) as error:
            left_out.append(f"{cell.spec} f{cell.fold} ({type(error).__name__})")
            continue
        named = {**{key: getattr(row, key) for key in frames.METHOD}, "fold": cell.fold}
        here = (images["set"] == name).to_numpy()
        parts.append((named, {"a": images["a"][here], "y": images["y"][here], "logit": logit[here]}))
    if left_out:
        print(f"left out of the ROC curves, no predictions to read: {', '.join(left_out)}", file=sys.stderr)
    if not parts:
        return {}
    curves = roc.curves(parts)
    return style.files(lambda: roc.draw(curves, material.info, name))
