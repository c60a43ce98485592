"""Figures 3, 5, 8 and 9: what is in them, from frames; and from cells, what they need."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import style
from matplotlib.figure import Figure

from bench.reporting.figures.activation_maps import NOT_TO_BE_SHOWN, cams, heat
from bench.reporting.figures.strips import masks_by_layer, strips
from bench.reporting.figures.style import STYLE, to_bytes


@pytest.fixture(autouse=True)
def in_style():
    with style.context(["default", STYLE]):
        yield


def words(figure):
    """Every text in a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_heat_is_the_map_enlarged_as_torch_does_and_scaled():
    weighted = np.random.default_rng(0).normal(size=(3, 4, 4))
    for one in weighted:
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(one).clamp(min=0)[None, None], size=(37, 37), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        found = heat(one, 0.5, 37)
        assert found == pytest.approx((expected - expected.min()) / np.ptp(expected))
        assert (found.min(), found.max()) == (0, 1)


def test_heat_speaks_for_the_predicted_class():
    weighted = np.array([[-3.0, 0.0], [1.0, 2.0]])
    assert heat(weighted, 1.0, 2).tolist() == [[0, 0], [0.5, 1]]
    assert heat(weighted, -1.0, 2).tolist() == [[1, 0], [0, 0]]
    assert not heat(-np.ones((2, 2)), 1.0, 8).any(), "a constant map says nothing"
    assert not heat(np.ones((2, 2)), 1.0, 8).any()


def cam_frame(images=4):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "method": method,
            "image_id": f"id{i}",
            "group": f"group {i // 2}",
            "label": ["well", "ill"][i % 2],
            "positive": "ill",
            "logit": logit,
            "map": [rng.normal(size=(2, 2))],
        }
        for method, logit in (("Baseline", 2.0), ("SWiFT", -2.0))
        for i in range(images)
    ).assign(map=lambda frame: [cell[0] for cell in frame["map"]])


def test_each_row_names_its_image_and_each_map_what_was_predicted():
    figure = cams(cam_frame(), {"id0": np.full((8, 8, 1), 100, np.uint8)}, synthetic=True)
    texts = words(figure)
    assert [text for text in texts if text in ("Original", "Baseline", "SWiFT")] == ["Original", "Baseline", "SWiFT"]
    assert [text for text in texts if ",\n" in text] == [f"group {g},\n{y}" for g in (0, 1) for y in ("well", "ill")]
    # A logit of 2 is right for the ill, one of -2 for the well.
    assert [text for text in texts if text.startswith("p = ")] == [
        "p = 0.88 ✗",
        "p = 0.12",
        "p = 0.88",
        "p = 0.12 ✗",
    ] * 2
    assert texts.count("not at hand") == 3
    assert not any("id0" in text for text in texts), "no id of an image is in it"
    assert any("SYNTHETIC" in text for text in texts)
    assert NOT_TO_BE_SHOWN in words(cams(cam_frame(), {}, synthetic=False))


@pytest.mark.parametrize("images", [4, 10, 12])
def test_images_of_many_groups_fit_on_a_page(images):
    figure = cams(cam_frame(images), {}, synthetic=True)
    width, height = figure.get_size_inches()
    assert width == 7
    assert height < 11
    assert len(figure.axes) == 3 * images
    spans = [panel.get_position() for panel in figure.axes]
    assert all(0 <= span.x0 < span.x1 <= 1 and 0 < span.y0 < span.y1 < 1 for span in spans)


def strip_frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"kind": kind, "block": block, "value": value}
        for kind in ("bias", "prediction", "mask")
        for block, level in (("stem", 0.9), ("layer1", 0.2))
        for value in level * rng.random(50)
    )


def test_strips_show_both_importances_and_the_mask_block_by_block():
    frame = strip_frame()
    figure = strips(frame, of="SWiFT", synthetic=True)
    assert [panel.get_title(loc="left")[:3] for panel in figure.axes] == ["(a)", "(b)", "(c)"]
    drawn = figure.axes[2].patches
    assert [len(patch.get_data().values) for patch in drawn] == [50, 50]
    mask = frame[(frame["kind"] == "mask") & (frame["block"] == "layer1")]["value"]
    assert drawn[1].get_data().values.tolist() == mask.tolist()
    assert drawn[1].get_data().edges[[0, -1]].tolist() == [1, 2]
    alone = strips(frame[frame["kind"] == "mask"], of="SWiFT", synthetic=False)
    assert len(alone.axes) == 1
    assert not any("SYNTHETIC" in text for text in words(alone))


def test_masks_by_layer_print_the_mean_of_each_block():
    frame = strip_frame().query("kind == 'mask'")
    figure = masks_by_layer(frame, of="SWiFT", synthetic=True)
    means = frame.groupby("block", sort=False)["value"].mean()
    assert [text for text in words(figure) if text.startswith("mean ")] == [f"mean {mean:.3f}" for mean in means]
    strip = figure.axes[1].images[0]
    assert strip.get_array()[0].tolist() == frame[frame["block"] == "layer1"]["value"].tolist()
    assert strip.get_clim() == (0, 1)


def test_the_same_frame_gives_the_same_bytes():
    for draw in (
        lambda: cams(cam_frame(2), {}, synthetic=True),
        lambda: masks_by_layer(strip_frame().query("kind == 'mask'"), of="SWiFT", synthetic=True),
    ):
        assert to_bytes(draw()) == to_bytes(draw())


def test_files_are_drawn_as_matplotlib_lays_them_out():
    """Panels lie where a whole drawing puts them, and not where they were made."""

    def draw():
        figure = Figure(figsize=(3, 2), layout="constrained")
        for axis in figure.subplots(1, 2):
            axis.plot([0, 1], [0, 1000], label="line")
            axis.set_ylabel("a label\nof two lines")
        figure.legend(loc="outside lower center", title="below")
        return figure

    made, written, drawn = draw(), draw(), draw()
    to_bytes(written)
    drawn.draw_without_rendering()
    ours, theirs, before = (
        [axis.get_position().extents.tolist() for axis in figure.axes] for figure in (written, drawn, made)
    )
    assert ours == theirs != before
