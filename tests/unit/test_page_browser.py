"""How the page of a task behaves in a browser."""

import re
from pathlib import Path

import axe_core_python
import pytest

from bench.reporting.page import NAME, Shown, page
from bench.reporting.render.document import PART, Section, page_part
from bench.reporting.render.table import Column, Table
from tests.browser import CHROMIUM, browser
from tests.factory import changed
from tests.unit.page_cells import cells, shown, task_results

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: the page is not opened")
DEMO = Path(__file__).parents[2] / "reports/phantom-cxr-age/index.html"
METHODS = "[...document.querySelectorAll('#main tbody')[0].rows].map((row) => row.cells[0].textContent)"
HEADS = "document.querySelectorAll('#main thead')[0].rows[0].cells"
ASK = """new Promise((done) => {
    document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
    fetch("https://example.org/").finally(() => setTimeout(done, 1000));
})"""
"""Which rule of the page's policy forbids a request; none where it is let through, or lost without a network."""
AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def file(tmp_path):
    given = task_results(cells())
    file = tmp_path / NAME
    file.write_bytes(page(given, shown(given)))
    return file


@needs_chromium
def test_a_header_sorts_up_then_down_then_back(window, file):
    window.width(1200)
    window.open(file)
    printed = ["Baseline", "Alpha", "Beta", "Gamma"]
    assert window.run(METHODS) == printed
    column = "3"  # EOdds
    for order, methods in {
        "ascending": ["Gamma", "Alpha", "Beta", "Baseline"],
        "descending": ["Baseline", "Beta", "Alpha", "Gamma"],
        "none": printed,
    }.items():
        window.run(f"{HEADS}[{column}].querySelector('button').click()")
        assert window.run(METHODS) == methods
        assert window.run(f"{HEADS}[{column}].getAttribute('aria-sort')") == order
    window.run(f"{HEADS}[{column}].querySelector('button').click()")
    window.run(f"{HEADS}[0].querySelector('button').click()")
    assert window.run(METHODS) == ["Alpha", "Baseline", "Beta", "Gamma"], "by name"
    assert window.run(f"{HEADS}[{column}].getAttribute('aria-sort')") == "none", "one column at a time"
    assert window.complaints() == []


@needs_chromium
def test_a_keyboard_sorts_too(window, file):
    window.open(file)
    window.run("document.getElementById('tables').open = true")
    for _ in range(60):
        window.key(*TAB)
        if window.run("document.activeElement.textContent") == "EOdds ↓":
            break
    window.key(*ENTER)
    assert window.run(METHODS) == ["Gamma", "Alpha", "Beta", "Baseline"]


@needs_chromium
def test_what_is_undefined_stands_last_either_way_and_signs_count(window, tmp_path):
    rows = list(zip("abcde", ("–", "+0.2", "−0.5", "<10", "0.1 ± 0.3"), strict=True))
    signs = page_part(Section("Signs", [Table([Column("m", "left"), Column("v")], rows)]))
    given = task_results(cells())
    table = Shown("main", "", {}), Shown("signs", "Signs.", {PART: signs.encode()})
    (tmp_path / NAME).write_bytes(page(given, table))
    window.open(tmp_path / NAME)
    names = "[...document.querySelectorAll('#signs tbody tr')].map((row) => row.cells[0].textContent).join('')"
    click = "document.querySelectorAll('#signs thead button')[1].click()"
    window.run(click)
    assert window.run(names) == "cebda"
    window.run(click)
    assert window.run(names) == "dbeca"


@needs_chromium
def test_the_page_asks_for_nothing_complains_of_nothing_and_cannot(window, file):
    window.open(file)
    assert window.requests() == [file.as_uri()]
    assert window.complaints() == []
    assert window.run(ASK) == "connect-src"
    assert window.run("document.images.length && [...document.images].every((image) => image.naturalWidth > 500)")


@needs_chromium
@pytest.mark.parametrize("pixels", [360, 1200])
def test_tables_scroll_in_their_boxes_and_the_page_does_not(window, file, pixels):
    window.width(pixels)
    window.open(file)
    assert window.run("document.documentElement.scrollWidth") <= pixels
    widest = window.run("Math.max(...[...document.querySelectorAll('table')].map((table) => table.scrollWidth))")
    assert (widest > pixels) == (pixels == 360)


@needs_chromium
def test_the_page_prints(window, file):
    window.open(file)
    pdf = window.pdf()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


@needs_chromium
@pytest.mark.parametrize("pixels", [390, 1280])
@pytest.mark.parametrize("rates", [(0.0, 0.1), (0.02, 0.22), (0.4, 0.6), (0.9, 1.0)])
def test_the_distance_of_two_rates_stays_in_its_drawing(window, tmp_path, pixels, rates):
    """It would reach beyond an end if it stood above the middle of two rates near 0 or 1."""
    groups = {name: {"tpr": rate, "fpr": rate} for name, rate in zip(("younger", "older"), rates, strict=True)}
    made = [changed(item, groups={"near": groups, "far": groups}) for item in cells()]
    given = task_results(made)
    (tmp_path / NAME).write_bytes(page(given, shown(given)))
    window.width(pixels)
    window.open(tmp_path / NAME)
    beyond = "(([a, b]) => Math.max(b.left - a.left, a.right - b.right))"
    boxes = "[text, text.closest('svg')].map((one) => one.getBoundingClientRect())"
    texts = "[...document.querySelectorAll('.distance')].filter((text) => text.getBoundingClientRect().width)"
    found = window.run(f"{texts}.map((text) => {beyond}({boxes}))")
    assert len(found) == 2
    assert max(found) <= 3


@needs_chromium
def test_the_answer_is_on_the_first_screen(window, file):
    window.width(1280, 800)
    window.open(file)
    assert window.run("document.querySelector('section.place').getBoundingClientRect().bottom") <= 800
    assert window.run("[...document.querySelectorAll('details.part')].some((part) => part.open)") is False


@needs_chromium
def test_one_test_set_is_shown_and_the_other_is_a_click_away(window, file):
    window.open(file)
    shown = "[...document.querySelectorAll('section.place')].map((place) => place.checkVisibility())"
    assert window.run(shown) == [True, False]
    window.run("document.getElementById('place-2').click()")
    assert window.run(shown) == [False, True]


@needs_chromium
def test_a_method_that_is_switched_off_is_off_on_every_test_set(window, file):
    window.open(file)
    there = "[...document.querySelectorAll('.changes tbody tr')].filter((row) => !row.classList.contains('off')).length"
    before = window.run(there)
    window.run("document.querySelector('.filter input').click()")
    assert window.run(there) == before - 2
    assert window.run("[...document.querySelectorAll('.filter input')].filter((box) => !box.checked).length") == 2


@needs_chromium
def test_a_row_tells_its_numbers_to_those_who_hover_or_use_the_keyboard(window, file):
    window.open(file)
    window.run("document.querySelector('.changes tbody tr').focus()")
    assert window.run("document.querySelector('.tip').checkVisibility()")
    said = window.run("document.querySelector('.tip').textContent")
    assert said == window.run("document.querySelector('.changes tbody tr').dataset.tip")
    assert "EOdds" in said


@needs_chromium
@pytest.mark.parametrize("pixels", [390, 1280])
def test_no_rule_of_accessibility_is_broken(window, file, pixels):
    window.width(pixels)
    window.open(file)
    window.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    window.run(AXE.read_text(encoding="utf-8") + "; true")
    found = window.run("axe.run().then((all) => all.violations.map((rule) => [rule.id, rule.nodes[0].html]))")
    assert found == []


@needs_chromium
@pytest.mark.parametrize(("size", "last"), [((1280, 800), ".place"), ((390, 844), ".conclude")])
def test_the_demo_answers_all_three_questions_on_the_first_screen(window, size, last):
    """Of a telephone in words: the drawing follows them."""
    window.width(*size)
    window.open(DEMO)
    assert window.run(f"document.querySelector('{last}').getBoundingClientRect().bottom") <= size[1]


@needs_chromium
def test_on_paper_a_test_set_has_its_name_above_it_and_both_drawings(window, file):
    window.width(720)
    window.open(file)
    window.call("Emulation.setEmulatedMedia", media="print")
    try:
        tops = [f"document.querySelector('{part}').getBoundingClientRect().top" for part in (".place-title", ".before")]
        assert window.run(f"{tops[0]} < {tops[1]}")
        assert window.run("document.querySelector('.changes td:nth-child(3)').checkVisibility()")
    finally:
        window.call("Emulation.setEmulatedMedia", media="")


@needs_chromium
def test_groups_differ_in_shape_for_those_who_print_in_grey(window, file):
    window.open(file)
    shapes = (
        "[...document.querySelector('.before .legend').querySelectorAll('path')].map((mark) => mark.getAttribute('d'))"
    )
    found = window.run(shapes)
    assert len(set(found)) == len(found) == 2
