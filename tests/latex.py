"""Plain pdflatex, for tests of what is written for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def compile_tables(files: Iterable[Path], folder: Path) -> None:
    """Input files into one document that loads booktabs and graphicx alone, a page each, and compile it in `folder`.

    No line is wider than the text, neither of one column nor of two, if each file asks for graphicx, which fits tables
    into it; the committed files of before do not.
    """
    files = list(files)
    fitted = all("graphicx" in file.read_text(encoding="utf-8").partition("\n")[0] for file in files)
    body = "\n".join(f"\\input{{{file.resolve().as_posix()}}}\\clearpage" for file in files)
    for layout in ("", "[twocolumn]"):
        head = f"\\documentclass{layout}{{article}}\\usepackage{{booktabs,graphicx}}"
        (folder / "page.tex").write_text(f"{head}\\begin{{document}}\n{body}\n\\end{{document}}\n")
        command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "multiply" not in done.stdout  # a label twice
        assert not fitted or "Overfull \\hbox" not in done.stdout, done.stdout[done.stdout.index("Overfull \\hbox") :][
            :2000
        ]
