"""The records, failures and task infos of all tests: nothing else here knows how a stored cell is nested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.cells.identity import SCHEMA, Cell
from bench.cells.record import COUNTS, Error, Failure, Record, SetScores, decode
from bench.cells.store import read_cell
from bench.files import to_json
from bench.registry import METHODS
from bench.reporting.numbers.task_info import TaskInfo
from bench.running.plan import build_method, describe_cell
from bench.scoring.definitions import METRICS, VERSION
from bench.spec import name_of, untuned

Plain = dict[str, Any]
"""A record as tests write it: the scores of a set are one dictionary, its groups are by name."""
Group = tuple[int, int] | Mapping[str, Any]
"""Negatives and positives, or all that is known of a group."""

WIDE: dict[str, Group] = {"younger": (60, 40), "older": (75, 25)}
KNOWN = frozenset(METHODS.catalogue())
ATTRIBUTE = "age"
GONE = object()
"""What `changed` takes out."""


def task_info(name: str = "demo", **changes: Any) -> TaskInfo:
    """Return what tables say about a task of two groups and two test sets, with `changes`."""
    defaults = {
        "says": "Finding.",
        "synthetic": True,
        "label_names": ("healthy", "ill"),
        "attribute_name": "age",
        "group_names": ("younger", "older"),
        "ood": ("near", "far"),
    }
    return TaskInfo(name=name, **{**defaults, **changes})


def scores(groups: Mapping[str, Group] = WIDE, *, value: float = 0.5, **metrics: Any) -> Plain:
    """Return the scores of one set: every metric is `value` but those given; `degenerate` and `n` may be given too."""
    named = {name: _group(group) for name, group in groups.items()}
    n = sum(group["n"] for group in named.values())
    return dict.fromkeys(METRICS, value) | {"degenerate": False, "n": n} | metrics | {"groups": named}


def record(spec: str = "baseline", fold: int = 0, **given: Any) -> Record:
    """Return a whole cell as it is stored.

    A method that bench knows has its own title, row, version and parameters, any other its name as a title. `scores`
    are by set (by default `scores()` on near, far and val), `data` is set -> (images, fingerprint) and `external` the
    number of images of the external set; `cost` adds to the default one. Any other field replaces that of its name.
    """
    named = {"task": "demo", "backbone": "small", "seed": 0} | given
    cell = Cell(named["task"], named["backbone"], spec, fold, named["seed"])
    method = name_of(spec)
    if method in KNOWN:
        what = msgspec.to_builtins(describe_cell(cell, build_method(untuned(spec))))
    else:
        where = {"task": cell.task, "backbone": cell.backbone, "fold": fold, "seed": cell.seed}
        kind = {"method": method, "title": method.title(), "row": 100, "spec": spec, "parameters": {}, "version": 1}
        what = where | kind
    by_set = given.pop("scores", None) or {name: scores() for name in ("near", "far", "val")}
    found = {
        "schema": SCHEMA,
        "hash": "",
        "cell": what,
        "synthetic": True,
        "data": {"external": {"n": given.pop("external", 100), "sha": "external"}}
        | {name: {"n": one["n"], "sha": name} for name, one in by_set.items()},
        "scores": by_set,
        "metrics_version": VERSION,
        "cost": {"seconds": 1.0, "images_forward": 300, "images_backward": 150},
    }
    return changed(_typed(found), **given)


def changed(item: Record, **changes: Any) -> Record:
    """Return a copy with other values.

    `data` and `cost` add to what is there; `scores` maps a set to metrics that replace those it has, `groups` a set to
    a group to what replaces what it has; any other field, of the record or of its cell, is replaced. What is `GONE`
    in one of the four is taken out.
    """
    found = _plain(item)
    data = changes.pop("data", {})
    _merge(found["data"], {name: one if one is GONE else {"n": one[0], "sha": one[1]} for name, one in data.items()})
    sets = changes.pop("scores", {})
    _merge(found["scores"], {k: one if one is GONE else found["scores"].get(k, {}) | one for k, one in sets.items()})
    for name, groups in changes.pop("groups", {}).items():
        table = found["scores"][name]["groups"]
        for group, values in groups.items():
            table[group] = _merge(dict(table[group]), values)
    _merge(found["cost"], changes.pop("cost", {}))
    for key, value in changes.items():
        (found["cell"] if key in found["cell"] else found)[key] = value
    return _typed(found)


def plain(file: Path) -> Plain:
    """Return a stored cell and its scores as tests write them."""
    return _plain(read_cell(file))


def failure(of: Record, name: str = "NonFinite", message: str = "NaN", **error: Any) -> Failure:
    """Return the failure of a cell whose error is of the class `name`."""
    return Failure(cell=of.cell, error=Error(**{"name": name, "message": message, "traceback": "..."} | error))


def set_scores(found: Plain) -> SetScores:
    """Return the scores of a set as they are stored."""
    return decode(to_json(_nested(found)), SetScores)


def _typed(found: Plain) -> Record:
    groups = next((one["groups"] for one in found["scores"].values() if one.get("groups")), {})
    nested = {name: _nested(one) for name, one in found["scores"].items()}
    return decode(to_json({"attributes": {ATTRIBUTE: list(groups)}} | found | {"scores": nested}), Record)


def _nested(found: Plain) -> Plain:
    own = {name: found[name] for name in SetScores.__struct_fields__ if name in found and name != "metrics"}
    groups = [
        {"name": name}
        | {key: value for key, value in group.items() if key in COUNTS}
        | {"metrics": {key: value for key, value in group.items() if key not in COUNTS}}
        for name, group in found.get("groups", {}).items()
    ]
    own["positives"] = sum(group["positives"] for group in groups)
    metrics = {key: value for key, value in found.items() if key not in (*own, "groups")}
    pooled = {key: metrics.pop(key) for key in ("auc", "tuned_threshold") if key in metrics}
    return own | {"metrics": pooled, "attributes": {ATTRIBUTE: {"groups": groups, "metrics": metrics}}}


def _plain(item: Record) -> Plain:
    """Return a record as tests write it."""
    return msgspec.to_builtins(item) | {"scores": {name: _flat(one) for name, one in item.scores.items()}}


def _flat(found: SetScores) -> Plain:
    own = {key: value for key, value in msgspec.to_builtins(found).items() if key not in ("metrics", "attributes")}
    groups = {
        name: {key: getattr(group, key) for key in COUNTS} | group.metrics for name, group in found.groups.items()
    }
    metrics = {key: value for one in found.attributes.values() for key, value in one.metrics.items()}
    return {**own, **found.metrics, **metrics, "groups": groups}


def _group(group: Group) -> Plain:
    counts = {"negatives": group[0], "positives": group[1]} if isinstance(group, tuple) else dict(group)
    return {"n": counts["negatives"] + counts["positives"]} | counts


def _merge(values: Plain, changes: Mapping[str, Any]) -> Plain:
    values |= changes
    for name in [name for name, value in changes.items() if value is GONE]:
        del values[name]
    return values
