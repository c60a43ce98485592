"""The page of a task: what is in it, and what must not be."""

import dataclasses
import re

from inline_snapshot import snapshot

from bench.reporting.numbers.aggregate import SYNTHETIC
from bench.reporting.page import Shown, found, index, page
from bench.reporting.render.document import Section, page_part
from bench.reporting.render.table import Column, Entry, Table
from bench.reporting.rerun_commands import Line
from tests.factory import changed, failure
from tests.prose import lines_with, sentences_with
from tests.unit.page_cells import (
    FOLDER,
    HOST,
    IMAGE,
    TITLES,
    cell,
    cells,
    shown,
    task_results,
    text_of,
)


def words_of(text):
    """What is to be read, without style, script and pictures."""
    body = text[text.index("<body>") : text.index("<script>")]
    return re.sub(r"<[^>]*>", " ", body)


def test_the_page_has_the_table_the_findings_the_figure_and_what_is_missing():
    text = text_of(task_results(cells()))
    assert text.count(f'<p class="synthetic">{SYNTHETIC}</p>') == 1
    assert lines_with(text, "headline") == snapshot(
        [".headline { font-weight: bold; }", '<p class="headline">4 methods, 3 of 3 folds. Nothing is tested.</p>']
    )
    assert text.count("<b>0.054 ± 0.004</b>") == 4, "the best of two test sets, here and in the ablation"
    assert text.count("<ins>0.102 ± 0.002</ins>") == 4
    assert text.count('src="data:image/webp;base64,') == 1
    assert 'href="trade-off.pdf"' in text
    assert 'href="main.csv"' in text
    assert "<code>bench run --task demo.toml --methods swift --ablate epochs</code>" in text
    assert "<h3>Alpha &amp; its masks.</h3>" in text
    assert "<li>Figure 4: gaps against epochs.</li>" in text


def test_the_same_cells_give_the_same_bytes_in_whatever_order_they_are_read():
    read = [*cells(commit="b" * 40)[:7], *cells()[7:]]
    one = task_results(read)
    artefacts = shown(one)
    assert page(task_results(read[::-1]), artefacts) == page(one, artefacts)


def test_provenance_says_which_code_made_how_many_cells_and_of_which_data():
    several = [cell(title, fold, commit="ab"[title == "Gamma"] * 40) for title in TITLES for fold in range(3)]
    text = text_of(task_results(several))
    row = '<tr><th scope="row">0.1.0</th><td>{}</td><td>3.11.7</td><td>torch 2.13.0</td><td>x86_64</td><td>{}</td></tr>'
    assert row.format("aaaaaaaaaaaa", 9) in text
    assert row.format("bbbbbbbbbbbb, files changed", 3) in text
    assert '<tr><th scope="row">near</th><td>all</td><td>200</td><td>bbbbbbbbbbbb</td></tr>' in text
    assert '<tr><th scope="row">external</th><td>1</td><td>173</td><td>e1e1e1e1e1e1</td></tr>' in text
    assert '<tr><th scope="row">small</th><td>Alpha</td><td>alpha</td><td>3</td><td>3</td></tr>' in text
    assert '<tr><th scope="row">batch</th><td>64</td><td>128</td></tr>' in text, "an option that is not the default"
    assert "momentum</th>" not in text, "one that is"


def test_no_host_no_folder_and_no_image_is_named():
    failed = failure(cell("Gamma", 2), "ValueError", f"cannot read {IMAGE}", traceback=f"{FOLDER}/{IMAGE}")
    place = FOLDER / "results" / "cells" / "demo" / "small"
    left_out = (
        f"{place}/beta/f0-s0.json: cannot be checked: {FOLDER}/{IMAGE} is missing",
        f"{place}/beta/f1-s0.failed.json: not a whole record of a failure",
        f"{place}/beta/{IMAGE}: not a file of a cell",
    )
    kept = [item for item in cells() if (item.cell.title, item.cell.fold) != ("Gamma", 2)]
    kept[0] = changed(kept[0], metrics_version=1)
    text = text_of(task_results(kept, failures=[failed], left_out=left_out))
    assert "<code>bench metrics --recompute --task demo.toml</code>" in text
    assert sentences_with(text, "ValueError", "0") == snapshot(
        ["<p>Failed: Gamma, small, fold 2, seed 0: ValueError.</p>"]
    )
    assert "<li>small/beta/f0-s0: cannot be checked.</li>" in text
    assert sentences_with(text, "<li>small/beta/f1-s0") == snapshot(
        ["<li>small/beta/f1-s0: not a whole record of a failure.</li>"]
    )
    assert sentences_with(text, "<li>1") == snapshot(["<li>1 file does not belong to a cell.</li>"])
    for secret in (HOST, str(FOLDER), "dr-no", "patient00042"):
        assert secret not in text


def test_a_failure_that_was_made_good_is_not_told():
    assert "No cell failed." in text_of(task_results(cells(), failures=[failure(cell("Gamma", 2))]))


def test_small_cells_are_suppressed_on_the_page_too():
    near = (131, 67, 59, 7)
    given = task_results(cells(near=near), info={"min_cell": 10})
    text = text_of(given)
    for count in (*near, 198, 66, 190, 74):
        assert not re.search(rf"(?<![\d.]){count}(?![\d.])", words_of(text)), count
    assert '<th scope="row">near</th><td>all</td><td>264</td>' in text, "its size is no secret"
    tiny = text_of(task_results(cells(near=(3, 2, 2, 1)), info={"min_cell": 10}))
    assert '<th scope="row">near</th><td>all</td><td>&lt;10</td>' in tiny, "that of a set so small is"


def test_no_size_follows_from_a_validation_set_with_a_small_cell():
    small = [changed(item, groups={"val": {"older": {"positives": 4, "negatives": 96}}}) for item in cells()]
    text = text_of(task_results(small, info={"min_cell": 10}))
    assert '<th scope="row">external</th><td>all</td><td>–</td><td>–</td>' in text
    assert "173" not in words_of(text)


def test_commands_in_sentences_are_code_and_what_is_in_them_is_text():
    old = [changed(item, metrics_version=0) for item in cells()]
    given = task_results(
        old, left_out=("results/cells/tiny/small/swift/f0-s0.json: stale; `bench run` again <replaces> it",)
    )
    given = dataclasses.replace(given, cells=cells())
    text = text_of(given)
    assert lines_with(text, "<code>bench run</code>", "&lt;replaces&gt;") == snapshot(
        ["<li>small/swift/f0-s0: stale; <code>bench run</code> again &lt;replaces&gt; it.</li>"]
    )
    assert "`" not in words_of(text)


def test_markup_in_names_is_text():
    evil = "<script>alert(1)</script>"
    sneaky = [changed(item, title=item.cell.title + evil) for item in cells()]
    given = task_results(sneaky, info={"says": evil})
    text = text_of(given, [Shown("figure-9", evil, {}, (Line(given.settings).of([evil]),))])
    assert evil not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20


def test_a_report_text_is_below_its_section_and_markup_in_it_is_text():
    table = Table([Column("a", "left"), Column("b")], [["x_y", Entry(1, mark="second")]])
    body = [Section("Part", [table, "<img src=x> [a](javascript:b), `run <it>`", ["one"]])]
    text = page_part(Section("Title", body))
    assert "Title" not in text
    assert "<h3>Part</h3>" in text
    assert '<th scope="row">x_y</th><td class="number"><ins>1.000</ins></td>' in text
    assert "<p>&lt;img src=x&gt; [a](javascript:b), <code>run &lt;it&gt;</code></p>" in text
    assert "<li>one</li>" in text
    assert "style=" not in text


def test_the_line_of_a_task_says_where_a_gap_is_smaller_and_where_none_is():
    assert found(task_results(cells()).results) == snapshot("4 methods, 3 of 3 folds. Nothing is tested.")
    alike = [cell(title, fold, eodds=0.2) for title in TITLES for fold in range(3)]
    assert found(task_results(alike).results) == snapshot("4 methods, 3 of 3 folds. Nothing is tested.")
    alone = task_results([cell("Baseline", 0)]).results
    assert found(alone) == snapshot("1 method, 1 of 3 folds. Nothing is compared.")


def test_the_index_links_every_task():
    one = task_results(cells()).results
    other = dataclasses.replace(one, info=dataclasses.replace(one.info, name="demo:external=0.2", synthetic=False))
    text = index([one, other]).decode()
    assert '<a href="demo/index.html">demo</a>' in text
    assert '<a href="demo%2Bexternal-0.2/index.html">demo:external=0.2</a>' in text
    assert text.count("Synthetic.") == 1
