"""Reasons why results of several sites must not be merged, and facts that a reader of a merge has to know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from bench.reporting.numbers.aggregate import BASELINE
from bench.reporting.numbers.grouping import grouped
from bench.reporting.render.text import listed
from bench.reporting.task_results import TaskResults
from bench.share.task_toml import differences

Sites = Mapping[str, TaskResults]


def conflicts(sites: Sites) -> list[str]:
    """Return every reason not to merge; none if the sites ran one task, each on its own images."""
    found = _kinds(sites)
    for (name, one), (other_name, other) in combinations(sites.items(), 2):
        names = (name, other_name)
        found += [f"task: {field} is {_at(names, *both)}" for field, both in differences(one.task, other.task).items()]
        found += _methods(names, one, other) + _images(names, one, other)
    found += _metrics(sites)
    return list(dict.fromkeys(found))


def remarks(sites: Sites) -> list[str]:
    """Return differences that do not prevent a merge: methods of some sites only, other code, own baselines."""
    return [*_lacking(sites), *_code(sites), *_own_baselines(sites), *_equal_ids(sites)]


def _kinds(sites: Sites) -> list[str]:
    found = []
    if empty := [name for name, site in sites.items() if not site.cells]:
        found.append(f"cells: no usable results at {listed(empty)}")
    fake = [name for name, site in sites.items() if site.info.synthetic]
    if 0 < len(fake) < len(sites):
        real = [name for name in sites if name not in fake]
        found.append(f"data: {listed(fake)} generated, {listed(real)} real: never in one report")
    backbones = {name: {item.cell.backbone for item in site.cells} for name, site in sites.items() if site.cells}
    if backbones and not set.intersection(*backbones.values()):
        each = "; ".join(f"{name}: {', '.join(sorted(own))}" for name, own in backbones.items())
        found.append(f"backbone: none that all sites ran ({each})")
    return found


def _methods(names: tuple[str, str], one: TaskResults, other: TaskResults) -> list[str]:
    ours, theirs = ({item.cell.spec: item.cell for item in site.cells} for site in (one, other))
    found = []
    for spec in ours.keys() & theirs.keys():
        left, right = ours[spec], theirs[spec]
        if left.version != right.version:
            found.append(f"method: {spec} of version {_at(names, left.version, right.version)}")
        for name in dict.fromkeys([*left.parameters, *right.parameters]):
            both = left.parameters.get(name), right.parameters.get(name)
            if both[0] != both[1]:
                found.append(f"method: {spec} with {name} {_at(names, *both)}")
    return sorted(found)


def _metrics(sites: Sites) -> list[str]:
    """Compare the versions of the metrics, and say how the older cells are brought up to date."""
    scored = {name: site.cells for name, site in sites.items() if site.cells}
    versions = {name: sorted({item.metrics_version for item in cells}) for name, cells in scored.items()}
    if len(set(map(tuple, versions.values()))) < 2:
        return []
    newest = [max(map(max, versions.values()))]
    each = ", ".join(f"{listed(map(str, own))} at {name}" for name, own in versions.items())
    older = [_recompute(name, sites[name]) for name, own in versions.items() if own != newest]
    return [f"metrics: version {each}: {'; '.join(older)}"]


def _recompute(name: str, site: TaskResults) -> str:
    """Return how the metrics of a site are brought up to date; those of an archive can only be recomputed there."""
    if not site.info.settings:
        return f"{name} has to recompute its metrics and export again"
    return f"`{site.info.command('metrics', '--recompute')}` brings {name} up to date"


def _images(names: tuple[str, str], one: TaskResults, other: TaskResults) -> list[str]:
    """Compare sets, cells and, if there are predictions, image ids: only ids reveal sets that overlap in part."""
    found = []
    left, right = (_fingerprints(site) for site in (one, other))
    if both := sorted({name for sha in left.keys() & right.keys() for name in left[sha] | right[sha]}):
        found.append(f"images: {names[0]} and {names[1]} have the same in {', '.join(both)}")
    ours, theirs = ({item.cell.identity.within: item for item in site.cells} for site in (one, other))
    common = sorted(ours.keys() & theirs.keys())
    equal = [name for name in common if ours[name].hash and ours[name].hash == theirs[name].hash]
    trained = [{name: site[name].data.get("train") for name in common} for site in (ours, theirs)]
    alike = [name for name in common if trained[0][name] and trained[0][name] == trained[1][name]]
    unlike = [name for name in alike if name not in equal]
    if equal:
        found.append(f"cells: {len(equal)} are at {names[0]} and {names[1]}, first {equal[0]}: one site given twice?")
    if unlike:
        found.append(
            f"cells: {len(unlike)} trained on the same images have one hash at {names[0]} and another at {names[1]}, "
            f"first {unlike[0]}: other code, options or baselines"
        )
    shared, agreeing = _shared_ids(one, other)
    if shared and shared == agreeing:
        both_sites = f"at {names[0]} and at {names[1]}"
        found.append(f"images: {shared} ids of predictions are {both_sites}, with the same labels and groups")
    return found


def _fingerprints(site: TaskResults) -> dict[str, set[str]]:
    """Return the names of the sets that have each fingerprint, over all folds."""
    sets = ((facts.sha, name) for item in site.cells for name, facts in item.data.items() if facts.sha)
    return {sha: set(names) for sha, names in grouped(sets).items()}


def _shared_ids(one: TaskResults, other: TaskResults) -> tuple[int, int]:
    """Count the image ids that both sites predict, and those of them that agree in label and group.

    Both counts are 0 without predictions.
    """
    left, right = _ids(one), _ids(other)
    both = left.index.intersection(right.index)
    return len(both), int((left.loc[both] == right.loc[both]).all(axis=1).sum())


def _ids(site: TaskResults) -> pd.DataFrame:
    """Return label and group of every predicted image by id, over the validation parts of all folds and test sets."""
    tables = [pd.DataFrame({"image_id": [], "y": [], "a": []})]
    for item in site.cells:
        if item.cell.method == BASELINE:
            with contextlib.suppress(FileNotFoundError):  # the site did not export them
                tables.append(site.predictions(item)[["image_id", "y", "a"]])
    return pd.concat(tables).drop_duplicates("image_id").set_index("image_id")


def _lacking(sites: Sites) -> list[str]:
    specs = {name: {(item.cell.backbone, item.cell.spec) for item in site.cells} for name, site in sites.items()}
    every = sorted(set.union(*specs.values()))
    several = len({backbone for backbone, _ in every}) > 1
    found = []
    for row in every:
        if lacking := [name for name, own in specs.items() if row not in own]:
            found.append(f"{f'{row[1]}, {row[0]}' if several else row[1]}: not run at {listed(lacking)}.")
    return found


def _code(sites: Sites) -> list[str]:
    versions = {
        name: listed(sorted({item.environment.bench if item.environment else "?" for item in site.cells}))
        for name, site in sites.items()
    }
    each = "; ".join(f"{name}: {version}" for name, version in versions.items())
    return [f"Computed by different versions of bench ({each})."] if len(set(versions.values())) > 1 else []


def _own_baselines(sites: Sites) -> list[str]:
    own = [name for name, site in sites.items() if any("user_checkpoint" in item.log for item in site.cells)]
    rest = [name for name in sites if name not in own]
    if not own or not rest:
        return []
    return [f"Baseline is a checkpoint of the site at {listed(own)}; the task trained it at {listed(rest)}."]


def _equal_ids(sites: Sites) -> list[str]:
    found = []
    for (name, one), (other_name, other) in combinations(sites.items(), 2):
        shared, agreeing = _shared_ids(one, other)
        if agreeing < shared:
            found.append(
                f"{shared} image ids are at {name} and at {other_name}, {shared - agreeing} of them with another label "
                "or group: they are assumed to be running numbers of different images."
            )
    return found


def _at(names: tuple[str, str], value: Any, other: Any) -> str:
    return f"{_word(value)} at {names[0]}, {_word(other)} at {names[1]}"


def _word(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "(" + ", ".join(map(_word, value)) + ")"
    return "not set" if value is None else str(value)
