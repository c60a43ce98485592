"""The first screen of a page: Baseline, what each method changes, and what may be concluded, for each test set.

Positions are percentages, so that the drawings fit any width while their letters keep their size. They are attributes
of SVG, because the policy of the page forbids styles in the markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from matplotlib.ticker import MaxNLocator

from bench.reporting.numbers.answer import Change, Line, Place
from bench.reporting.numbers.ranking import DECIMALS
from bench.reporting.render.text import signed

TICKS = 4
"""Intervals between ticks, at most."""


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: its ends, and its ticks as (position in percent, text)."""

    low: float
    high: float
    signed: bool = True

    def at(self, value: float) -> str:
        """Return a position in percent of the width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    def after(self, value: float) -> str:
        """Return the width from a position to the right end, in percent."""
        return f"{100 * (self.high - value) / (self.high - self.low):.2f}%"

    @property
    def ticks(self) -> list[tuple[str, str, bool]]:
        """The round values between the ends; True marks every second one from 0: a narrow page leaves its text out."""
        values = MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        inside = [value for value in values if self.low <= value <= self.high]
        step = values[1] - values[0]
        return [(self.at(value), _number(value, self.signed), bool(round(value / step) % 2)) for value in inside]


def axis_of(changes: Iterable[Change | None]) -> Axis:
    """Return an axis that holds 0 and every interval, with some room on both sides."""
    ends = [end for change in changes if change for end in (change.low, change.high, change.value) if isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.08 * (high - low or 0.1)
    return Axis(low - room, high + room)


def first_screen(answered: Mapping[Place, Sequence[str]]) -> list[dict[str, Any]]:
    """Return what the template shows of each place, with the sentences on it."""
    return [
        {
            "place": place,
            "conclusions": conclusions,
            "unit": Axis(-0.02, 1.02, signed=False),
            "axes": {
                "gap": axis_of(line.gap_change for line in place.lines),
                "auc": axis_of(line.auc_change for line in place.lines),
            },
            "rates": _rates(place),
            "lines": [(line, _tip(line, place), _signed(line.auc_change)) for line in place.ordered],
        }
        for place, conclusions in answered.items()
    ]


def _rates(place: Place) -> list[dict[str, Any]]:
    """Return the rows of the drawing of Baseline's rates: their name, values by group, and where their distance stands.

    It stands above the middle of the two or, near an end of the axis, so that it does not leave the drawing.
    """
    rows = []
    for title, name in (("found", "tpr"), ("false alarm", "fpr")):
        values = [getattr(group, name) for group in place.groups]
        known = [value for value in values if isfinite(value)]
        if known:
            low, high = min(known), max(known)
            middle = (low + high) / 2
            anchor, at = ("start", low) if middle < 0.25 else ("end", high) if middle > 0.75 else ("middle", middle)
            rows.append({"title": title, "values": values, "low": low, "high": high, "anchor": anchor, "told_at": at})
    return rows


def _tip(line: Line, place: Place) -> str:
    """Return the numbers of a line in words, for those who hover or listen."""
    parts = [_says(place.gap_title, line.gap_change), _says("AUC", line.auc_change)]
    marks = [line.why] if line.why else []
    marks += ["levelled down"] if line.levelled_down else []
    marks += ["needs the attribute of every patient"] if line.needs_attribute else []
    return "; ".join([f"{line.label}: {', '.join(filter(None, parts)) or 'not compared'}", *marks])


def _says(title: str, change: Change | None) -> str:
    if change is None:
        return ""
    word = "supported" if change.supported else "not supported"
    ends = f" ({_number(change.low, True)} to {_number(change.high, True)})" if isfinite(change.low) else ""
    return f"{title} {_number(change.value, True)}{ends}, {word}"


def _signed(change: Change | None) -> str:
    return signed(change.value, DECIMALS) if change else "–"


def _number(value: float, sign: bool) -> str:
    text = f"{value:+.3f}" if sign else f"{value:.2f}"
    text = text.rstrip("0").rstrip(".") if sign and value else text
    return "0" if not value else text.replace("-", "−")
