"""What the README shows of results is what the reports say, and what the documentation names is there."""

import csv
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


def test_the_terminal_of_the_readme_is_the_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("SYNTHETIC ")[2].partition("```")[0]
    shown = {line[:20].strip(): line[20:] for line in text.splitlines() if re.search(r"[+−]0\.\d{3}|0\.\d{3}", line)}
    with (ROOT / "reports/phantom-cxr-age/main.csv").open(encoding="utf-8") as file:
        found = {(row["label"], row["set"], row["metric"]): row for row in csv.DictReader(file)}
    assert len(shown) == 11
    for label, rest in shown.items():
        rows = [found[label, name, metric] for name in ("ood_neutral", "ood_reversed") for metric in ("eodds", "auc")]
        assert rest.replace("one class predicted", "degenerate").split() == [told(row) for row in rows], label


def told(row):
    """A change as the terminal prints it; of Baseline, its mean."""
    if row["method"] == "baseline":
        return f"{float(row['mean']):.3f}"
    if not row["difference"]:
        return row["excluded"]
    levelled = row["levelled_down"] == "True" and row["metric"] == "eodds"
    number = f"{round(float(row['difference']), 3) + 0.0:+.3f}".replace("-", "−")
    return number + "*" * (row["supported"] == "True") + "§" * levelled


def test_every_file_that_the_architecture_names_is_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:bench|tests|methods|datasets)/[\w/.]*)`", text))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
