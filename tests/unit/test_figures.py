"""What figures are drawn from, and how they look: fronts, ellipses, curves, letters and signs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from matplotlib import style as matplotlib_style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sklearn.metrics import roc_auc_score, roc_curve

from bench import registry
from bench.reporting.figures import cost_gain, curves, forest, roc, style, trade_off
from bench.reporting.figures.style import Name, styles_of
from bench.reporting.numbers import frames
from bench.reporting.numbers.answer import Change, Line, Place
from bench.running.plan import build_method
from tests.factory import task_info
from tests.prose import sentences_with

INFO = task_info()
TEN = [Name(number, f"m{number}", f"m{number}", f"M{number}") for number in range(2, 11)]
BASELINE = Name(1, "baseline", "baseline", "Baseline")
grid = st.integers(0, 4).map(lambda value: value / 4)


def by_fold(methods: list[Name], folds: int = 5, seed: int = 0, backbones: tuple[str, ...] = ("small",)) -> Any:
    """A frame of `frames.by_fold` with random scores."""
    rng = np.random.default_rng(seed)
    sets = [(name, metric) for name in INFO.ood for metric in INFO.columns] + [("", cost) for cost in frames.COSTS]
    return pd.DataFrame(
        [
            {**method._asdict(), "backbone": backbone, "set": name, "metric": metric, "fold": fold}
            | {"value": rng.uniform(0.1, 0.9), "degenerate": False}
            for backbone, method, (name, metric), fold in itertools.product(backbones, methods, sets, range(folds))
        ]
    )


def predictions(
    methods: list[Name], folds: int = 2, seed: int = 0, n: int = 60
) -> list[tuple[dict[str, object], pd.DataFrame]]:
    rng = np.random.default_rng(seed)
    parts = []
    for method, fold in itertools.product(methods, range(folds)):
        y, a = rng.integers(0, 2, n), rng.integers(0, 2, n)
        one = pd.DataFrame({"y": y, "a": a, "logit": y + rng.normal(size=n)})
        parts.append(({"backbone": "small", "fold": fold, **method._asdict()}, one))
    return parts


def of_trade_off(frame: pd.DataFrame) -> Figure:
    return trade_off.draw(frame, INFO, ["small"])


def of_costs(frame: pd.DataFrame) -> Figure:
    return cost_gain.draw(cost_gain.gains(frame), frame[frame["set"] == ""], INFO)


def of_curves(frame: pd.DataFrame) -> Figure:
    others = frame[frame["spec"] != "baseline"]
    moved = frames.along({x: others.assign(value=others["value"] + x / 10) for x in (0, 1, 4)})
    figure = curves.draw(moved, INFO, curves.Across("Epochs"), {"seconds": "Time"})
    assert figure is not None
    return figure


def of_roc(frame: pd.DataFrame) -> Figure:
    return roc.draw(roc.curves(predictions(style.names(frame), frame["fold"].nunique())), INFO, "near")


DRAW: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "trade-off": of_trade_off,
    "cost-gain": of_costs,
    "curves": of_curves,
    "roc": of_roc,
}


def drawn(name: str, frame: pd.DataFrame) -> Figure:
    with matplotlib_style.context(["default", style.STYLE]):
        return DRAW[name](frame)


@given(st.lists(st.tuples(grid, grid | st.just(math.nan)), max_size=8))
def test_the_front_has_what_no_other_beats(points: list[tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(
            other[0] >= one[0] and other[1] <= one[1] and other != one for other in points if not math.isnan(other[1])
        )

    found = trade_off.pareto([auc for auc, _ in points], [gap for _, gap in points])
    expected = {i for i, point in enumerate(points) if not math.isnan(point[1]) and not beaten(point)}
    assert set(found) == expected
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_labels_cover_neither_points_nor_each_other() -> None:
    """Three points in a row, closer than their labels are wide, in a wide box."""
    points = np.array([[100.0, 50.0], [120.0, 50.0], [140.0, 50.0]])
    sizes = np.full((3, 2), [40.0, 7.0])
    low = trade_off.label_places(points, sizes, (0, 0, 300, 100))
    shared = trade_off._overlap(low[:, None], (low + sizes)[:, None], low, low + sizes)
    assert shared == pytest.approx(np.diag([280.0, 280.0, 280.0]))
    assert trade_off._overlap(low[:, None], (low + sizes)[:, None], points - 4, points + 4).sum() == 0


def test_a_label_stays_in_its_panel() -> None:
    [(x, y)] = trade_off.label_places(np.array([[95.0, 50.0]]), np.array([[40.0, 7.0]]), (0, 0, 100, 100))
    assert 0 <= x <= 60
    assert 0 <= y <= 93


def test_a_label_is_nearer_to_its_own_point_than_to_another() -> None:
    """Where the place to the right of the third point is at the second one."""
    points = np.array([[100.0, 50.0], [108.0, 50.0], [104.0, 42.0]])
    sizes = np.full((3, 2), [30.0, 7.0])
    low = trade_off.label_places(points, sizes, (0, 0, 300, 100))
    reach = trade_off._distance(low[:, None], (low + sizes)[:, None], points)
    assert reach.argmin(1).tolist() == [0, 1, 2]


def test_no_name_of_a_figure_covers_another_or_a_mean() -> None:
    """As they are drawn, with the widths that the letters have."""
    figure = drawn("trade-off", by_fold([BASELINE, *TEN]))
    figure.draw_without_rendering()
    for panel in figure.axes:
        boxes = [text.get_window_extent() for text in panel.texts if text.get_text()]
        assert len(boxes) == len([BASELINE, *TEN])
        assert [pair for pair in itertools.combinations(boxes, 2) if Bbox.intersection(*pair) is not None] == []
        means = [
            line.get_xydata()[0] for line in panel.lines if line.get_markersize() == 6 and len(line.get_xdata()) == 1
        ]
        assert [at for at in panel.transData.transform(means) for box in boxes if box.contains(*at)] == []


def test_why_a_method_is_not_compared_is_told_inside_the_panel() -> None:
    """Where a gap grew as well, 0 is near the left end, and where none did, near the right one."""
    for low, high in ((-0.2, 0.0), (-0.01, 0.2)):
        change = Change((low + high) / 2, low, high, supported=False)
        lines = (
            Line("Alpha", "alpha", 0.8, change, change),
            Line("A longer name", "beta", 0.8, None, change, "one class predicted"),
        )
        place = Place("small", "near", "Near", "eodds", "EOdds", 0.8, 0.7, 0.9, 0.1, (), lines, "", (0.05, 0.15))
        with matplotlib_style.context(["default", style.STYLE]):
            figure = forest.draw([place], INFO)
            figure.draw_without_rendering()
        [text] = [text for text in figure.axes[0].texts if text.get_text() == "one class predicted"]
        panel, told = figure.axes[0].get_window_extent(), text.get_window_extent()
        assert panel.x0 < told.x0 < told.x1 < panel.x1


def test_a_fold_that_predicts_one_class_is_no_part_of_the_front() -> None:
    frame = by_fold([BASELINE, *TEN[:2]])
    frame.loc[(frame["spec"] == "m2") & (frame["metric"] == "auc"), "value"] = 0.99
    frame.loc[(frame["spec"] == "m2") & (frame["metric"] == "eodds"), "value"] = 0.0

    def front(frame: pd.DataFrame) -> list[float]:
        line = next(line for line in drawn("trade-off", frame).axes[0].lines if line.get_drawstyle() == "steps-pre")
        return list(map(float, np.asarray(line.get_xdata())))

    assert front(frame) == pytest.approx([0.99])
    frame.loc[frame["spec"] == "m2", "degenerate"] = True
    assert max(front(frame)) < 0.9


def test_a_roc_curve_by_hand() -> None:
    # Scores down: + - + -: half the positives at no false positive, all of them at one of two.
    tpr, *point = roc.curve(np.array([1, 0, 1, 0]), np.array([2.0, 1.0, -1.0, -2.0]))
    at = dict(zip(roc.GRID.round(2), tpr, strict=True))
    assert (at[0.0], at[0.25], at[0.49], at[0.5], at[1.0]) == (0.5, 0.5, 0.5, 1, 1)
    assert point == [0.5, 0.5]


@given(st.integers(0, 10_000))
def test_a_roc_curve_has_the_area_and_the_rates_of_its_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.array([0, 1, *rng.integers(0, 2, 200)])
    logit = (y + rng.normal(size=202)).round(1)  # with ties
    tpr, fpr_half, tpr_half = roc.curve(y, logit)
    assert np.trapezoid(tpr, roc.GRID) == pytest.approx(roc_auc_score(y, logit), abs=0.01)
    assert (np.diff(tpr) >= 0).all()
    for threshold in np.unique(logit):
        # No point of the curve lies below a rate that a threshold reaches.
        fpr, reached = ((logit >= threshold)[y == label].mean() for label in (0, 1))
        assert tpr[fpr <= roc.GRID].min(initial=1) >= reached - 1e-9
    fpr, reference, _ = roc_curve(y, logit)
    assert (tpr == np.interp(roc.GRID, fpr, reference)).all()
    assert (fpr_half, tpr_half) == ((logit > 0)[y == 0].mean(), (logit > 0)[y == 1].mean())


def test_a_group_without_a_class_has_no_curve() -> None:
    models = predictions([BASELINE])
    for _, frame in models:
        frame.loc[frame["a"] == 1, "y"] = 0
    found = roc.curves(models)
    assert found[found["a"] == 1]["tpr"].isna().all()
    assert found[found["a"] == 0]["tpr"].notna().all()
    figure = roc.draw(found, INFO, "near")
    assert sentences_with(figure.legends[0].get_title().get_text(), "older") == snapshot(
        ["Without a curve, because a class is missing: older."]
    )


def test_seeds_are_averaged_within_a_fold() -> None:
    one, two = (predictions([BASELINE], folds=1, seed=seed) for seed in (0, 1))
    both = roc.curves([*one, *two])
    mean = (roc.curves(one)["tpr"] + roc.curves(two)["tpr"]) / 2
    assert both["tpr"].to_numpy() == pytest.approx(mean.to_numpy())


def test_curves_are_over_the_folds_that_every_setting_has() -> None:
    full = by_fold(TEN[:2])
    fewer = full[(full["spec"] == "m2") | (full["fold"] < 3)]
    found = frames.along({0: full, 1: fewer})
    assert found.groupby("spec")["fold"].nunique().to_dict() == {"m2": 5, "m3": 3}
    # Suppressed at one setting, such as a gap: not shown at the others.
    bare = frames.along({0: full, 1: full[(full["set"] != "near") | (full["metric"] == "auc")]})
    assert set(bare[bare["set"] == "near"]["metric"]) == {"auc"}
    assert set(bare[bare["set"] == "far"]["metric"]) == set(INFO.columns)


def test_a_gain_is_the_difference_to_baseline_of_the_same_fold() -> None:
    frame = by_fold([BASELINE, TEN[0]], folds=3)
    gained = cost_gain.gains(frame[(frame["spec"] != "baseline") | (frame["fold"] < 2)])
    assert sorted(set(gained["fold"])) == [0, 1]
    keys = ["set", "metric", "fold"]
    wide = frame.pivot(index=keys, columns="spec", values="value")
    expected = (wide["m2"] - wide["baseline"]).loc[pd.MultiIndex.from_frame(gained[keys])]
    assert gained["value"].to_numpy() == pytest.approx(expected.to_numpy())


OLD = pytest.mark.skipif(
    tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 11),
    reason="Matplotlib before 3.11 labels them closely",
)


@pytest.mark.parametrize("span", [1.2, 30, 120, pytest.param(1e6, marks=OLD)])
def test_labels_of_a_cost_are_there_and_do_not_run_into_each_other(span: float) -> None:
    frame = by_fold([BASELINE, *TEN])
    timed = frame["metric"] == "seconds"
    frame.loc[timed, "value"] = np.geomspace(0.26, 0.26 * span, timed.sum())
    with matplotlib_style.context(["default", style.STYLE]):
        figure = of_costs(frame)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for panel in figure.axes[-3:]:
            low, high = panel.get_xlim()
            ticks = [*panel.xaxis.get_majorticklabels(), *panel.xaxis.get_minorticklabels()]
            shown = [tick for tick in ticks if tick.get_text() and low <= tick.get_position()[0] <= high]
            boxes = sorted((tick.get_window_extent() for tick in shown), key=lambda box: box.x0)
            assert boxes
            assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_line_is_the_mean_and_its_band_the_std_over_folds() -> None:
    frame = by_fold(TEN[:1], folds=3)
    chosen = (frame["set"] == "near") & (frame["metric"] == "auc")
    frame.loc[chosen, "value"] = [0.5, 0.6, 0.7]
    panel = drawn("curves", frame).axes[0]
    assert np.asarray(panel.lines[0].get_ydata()) == pytest.approx([0.6, 0.7, 1.0])
    band = np.asarray(panel.collections[0].get_paths()[0].vertices)[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.5, 1.1))


@pytest.mark.parametrize("name", DRAW)
def test_one_method_one_fold_or_a_hole_can_be_drawn(name: str) -> None:
    some = by_fold([BASELINE, *TEN[:2]])
    some.loc[(some["fold"] == 1) | (some["spec"] == "m2"), "value"] = math.nan
    for frame in (by_fold([BASELINE, TEN[0]], folds=1), by_fold([BASELINE, TEN[0]]), some):
        drawn(name, frame).draw_without_rendering()


@pytest.mark.parametrize("name", DRAW)
def test_letters_are_seven_points_or_more_in_one_or_two_columns(name: str) -> None:
    figure = drawn(name, by_fold([BASELINE, *TEN]))
    figure.draw_without_rendering()
    letters = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible()]
    assert min(float(text.get_fontsize()) for text in letters if text.get_text()) >= 7
    assert figure.get_figwidth() in (style.ONE_COLUMN, style.TWO_COLUMNS)
    assert figure.get_suptitle().startswith("SYNTHETIC")
    # Nothing is cut off at the edge of the page.
    box, page = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= -0.02
    assert box.x1 <= page[0] + 0.02
    assert box.y1 <= page[1] + 0.02


@pytest.mark.parametrize("name", ["trade-off", "cost-gain", "curves"])
def test_a_method_has_its_colour_and_marker_in_every_figure(name: str) -> None:
    figure = drawn(name, by_fold([BASELINE, *TEN]))
    # In the trade-off plot the name stands beside the mean.
    handles = figure.axes[0].lines if name == "trade-off" else figure.legends[0].legend_handles
    signs = {line.get_label(): line for line in handles if isinstance(line, Line2D)}
    for label, look in styles_of([BASELINE, *TEN]).items():
        if label in signs and label != "Baseline":
            assert (signs[label].get_color(), signs[label].get_marker()) == (look["color"], look["marker"])
    assert set(signs) >= {method.label for method in TEN}


def test_rows_differ_without_colour() -> None:
    methods = [build_method(name) for name in registry.METHODS.catalogue()]
    rows = [Name(method.row, method.title, method.title, method.title) for method in methods]
    rows += [Name(100, name, name, name) for name in ("own", "other")]
    looks = styles_of(rows)
    signs = [(look["marker"], look["fillstyle"], str(look["linestyle"])) for look in looks.values()]
    assert len(set(signs)) == len(rows) == 19
    assert len({look["marker"] for look in looks.values()}) == 19


def test_defaults_fill_the_marker_whichever_variants_are_there() -> None:
    variant = Name(2, "m2", "m2:x=1", "M2 (x 1)")
    assert styles_of([variant])["M2 (x 1)"] == styles_of([TEN[0], variant])["M2 (x 1)"]
    assert styles_of([TEN[0], variant])["M2"]["fillstyle"] == "full"
