"""What a stored cell, its scores and a failure hold: typed, documented, and read and checked here alone.

Each field says whether it may leave the machine in an export: `Leaves[...]` always does, `Counted[...]` unless the
validation set has few images of a group and class, any other field never does (see `bench.share.privacy`).
NaN is written as null and read back as NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from bench.cells.identity import SCHEMA, Cell
from bench.errors import DataInvalid
from bench.score.definitions import METRICS
from bench.spec import is_tuned

T = TypeVar("T")
S = TypeVar("S")
Leaves = Annotated[T, msgspec.Meta(extra={"leaves": "always"})]
"""A field that may leave the machine as it is."""
Counted = Annotated[T, msgspec.Meta(extra={"leaves": "counted"})]
"""A field that tells the size of the external set, and leaves unless that is suppressed."""
COUNTS = ("n", "positives", "negatives", "true_positives", "false_positives")
"""Counts of a group."""


class Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all classes of stored JSON have in common: a field that no class knows is an error."""


class Numbers(dict[str, float]):
    """Numbers by name."""


class Facts(dict[str, Any]):
    """What a method logged: any JSON, in which null is NaN."""


class Fit(Stored, frozen=True, kw_only=True):
    """What a cell is: one method with all its parameters on one fold."""

    task: Leaves[str]
    backbone: Leaves[str]
    method: Leaves[str]
    """Name of the method, without parameters."""
    title: Leaves[str]
    row: Leaves[int]
    """Its place in tables."""
    spec: Leaves[str]
    """The canonical spec, such as `swift:epsilon=0.2` or `swift@tuned`."""
    parameters: Leaves[dict[str, Any]]
    """Every parameter, those at their defaults too."""
    version: Leaves[int]
    """Of the method."""
    fold: Leaves[int]
    seed: Leaves[int]

    @property
    def identity(self) -> Cell:
        """The cell as a run plans it."""
        return Cell(self.task, self.backbone, self.spec, self.fold, self.seed)

    @property
    def tuned(self) -> bool:
        """Whether `bench tune` chose the parameters."""
        return is_tuned(self.spec)


class Images(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A set of images: how many, and the SHA-256 of its ids, labels and groups."""

    n: Counted[int | None] = None
    sha: Leaves[str] = ""


class Cost(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """What the method cost."""

    seconds: Leaves[float]
    peak_memory_bytes: Leaves[int | None] = None
    images_forward: Counted[int | None] = None
    images_backward: Counted[int | None] = None
    epochs_equivalent: Counted[float | None] = None
    """In epochs of full fine-tuning on the external set; None without such a set."""
    parameters_changed: Leaves[float | None] = None
    """Share of the parameters in 0..1; None where the network has another shape."""


class Pair(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The groups that make the external set of an attribute of several (see `bench.data.group_pair`)."""

    best: Leaves[str | None]
    worst: Leaves[str | None]
    skipped: Leaves[tuple[str, ...]]
    """Groups with too few images."""
    auc: Numbers = Numbers()
    """AUC of the baseline on the validation set, by group."""


class Choice(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """What `bench tune` chose for a method on a fold, and from what."""

    objective: Leaves[str]
    chosen: Leaves[str]
    """The spec whose parameters the method runs with."""
    trials: Leaves[int]
    failed: Leaves[int]
    undefined: Leaves[int]
    """Trials whose scores on the holdout are undefined."""
    images_forward: Counted[int] = 0
    images_backward: Counted[int] = 0
    holdout: Leaves[Images] = Images()
    baseline: Facts = Facts()
    """Scores of the baseline on the holdout."""
    scores: dict[str, Facts] = {}
    """Scores of each trial on the holdout, by spec."""
    identity: str = ""
    """What the choice depends on, hashed."""


class Environment(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """Where a cell was made."""

    bench: Leaves[str]
    python: Leaves[str] = ""
    commit: Leaves[str] = ""
    changed_files: Leaves[bool] = False
    versions: Leaves[dict[str, str]] = {}
    device: Leaves[str] = ""
    host: str = ""
    submitted: dict[str, str] = {}
    """The code that was submitted to a cluster, where a job runs other code."""
    precision: str = ""


class GroupScores(Stored, frozen=True, kw_only=True):
    """One group of a set: counts at the score 0.5, rates and metrics within it."""

    name: Leaves[str]
    n: Leaves[int]
    positives: Leaves[int]
    negatives: Leaves[int]
    true_positives: Leaves[int] = 0
    false_positives: Leaves[int] = 0
    metrics: Leaves[Numbers] = Numbers()


class AttributeScores(Stored, frozen=True, kw_only=True):
    """The groups of an attribute in its own order, and the metrics that compare them."""

    groups: Leaves[tuple[GroupScores, ...]]
    metrics: Leaves[Numbers]


class SetScores(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The scores of one model on one set.

    Where counts are suppressed in an export, numbers that would tell them are absent there, and 0 here.
    """

    n: Leaves[int] = 0
    positives: Leaves[int] = 0
    metrics: Leaves[Numbers] = Numbers()
    """Metrics without groups."""
    degenerate: Leaves[bool] = False
    """Every image is predicted as the same class, at the score 0.5."""
    degenerate_carried: Leaves[bool] = False
    """The same at the threshold that the model carries from validation."""
    attributes: Leaves[dict[str, AttributeScores]] = {}
    """By attribute; the first is the one that is mitigated."""
    suppressed: Leaves[tuple[str, ...]] = ()
    """Metrics that an export keeps to itself."""

    @property
    def groups(self) -> dict[str, GroupScores]:
        """The groups of the mitigated attribute by name, in order; none where they are suppressed."""
        return {group.name: group for scores in list(self.attributes.values())[:1] for group in scores.groups}

    def metric(self, name: str) -> float:
        """Return a metric of the set or of the mitigated attribute; NaN where it is not known."""
        gaps = next(iter(self.attributes.values())).metrics if self.attributes else {}
        return self.metrics.get(name, gaps.get(name, nan))


class Scores(Stored, frozen=True, kw_only=True):
    """What follows from the predictions of a cell: a file beside it, which can always be made again."""

    version: int
    """Of the metrics, see `bench.score.definitions.VERSION`."""
    identity: str
    """Of the predictions and groups that were scored (`scores_identity`)."""
    sets: dict[str, SetScores]


class Record(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A cell: what it is, what it was made from, and what came of it. Its scores are in a file beside it."""

    schema: Leaves[int]
    hash: Leaves[str]
    """The fit identity: of all that defines the trained model and its predictions (`bench.run.plan.cell_hash`)."""
    cell: Leaves[Fit]
    synthetic: Leaves[bool]
    attributes: Leaves[dict[str, tuple[str, ...]]] = {}
    """Names of the groups in their own order, by attribute; the first attribute is the one that is mitigated."""
    data: Leaves[dict[str, Images]]
    """The sets that were read, by name."""
    unreadable: Leaves[dict[str, int]] = {}
    """Images that were left out because they cannot be read, by set."""
    cost: Leaves[Cost]
    external_repeats: Counted[int | None] = None
    """Images of the external set that are repeats; None where the method reads no such set."""
    pair: Leaves[Pair | None] = None
    tuned: Leaves[Choice | None] = None
    baseline_sha256: Leaves[str] = ""
    """Checksum of the weights of its baseline."""
    predictions_sha256: str = ""
    """Checksum of the file of its predictions."""
    environment: Leaves[Environment | None] = None
    log: Facts = Facts()
    warnings: tuple[str, ...] = ()
    scores: dict[str, SetScores] = {}
    """By set: in the file of the cell where it was exported, else in the file of the scores."""
    metrics_version: Leaves[int] = 0

    @property
    def external(self) -> int:
        """Images of the external set; 0 without one, or where that is suppressed."""
        return (self.data.get("external", _NOTHING)).n or 0


class Error(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """An error that ended a cell."""

    name: Leaves[str] = msgspec.field(name="class")
    kind: str = ""
    """See `FailureKind` in `bench.run.attempt`."""
    message: str = ""
    traceback: str = ""


class Failure(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """Why a cell failed; it stays until an attempt succeeds."""

    cell: Leaves[Fit]
    error: Leaves[Error]
    hash: str = ""
    """The hash that the cell would have had."""
    attempt: int = 1
    """How often it was tried."""
    job: str = ""
    """The job of a cluster that tried it."""


Item = TypeVar("Item", Record, Failure)
"""A cell or a failure: both say which cell they are of."""


class Identity(msgspec.Struct, frozen=True):
    """The fields that tell whether a cell is up to date: of ten thousand cells no others are read for a plan."""

    schema: int
    hash: str


def read(file: Path, kind: type[S]) -> S:
    """Read a file that holds one of these classes.

    Raises:
        DataInvalid: not there, not JSON, of another schema, or with a field that is wrong, which is named.
    """
    try:
        return decode(file.read_bytes(), kind)
    except OSError as error:
        raise DataInvalid(f"cannot be read: {error.strerror}") from None


def decode(content: bytes, kind: type[S]) -> S:
    """Return what JSON holds; raises as `read`."""
    if kind is Record and (found := identity_of(content)) is not None and found.schema != SCHEMA:
        raise DataInvalid(f"schema {found.schema}, {SCHEMA} expected")
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=_read_numbers)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DataInvalid(f"not a whole {_WORDS.get(kind, 'result')}: {error}") from None


def convert(value: object, kind: type[S]) -> S:
    """Return what plain dictionaries and lists hold."""
    return msgspec.convert(value, kind, dec_hook=_read_numbers)


def identity_of(content: bytes) -> Identity | None:
    """Return schema and hash of the JSON of a cell of any schema; None where it is not whole."""
    try:
        return _IDENTITY.decode(content)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def scores_identity(record: Record) -> str:
    """Hash what the scores of a cell are made from: its predictions, and the groups of each attribute."""
    return hashlib.sha256(msgspec.json.encode([record.predictions_sha256, record.attributes])).hexdigest()


def set_scores(found: Mapping[str, Any], attribute: str) -> SetScores:
    """Return what `bench.score.metrics.evaluate` found, as it is stored."""
    groups = tuple(
        GroupScores(
            name=name,
            **{key: counts[key] for key in COUNTS},
            metrics=Numbers({key: value for key, value in counts.items() if key not in COUNTS}),
        )
        for name, counts in found["groups"].items()
    )
    plain = ("n", "degenerate", "degenerate_carried")
    own = ("threshold_carried", *(name for name, metric in METRICS.items() if not metric.needs_attribute))
    gaps = {key: value for key, value in found.items() if key not in (*plain, *own, "groups")}
    return SetScores(
        **{key: found[key] for key in plain},
        positives=sum(group.positives for group in groups),
        metrics=Numbers({key: found[key] for key in own}),
        attributes={attribute: AttributeScores(groups=groups, metrics=Numbers(gaps))},
    )


_NOTHING = Images()
_IDENTITY = msgspec.json.Decoder(Identity)
_WORDS: dict[type, str] = {Failure: "record of a failure", Scores: "file of scores", Choice: "choice"}


def _read_numbers(kind: type, value: Any) -> Any:
    if kind is Facts:
        return Facts(_nan(msgspec.convert(value, dict[str, Any])))
    return Numbers(_nan(msgspec.convert(value, dict[str, float | None])))


def _nan(value: Any) -> Any:
    """Return JSON with NaN for null."""
    if isinstance(value, dict):
        return {key: _nan(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_nan(one) for one in value]
    return nan if value is None else value
