"""Compute one cell: one method on one fold, from tables to a stored result."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch
from torch import nn

from bench.api import FOLD_SPLITS, NO_GROUP, Method
from bench.cells import store
from bench.cells.identity import BASELINE, SCHEMA, Cell, shared_folder
from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Choice, Cost, Facts, Images, Numbers, Pair, Record, decode
from bench.cells.rescore import set_scores
from bench.data import group_pair
from bench.data.augment import IMAGENET, Statistics, channel_statistics
from bench.data.cache import ImageCache
from bench.data.image_split import ImageSplit
from bench.data.sample_table import without_group
from bench.data.set_facts import set_facts
from bench.data.task_data import TaskData, open_data
from bench.errors import DataInvalid, EmptyGroup, NonFinite, PluginBroken
from bench.learn.device import device, keep_memory
from bench.learn.predict import predict
from bench.lease import lease
from bench.net import Net
from bench.run import environment, pictures
from bench.run.context import CellRun, SharedCache, Splits, uncounted
from bench.run.plan import PRETRAIN_SPLITS, PlannedCell, build_method, cell_hash, checkpoint_file, describe_cell
from bench.run.pretraining import SEEN, load_baseline, take_baseline, train_baseline
from bench.score.definitions import VERSION
from bench.score.metrics import evaluate, score_sets
from bench.settings import Settings, command, of_tables

OPEN = 2
"""Tasks whose tables a process keeps open. The cells of a task follow each other."""
WAIT = 1.0
"""Seconds until a cell looks again whether the baseline that another one trains is there."""


def run_cell(
    planned: PlannedCell, report: Callable[[str], None] | None = None, before_saving: Callable[[], None] = lambda: None
) -> Record:
    """Compute one cell, store it and return its record. Errors are raised, not stored."""
    cell, settings, started = planned.cell, planned.settings, time.perf_counter()
    data = open_task(settings)
    if cell_hash(cell, data, settings.plugins) != planned.hash:
        raise DataInvalid(f"the images or the table of {cell.task} changed during the run: run again")
    torch.set_num_threads(data.task.recipe.threads)
    keep_memory()
    splits = open_splits(settings, data, cell.fold)
    baseline, baseline_sha = _baseline(planned, data, splits, report)

    method = build_method(cell.runs, settings.plugins)
    data, pair = _choose_pair(data, baseline, splits["val"])
    splits = open_splits(settings, data, cell.fold)
    fitting, shared = _for_methods(splits, data), _shared_cache(settings, data, cell, method, baseline_sha)
    run = CellRun(baseline, data.task.recipe, fitting, method.uses, cell, report=report, shared_cache=shared)
    model = uncounted(_fit(method, run, data, cell))
    seconds = time.perf_counter() - started

    opened = {name: splits[name]() for name in ("val", *data.task.ood)}
    try:
        logits = {name: predict(model, split, run.log).cpu().numpy() for name, split in opened.items()}
    except NonFinite as error:
        raise NonFinite(f"{cell.spec}: {error}") from None
    sets = {name: (logits[name], split.y.cpu().numpy(), split.a.cpu().numpy()) for name, split in opened.items()}
    first = next(iter(data.task.ood))
    shown = b"" if data.selecting else _pictures(run, model, opened[first], logits[first])
    attribute, groups = data.task.attribute.column, data.task.attribute.names
    read = ("train", "external", *opened)
    images = {name: Images(**facts) for name, facts in _fingerprints(data, cell.fold, read).items()}
    record = Record(
        schema=SCHEMA,
        hash=planned.hash,
        cell=describe_cell(cell, method),
        synthetic=data.synthetic,
        attributes={attribute: groups},
        data=images,
        left_out={name: found for name, table in data.tables.items() if (found := table.attrs.get("left_out"))},
        without_group={name: found for name, table in data.tables.items() if (found := without_group(table))},
        facts={name: set_facts(table, data.task.label) for name, table in data.tables.items()},
        scores={name: set_scores(found, attribute) for name, found in score_sets(sets, groups).items()},
        metrics_version=VERSION,
        cost=msgspec.structs.replace(
            _cost(run, baseline, model, images.get("external"), seconds), pretraining_images=_pretraining(cell, data)
        ),
        external_repeats=data.repeats(cell.fold) if "external" in method.uses and not data.unpaired else None,
        pair=pair,
        log=Facts(run.facts),
        warnings=tuple(run.warnings),
        baseline_sha256=baseline_sha,
        environment=environment.describe(data.task.recipe),
        tuned=decode(cell.choice.encode(), Choice) if cell.choice else None,
    )
    before_saving()
    patients = {name: data.split(name, cell.fold)["patient"] for name in opened}
    return store.save_cell(settings.results, cell, record, _predictions(opened, sets, patients, attribute), shown)


def open_task(settings: Settings) -> TaskData:
    """Return the tables of the task without unreadable images. A process keeps those of the last tasks."""
    return _open_task(of_tables(settings))


@lru_cache(OPEN)
def _open_task(settings: Settings) -> TaskData:
    # The run looked at the files before it sent its cells; each worker would ask for all of them again.
    return open_data(settings, trust=True)


@lru_cache(OPEN)
def _open_caches(settings: Settings) -> dict[str, ImageCache]:
    return _open_task(settings).caches(settings.cache)


@lru_cache(OPEN * 5)
def _statistics(settings: Settings, fold: int) -> Statistics:
    """Return the statistics by which all images of a fold are standardised (`pretrain_statistics` of the recipe)."""
    data = _open_task(settings)
    if data.task.recipe.pretrain_statistics == "imagenet":
        return IMAGENET
    source = _open_caches(settings)["source"]
    return channel_statistics(source.array, source.rows(data.split("train", fold)["uid"]))


def open_splits(settings: Settings, data: TaskData, fold: int) -> Splits:
    """Return functions that open each split of a fold and each test set from the image caches."""
    tables = of_tables(settings)
    caches, statistics = _open_caches(tables), _statistics(tables, fold)

    def split(name: str) -> ImageSplit:
        table, cached = data.split(name, fold), caches.get(name, caches["source"])
        rows, augment = cached.rows(table["uid"]), data.task.recipe.augment
        y, a, uids = (table[column].to_numpy() for column in ("y", "a", "uid"))
        return ImageSplit(name, cached.array, rows, y, a, uids, device(), augment, statistics)

    return {name: partial(split, name) for name in (*FOLD_SPLITS, *data.task.ood)}


def _choose_pair(data: TaskData, baseline: Net, open_val: Callable[[], ImageSplit]) -> tuple[TaskData, Pair | None]:
    """Return the data with the pair of groups that the baseline's AUCs on `val` choose, and its entry in the record.

    With two groups in a known order nothing is chosen and nothing stored. Every cell of a fold scores `val` again, at
    the cost of a forward pass, so that no cell depends on a file of another.
    """
    names = data.task.attribute.names
    if not data.task.attribute.grouped:
        return data, None
    val = open_val()
    scores = evaluate(predict(baseline, val).cpu().numpy(), val.y.cpu().numpy(), val.a.cpu().numpy(), names)
    chosen, aucs = group_pair.choose(scores["groups"])
    best, worst = (names[chosen.best], names[chosen.worst]) if chosen else (None, None)
    known = Numbers({name: auc for name, auc in aucs.items() if not math.isnan(auc)})
    skipped = tuple(name for name in aucs if name not in known)
    return dataclasses.replace(data, pair=chosen), Pair(best=best, worst=worst, skipped=skipped, auc=known)


def _for_methods(splits: Splits, data: TaskData) -> Splits:
    """Return the splits that a method may read, whatever it declares: there is no way to a test set.

    Images whose attribute is not known are left out. Two groups without an order are coded in `train` and `val` as in
    the external set: 1 for the worst.
    """
    pair, names = data.pair, data.task.attribute.names

    def grouped(name: str) -> ImageSplit:
        split = splits[name]()
        split = split.where(split.a != NO_GROUP)
        if pair is not None and len(names) == 2:
            split.a = (split.a == pair.worst).long()
        return split

    return {"external": splits["external"], "train": partial(grouped, "train"), "val": partial(grouped, "val")}


def _baseline(
    planned: PlannedCell, data: TaskData, splits: Splits, report: Callable[[str], None] | None
) -> tuple[Net, str]:
    """Return the baseline of a cell's fold and the SHA-256 of its file, which the cell of the baseline writes."""
    cell, settings = planned.cell, planned.settings
    file = checkpoint_file(settings.cache, planned.origin)
    while cell.spec == BASELINE and not file.is_file():
        with lease(file.with_suffix("")) as other:
            if other is None and not file.is_file():
                if data.user_checkpoint is None:
                    train_baseline(file, cell, data, splits, report, prepare=command("prepare", settings))
                else:
                    take_baseline(file, data.user_checkpoint.file(cell.fold), cell.backbone)
        if other is not None:  # a cell of another task, which has the same baseline
            if report:
                report(f"waits for the same baseline, which {other} trains")
            time.sleep(WAIT)
    baseline, sha256 = load_baseline(file, cell.backbone)
    return baseline.to(device()), sha256


def _fit(method: Method, run: CellRun, data: TaskData, cell: Cell) -> nn.Module:
    """Return the fitted model; in a fold without a pair of groups to fit on, the baseline, with a warning."""
    if data.user_checkpoint is not None and cell.spec == BASELINE:
        run.log(user_checkpoint=data.user_checkpoint.sha256(cell.fold))
        if data.user_checkpoint.shared:
            run.warn(SEEN)
    if data.task.external == 0 and "external" in method.uses:
        return run.model  # without an external set there is nothing to fit on
    if data.unpaired:
        run.warn(
            f"fold {cell.fold}: no two groups of '{data.task.attribute.column}' have {group_pair.LEAST} validation "
            "images of each class and different baseline AUCs: every method returns the baseline there"
        )
        return run.model
    if data.pair is not None and "external" in method.uses and (repeats := data.repeats(cell.fold)):
        run.warn(
            f"fold {cell.fold}: {repeats} images of the external set are repeats, because the larger group of its pair "
            "has fewer images of a class than the smaller one"
        )
    model = method.fit(run)
    if not isinstance(model, nn.Module):
        raise PluginBroken(f"{cell.spec}: fit returned {type(model).__name__}, a torch module expected")
    return model


def _shared_cache(settings: Settings, data: TaskData, cell: Cell, method: Method, baseline: str) -> SharedCache:
    """Return the shared cache of this fold; its key covers everything that a cached value depends on."""
    recipe, images = dataclasses.asdict(data.task.recipe), _fingerprints(data, cell.fold, ("train", "val", "external"))
    identity = {"schema": SCHEMA, "baseline": baseline, "recipe": recipe, "data": images, "version": method.version}
    return SharedCache(shared_folder(settings.cache), identity)


def _fingerprints(data: TaskData, fold: int, names: Iterable[str]) -> dict[str, Any]:
    """Return the fingerprints of the splits that exist: a fold may lack an external set that no method reads."""
    found = {}
    for name in names:
        with contextlib.suppress(EmptyGroup):
            found[name] = data.fingerprint(name, fold)
    return found


def _pictures(run: CellRun, model: nn.Module, split: ImageSplit, logits: np.ndarray) -> bytes:
    """Return the file with the strips that the method kept, and maps of a few images of a test set."""
    maps = pictures.maps(model, split, logits)
    if not maps:
        run.log(no_activation_maps="the logit is no linear function of globally pooled maps")
    found = {**maps, **run.strips}
    return pictures.packed(found) if found else b""


def _predictions(
    opened: Mapping[str, ImageSplit],
    sets: Mapping[str, Sequence[np.ndarray]],
    patients: Mapping[str, pd.Series],
    attribute: str,
) -> pd.DataFrame:
    """Return one row per image of each set, with the columns of `bench.cells.predictions`.

    `sets` holds the logits, labels and groups (N,) of each set.
    """
    tables = []
    for name, (logits, y, a) in sets.items():
        columns = {
            "image_id": opened[name].uids,
            "set": name,
            "cluster": pd.factorize(patients[name])[0].astype("int32"),  # by order of first appearance
            "y": y.astype("int8"),
            "logit": logits,
            ATTRIBUTE + attribute: a.astype("int8"),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _pretraining(cell: Cell, data: TaskData) -> int | None:
    """Return the images in the training steps of a baseline, whether this cell trained it or found it trained."""
    if cell.spec != BASELINE or data.user_checkpoint is not None:
        return None
    recipe = data.task.recipe
    return recipe.pretrain_epochs * len(data.split(PRETRAIN_SPLITS[recipe.pretrain_checkpoint][0], cell.fold))


def _cost(run: CellRun, before: nn.Module, after: nn.Module, external: Images | None, seconds: float) -> Cost:
    """Return the cost of the method. `epochs_equivalent` is in epochs of full fine-tuning on the external set."""
    old, new = list(before.parameters()), list(after.parameters())
    same = [p.shape for p in old] == [p.shape for p in new]
    changed = sum(int((p != q).sum()) for p, q in zip(old, new, strict=True)) if same else None
    unit = 3 * external.n if external and external.n else 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(
        seconds=round(seconds, 3),
        peak_memory_bytes=peak * (1 if sys.platform == "darwin" else 1024),
        images_forward=run.passes.forward,
        images_backward=run.passes.backward,
        epochs_equivalent=(run.passes.forward + 2 * run.passes.backward) / unit if unit else None,
        parameters_changed=None if changed is None else changed / sum(p.numel() for p in old),
    )
