"""Run the notebooks of docs/notebooks in a folder of their own: `python -m tests.notebooks` keeps what they print."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
PROGRESS = re.compile(r"^(\[\d+/\d+\]|images: |bootstrap of patients: |(baselines|methods) +━).*\n", re.MULTILINE)
"""Lines with seconds, and lines of progress: what is kept has none."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|.*\r(?!\n)")
"""Colours, and lines that a later one overwrites."""


def books() -> list[Path]:
    """The notebooks, in alphabetical order."""
    return sorted(FOLDER.glob("*.ipynb"))


def run(file: Path, folder: Path, instead: Mapping[str, str] | None = None) -> nbformat.NotebookNode:
    """Return a notebook as it is after all of its cells were run in `folder`; a cell that fails raises.

    `instead` are texts of its cells and what is run in their place.
    """
    book = nbformat.read(file, as_version=4)
    for cell in book.cells:
        for text, other in (instead or {}).items():
            cell.source = cell.source.replace(text, other)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where `!bench` is
    kernel = {"env": {**os.environ, "PATH": path}}
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute(**kernel)
    return book


def keep(book: nbformat.NotebookNode, file: Path) -> None:
    """Write a notebook with its outputs, less times, progress and controls of a terminal."""
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        joined: list[nbformat.NotebookNode] = []
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        for output in (output for output in joined if output.output_type == "stream"):
            output.text = PROGRESS.sub("", CONTROL.sub("", output.text)).lstrip()
        if cell.cell_type == "code":
            cell.outputs = [output for output in joined if output.output_type != "stream" or output.text]
    nbformat.write(book, file)


if __name__ == "__main__":
    for file in books():
        with tempfile.TemporaryDirectory() as folder:
            print(file.name, flush=True)
            keep(run(file, Path(folder)), file)
