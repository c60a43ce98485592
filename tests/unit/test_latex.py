"""The tables that are kept with the code compile, and so does every character that is escaped for them."""

from pathlib import Path

import pytest

from bench.reporting.render.document import latex
from bench.reporting.render.text import tex, unset
from tests.latex import compile_tables, needs_latex

REPORTS = Path(__file__).parents[2] / "reports"


@needs_latex
@pytest.mark.parametrize("folder", sorted(path.name for path in REPORTS.iterdir() if any(path.glob("*.tex"))))
def test_reports_compile(folder, tmp_path):
    compile_tables(sorted((REPORTS / folder).glob("*.tex")), tmp_path)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("≥65, <65", r"$\geq$65, $<$65"),
        ("≤ 3 µm", r"$\leq$ 3 $\mu$m"),
        ("Ünïté čağdaş", r"\"{U}n\"{\i}t\'{e} \v{c}a\u{g}da\c{s}"),
        ("Łódź, Ærø, groß", r"\L{}\'{o}d\'{z}, \AE{}r\o{}, gro\ss{}"),
        ("βΔΩς", r"$\beta$$\Delta$$\Omega$$\sigma$"),
        ("e\u0301", r"\'{e}"),
        ("日本", "日本"),
    ],
)
def test_letters_and_signs_are_kept(text, escaped):
    assert tex(text) == escaped


def test_what_pdflatex_does_not_set_is_named():
    assert latex(["é ≥ 3"]) == "% \\usepackage{booktabs,graphicx}\n\n{\\sloppy \\'{e} $\\geq$ 3\\par}\n"
    assert latex(["日本, Привет 日"]).splitlines()[:2] == [
        "% \\usepackage{booktabs,graphicx}",
        "% xelatex or lualatex with a font that has them: pdflatex does not set 日 本 П р и в е т",
    ]


@needs_latex
def test_every_sign_that_is_escaped_compiles(tmp_path):
    signs = [
        chr(code)
        for code in [*range(0x20, 0x180), *range(0x386, 0x3D0), *range(0x1E00, 0x1F00), *range(0x2000, 0x2300)]
    ]
    kept = [sign for sign in signs if not unset(tex(sign))]
    assert len(kept) > 500
    (tmp_path / "signs.tex").write_text("\n\n".join(f"x{tex(sign)}x" for sign in kept))
    compile_tables([tmp_path / "signs.tex"], tmp_path)
