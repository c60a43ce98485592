"""Compute one cell: one method on one fold, from tables to a stored result."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import nn

from bench.api import FOLD_SPLITS, NO_GROUP, Input, Method, Vector
from bench.cells import store
from bench.cells.identity import BASELINE, SCHEMA, Cell, shared_folder
from bench.cells.record import Choice, Facts, Images, Numbers, Pair, Record, decode
from bench.cells.rescore import set_scores
from bench.data import group_pair
from bench.data.augment import channel_statistics
from bench.data.cache import ImageCache
from bench.data.image_split import ImageSplit
from bench.data.sample_table import without_group
from bench.data.set_facts import set_facts
from bench.data.task_data import TaskData, open_data
from bench.errors import DataInvalid, EmptyGroup, NonFinite, PluginBroken
from bench.learn.device import choose_kernels, device, keep_memory
from bench.learn.predict import check_alone, predict
from bench.learn.wrappers import check_storable
from bench.lease import lease
from bench.net import Net
from bench.running import environment, pictures
from bench.running.cell_facts import cost_of, predictions, pretraining
from bench.running.context import CellRun, SharedCache, Splits, uncounted
from bench.running.plan import (
    PlannedCell,
    build_method,
    cell_hash,
    checkpoint_file,
    describe_cell,
    has_weights,
)
from bench.running.pretraining import SEEN, judge_given, load_baseline, take_baseline, train_baseline
from bench.running.probe import features_of, probed
from bench.scoring.definitions import VERSION
from bench.scoring.metrics import evaluate, score_sets
from bench.settings import Settings, command, of_tables
from bench.weights import written

OPEN = 2
"""Tasks whose tables a process keeps open. The cells of a task follow each other."""
WAIT = 1.0
"""Seconds until a cell looks again whether the baseline that another one trains is there."""


class Fitted(NamedTuple):
    """A fitted model, and what it was fitted with."""

    data: TaskData
    pair: Pair | None
    method: Method
    run: CellRun
    model: nn.Module
    grouped: bool
    """Whether the model is called with the attribute of the images."""
    baseline: Net
    baseline_sha: str
    seconds: float


def fit_cell(planned: PlannedCell, report: Callable[[str], None] | None = None) -> Fitted:
    """Fit the method of a cell; nothing is stored but, by the cell of a baseline, its weights."""
    cell, settings, started = planned.cell, planned.settings, time.perf_counter()
    data = open_task(settings)
    if cell_hash(cell, data, settings.plugins) != planned.hash:
        raise DataInvalid(f"the images or the table of {cell.task} changed during the run: run again")
    torch.set_num_threads(data.task.recipe.threads)
    choose_kernels(data.task.recipe, device().type)
    keep_memory()
    splits = open_splits(settings, data, cell.fold)
    baseline, baseline_sha = _baseline(planned, data, report)

    method = build_method(cell.runs, settings.plugins)
    data, pair = _choose_pair(data, baseline, splits["val"])
    splits = open_splits(settings, data, cell.fold)
    fitting, shared = _for_methods(splits, data), _shared_cache(settings, data, cell, method, baseline_sha)
    run = CellRun(baseline, data.task.recipe, fitting, method.uses, cell, report=report, shared_cache=shared)
    model = uncounted(_fit(method, run, data, cell))
    grouped = method.needs_attribute and model is not run.model  # where nothing can be fitted, it is the baseline
    return Fitted(data, pair, method, run, model, grouped, baseline, baseline_sha, time.perf_counter() - started)


def run_cell(
    planned: PlannedCell, report: Callable[[str], None] | None = None, before_saving: Callable[[], None] = lambda: None
) -> Record:
    """Compute one cell, store it and return its record. Errors are raised, not stored."""
    cell, settings = planned.cell, planned.settings
    fitted = fit_cell(planned, report)
    data, run, model = fitted.data, fitted.run, fitted.model
    splits = open_splits(settings, data, cell.fold)
    opened = {name: splits[name]() for name in ("val", *data.task.ood)}
    logits, known = _logits(fitted, opened, cell)
    if data.user_checkpoint is not None and cell.spec == BASELINE:
        judge_given(run, logits["val"], opened["val"].y.cpu().numpy(), opened["val"].given)
    sets = {name: (logits[name], split.y.cpu().numpy(), split.a.cpu().numpy()) for name, split in opened.items()}
    first = next(iter(data.task.ood))
    shown = b"" if data.selecting else _pictures(fitted, opened[first], logits[first])
    weights = _weights(fitted) if settings.keep_models else b""
    attribute, groups = data.task.attribute.column, data.task.attribute.names
    read = ("train", "external", *opened)
    images = {name: Images(**facts) for name, facts in _fingerprints(data, cell.fold, read).items()}
    record = Record(
        schema=SCHEMA,
        hash=planned.hash,
        cell=describe_cell(cell, fitted.method),
        synthetic=data.synthetic,
        attributes={attribute: groups},
        data=images,
        left_out={name: found for name, table in data.tables.items() if (found := table.attrs.get("left_out"))},
        without_group={name: found for name, table in data.tables.items() if (found := without_group(table))},
        facts={name: set_facts(table, data.task.label) for name, table in data.tables.items()},
        scores={name: set_scores(found, attribute) for name, found in score_sets(sets, groups).items()},
        metrics_version=VERSION,
        cost=msgspec.structs.replace(
            cost_of(run, fitted.baseline, model, images.get("external"), fitted.seconds),
            pretraining_images=pretraining(cell, data),
        ),
        external_repeats=data.repeats(cell.fold) if "external" in fitted.method.uses and not data.unpaired else None,
        pair=fitted.pair,
        log=Facts(run.facts),
        warnings=tuple(run.warnings),
        probe=known,
        baseline_sha256=fitted.baseline_sha,
        environment=environment.describe(data.task.recipe),
        tuned=decode(cell.choice.encode(), Choice) if cell.choice else None,
    )
    before_saving()
    patients = {name: data.split(name, cell.fold)["patient"] for name in opened}
    return store.save_cell(
        settings.results, cell, record, predictions(opened, sets, patients, attribute), shown, weights
    )


def _logits(fitted: Fitted, opened: Mapping[str, ImageSplit], cell: Cell) -> tuple[dict[str, np.ndarray], Numbers]:
    """Return the logits (N,) of a fitted model on each set, and what its features know of the attribute.

    An error names the spec of the cell.
    """
    model, grouped = fitted.model, fitted.grouped
    seen = {name: recoded(split, fitted.data) if grouped else split for name, split in opened.items()}
    try:
        with features_of(model) as kept:
            logits = {}
            for name, split in seen.items():
                kept.set = name
                logits[name] = predict(model, split, fitted.run.log, grouped=grouped)
        check_alone(model, seen["val"], logits["val"], grouped=grouped)
    except (NonFinite, PluginBroken) as error:
        raise type(error)(f"{cell.spec}: {error}") from None
    return {name: z.cpu().numpy() for name, z in logits.items()}, probed(kept, opened)


def _weights(fitted: Fitted) -> bytes:
    """Return the file of a model's weights; without one, a warning, if a stored model could not be built again."""
    try:
        check_storable(fitted.model, fitted.baseline)
    except PluginBroken as error:
        fitted.run.warn(f"--keep-models: the weights of {type(fitted.method).title} are not kept: {error}")
        return b""
    return written(fitted.model)


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
def input_of(settings: Settings, fold: int) -> Input:
    """Return what the network is given: with the statistics of the backbone, or with those of the training images."""
    data = _open_task(settings)
    given = data.input
    stated = data.user_checkpoint is not None and (data.task.baseline.mean or data.task.baseline.std)
    if data.task.recipe.pretrain_statistics == "imagenet" or stated or isinstance(given, Vector):
        return given
    source, scale = _open_caches(settings)["source"], given.high - given.low
    mean, std = channel_statistics(source.array, source.rows(data.joint.split("train", fold)["uid"]))
    return dataclasses.replace(
        given, mean=tuple(given.low + scale * value for value in mean), std=tuple(scale * value for value in std)
    )


def open_splits(settings: Settings, data: TaskData, fold: int) -> Splits:
    """Return functions that open each split of a fold and each test set from the image caches."""
    tables = of_tables(settings)
    caches, given = _open_caches(tables), input_of(tables, fold)

    def split(name: str) -> ImageSplit:
        table, cached = data.split(name, fold), caches.get(name, caches["source"])
        rows, augment = cached.rows(table["uid"]), "none" if isinstance(given, Vector) else data.task.recipe.augment
        y, a, uids = (table[column].to_numpy() for column in ("y", "a", "uid"))
        return ImageSplit(name, cached.array, rows, y, a, uids, device(), augment, given)

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

    def grouped(name: str) -> ImageSplit:
        split = splits[name]()
        return recoded(split.where(split.a != NO_GROUP), data)

    return {"external": splits["external"], "train": partial(grouped, "train"), "val": partial(grouped, "val")}


def codes_of(names: Sequence[str], worst: str | None) -> tuple[int, ...]:
    """Return the code under which methods see each group: 1 for the `worst` of two groups without an order."""
    return tuple(int(name == worst) for name in names) if worst and len(names) == 2 else tuple(range(len(names)))


def recoded(split: ImageSplit, data: TaskData) -> ImageSplit:
    """Return a split with the groups as methods see them; an image without a group stays without one."""
    part, names = copy.copy(split), data.task.attribute.names
    codes = codes_of(names, names[data.pair.worst] if data.pair else None)
    part.a = torch.tensor([*codes, NO_GROUP], device=split.a.device)[split.a]
    return part


def _baseline(planned: PlannedCell, data: TaskData, report: Callable[[str], None] | None) -> tuple[Net, str]:
    """Return the baseline of a cell's fold and the SHA-256 of its file, which the cell of the baseline writes."""
    cell, settings, joint = planned.cell, planned.settings, data.joint
    file = checkpoint_file(settings.cache, planned.origin)
    while cell.spec == BASELINE and not has_weights(planned, verify=True):
        with lease(file.with_suffix("")) as other:
            if other is None and not has_weights(planned, verify=True):
                if has_weights(planned) and report:
                    report("its cached weights are damaged: they are made again")
                if data.user_checkpoint is None:
                    splits = open_splits(settings, joint, cell.fold)
                    train_baseline(file, cell, joint, splits, report, prepare=command("prepare", settings))
                else:
                    take_baseline(file, data.user_checkpoint.file(cell.fold), data)
        if other is not None:  # a cell of another task, which has the same baseline
            if report:
                report(f"waits for the same baseline, which {other} trains")
            time.sleep(WAIT)
    baseline, sha256 = load_baseline(file, data)
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


def _pictures(fitted: Fitted, split: ImageSplit, logits: np.ndarray) -> bytes:
    """Return the file with the strips that the method kept, and maps of a few images of a test set."""
    run = fitted.run
    maps = {} if fitted.grouped else pictures.maps(fitted.model, split, logits)
    if not maps:
        run.log(no_activation_maps="the logit is no linear function of globally pooled maps")
    found = {**maps, **run.strips}
    return pictures.packed(found) if found else b""
