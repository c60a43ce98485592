"""The tables of a task, read from its datasets: the source with its folds, and each test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.api import Task
from bench.data import split_manifest, tie
from bench.data.apart import hold_out, keep_apart, same_ids
from bench.data.attributes import check_crossing, check_further
from bench.data.finding_columns import check_findings, with_stratum
from bench.data.folds import cut
from bench.data.sample_table import sample_rows, whole_table
from bench.data.sources import Source, require_folders, require_one_kind, source_of
from bench.errors import UsageError
from bench.spec import name_of


def read_tables(
    task: Task, data_dir: Path | None, plugins: Sequence[Path] = (), *, selecting: bool, manifest: Path | None
) -> tuple[dict[str, Source], dict[str, pd.DataFrame]]:
    """Return the sources and the tables of a task: "source", with a column `fold`, and each test set.

    The tables of a task of several findings have a column for each, and the images of all
    (`bench.data.finding_columns`). Arguments and errors are those of `bench.data.task_data.task_data`.
    """
    rows = {"source": task.source, **task.ood}
    if selecting:
        rows = {name: row for name, row in rows.items() if name_of(row.dataset) == name_of(task.source.dataset)}
    if task.labels and manifest is not None:
        raise UsageError(
            f"--splits: a manifest has the external sets of one label, and {task.name} has {len(task.labels)} findings "
            "of one split: leave it out; the same tables give the same folds"
        )
    sources = {name: source_of(row.dataset, data_dir, plugins) for name, row in rows.items()}
    require_folders(sources.values())
    require_one_kind(sources, task.name)
    once = {source.spec: source for source in sources.values()}  # several sets may be rows of one table
    whole = {spec: whole_table(source.dataset, source.root) for spec, source in once.items()}
    coded, more = (task.label, task.attribute), (task.also, task.unit_column, task.labels)
    tables = {
        name: sample_rows(whole[sources[name].spec], row.where, *coded, name, *more)
        for name, row in rows.items()
        if row.share is None
    }
    if task.labels:  # test sets are held out, and folds cut, by what is rare, and not by one of the findings
        tables["source"] = with_stratum(tables["source"], task.labels)
    for name, row in rows.items():
        if row.share is not None:
            tables["source"], tables[name] = hold_out(tables["source"], row.share, name, task)
    if not selecting:  # which reads some tables only
        check_further(tables, task)
    check_crossing(tables["source"], task.attribute)
    tests = [tables[name] for name in rows if name != "source"]
    source = keep_apart(tables["source"], tests)
    if task.source.tie:
        source = tie.draw(source, task.source.tie, task.label, task.attribute)
    source.attrs["notes"] = [*source.attrs["notes"], *same_ids(source, tests)]
    if manifest is None:
        source["fold"] = cut(source, task.folds, task)
    else:
        source = split_manifest.with_cut(source, split_manifest.read(manifest, task), manifest, task)
    check_findings(source, task)
    return sources, {**tables, "source": source}
