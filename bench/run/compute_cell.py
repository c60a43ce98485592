"""The main flow: one method on one fold, from tables to a stored result."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import pandas as pd
import torch
from torch import nn

from bench.api import Method
from bench.cells import store
from bench.cells.identity import BASELINE, SCHEMA, Cell, shared_folder
from bench.cells.predictions import ATTRIBUTE
from bench.cells.record import Choice, Cost, Facts, Images, Record, decode, set_scores
from bench.data.cache import ImageCache
from bench.data.image_split import ImageSplit
from bench.data.task_data import FOLD_SPLITS, TaskData, open_data
from bench.errors import DataInvalid, EmptyGroup, NonFinite, PluginBroken
from bench.learn.device import device, keep_memory
from bench.learn.predict import predict
from bench.run import environment, paired_splits, pictures
from bench.run.context import CellRun, SharedCache, uncounted
from bench.run.paired_splits import Splits
from bench.run.plan import PlannedCell, build_method, cell_hash, checkpoint_file, describe_cell
from bench.run.pretraining import SEEN, load_baseline, take_baseline, train_baseline
from bench.score.definitions import VERSION
from bench.score.metrics import score_sets
from bench.settings import Settings


def run_cell(
    planned: PlannedCell,
    settings: Settings,
    report: Callable[[str], None] | None = None,
    before_saving: Callable[[], None] = lambda: None,
) -> Record:
    """Compute one cell, store it and return its record. Anything that goes wrong is raised."""
    cell, started = planned.cell, time.perf_counter()
    data = open_task(settings)
    if cell_hash(cell, data, settings.plugins) != planned.hash:
        raise DataInvalid(f"the images or the table of {cell.task} changed while it ran: run again")
    torch.set_num_threads(data.task.recipe.threads)
    keep_memory()
    splits = open_splits(settings, data, cell.fold)

    file = checkpoint_file(settings.cache, cell, data)
    if cell.spec == BASELINE and not file.is_file():
        if data.user_checkpoint is None:
            train_baseline(file, cell, data, splits, report)
        else:
            take_baseline(file, data.user_checkpoint.file(cell.fold), cell.backbone)
    baseline, baseline_sha = load_baseline(file, cell.backbone)
    baseline.to(device())

    method = build_method(cell.runs, settings.plugins)
    data, pair = paired_splits.choose_pair(data, baseline, splits["val"])
    splits = open_splits(settings, data, cell.fold)
    # Whatever a method declares: there is no way from it to a test set.
    fitting = {name: paired_splits.for_methods(splits, data)[name] for name in ("train", "val", "external")}
    run = CellRun(
        baseline,
        data.task.recipe,
        fitting,
        method.uses,
        seed=cell.seed,
        task=cell.task,
        fold=cell.fold,
        method=cell.spec,
        report=report,
        shared_cache=_shared_cache(settings, data, cell, method, baseline_sha),
    )
    if data.user_checkpoint is not None and cell.spec == BASELINE:
        run.log(given_baseline=data.user_checkpoint.sha256(cell.fold))
        if data.user_checkpoint.shared:
            run.warn(SEEN)
    model = uncounted(_fit(method, run, data, cell))
    seconds = time.perf_counter() - started

    opened = {name: splits[name]() for name in ("val", *data.task.ood)}
    logits = {name: _predict(model, split, cell.spec, run) for name, split in opened.items()}
    shown = b"" if data.selecting else _pictures(run, model, opened, logits, first=next(iter(data.task.ood)))
    attribute, groups = data.task.attribute.column, data.task.attribute.names
    read = ("train", "external", *opened)
    sets = {name: (z, opened[name].y.cpu().numpy(), opened[name].a.cpu().numpy()) for name, z in logits.items()}
    images = {name: Images(**facts) for name, facts in _fingerprints(data, cell.fold, read).items()}
    record = Record(
        schema=SCHEMA,
        hash=planned.hash,
        cell=describe_cell(cell, method),
        synthetic=data.synthetic,
        attributes={attribute: groups},
        data=images,
        unreadable={name: len(images) for name, images in data.unreadable.items() if images},
        scores={name: set_scores(found, attribute) for name, found in score_sets(sets, groups).items()},
        metrics_version=VERSION,
        cost=_cost(run, baseline, model, images.get("external"), seconds),
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
    return store.save_cell(settings.results, cell, record, _predictions(opened, logits, patients, attribute), shown)


@cache
def open_task(settings: Settings) -> TaskData:
    """Return the tables of the task, less the images that cannot be read; read once per process."""
    return open_data(settings)


@cache
def _open_caches(settings: Settings) -> dict[str, ImageCache]:
    return open_task(settings).caches(settings.cache)


def open_splits(settings: Settings, data: TaskData, fold: int) -> Splits:
    """Return a way to open each split of a fold and each test set, from the image caches."""
    caches = _open_caches(settings)

    def split(name: str) -> ImageSplit:
        table = data.split(name, fold)
        cached = caches.get(name, caches["source"])
        y, a, uids = (table[column].to_numpy() for column in ("y", "a", "uid"))
        return ImageSplit(
            name,
            cached.array,
            cached.rows(table["uid"]),
            y,
            a,
            uids,
            device=device(),
            augmentation=data.task.recipe.augment,
        )

    return {name: partial(split, name) for name in (*FOLD_SPLITS, *data.task.ood)}


def _fit(method: Method, run: CellRun, data: TaskData, cell: Cell) -> nn.Module:
    """Return the fitted model; the baseline, with a warning, in a fold without a pair of groups to fit on."""
    if data.task.external == 0 and "external" in method.uses:
        return run.model  # without an external set there is nothing to fit on
    if data.unpaired:
        run.warn(paired_splits.unpaired(data, cell.fold))
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
    """Return the place of what cells of a fold share; a value there depends on all that is named here."""
    recipe, images = dataclasses.asdict(data.task.recipe), _fingerprints(data, cell.fold, ("train", "val", "external"))
    identity = {"schema": SCHEMA, "baseline": baseline, "recipe": recipe, "data": images, "version": method.version}
    return SharedCache(shared_folder(settings.cache), identity)


def _fingerprints(data: TaskData, fold: int, names: Iterable[str]) -> dict[str, Any]:
    """Return the fingerprints of the splits that there are: a fold may lack an external set that nobody reads."""
    found = {}
    for name in names:
        with contextlib.suppress(EmptyGroup):
            found[name] = data.fingerprint(name, fold)
    return found


def _predict(model: nn.Module, split: ImageSplit, method: str, run: CellRun) -> Any:
    try:
        return predict(model, split, run.log).cpu().numpy()
    except NonFinite as error:
        raise NonFinite(f"{method}: {error}") from None


def _pictures(
    run: CellRun, model: nn.Module, opened: Mapping[str, ImageSplit], logits: Mapping[str, Any], *, first: str
) -> bytes:
    """Return the file of what the method kept and of the maps of a few images of the first test set."""
    maps = pictures.maps(model, opened[first], logits[first])
    if not maps:
        run.log(no_activation_maps="the logit is no linear function of globally pooled maps")
    found = {**maps, **run.strips}
    return pictures.packed(found) if found else b""


def _predictions(
    opened: Mapping[str, ImageSplit], logits: Mapping[str, Any], patients: Mapping[str, pd.Series], attribute: str
) -> pd.DataFrame:
    """Return one row per image of each set, with the columns of `bench.cells.predictions`."""
    tables = []
    for name, split in opened.items():
        columns = {
            "image_id": split.uids,
            "set": name,
            "cluster": pd.factorize(patients[name])[0].astype("int32"),  # by order of first appearance
            "y": split.y.cpu().numpy().astype("int8"),
            "logit": logits[name],
            ATTRIBUTE + attribute: split.a.cpu().numpy().astype("int8"),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _cost(run: CellRun, before: nn.Module, after: nn.Module, external: Images | None, seconds: float) -> Cost:
    """What the method cost; one unit of `epochs_equivalent` is an epoch of full fine-tuning on the external set."""
    old, new = list(before.parameters()), list(after.parameters())
    same = [p.shape for p in old] == [p.shape for p in new]
    changed = sum(int((p != q).sum()) for p, q in zip(old, new, strict=True)) if same else None
    passes = run.passes
    unit = 3 * ((external and external.n) or 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(
        seconds=round(seconds, 3),
        peak_memory_bytes=peak * (1 if sys.platform == "darwin" else 1024),
        images_forward=passes.forward,
        images_backward=passes.backward,
        epochs_equivalent=(passes.forward + 2 * passes.backward) / unit if unit else None,
        parameters_changed=None if changed is None else changed / sum(p.numel() for p in old),
    )
