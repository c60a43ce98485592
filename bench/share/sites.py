"""Why results of several sites must not stand in one report, and what a reader of it has to know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from bench.cells.record import Record
from bench.report.numbers.aggregate import BASELINE
from bench.report.render.text import listed
from bench.report.task_results import Material
from bench.share.task_toml import differences

Sites = Mapping[str, Material]


def conflicts(sites: Sites) -> list[str]:
    """Return every reason not to merge, in words; none where the sites ran one task on images of their own."""
    found = _kinds(sites)
    for (name, one), (other_name, other) in combinations(sites.items(), 2):
        pair = (name, other_name)
        found += _definitions(pair, one, other) + _methods(pair, one, other) + _images(pair, one, other)
    return list(dict.fromkeys(found))


def remarks(sites: Sites) -> list[str]:
    """Return what does not forbid a merge and is to be known: rows of one site alone, other code, own baselines."""
    return [*_lacking(sites), *_code(sites), *_given(sites), *_alike_ids(sites)]


def _kinds(sites: Sites) -> list[str]:
    found = []
    kinds = {name: bool(site.info.synthetic) for name, site in sites.items()}
    if len(set(kinds.values())) > 1:
        fake, real = ([name for name, kind in kinds.items() if kind is which] for which in (True, False))
        found.append(f"data: {listed(fake)} generated, {listed(real)} real: never in one report")
    backbones = [{item.cell.backbone for item in site.cells} for site in sites.values()]
    if not set.intersection(*backbones):
        each = "; ".join(f"{name}: {', '.join(sorted(own))}" for name, own in zip(sites, backbones, strict=True))
        found.append(f"backbone: none that all sites ran ({each})")
    return found


def _definitions(pair: tuple[str, str], one: Material, other: Material) -> list[str]:
    return [
        f"task: {field} is {_word(value)} at {pair[0]}, {_word(another)} at {pair[1]}"
        for field, (value, another) in differences(one.task, other.task).items()
    ]


def _methods(pair: tuple[str, str], one: Material, other: Material) -> list[str]:
    ours, theirs = ({item.cell.spec: item for item in site.cells} for site in (one, other))
    found = []
    for spec in ours.keys() & theirs.keys():
        left, right = ours[spec].cell, theirs[spec].cell
        if left.version != right.version:
            found.append(f"method: {spec} of version {left.version} at {pair[0]}, {right.version} at {pair[1]}")
        names = dict.fromkeys([*left.parameters, *right.parameters])
        found += [
            f"method: {spec} with {name} {_word(value)} at {pair[0]}, {_word(another)} at {pair[1]}"
            for name in names
            for value, another in [(left.parameters.get(name), right.parameters.get(name))]
            if value != another
        ]
    versions = [sorted({str(item.metrics_version) for item in site.cells}) for site in (one, other)]
    if versions[0] != versions[1]:
        found.append(
            f"metrics: version {listed(versions[0])} at {pair[0]}, {listed(versions[1])} at {pair[1]}: "
            "`bench metrics --recompute` brings cells up to date"
        )
    return sorted(found)


def _images(pair: tuple[str, str], one: Material, other: Material) -> list[str]:
    """Sets, cells and ids that both have. Of sets that overlap in part only the ids of predictions tell."""
    sets = [_fingerprints(site) for site in (one, other)]
    both = sorted({name for sha in sets[0].keys() & sets[1].keys() for name in sets[0][sha] | sets[1][sha]})
    found = []
    if both:
        found.append(f"images: {pair[0]} and {pair[1]} have the same in {', '.join(both)}")
    ours, theirs = ({item.cell.identity.within: item for item in site.cells} for site in (one, other))
    common = sorted(ours.keys() & theirs.keys())
    equal = [name for name in common if ours[name].hash == theirs[name].hash]
    unlike = [name for name in common if name not in equal and _trained_alike(ours[name], theirs[name])]
    if equal:
        found.append(f"cells: {len(equal)} are at {pair[0]} and at {pair[1]}, first {equal[0]}: one site given twice?")
    if unlike:
        found.append(
            f"cells: {len(unlike)} trained on the same images have one hash at {pair[0]} and another at {pair[1]}, "
            f"first {unlike[0]}: other code, options or baselines"
        )
    shared, agreeing = _shared_ids(one, other)
    if shared and shared == agreeing:
        found.append(f"images: {shared} ids of predictions are at {pair[0]} and at {pair[1]}, alike in label and group")
    return found


def _trained_alike(one: Record, other: Record) -> bool:
    return "train" in one.data and one.data["train"] == other.data.get("train")


def _fingerprints(site: Material) -> dict[str, set[str]]:
    """Names of the sets of each fingerprint, folds taken together."""
    found: dict[str, set[str]] = {}
    for item in site.cells:
        for name, facts in item.data.items():
            if facts.sha:
                found.setdefault(facts.sha, set()).add(name)
    return found


def _shared_ids(one: Material, other: Material) -> tuple[int, int]:
    """How many image ids both sites predict, and how many of them agree in label and group; 0 without predictions."""
    left, right = _ids(one), _ids(other)
    both = left.index.intersection(right.index)
    return len(both), int((left.loc[both] == right.loc[both]).all(axis=1).sum())


def _ids(site: Material) -> pd.DataFrame:
    """Label and group of every image that is predicted, by id: validation parts of all folds, and test sets."""
    tables = [pd.DataFrame({"image_id": [], "y": [], "a": []})]
    for item in site.cells:
        if item.cell.method == BASELINE:
            with contextlib.suppress(FileNotFoundError):  # they stayed at home
                tables.append(site.predictions(item)[["image_id", "y", "a"]])
    return pd.concat(tables).drop_duplicates("image_id").set_index("image_id")


def _lacking(sites: Sites) -> list[str]:
    specs = {name: {(item.cell.backbone, item.cell.spec) for item in b.cells} for name, b in sites.items()}
    several = len({backbone for rows in specs.values() for backbone, _ in rows}) > 1
    found = []
    for row in sorted(set.union(*specs.values())):
        lacking = [name for name, own in specs.items() if row not in own]
        if lacking:
            found.append(f"{f'{row[1]}, {row[0]}' if several else row[1]}: not run at {listed(lacking)}.")
    return found


def _code(sites: Sites) -> list[str]:
    versions = {
        name: listed(sorted({item.environment.bench if item.environment else "?" for item in site.cells}))
        for name, site in sites.items()
    }
    each = "; ".join(f"{name}: {version}" for name, version in versions.items())
    return [f"Computed by different versions of bench ({each})."] if len(set(versions.values())) > 1 else []


def _given(sites: Sites) -> list[str]:
    own = [name for name, b in sites.items() if any("given_baseline" in item.log for item in b.cells)]
    rest = [name for name in sites if name not in own]
    return [f"Baseline is a model of the site's own at {listed(own)}, trained by the task at {listed(rest)}."] * bool(
        own and rest
    )


def _alike_ids(sites: Sites) -> list[str]:
    found = []
    for (name, one), (other_name, other) in combinations(sites.items(), 2):
        shared, agreeing = _shared_ids(one, other)
        if agreeing < shared:
            found.append(
                f"{shared} image ids are at {name} and at {other_name}, {shared - agreeing} of them with another label "
                "or group: taken for running numbers of different images."
            )
    return found


def _word(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "(" + ", ".join(map(_word, value)) + ")"
    return "not set" if value is None else str(value)
