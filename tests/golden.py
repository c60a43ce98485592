"""The golden run: two checkouts compute the same tiny tasks on this machine, and what they store is compared.

    python -m tests.golden REVISION        the working tree against a revision (`make golden REVISION=...`)

A tiny phantom task runs with all methods and one ablation, a task of three age bands with all methods that are defined
there. Of every cell, table and figure the structure is compared exactly and every number as it is; sentences may
change. A change that is meant to move numbers bumps a version and says so in the changelog; all others pass this.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.task_texts import AGE, CHEST
from tests.warm import Server

ROOT = Path(__file__).parents[1]
TASKS = {
    "golden": (
        240,
        AGE,
        ("--methods", "all"),
        ("--methods", "swift", "--ablate", "reinit"),
    ),
    "golden-groups": (
        800,
        'column = "age"\ncuts = [42, 66]\nnames = ["18 to 41", "42 to 65", "over 65"]',
        ("--methods", "all"),
    ),
}
"""Name -> images, attribute, and the options of each `bench run`."""

VOLATILE = re.compile(
    r"(^|\.)(seconds|peak_memory_bytes|environment|hash|sha|sha256|baseline_sha256|predictions_sha256|schema|identity|"
    r"checksum|metrics_version|version)(\.|$)"
)
"""Leaves of a record that differ between two equal runs, or between two schemas."""
RENAMED: tuple[tuple[str, str], ...] = (
    (r"^sets\.", "scores."),
    (r"\.attributes\.age\.", "."),
    (r"^(scores\.[^.]+(\.groups\.[^.]+)?)\.metrics\.", r"\1."),
    (r"\bthreshold_carried", "tuned_threshold"),
    (r"_carried", "_tuned_threshold"),
)
"""Pattern -> replacement, applied to the leaf names of both sides: one entry for each field of a record that moved."""
DERIVED = re.compile(r"^(predictions\.file|attributes\.|scores\.[^.]+\.positives$)")
"""Leaves that only one of two schemas has, and that follow from others."""
COLUMNS: dict[str, str] = {"group": "cluster", "a": "a_age"}
"""Columns of predictions that were renamed: old name -> new name."""
TIMED = re.compile(r"(figure-4|cost-gain|index)\.")
"""Files of a report that show seconds or where they were made."""
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])")


@dataclass(frozen=True)
class Piece:
    """One cell, table or figure: a hash of its structure, and its numbers by name or in order."""

    structure: str
    numbers: dict[str, float]


def run(checkout: Path, folder: Path) -> dict[str, Piece]:
    """Run the golden tasks with the code of a checkout in a folder, and return what it stored, by name."""
    folder.mkdir(parents=True)
    server = Server()

    def bench(*words: str) -> None:
        done = server.run(words, folder, checkout=checkout)
        if done.returncode:
            raise SystemExit(f"{checkout}: bench {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")

    for name, (images, attribute, *runs) in TASKS.items():
        (folder / f"{name}.toml").write_text(CHEST.format(name=name, images=images, attribute=attribute))
        for options in runs:
            bench("run", "--task", f"{name}.toml", *options)
        bench("report", "--task", f"{name}.toml")
    server.close()
    return collect(folder)


def collect(folder: Path) -> dict[str, Piece]:
    """Return every cell, table and figure below a folder in which the golden tasks ran."""
    found: dict[str, Piece] = {}
    cells, reports = folder / "results" / "cells", folder / "reports"
    for file in sorted(cells.rglob("*.parquet")):
        found[f"predictions {file.relative_to(cells)}"] = _predictions(file)
        found[f"cell {file.relative_to(cells).with_suffix('')}"] = _cell(file)
    for file in sorted(reports.rglob("*.*")):
        if not TIMED.match(file.name):
            found[f"report {file.relative_to(reports)}"] = _artefact(file)
    return found


def _predictions(file: Path) -> Piece:
    table = pd.read_parquet(file)
    table = table.rename(columns=COLUMNS)[sorted(COLUMNS.get(name, name) for name in table)]
    words = [name for name in table if table[name].dtype.kind not in "iuf"]
    numbers = {
        f"{name}.{row}": float(value) for name in table if name not in words for row, value in enumerate(table[name])
    }
    return Piece(_hash([list(map(str, table)), table[words].astype(str).to_numpy().tolist()]), numbers)


def _cell(predictions: Path) -> Piece:
    """All records of a cell together, whatever files they are in."""
    leaves: dict[str, Any] = {}
    for file in sorted(predictions.parent.glob(f"{predictions.stem}*.json")):
        leaves |= _leaves(json.loads(file.read_text()))
    named = {_renamed(name): value for name, value in leaves.items()}
    named = {name: value for name, value in named.items() if not VOLATILE.search(name) and not DERIVED.match(name)}
    # What is at its default, or NaN, may be left out of a file: against a number it is still a difference.
    named = {
        name: value for name, value in named.items() if value is not None and value is not False and value == value
    }
    numbers = {n: float(v) for n, v in named.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    rest = {name: value for name, value in named.items() if name not in numbers}
    return Piece(_hash([sorted(named), rest]), numbers)


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _leaves(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else _numbered(value)
        return {k: v for key, one in items for k, v in _leaves(one, f"{at}.{key}" if at else str(key)).items()}
    return {at: value}


def _numbered(values: list[Any]) -> list[tuple[Any, Any]]:
    """Items of a list by position, those that have a name by that."""
    if values and all(isinstance(one, dict) and "name" in one for one in values):
        return [(one["name"], {key: value for key, value in one.items() if key != "name"}) for one in values]
    return list(enumerate(values))


def _artefact(file: Path) -> Piece:
    if file.suffix == ".png":
        from matplotlib import image

        pixels = np.ascontiguousarray(image.imread(file))
        return Piece(_hash([pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest()]), {})
    if file.suffix == ".pdf":
        plain = re.sub(rb"/(CreationDate|ModDate|Producer|Creator) \([^)]*\)", b"", file.read_bytes())
        return Piece(_hash(hashlib.sha256(plain).hexdigest()), {})
    text = _renamed(file.read_text(encoding="utf-8"))
    if file.suffix in (".md", ".tex"):
        # The rows of tables are structure; what stands around them is prose.
        text = "\n".join(line for line in text.splitlines() if re.match(r"\|.*\|$|.*&.*\\\\$", line))
    numbers = {str(place): float(found.replace("−", "-")) for place, found in enumerate(NUMBER.findall(text))}
    return Piece(_hash(NUMBER.sub("#", text)), numbers)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def differences(old: dict[str, Piece], new: dict[str, Piece]) -> list[str]:
    """Return one line for each piece that is on one side alone, of another structure, or with other numbers."""
    found = [f"{name}: only before" for name in old if name not in new]
    found += [f"{name}: only after" for name in new if name not in old]
    for name in old.keys() & new.keys():
        one, other = old[name], new[name]
        names = sorted(one.numbers.keys() ^ other.numbers.keys())
        if names:
            found.append(f"{name}: numbers on one side alone: {', '.join(names[:8])}")
        elif one.structure != other.structure:
            found.append(f"{name}: another structure")
        values = {n: (one.numbers[n], other.numbers[n]) for n in one.numbers.keys() & other.numbers.keys()}
        moved = {n: pair for n, pair in values.items() if not np.array_equal(*pair, equal_nan=True)}
        if moved:
            first = next(iter(moved.items()))
            found.append(f"{name}: {len(moved)} of {len(values)} numbers moved, first {first[0]}: {first[1]}")
    return sorted(found)


def compare(revision: str, folder: Path) -> tuple[int, list[str]]:
    """Run a revision and the working tree below `folder`; return how many pieces were compared, and the differences."""
    checkout = folder / "checkout"
    _git("worktree", "add", "--detach", str(checkout), revision)
    try:
        old = run(checkout, folder / "before")
        new = run(ROOT, folder / "after")
    finally:
        _git("worktree", "remove", "--force", str(checkout))
    return len(old), differences(old, new)


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True)


def main() -> int:
    """Compare, print every difference, and exit with 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="HEAD~1", help="a commit (default: HEAD~1)")
    with tempfile.TemporaryDirectory(prefix="bench-golden-") as folder:
        pieces, found = compare(parser.parse_args().revision, Path(folder))
    print("\n".join([*found, f"{pieces} cells, tables and figures compared, {len(found)} differ"]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
