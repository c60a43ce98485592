"""Whether points lie on a straight line: slopes, what is missing or bent, and the table of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

LOW, HIGH = 0.8, 1.2
"""Between which slopes a line is straight."""
FLAT = 30.0
"""MB by which what should not grow may."""
DECADE = 10


class Claim(Protocol):
    """What of `tests.perf.scaling_rows.Row` is held against the points."""

    @property
    def what(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def seconds(self) -> str: ...
    @property
    def megabytes(self) -> str: ...


class Point(NamedTuple):
    """What was measured at one size."""

    what: str
    n: int
    seconds: float
    megabytes: float


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope, over the last decade and in logarithms, of what comes on top of the smallest size.

    1 is a straight line, whatever is paid once; 2 a square. NaN where a value is not above that of the smallest size.
    """
    n, value = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    last = (n * DECADE >= n.max()) & (n > n.min())
    more, added = (n - n.min())[last], (value - value[n.argmin()])[last]
    if len(more) < 2 or (added <= 0).any():
        return math.nan
    return float(np.polyfit(np.log(more), np.log(added), 1)[0])


def of_row(row: Claim, points: Iterable[Point]) -> list[Point]:
    """The points of a row, the smallest first."""
    return sorted((point for point in points if point.what == row.what), key=lambda point: point.n)


def columns(points: Sequence[Point]) -> tuple[list[int], list[float], list[float]]:
    """Return sizes, seconds and MB of the points of a row."""
    return [p.n for p in points], [p.seconds for p in points], [p.megabytes for p in points]


def faults(rows: Iterable[Claim], points: Sequence[Point]) -> list[str]:
    """Name the rows that lack a point, or whose line is not as it should be."""
    found = []
    for row in rows:
        mine = of_row(row, points)
        lacking = sorted(set(row.sizes) - {point.n for point in mine})
        if lacking:
            found.append(f"{row.what}: no point at {', '.join(f'{n:,}' for n in lacking)} {row.unit}")
            continue
        n, seconds, megabytes = columns(mine)
        for claim, values, unit in ((row.seconds, seconds, "seconds"), (row.megabytes, megabytes, "MB")):
            bent = slope(n, values) if "straight" in claim else 1.0
            if (claim == "straight" and not LOW <= bent <= HIGH) or bent > HIGH:
                found.append(f"{row.what}: {unit} grow with slope {bent:.2f}, {LOW} to {HIGH} is a straight line")
            if claim == "flat" and max(values) - values[0] > FLAT:
                more = max(values) - values[0]
                found.append(f"{row.what}: {more:.0f} {unit} more than at {n[0]:,} {row.unit}, at most {FLAT:.0f}")
    return found


def table(rows: Iterable[Claim], points: Sequence[Point]) -> str:
    """The smallest and the largest size of every row and the slopes between, as Markdown."""
    lines = [
        "| what | from | to | seconds | slope | MB | slope |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        mine = of_row(row, points)
        if len(mine) < 2:
            continue
        n, seconds, megabytes = columns(mine)
        grown = "flat" if row.megabytes == "flat" else f"{slope(n, megabytes):.2f}"
        lines.append(
            f"| {row.what} | {n[0]:,} | {n[-1]:,} {row.unit} | {_short(seconds[0])} to {_short(seconds[-1])} | "
            f"{slope(n, seconds):.2f} | {megabytes[0]:,.0f} to {megabytes[-1]:,.0f} | {grown} |"
        )
    return "\n".join(lines) + "\n"


def _short(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 0.1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"
