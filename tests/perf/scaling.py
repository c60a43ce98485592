"""Time and memory against numbers of images, parameters and cells: measured, drawn, held against straight lines.

    python -m tests.perf.scaling --out results/scaling

measures every point that DIR/scaling.csv lacks, each in a process of its own, draws scaling-*.png, prints the table of
docs/cost.md and exits with 1 where a line is not as `tests.perf.scaling_rows` says. Eleven minutes on two idle cores.
With --keep the CSV, the figures and the page of the repository are replaced by what is in DIR.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import bench
from bench.run.progress import clock
from tests.perf import scaling_fit as fit
from tests.perf.scaling_figures import figures
from tests.perf.scaling_rows import RATED, ROWS, Row

ROOT = Path(__file__).parents[2]
KEPT, PAGE = ROOT / "tests" / "perf" / "scaling.csv", ROOT / "docs" / "cost.md"
START = 4.0
"""Seconds that a point takes besides what is timed."""
BESIDE = ", beside other work"


@dataclass(frozen=True)
class Measured:
    """A line of the CSV."""

    what: str
    n: int
    unit: str
    seconds: float
    MB: float
    date: str
    machine: str
    versions: str

    @property
    def point(self) -> fit.Point:
        return fit.Point(self.what, self.n, self.seconds, self.MB)


def read(file: Path) -> list[Measured]:
    """Return the lines of a CSV, none where there is no file."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    kinds = {"n": int, "seconds": float, "MB": float}
    return [Measured(**{name: kinds.get(name, str)(value) for name, value in row.items()}) for row in rows]


def write(file: Path, measured: Sequence[Measured]) -> None:
    """Write the CSV, rows in their order, each from its smallest size."""
    place = {row.what: number for number, row in enumerate(ROWS)}
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([field.name for field in fields(Measured)])
        writer.writerows(astuple(one) for one in sorted(measured, key=lambda one: (place[one.what], one.n)))


def complete(out: Path) -> list[Measured]:
    """Measure the points that the CSV in `out` lacks; it is written after each of them."""
    file, expected = out / "scaling.csv", {(one.what, one.n): one.seconds for one in read(KEPT)}
    wanted = {(row.what, n): row for row in ROWS for n in row.sizes}
    measured = [one for one in read(file) if (one.what, one.n) in wanted]
    known = {(one.what, one.n) for one in measured}
    todo = [(row, n) for (what, n), row in wanted.items() if (what, n) not in known]
    takes = [START + min(row.times, 2) * expected.get((row.what, n), 0.0) for row, n in todo]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=out, prefix="points-") as scratch:
        for number, (row, n) in enumerate(todo, start=1):
            measured.append(one := _measured(row, n, Path(scratch)))
            write(file, measured)
            left = (time.monotonic() - begun) / sum(takes[:number]) * sum(takes[number:])
            print(
                f"[{number}/{len(todo)}] {row.what}, {n:,} {row.unit}: {one.seconds:.3f} s, {one.MB:.0f} MB "
                f"(ETA {clock(left)})",
                file=sys.stderr,
                flush=True,
            )
    return measured


def _measured(row: Row, n: int, scratch: Path) -> Measured:
    folder = scratch / "point"
    folder.mkdir()
    words = [sys.executable, "-m", "tests.perf.scaling_rows", row.what, str(n), str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    shutil.rmtree(folder)
    if done.returncode:
        raise SystemExit(f"{row.what}, {n:,} {row.unit}: not measured\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    machine = machine_kind() + (BESIDE if found["busy"] else "")
    today = datetime.date.today().isoformat()
    return Measured(
        row.what, n, row.unit, round(found["seconds"], 4), round(found["MB"], 1), today, machine, _versions()
    )


def machine_kind() -> str:
    """Return `2 cores, AMD EPYC`."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores, {model}"


def _versions() -> str:
    return f"bench {bench.__version__}, Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name).partition('+')[0]}" for name in ("torch", "numpy", "pandas")
    )


def rates(measured: Sequence[Measured]) -> dict[str, tuple[float, float]]:
    """Return T and F, images a second, of every backbone that both were measured of."""
    speed = {one.what: round(one.n / one.seconds, 1) for one in measured if one.unit == "images at 224 pixels"}
    return {name: (speed[f"{name}, trained"], speed[f"{name}, forward"]) for name in RATED}


def growth(measured: Sequence[Measured]) -> str:
    """Return the table of how it grows, and where it was measured."""
    where = "; ".join(sorted({f"{one.date}, {one.machine}, {one.versions}" for one in measured}))
    return f"{fit.table(ROWS, [one.point for one in measured])}\n{where}.\n"


def put(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with what stands between `<!-- NAME -->` and `<!-- end of NAME -->` replaced."""
    for name, text in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{text}{end}{rest.partition(end)[2]}"
    return page


def blocks(measured: Sequence[Measured]) -> dict[str, str]:
    """Return what of docs/cost.md is made of measurements."""
    sys.path.insert(0, str(ROOT / "docs"))
    import cost  # pyright: ignore[reportMissingImports]

    return {"rates": cost.measured(rates(measured), cores=2), "growth": growth(measured)}


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is missing, draw and print; return 1 where a line is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the CSV and the figures")
    parser.add_argument("--keep", action="store_true", help="take them, and the table, over into the repository")
    given = parser.parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    measured = complete(given.out)
    points = [one.point for one in measured]
    drawn = figures(ROWS, points)
    for name, content in drawn.items():
        (given.out / name).write_bytes(content)
    if given.keep:
        write(KEPT, measured)
        for name, content in drawn.items():
            (PAGE.parent / name).write_bytes(content)
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), blocks(measured)), encoding="utf-8")
    print(growth(measured), end="")
    wrong = fit.faults(ROWS, points)
    for text in wrong:
        print(f"scaling: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
