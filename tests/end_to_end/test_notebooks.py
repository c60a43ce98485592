"""The notebooks of docs/notebooks run from top to bottom, and are committed with what they print."""

import nbformat
import pytest

from tests.end_to_end.conftest import TINY
from tests.notebooks import books, run

PICTURES = {"own-images": 1, "own-method": 1, "own-model": 1, "reading-results": 2}


def test_each_notebook_is_committed_with_its_pictures():
    assert {file.stem for file in books()} == set(PICTURES)
    for file in books():
        cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        outputs = [output for cell in cells for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error"]
        assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[file.stem]


@pytest.mark.slow
@pytest.mark.parametrize("file", books(), ids=lambda file: file.stem)
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
def test_a_notebook_runs(file, tmp_path):
    """On a task of few images where it has a generated one."""
    (tmp_path / "tiny.toml").write_text(TINY)
    run(file, tmp_path, {"phantom-cxr-age": "tiny.toml"})
