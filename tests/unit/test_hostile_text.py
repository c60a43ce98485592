"""Names from elsewhere do nothing: no formula in a spreadsheet, no control of a terminal, no command of LaTeX."""

import csv as reader
import io
import shutil
import subprocess

import pytest
from matplotlib import style
from matplotlib.figure import Figure

from bench.errors import clean
from bench.reporting.figures.style import STYLE
from bench.reporting.render.document import Float, Section, latex, markdown, page_part
from bench.reporting.render.table import Column, Entry, Table, csv, terminal
from bench.share.privacy import pathless

ESC, RLO = "\x1b[31m", "\u202e"
NAMES = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1",
    f"{ESC}red",
    f"abc{RLO}fdp.exe",
    "[2cm] \\\\",
    "$20k to $50k",
    "x" * 3000,
    "שלום",
    "a|b`c_d*e<b>f</b>",
    "\x9b31m",
    "line\nbreak\ttab",
]
INVISIBLE = ("\x1b", RLO, "\x9b", "\x07")


def table(name):
    columns = [Column(name, "left", group=name), Column("AUC", group=name)]
    return Table(columns, [[name, Entry(-0.5)], [name, 0.25]], name)


def rows(text):
    return list(reader.reader(io.StringIO(text)))


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_of_a_csv_is_a_formula(name):
    for row in rows(csv([(name, -0.5, "-0.5", "+1e-3")], [name, "auc", "text", "other"])):
        assert not row[0].lstrip().startswith(("=", "+", "-", "@"))
    assert rows(csv([(name, -0.5, "-0.5", "+1e-3")], ["a", "b", "c", "d"]))[1][1:] == ["-0.5", "-0.5", "+1e-3"]


def test_numbers_of_a_csv_stay_as_they_are():
    text = csv([(1, None, True, 0.1 + 0.2, "a"), (2, 3, False, float("nan"), None)], list("abcde"))
    assert text == "a,b,c,d,e\n1,,True,0.30000000000000004,a\n2,3.0,False,,\n"


@pytest.mark.parametrize("name", NAMES)
def test_no_writer_passes_on_a_control_or_a_mark_of_direction(name):
    section, made = Section(name, [name, table(name), [name]], name), table(name)
    written = [
        markdown(section),
        str(page_part(section)),
        latex([Float(name, name, [made], [name], name), name]),
        csv([(name, 1)], [name, "b"]),
        "\n".join(line.plain for line in terminal(made)),
    ]
    for text in written:
        assert not [sign for sign in INVISIBLE if sign in text]


def test_text_of_any_script_stays():
    assert clean("שלום ‍👩‍⚕️ Ångström\n\tx") == "שלום ‍👩‍⚕️ Ångström\n\tx"
    assert clean(f"a{ESC}b{RLO}{RLO}c") == "a [31mb c"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="without LaTeX")
@pytest.mark.parametrize("name", [name for name in NAMES if name.isascii()])
def test_latex_compiles_with_it(name, tmp_path):
    body = latex([Float("A caption.", "one", [table(name), table("[a]")], [name])])
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n" + body + "\\end{document}\n"
    )
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]


@pytest.mark.parametrize("name", ["$x_{$ to $", "$20k to $50k", "$\\frac{$"])
def test_a_figure_can_be_drawn_with_it(name):
    with style.context(STYLE):
        figure = Figure()
        axes = figure.add_subplot(title=name, xlabel=name)
        axes.plot([0, 1], label=name)
        axes.legend()
        figure.savefig(io.BytesIO(), format="png")


def test_groups_that_look_like_paths_leave_under_their_names():
    names = ("+/- 1", "~/x", "/x")
    assert pathless({"groups": list(names), "file": "/srv/x"}, names) == {"groups": list(names), "file": "x"}
    assert pathless("+/- 1") == "+/- 1"
