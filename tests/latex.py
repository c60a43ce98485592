"""Plain pdflatex, for tests of what is written for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def compile_tables(files: Iterable[Path], folder: Path) -> None:
    """Input files into one document that loads booktabs and nothing else, a page each, and compile it in `folder`."""
    body = "\n".join(f"\\input{{{file.resolve().as_posix()}}}\\clearpage" for file in files)
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "page.tex").write_text(document)
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "multiply" not in done.stdout  # a label twice
