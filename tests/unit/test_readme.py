"""What the README shows of results is what the reports say, and what the documentation names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows(text):
    """The rows of results of a page, as method and numbers."""
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| ")
    return [row for row in cells if re.fullmatch(r"\d+\.\d", row[4] if len(row) > 4 else "")]


def test_every_row_of_the_readme_stands_in_a_report():
    shown = rows((ROOT / "README.md").read_text(encoding="utf-8"))
    found = [row[:5] for file in (ROOT / "reports").glob("*/main.md") for row in rows(file.read_text(encoding="utf-8"))]
    assert len(shown) >= 40
    assert [row for row in shown if row not in found] == []


def test_every_file_that_the_architecture_names_is_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:bench|tests|methods|datasets)/[\w/.]*)`", text))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
