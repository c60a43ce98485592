"""The types of a stored cell, its scores and a failure. No other module reads or checks their files.

The type of a field says whether an export contains it: `Leaves[...]` always, `Counted[...]` unless the validation set
has few images of a group and class, any other field never (see `bench.share.privacy`). NaN is written as null and read
back as NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from bench.cells.bounds import Amount, Beside, Count, Identity, check_counts, check_object, identity_of, within_range
from bench.cells.identity import SCHEMA, Cell
from bench.data.set_facts import SetFacts
from bench.errors import DataInvalid
from bench.files import content_of
from bench.spec import is_tuned

T = TypeVar("T")
S = TypeVar("S")
Leaves = Annotated[T, msgspec.Meta(extra={"leaves": "always"})]
"""A field that an export contains."""
Counted = Annotated[T, msgspec.Meta(extra={"leaves": "counted"})]
"""A field that reveals the size of the external set; an export contains it unless that is suppressed."""
COUNTS = ("n", "positives", "negatives", "true_positives", "false_positives")  # of `GroupScores`


class Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of stored JSON; unknown fields are errors."""


class Numbers(dict[str, float]):
    """Numbers by name."""


class Facts(dict[str, Any]):
    """The log of a method: any JSON, in which null means NaN."""


class Fit(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The definition of a cell: one method with all its parameters on one fold."""

    task: Leaves[str]
    backbone: Leaves[str]
    method: Leaves[str]
    """Name of the method, without parameters."""
    title: Leaves[str]
    row: Leaves[Count]
    """Position of the method in tables."""
    spec: Leaves[str]
    """The canonical spec, such as `swift:epsilon=0.2` or `swift@tuned`."""
    parameters: Leaves[dict[str, Any]]
    """All parameters, including those at their defaults."""
    version: Leaves[Count]
    """Version of the method."""
    needs_attribute: Leaves[bool] = False  # at prediction
    comparator: Leaves[bool] = False  # which tables set apart
    auc_says: Leaves[str] = ""  # how the AUC of a method that decides is to be read
    fold: Leaves[Count]
    seed: Leaves[Count]

    @property
    def identity(self) -> Cell:
        """The cell as the plan of a run names it."""
        return Cell(self.task, self.backbone, self.spec, self.fold, self.seed)

    @property
    def tuned(self) -> bool:
        """Whether `bench tune` chose the parameters."""
        return is_tuned(self.spec)


class Images(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A set of images: their number, and the SHA-256 of ids, labels and groups."""

    n: Counted[Count | None] = None
    sha: Leaves[str] = ""


class Cost(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The cost of the method; that of predictions made elsewhere is not known."""

    seconds: Leaves[Amount] = nan
    peak_memory_bytes: Leaves[Count | None] = None
    images_forward: Counted[Count | None] = None
    images_backward: Counted[Count | None] = None
    epochs_equivalent: Counted[Amount | None] = None
    """In epochs of full fine-tuning on the external set; None without such a set."""
    parameters_changed: Leaves[Amount | None] = None
    """Share of changed parameters in 0..1; None if the network has another shape."""
    pretraining_images: Counted[Count | None] = None
    """Images in the training steps of a baseline, over all epochs, in its own cell; None of weights that were given.
    Cells with the same `baseline_sha256`, of other tasks too, share this training."""


class Pair(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The two groups in the external set, if the attribute has more than two (see `bench.data.group_pair`)."""

    best: Leaves[str | None]
    worst: Leaves[str | None]
    skipped: Leaves[tuple[str, ...]]
    """Groups with too few images."""
    auc: Numbers = Numbers()
    """AUC of the baseline on the validation set, by group."""


class Choice(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The choice of `bench tune` for a method on a fold."""

    objective: Leaves[str]
    chosen: Leaves[str]
    """The spec with the chosen parameters."""
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
    """Hash of everything that the choice depends on."""


class Environment(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The environment in which a cell was computed."""

    bench: Leaves[str]
    python: Leaves[str] = ""
    commit: Leaves[str] = ""
    changed_files: Leaves[bool] = False
    versions: Leaves[dict[str, str]] = {}
    device: Leaves[str] = ""
    host: str = ""
    submitted: dict[str, str] = {}
    """The code that was submitted to a cluster, if the job ran other code."""
    precision: str = ""


class GroupScores(Stored, frozen=True, kw_only=True):
    """One group of a set: counts at the score 0.5, rates and metrics within it."""

    name: Leaves[str]
    n: Leaves[Count]
    positives: Leaves[Count]
    negatives: Leaves[Count]
    true_positives: Leaves[Count] = 0
    false_positives: Leaves[Count] = 0
    metrics: Leaves[Numbers] = Numbers()

    def __post_init__(self) -> None:
        within_range(self.metrics)
        check_counts(self.n, self.positives, self.negatives, self.true_positives, self.false_positives)


class AttributeScores(Stored, frozen=True, kw_only=True):
    """The groups of an attribute in its own order, and the metrics that compare them."""

    groups: Leaves[tuple[GroupScores, ...]]
    metrics: Leaves[Numbers]

    def __post_init__(self) -> None:
        within_range(self.metrics, own=())


class SetScores(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The scores of one model on one set; `n` and `positives` also count images without a group.

    If counts are suppressed in an export, numbers that would reveal them are missing there and read as 0.
    """

    n: Leaves[Count] = 0
    positives: Leaves[Count] = 0
    metrics: Leaves[Numbers] = Numbers()
    """Metrics without groups."""
    degenerate: Leaves[bool] = False
    """Every image is predicted as the same class, at the score 0.5."""
    degenerate_tuned_threshold: Leaves[bool] = False
    """The same at the threshold tuned on validation."""
    attributes: Leaves[dict[str, AttributeScores]] = {}
    """By attribute; the first is the one that is mitigated."""
    suppressed: Leaves[tuple[str, ...]] = ()
    """Metrics that an export suppresses."""

    def __post_init__(self) -> None:
        within_range(self.metrics, own=("tuned_threshold",))

    @property
    def groups(self) -> dict[str, GroupScores]:
        """The groups of the mitigated attribute by name, in order; empty if they are suppressed."""
        return {group.name: group for scores in list(self.attributes.values())[:1] for group in scores.groups}

    def metric(self, name: str) -> float:
        """Return a metric of the set or of the mitigated attribute; NaN if it is not stored."""
        gaps = next(iter(self.attributes.values())).metrics if self.attributes else {}
        return self.metrics.get(name, gaps.get(name, nan))


class Scores(Stored, frozen=True, kw_only=True):
    """The scores of a cell, in a file beside it that can always be made again from its predictions."""

    version: int
    """Version of the metrics, see `bench.scoring.definitions.VERSION`."""
    identity: str
    """Hash of the predictions and groups that were scored (`scores_identity`)."""
    sets: dict[str, SetScores]
    checksum: str = ""
    """Of the file itself (`bench.cells.intact`)."""


class Record(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A cell: its definition, its data, its cost and its log. Its scores are in a file beside it."""

    schema: Leaves[int]
    hash: Leaves[str]
    """Hash of everything that defines the trained model and its predictions (`bench.running.plan.cell_hash`)."""
    cell: Leaves[Fit]
    synthetic: Leaves[bool]
    made: Leaves[Literal["here", "elsewhere"]] = "here"
    """Elsewhere: the predictions were read from a file by `bench score`; there is no cost and no environment."""
    attributes: Leaves[dict[str, tuple[str, ...]]] = {}
    """Names of the groups in their own order, by attribute; the first attribute is the one that is mitigated."""
    data: Leaves[dict[str, Images]]  # by set
    left_out: Leaves[dict[str, dict[str, int]]] = {}
    """Number of rows that were not used, by set and reason (`bench.data.sample_table.REASONS`)."""
    without_group: Leaves[dict[str, dict[str, int]]] = {}
    """Number of rows that count in the AUC but in no gap, because their attribute is not known, by set and reason."""
    facts: dict[str, SetFacts] = {}
    """What the table of each set holds. An export has the sizes only."""
    cost: Leaves[Cost]
    external_repeats: Counted[Count | None] = None
    """Number of repeated images in the external set; None if the method does not read this set."""
    pair: Leaves[Pair | None] = None
    tuned: Leaves[Choice | None] = None
    baseline_sha256: Leaves[str] = ""
    """Checksum of the file of the baseline's weights, which ends with a checksum of its name: no two share one."""
    predictions_sha256: str = ""
    """Checksum of the file of predictions."""
    beside: dict[str, Beside] = {}
    checksum: str = ""
    """Of the files beside the record, by ending, and of the record itself (`bench.cells.intact`)."""
    environment: Leaves[Environment | None] = None
    log: Facts = Facts()
    warnings: tuple[str, ...] = ()
    probe: Leaves[Numbers] = Numbers()
    """What the features know: the AUC of a linear probe for the attribute, by test set (`bench.running.probe`)."""
    scores: dict[str, SetScores] = {}
    """Scores by set. In an export they are in the file of the cell, otherwise in the file of scores."""
    metrics_version: Leaves[Count] = 0

    def __post_init__(self) -> None:
        within_range(self.probe)

    @property
    def external(self) -> int:
        """Number of images in the external set; 0 without such a set, or if the number is suppressed."""
        return self.data.get("external", Images()).n or 0


class Error(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The error that ended a cell."""

    name: Leaves[str] = msgspec.field(name="class")
    kind: str = ""
    """See `FailureKind` in `bench.running.attempt`."""
    message: str = ""
    traceback: str = ""


class Failure(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The failure of a cell; its file is removed once an attempt succeeds."""

    cell: Leaves[Fit]
    error: Leaves[Error]
    hash: str = ""
    """The hash that the cell would have had."""
    attempt: int = 1
    """Number of attempts."""
    job: str = ""
    """The job of a cluster in which it failed."""


Item = TypeVar("Item", Record, Failure)
"""A cell or a failure; both have the field `cell`."""


def read(file: Path, kind: type[S]) -> S:
    """Read a file that holds one of these classes.

    Raises:
        DataInvalid: if it does not exist, is not JSON, has another schema or a wrong field, which the message names.
    """
    try:
        return decode(content_of(file), kind)
    except OSError as error:
        raise DataInvalid(f"cannot be read: {error.strerror}") from None


def decode(content: bytes, kind: type[S]) -> S:
    """Return the struct that JSON describes; raises as `read`."""
    if kind is Record and (found := identity_of(content)) is not None and found.schema != SCHEMA:
        raise DataInvalid(f"schema {found.schema}, {SCHEMA} expected")
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=_read_numbers)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataInvalid(f"not a whole {_WORDS.get(kind, 'result')}: {error}") from None


def convert(value: object, kind: type[S]) -> S:
    """Return the struct that plain dictionaries and lists describe."""
    return msgspec.convert(value, kind, dec_hook=_read_numbers)


def scores_identity(record: Record | Identity) -> str:
    """Hash the predictions of a cell and the groups of each attribute, from which its scores are made."""
    return hashlib.sha256(msgspec.json.encode([record.predictions_sha256, record.attributes])).hexdigest()


_WORDS: dict[type, str] = {Failure: "record of a failure", Scores: "file of scores", Choice: "choice"}


def _read_numbers(kind: type, value: Any) -> Any:
    check_object(value, numbers=kind is Numbers)
    return kind(_nan(value))


def _nan(value: Any) -> Any:
    """Return JSON with NaN in place of null."""
    if isinstance(value, dict):
        return {key: _nan(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_nan(one) for one in value]
    return nan if value is None else value
