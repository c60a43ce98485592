"""Rows of the table, as they are measured."""

import os
from pathlib import Path


def row(text: str) -> None:
    """Print a row of the table, and add it to the file that BENCH_PERF_ROWS names."""
    print(f"\n{text}")
    if file := os.environ.get("BENCH_PERF_ROWS"):
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.write(f"{text}\n")
