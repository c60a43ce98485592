"""`bench model`: the model of a finished cell, or of all folds, as a folder that can be loaded and passed on.

Its weights are those that `bench run --keep-models` kept, or the cell is computed again. Before the folder is written,
its logits on a test set are compared with the predictions that were stored and scored.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isnan
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import torch
from torch import nn

import bench
from bench.cells import store
from bench.cells.identity import BASELINE, cell_file, weights_file
from bench.cells.predictions import ATTRIBUTE, read_predictions
from bench.cells.record import Record
from bench.data.task_data import TaskData
from bench.errors import DataError, DataInvalid, DataMissing, PluginBroken, UsageError
from bench.files import check_writable, not_written, write_file
from bench.learn.device import device
from bench.learn.network import build_net
from bench.learn.predict import BATCH, SAME
from bench.learn.wrappers import GroupShift, MaskedLayer, check_storable, rebuilt
from bench.models.card import About, Source, card
from bench.models.card_scores import HALF, UNDER_AGREEMENT, pooled, sets_on_card, threshold_of
from bench.models.model_config import CARD, CONFIG, Config, Member, read_config
from bench.models.model_folder import StoredModel, load_model, write_model
from bench.net import Net
from bench.running.compute_cell import codes_of, fit_cell, input_of, open_splits, open_task
from bench.running.plan import PlannedCell, build_method, checkpoint_file, method_specs, within
from bench.running.run_task import plan_run
from bench.scoring.metrics import VALIDATION
from bench.settings import Settings, of_tables
from bench.spec import describe, label, name_of
from bench.weights import load_exactly, read_tensors, without_folder


class Chosen(NamedTuple):
    """The cells that are handed out and those of their baselines, by fold, with their records and predictions."""

    cells: list[PlannedCell]
    baselines: list[PlannedCell]
    records: list[Record]
    own: pd.DataFrame
    base: pd.DataFrame
    """The predictions of the model as a whole, and those of the baselines in the same way."""
    few: int = 0
    """Numbers of fewer images are not told."""

    def told(self, n: int | None) -> str:
        """Return a number of images."""
        return f"fewer than {self.few}" if n is None or n < self.few else str(n)


def hand_out(settings: Settings, out: Path, min_cell: int | None = None) -> int:
    """Write the model of `settings.methods` on its folds (None: all, as an ensemble) to `out`, and print what it is.

    Args:
        min_cell: of sets with fewer images of a group and class, neither counts nor scores by group are in the folder;
            None: `UNDER_AGREEMENT` for data under an agreement, else 0.

    Raises:
        UsageError: `out` exists, or several methods are named.
        DataMissing, DataInvalid: a cell has no result, or a stale or damaged one.
        DataError: the model is not what was scored.
        PluginBroken: the module of the method cannot be stored.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists: choose another --out, or remove it")
    check_writable(out.absolute().parent)
    data, chosen = _choose(settings)
    networks = [_network(*pair) for pair in zip(chosen.cells, chosen.baselines, strict=True)]
    if min_cell is None and _agreements(data, chosen):
        min_cell = UNDER_AGREEMENT
    chosen = chosen._replace(few=min_cell or 0)
    config, groups = _config(data, chosen, networks), data.task.attribute.names
    sets = sets_on_card(chosen.own, chosen.base, config.threshold, groups, data.task.name, chosen.few)
    if gone := [one.name for one in sets if one.few]:
        config = msgspec.structs.replace(config, cells=())  # they are made from checksums, among other things
        why = f"a group and class has fewer than {chosen.few} images"
        print(f"suppressed on the card, because {why}: {', '.join(gone)}", file=sys.stderr)
    temporary = out.absolute().with_name(f".{out.name}.{os.getpid()}")
    try:
        write_model(temporary, StoredModel(config, networks))
        model = load_model(temporary, settings.plugins)
        checked = _compare(model, data, chosen)
        write_file(temporary / CARD, card(config, _about(data, chosen, config.backbone, checked, gone), sets))
        if config.credentialed:
            temporary.chmod(0o700)  # the agreement does not allow other users to see what was made from the data
        temporary.replace(out)
    except OSError as error:
        raise not_written(out.absolute().parent, error.errno) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if config.credentialed:
        print("made from data under an agreement: read it before the folder leaves this machine", file=sys.stderr)
    print(f"{config.title} on {config.task}, {_folds(chosen)}. {checked}")
    print(out)
    return 0


def _choose(settings: Settings) -> tuple[TaskData, Chosen]:
    data, cells = plan_run(settings)
    specs = method_specs(settings.methods, settings.plugins, data.task)
    if len(specs) != 1:
        raise UsageError(f"{settings.methods}: one method expected, such as swift")
    own = [planned for planned in cells if planned.cell.spec == specs[0]]
    if not own:
        raise UsageError(f"{specs[0]} is not defined on this task: `bench run --dry-run` says why")
    bases = [planned for planned in cells if planned.cell.spec == BASELINE]
    records = [_record(planned) for planned in own]
    tables = [_predictions(planned, record) for planned, record in zip(own, records, strict=True)]
    others = [_predictions(planned, _record(planned)) for planned in bases]
    return data, Chosen(own, bases, records, pooled(tables), pooled(others))


def _record(planned: PlannedCell) -> Record:
    """Return the record of a cell that is done, with its files as they were written."""
    results, cell = planned.settings.results, planned.cell
    if planned.error is not None:
        raise planned.error
    state, why = store.state_and_reason(results, cell, planned.hash, verify=True)
    again = f"`{store.again(planned.settings, cell)} --keep-models` computes it"
    if state == "stale":
        raise DataInvalid(f"{cell}: {why}: {again} again")
    if state != "done":
        raise DataMissing(f"result of {cell} ({state})", get_it=f"{again}.")
    return store.read_cell(cell_file(results, cell))


def _predictions(planned: PlannedCell, record: Record) -> pd.DataFrame:
    attribute = ATTRIBUTE + next(iter(record.attributes))
    columns = ("image_id", "set", "cluster", "y", "logit", attribute)
    table = read_predictions(cell_file(planned.settings.results, planned.cell), record, columns)
    return table.rename(columns={attribute: "a"})


def _network(planned: PlannedCell, baseline: PlannedCell) -> nn.Module:
    """Return the fitted module of a cell, from its kept weights or computed again."""
    settings, cell = planned.settings, planned.cell
    file = weights_file(settings.results, cell)
    if file.is_file():
        data, state = open_task(settings), read_tensors(file)
        with torch.random.fork_rng(devices=[]):
            module = rebuilt(build_net(data.network, size=data.task.image_size, weights="none"), state)
        load_exactly(module, state, file, f"{cell.spec} on {cell.backbone}")
        return module
    print(f"{cell}: its weights were not kept, so it is computed again", file=sys.stderr)
    if cell.spec != BASELINE and not checkpoint_file(settings.cache, planned.origin).is_file():
        fit_cell(baseline)
    fitted = fit_cell(planned)
    try:
        check_storable(fitted.model, fitted.baseline)
    except PluginBroken as error:
        raise PluginBroken(f"{cell.spec} cannot be handed out: {error}") from None
    return fitted.model.cpu()


def _config(data: TaskData, chosen: Chosen, networks: Sequence[nn.Module]) -> Config:
    first, task, attribute = chosen.cells[0], data.task, data.task.attribute
    method = build_method(first.cell.runs, first.settings.plugins)
    images, network = data.pixels("source", first.settings.cache), data.network
    threshold, why = _threshold(chosen, method.threshold)
    inputs = [input_of(of_tables(planned.settings), planned.cell.fold) for planned in chosen.cells]
    codes = [codes_of(attribute.names, record.pair.worst if record.pair else None) for record in chosen.records]
    return Config(
        bench=bench.__version__,
        task=task.name,
        method=first.cell.spec,
        title=label(chosen.records[0].cell.title, within(first.cell.spec, task.preset)),
        backbone=describe(name_of(first.cell.backbone), replace(network, weights="task")),
        versions=(network.version, network.prepares),
        size=images.size,
        channels=1 if images.channels == 1 else 3,
        crop=task.crop,
        file_bits=getattr(images.dataset, "bits", None),
        label=task.label.column,
        label_names=task.label_names,
        attribute=attribute if any(isinstance(net, GroupShift) for net in networks) else None,
        threshold=threshold,
        threshold_from=why,
        members=tuple(
            Member(fold=planned.cell.fold, input=given, codes=code)
            for planned, given, code in zip(chosen.cells, inputs, codes, strict=True)
        ),
        network=len(networks) == 1 and type(networks[0]) is Net and not _masked(networks[0]),
        synthetic=data.synthetic,
        credentialed=bool(_agreements(data, chosen)),
        cells=tuple(record.hash for record in chosen.records),
    )


def _agreements(data: TaskData, chosen: Chosen) -> list[str]:
    """Return what is under an agreement: datasets, and models that were given as baselines and made from such data."""
    names = [name_of(source.spec) for source in data.sources.values() if source.dataset.credentialed]
    given = data.user_checkpoint
    folders = [given.file(planned.cell.fold).parent for planned in chosen.cells] if given else []
    names += [f"the model {one.name}" for one in folders if (one / CONFIG).is_file() and read_config(one).credentialed]
    return list(dict.fromkeys(names))


def _masked(net: nn.Module) -> bool:
    return any(isinstance(module, MaskedLayer) for module in net.modules())


def _threshold(chosen: Chosen, own: float | None) -> tuple[float, str]:
    """Return the threshold of a model and where it comes from."""
    if own is not None:
        return own, "the method decides there, by thresholds that are part of the model"
    found, images = threshold_of(chosen.own), int((chosen.own["set"] == VALIDATION).sum())
    if isnan(found):
        return HALF, "the validation images lack a class, so that none could be tuned"
    where = f"{chosen.told(images)} validation images of {_folds(chosen)}"
    one = "" if len(chosen.cells) == 1 else ", each scored by the network of its own fold, which was not trained on it"
    return found, f"the score with the highest balanced accuracy on the {where}{one}"


def _folds(chosen: Chosen) -> str:
    folds = [str(planned.cell.fold) for planned in chosen.cells]
    return f"fold {folds[0]}" if len(folds) == 1 else f"folds {', '.join(folds)}"


def _compare(model: StoredModel, data: TaskData, chosen: Chosen) -> str:
    """Say how far the logits of a model on a test set are from those that were scored; raise DataError if too far."""
    first, name, where = chosen.cells[0], next(iter(data.task.ood)), device()
    split = open_splits(first.settings, data, first.cell.fold)[name]()
    model.to(where)
    with torch.no_grad():
        z = torch.cat([model(split.pixels(index), split.a[index]) for index, _ in split.index_batches(BATCH)])
    model.cpu()
    stored = chosen.own.loc[chosen.own["set"] == name, "logit"].to_numpy()
    apart = np.abs(z.cpu().numpy() - stored)
    images = f"{chosen.told(len(stored))} images of {name}"
    said = f"its logits on the {images} differ by at most {apart.max():.2g} from those that were"
    if not (apart <= SAME * np.maximum(1, np.abs(stored))).all():
        again = " && ".join(store.again(planned.settings, planned.cell, force=True) for planned in chosen.cells)
        raise DataError(
            f"this is not the model that was scored: {said} scored, {SAME:g} allowed (or this share of a logit). "
            f"Another processor or version trains other weights. `{again} --keep-models` trains and scores it here"
        )
    return f"Before it was written, {said} scored."


def _about(data: TaskData, chosen: Chosen, network: str, checked: str, gone: Sequence[str]) -> About:
    task, record = data.task, chosen.records[0]
    sources = []
    for name in ("train", "val", "external", *task.ood):
        source = data.sources.get(name, data.sources["source"])
        images = [(one.cell.fold, one.data[name]) for one in chosen.records if name in one.data]
        # From the checksum of a small set, who knows its images finds their labels and groups.
        kept = (name if name in task.ood else VALIDATION) not in gone
        # The size of the external set is that of the smaller group of the validation part.
        sizes = ["suppressed" if name == "external" and not kept else chosen.told(one.n) for _, one in images]
        shas = [one.sha[:16] if kept else "suppressed" for _, one in images]
        said = dict.fromkeys(map("{}, {}".format, sizes, shas))
        kind = type(source.dataset)
        sources.append(Source(name, name_of(source.spec), kind.licence, kind.citation, "; ".join(said)))
    one = "It is one network" if len(chosen.cells) == 1 else f"It is the mean logit of {len(chosen.cells)} networks"
    made = f"{one}, fitted on {_folds(chosen)} (seed {record.cell.seed}) by {record.cell.spec}."
    if len(chosen.cells) > 1:
        made += " On test sets this mean was scored; of the validation images each was scored by its own network alone."
    if data.user_checkpoint is not None:
        made += " Its baseline was a model that was given (--baseline)."
    how = {"network": network, "initial weights": without_folder(data.network.weights), "image size": task.image_size}
    method = record.cell.method
    options = {f"{method}: {name}": value for name, value in record.cell.parameters.items()}
    return About(
        says=task.says if task.says.endswith(".") else f"{task.says}.",
        unit=data.sources["source"].dataset.independent,
        sources=sources,
        recipe=asdict(task.recipe),
        parameters={**how, **options, f"version of {method}": record.cell.version},
        checked=checked,
        made=made,
        agreements=_agreements(data, chosen),
    )
