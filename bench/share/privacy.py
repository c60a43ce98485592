"""What of a cell leaves the house: a list of what does, so that nothing else can.

Logs but for two values, warnings and messages of errors stay: they are words of methods and of the machine, and may
name an image or a path. So does the name of the host. Of sets with few images of a group and class less leaves, as in
a report with the same `--min-cell` (see `bench.report.numbers.suppression`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.figures.sweeps import RESET
from bench.report.numbers.aggregate import IN_DOMAIN
from bench.report.numbers.suppression import withheld
from bench.report.numbers.task_info import TaskInfo
from bench.score.definitions import METRICS

ALWAYS = ("schema", "hash", "cell", "synthetic", "smoke", "unreadable", "metrics_version", "baseline")
"""Keys of a cell that are handed on as they are."""
ENVIRONMENT = ("bench", "commit", "changed_files", "python", "versions", "device")
COSTS = ("seconds", "peak_memory_bytes", "parameters_changed")
LOGGED = ("given_baseline", RESET)
"""Of the log: whether a baseline is a model of the site's own, and the share that Figure 6 marks."""
COUNTED_COSTS = ("images_forward", "images_backward", "epochs_equivalent")
"""Costs from which the size of the external set follows."""
PAIR = ("best", "worst", "skipped")
TUNED = ("objective", "chosen", "trials", "failed", "undefined")
TUNED_COSTS = ("images_forward", "images_backward")
_PATH = re.compile(r"(?<![\w./])~?/(?:[^\s/'\",:=][^/'\",:=\n]*/)*(?=[^\s/'\",:=])")
"""An absolute path but for its last part; folders may have spaces in their names."""


def leaving(
    cells: Sequence[dict[str, Any]], info: TaskInfo, *, beside: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the cells as they are handed on, less what `info.min_cell` withholds of them or of cells `beside`."""
    gone = withheld([*cells, *beside], info)
    return [pathless(_cell(item, gone, info.min_cell)) for item in cells]


def arrived(item: dict[str, Any]) -> dict[str, Any]:
    """Return a cell that left as reports read it: a number that is withheld as small is 0, and printed as `<N`."""
    scores = {name: {**one, "n": one["n"] or 0} for name, one in item["scores"].items()}
    if "tuned" not in item:
        return {**item, "scores": scores}
    held = {"holdout": {"n": item["tuned"]["holdout"]["n"] or 0}}
    return {**item, "scores": scores, "tuned": dict.fromkeys(TUNED_COSTS, 0) | item["tuned"] | held}


def leaving_failures(failures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return failures by the class of their error alone."""
    return [pathless({"cell": item["cell"], "error": {"class": item["error"]["class"]}}) for item in failures]


def pathless(value: Any) -> Any:
    """Return JSON with every absolute path in it cut down to its last part."""
    if isinstance(value, str):
        return _PATH.sub("", value)
    if isinstance(value, Mapping):
        return {pathless(key): pathless(one) for key, one in value.items()}
    return [pathless(one) for one in value] if isinstance(value, list | tuple) else value


def _cell(item: dict[str, Any], gone: Mapping[str, frozenset[str]], min_cell: int) -> dict[str, Any]:
    counted = IN_DOMAIN not in gone
    kept = _some(item, ALWAYS)
    kept["environment"] = _some(item.get("environment", {}), ENVIRONMENT)
    kept["scores"] = {name: _scores(scores, gone.get(name), min_cell) for name, scores in item["scores"].items()}
    kept["data"] = {
        name: facts if counted or name != "external" else _some(facts, ("sha",)) for name, facts in item["data"].items()
    }
    kept["cost"] = _some(item["cost"], COSTS + COUNTED_COSTS * counted)
    if counted:
        kept |= _some(item, ("external_repeats",))
    if "pair" in item:
        kept["pair"] = _some(item["pair"], PAIR)
    if "tuned" in item:
        held = {"holdout": {"n": number_or_none(item["tuned"]["holdout"]["n"], min_cell)}}
        kept["tuned"] = _some(item["tuned"], TUNED + TUNED_COSTS * counted) | held
    if logged := _logged(item.get("log", {})):
        kept["log"] = logged
    return kept


def _logged(log: Mapping[str, Any]) -> dict[str, Any]:
    found = _some(log, LOGGED)
    # Any method may log anything under this name.
    return {name: value for name, value in found.items() if name != RESET or isinstance(value, float)}


def _scores(scores: dict[str, Any], gone: frozenset[str] | None, min_cell: int) -> dict[str, Any]:
    """Return all scores of a set, or its size and what is shown, and under `withheld` what is not."""
    if gone is None:
        return scores
    shown = [name for name in METRICS if name not in gone]
    kept = _some(scores, (*shown, "degenerate")) if shown else {}
    return {**kept, "n": number_or_none(scores["n"], min_cell), "groups": {}, "withheld": sorted(gone)}


def number_or_none(n: int, min_cell: int) -> int | None:
    """A number of images, None where it is small."""
    return None if n < min_cell else n


def _some(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}
