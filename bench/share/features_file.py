"""`bench prepare TASK --features BACKBONE`: the images of a task become vectors, in a file that another task reads."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.api import NO_GROUP, Attribute, Backbone, Label, Preprocessing, Rows, Task, Vector
from bench.data.attributes import ALSO, UNIT
from bench.data.task_data import TaskData, open_data
from bench.errors import UsageError
from bench.files import replacing, write_file
from bench.running.progress import counting
from bench.seeds import seed_of
from bench.settings import Settings
from bench.share.task_toml import to_toml
from bench.spec import Spec

BATCH = 256
OWN = ("id", "patient", "source", "set", "vector")
"""Columns of every file of features."""


def write_features(settings: Settings, features: str, out: Path) -> int:
    """Write the features of all images of a task, and the task on them beside it, unless a file of that name exists.

    The extractor has the initial weights of the task; random ones are the same each time.

    Raises:
        UsageError: `out` is neither .parquet nor .npz, or the backbone is for vectors.
        DataError: as for `bench prepare`.
        NotWritten: the folder cannot be written or the disk is full.
    """
    if out.suffix.lower() not in (".parquet", ".npz"):
        raise UsageError(f"--out {out}: a file that ends in .parquet or .npz expected")
    with counting("checksums", "files") as progress:
        data = open_data(replace(settings, backbone=features), progress=progress)
    network = data.network
    if isinstance(network.input, Vector):
        raise UsageError(f"--features {features}: a backbone of images expected")
    task = _task(data, features, out.name)
    table = pd.concat(_features(data, network, settings), ignore_index=True)
    _write(table, out, private=_credentialed(data))
    file = out.with_suffix(".toml")
    text = to_toml(task)
    kept = file.exists() and file.read_text("utf-8", "replace") != text
    if not kept:
        write_file(file, text)
    weights = "random weights" if network.weights in ("task", "none") else f"the weights {network.weights}"
    print(f"{len(table)} vectors of {len(table['vector'][0])} numbers, by {features} with {weights}")
    print(out)
    print(f"{file} exists and is kept; it differs from the task that these vectors get without it" if kept else file)
    return 0


def _features(data: TaskData, network: Backbone, settings: Settings) -> list[pd.DataFrame]:
    """Return a table for each set: id, patient, source, set, label, attributes by name, unit and vector."""
    import torch

    from bench.data.image_split import ImageSplit
    from bench.learn.device import device
    from bench.learn.network import build_net

    with counting("images") as progress:
        caches = data.caches(settings.cache, jobs=settings.jobs or os.cpu_count() or 1, progress=progress)
    data = data.readable(settings.cache)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed_of(0, "features"))
        extractor = build_net(network, size=data.task.image_size).features.to(device())
    frames, task = [], data.task
    for name, table in data.tables.items():
        y, a, uids = (table[column].to_numpy() for column in ("y", "a", "uid"))
        cache = caches[name]
        split = ImageSplit(name, cache.array, cache.rows(table["uid"]), y, a, uids, device(), given=data.input)
        with torch.no_grad():
            parts = [extractor(x).float().cpu().numpy() for x, *_ in split.batches(size=BATCH)]
        frame = pd.DataFrame({"id": uids, "patient": table["patient"], "source": table["source"], "set": name})
        frame[task.label.column] = y
        frame[task.attribute.column] = _named(a, task.attribute)
        for further, one in task.also.items():
            frame[further] = _named(table[ALSO + further].to_numpy(), one)
        if task.unit_column:
            frame[task.unit_column] = table[UNIT]
        frames.append(frame.assign(vector=list(np.concatenate(parts))))
    return frames


def _named(groups: np.ndarray, attribute: Attribute) -> list[str]:
    return [attribute.names[group] if group != NO_GROUP else "" for group in groups]


def _by_names(column: str, attribute: Attribute) -> Attribute:
    """Return an attribute whose column holds the names of its groups."""
    names = attribute.names
    zero, one = ((), ()) if attribute.grouped else ((names[0],), (names[1],))
    values = tuple((name,) for name in names) if attribute.grouped else ()
    return Attribute(column=column, names=names, zero=zero, one=one, values=values, primary=attribute.primary)


def _task(data: TaskData, features: str, file: str) -> Task:
    """Return the task on the vectors of a file; raise UsageError where two of its columns would have one name."""
    task, marks = data.task, {"generated": data.synthetic, "agreement": _credentialed(data)}
    dataset = str(Spec("embeddings", {"file": file} | {mark: "yes" for mark, holds in marks.items() if holds}))
    label, attribute = task.label, task.attribute
    named = [label.column, attribute.column, *task.also, *([task.unit_column] if task.unit_column else [])]
    for name in named:
        if name in OWN:
            raise UsageError(f"column {name!r} of the task has a name that files of features use themselves: rename it")
        if named.count(name) > 1:
            raise UsageError(f"{name!r} names two columns of the file of features: rename one of them in the task")
    return replace(
        task,
        name=re.sub(r"[^\w.-]+", "-", f"{task.name}-{features}", flags=re.ASCII),
        says=f"{task.says.rstrip('.')}, on features of {features}",
        source=Rows(dataset=dataset, where={"set": ("source",)}),
        ood={name: Rows(dataset=dataset, where={"set": (name,)}, kind=rows.kind) for name, rows in task.ood.items()},
        label=Label(column=label.column, names=label.names),
        attribute=_by_names(attribute.column, attribute),
        labels={},
        also={name: _by_names(name, one) for name, one in task.also.items()},
        image_size=1,
        channels=1,
        crop="none",
        baseline=Preprocessing(),
        backbones=("vector",),
        weights="none",
    )


def _credentialed(data: TaskData) -> bool:
    return any(source.dataset.credentialed for source in data.sources.values())


def _write(table: pd.DataFrame, out: Path, *, private: bool) -> None:
    with replacing(out) as temporary:
        if private:
            temporary.touch(0o600)  # the agreement does not allow other users to see what was made from the images
        if out.suffix.lower() == ".parquet":
            table.to_parquet(temporary, index=False)
            return
        columns = {str(name): np.array(table[name].tolist()) for name in table.columns}
        with temporary.open("wb") as opened:
            np.savez(opened, **columns)  # pyright: ignore[reportArgumentType]  # names of columns are no options
