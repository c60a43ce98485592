"""The fields of a cell that an export contains: only those that are declared to leave the machine.

Warnings, error messages and logs, except for two values of the log, are not exported, because methods and the machine
write them and they may contain the name of an image or a path. The name of the host is not exported either. For sets
with few images of a group and class, counts and metrics are suppressed as in a report with the same `--min-cell` (see
`bench.reporting.numbers.suppression`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec.structs import replace

from bench import registry
from bench.api import Rows, Task
from bench.cells.record import Facts, Failure, Images, Numbers, Record, SetScores, convert
from bench.data.sources import OWN_FILES
from bench.reporting.figures.sweeps import RESET
from bench.reporting.numbers.aggregate import IN_DOMAIN
from bench.reporting.numbers.suppression import is_hidden, shown_facts, suppressed
from bench.reporting.numbers.task_info import TaskInfo
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import COARSE
from bench.spec import Spec, parse

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
LOGGED = ("user_checkpoint", RESET)
"""Exported entries of the log: whether the baseline is a checkpoint of the site, and the share that Figure 6 marks."""
PATHS = ("csv", "images", "prefix", "file", "")
"""Options of the user's own files that may name a folder or a study; the one without a name is the file of vectors."""
IDS = ("uid", "path", "patient")
"""Columns of every source that name an image or a patient."""
_PATH = re.compile(r"(?<![\w./+])~?/(?:[^\s/'\",:=][^/'\",:=\n]*/)*(?=[^\s/'\",:=])")
"""An absolute path without its last part; names of folders may contain spaces."""


def leaving(cells: Sequence[Record], info: TaskInfo, *, beside: Sequence[Record] = ()) -> list[Record]:
    """Return the cells as they are exported, without the numbers that `info.min_cell` suppresses.

    A number is suppressed if these cells or the cells `beside` require it.
    """
    gone = suppressed([*cells, *beside], info)
    return [_cell(item, gone, info.min_cell) for item in cells]


def leaving_failures(failures: Sequence[Failure]) -> list[Failure]:
    """Return the failures as they are exported; of an error only its class."""
    return [_pathless(permitted(item)) for item in failures]


def permitted(value: T, *, counted: bool = True) -> T:
    """Return a record with the fields that may leave the machine, and the others at their defaults.

    Args:
        value: a cell, a failure, or any part of one.
        counted: whether fields that reveal the size of the external set may leave too.
    """
    if isinstance(value, dict):
        return type(value)({key: permitted(one, counted=counted) for key, one in value.items()})
    if not isinstance(value, msgspec.Struct):
        return value
    allowed = ("always", "counted") if counted else ("always",)
    names = [name for name, leaves in _leaves(type(value)).items() if leaves in allowed]
    return type(value)(**{name: permitted(getattr(value, name), counted=counted) for name in names})


def leaving_task(task: Task) -> Task:
    """Return a task without what may name a patient or a folder.

    For the user's own table, or a source that is not of the suite, paths are left out, and the values of `where` are
    replaced by their number and a salted hash. The salt is not kept, so the hash shows only which lists of one export
    are equal. For the sources of the suite, the values are kept that name no patient and no image.
    """
    salt = secrets.token_bytes(16)

    def leaving(rows: Rows) -> Rows:
        spec = parse(rows.dataset)
        own = spec.name in OWN_FILES or spec.name not in registry.DATASETS.catalogue()
        where = {
            column: (f"{len(values)} values, {hashlib.sha256(salt + repr(sorted(values)).encode()).hexdigest()[:12]}",)
            if own or column in IDS
            else values
            for column, values in rows.where.items()
        }
        options = {key: value for key, value in spec.options.items() if not (own and key in PATHS)}
        return dataclasses.replace(rows, dataset=str(Spec(spec.name, options)), where=where)

    return dataclasses.replace(
        task, source=leaving(task.source), ood={name: leaving(rows) for name, rows in task.ood.items()}
    )


@cache
def _leaves(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return whether each field of a class leaves the machine: "always" or "counted"; others are not listed."""
    hints = get_type_hints(kind, include_extras=True)
    metas = {name: [one for one in get_args(hint) if isinstance(one, msgspec.Meta)] for name, hint in hints.items()}
    return {name: meta.extra["leaves"] for name, found in metas.items() for meta in found if meta.extra}


def pathless(value: Any, names: Collection[str] = ()) -> Any:
    """Return JSON in which only the last part of every absolute path is left; `names` are not paths."""
    if isinstance(value, str):
        return value if value in names else _PATH.sub("", value)
    if isinstance(value, Mapping):
        return {pathless(key, names): pathless(one, names) for key, one in value.items()}
    return [pathless(one, names) for one in value] if isinstance(value, list | tuple) else value


def _pathless(value: S, names: Collection[str] = ()) -> S:
    return convert(pathless(msgspec.to_builtins(value), names), type(value))


def _cell(item: Record, gone: Mapping[str, frozenset[str]], min_cell: int) -> Record:
    counted = IN_DOMAIN not in gone
    kept = permitted(item, counted=counted)
    # The small groups of the validation set determine the size of the external set, but of no other set.
    data = {name: permitted(facts, counted=counted or name != "external") for name, facts in item.data.items()}
    data = {
        name: facts if checksum_leaves(name, item, gone) else replace(facts, sha="") for name, facts in data.items()
    }
    tuned = kept.tuned
    if item.tuned and tuned:
        tuned = replace(tuned, holdout=Images(n=unless_few(item.tuned.holdout.n, min_cell)))
    # A method may log any value under the name of the share.
    log = {name: item.log[name] for name in LOGGED if name in item.log}
    log = {name: value for name, value in log.items() if name != RESET or isinstance(value, float)}
    scores = {name: _scores(one, gone.get(name), min_cell) for name, one in item.scores.items()}
    sizes = {
        # Values as a table writes them may be of one person, such as an age.
        name: dataclasses.replace(shown_facts(name, facts, gone, min_cell), values=())
        for name, facts in item.facts.items()
        if facts.images >= min_cell
    }
    log = Facts(log) if log else kept.log
    # The hash of a cell is made from the checksums of all its sets, among other things that a reader may know.
    whole = all(checksum_leaves(name, item, gone) for name in item.data)
    probe = Numbers({name: value for name, value in item.probe.items() if name not in gone and IN_DOMAIN not in gone})
    # Groups are called as the user calls them, which may look like a path.
    names = [name for groups in item.attributes.values() for name in groups]
    return _pathless(
        replace(
            kept,
            hash=kept.hash if whole else "",
            data=data,
            without_group={name: n for name, n in kept.without_group.items() if not is_hidden(name, gone)},
            facts=sizes,
            tuned=tuned,
            log=log,
            scores=scores,
            probe=probe,
        ),
        names,
    )


def checksum_leaves(name: str, item: Record, gone: Collection[str]) -> bool:
    """Return whether the checksum of a set of a cell may leave the machine, where the sets `gone` are suppressed.

    Whoever knows the images of a small set finds its labels and groups from the checksum, by trying all of them. The
    sets of a fold other than test sets are parts of the source, and suppressed together.
    """
    tested = name in item.scores and name != IN_DOMAIN
    return (name if tested else IN_DOMAIN) not in gone


def _scores(scores: SetScores, gone: frozenset[str] | None, min_cell: int) -> SetScores:
    """Return all scores of a set; if some are suppressed, its size, the other metrics and the suppressed names."""
    if gone is None:
        return permitted(scores)
    kept = SetScores(n=unless_few(scores.n, min_cell) or 0, suppressed=tuple(sorted(gone)))
    shown = [name for name in METRICS if name not in gone]
    if not shown:
        return kept
    metrics = Numbers({name: round(scores.metric(name), COARSE) for name in shown})
    return replace(kept, metrics=metrics, degenerate=scores.degenerate)


def unless_few(n: int | None, min_cell: int) -> int | None:
    """Return a number of images; None if it is below `min_cell`."""
    return None if n is None or n < min_cell else n
