"""Figures of what cells keep beside their predictions: what makes them where it is not there."""

import json
import shutil

import pytest

PICTURES = "results/cells/tiny/small/{}/f0-s0.pictures.npz"


@pytest.mark.slow
def test_what_is_missing_of_a_figure_is_said_and_the_line_that_is_printed_makes_it(finished, place):
    """As from cells that were computed before anything was kept."""
    for name in ("results", ".cache"):
        shutil.copytree(finished.folder / name, place.folder / name)
    whole = {name: (place.folder / PICTURES.format(name)).read_bytes() for name in ("swift", "llft")}
    for name in whole:
        (place.folder / PICTURES.format(name)).unlink()
    shutil.rmtree(place.folder / "results/cells/tiny/small/diff_prune")
    before = place.cells()

    asked = place.bench("report", "--task", "tiny.toml", "--only", "figure-3,figure-5,figure-9", code=1)
    lines = [line.strip() for line in asked.stderr.splitlines() if line.strip().startswith("bench run")]
    anew = "bench run --task tiny.toml --methods {} --folds 0 --force"
    lacking = "bench run --task tiny.toml --methods diff_prune --folds 0"
    assert lines == [anew.format("swift,llft"), lacking]
    assert "figure-5: 1 of 4 cells are there" in asked.stderr
    for line in lines:
        place.bench(*line.split()[1:])
    assert {name: (place.folder / PICTURES.format(name)).read_bytes() for name in whole} == whole, "bit by bit"
    for name, text in before.items():
        assert json.loads(text)["hash"] == json.loads(place.cells()[name])["hash"], "they are no part of what a cell is"
    place.bench("report", "--task", "tiny.toml", "--only", "figure-3,figure-5,figure-9")
    made = {name: data for name, data in finished.first_report.items() if name.startswith(("figure-3", "figure-5"))}
    assert len(made) == 6
    for name, data in made.items():
        assert (place.folder / "reports/tiny" / name).read_bytes() == data


def test_originals_come_from_the_image_cache_and_nothing_is_decoded_for_them(finished, place):
    shutil.copytree(finished.folder / "results", place.folder / "results")
    place.bench("report", "--task", "tiny.toml", "--only", "figure-5")
    without = (place.folder / "reports/tiny/figure-5.png").read_bytes()
    assert without != finished.first_report["figure-5.png"]
    assert not (place.folder / ".cache/images").exists()


@pytest.mark.slow
def test_with_min_cell_no_figure_shows_a_single_image(finished, place):
    shutil.copytree(finished.folder / "results", place.folder / "results")
    words = ("report", "--task", "tiny.toml", "--min-cell", "3")
    place.bench("report", "--task", "tiny.toml", "--only", "figure-1,figure-5")
    assert (place.folder / "reports/tiny/figure-5.png").exists()
    said = place.bench(*words).stderr
    for name in ("figure-1", "figure-5"):
        assert f"{name} shows single images: it is not made with --min-cell" in said
        assert not list((place.folder / "reports/tiny").glob(f"{name}.*")), "nor stays that of before"
    assert (place.folder / "reports/tiny/figure-3.png").exists()
