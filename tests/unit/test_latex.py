"""The tables that are kept with the code compile."""

from pathlib import Path

import pytest

from tests.latex import compile_tables, needs_latex

REPORTS = Path(__file__).parents[2] / "reports"


@needs_latex
@pytest.mark.parametrize("folder", sorted(path.name for path in REPORTS.iterdir() if any(path.glob("*.tex"))))
def test_reports_compile(folder, tmp_path):
    compile_tables(sorted((REPORTS / folder).glob("*.tex")), tmp_path)
