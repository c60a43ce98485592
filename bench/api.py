"""The whole contract between the harness and its plugins.

Legend, used by every plugin and nowhere else in another sense:

    x   images   (B, 3, H, W)  float32, normalised with the ImageNet statistics
    y   labels   (B,)          float32 in {0, 1}
    a   groups   (B,)          int64 in {0, 1}; 1 = the group the literature calls disadvantaged
    z   logits   (B,)          float32
    p   scores   (B,)          sigmoid(z)

A method is one file with one subclass of `Method`; a source of images is one file with one
subclass of `Dataset`; a task is a value of `Task`. This module imports neither torch nor pandas.
"""

from __future__ import annotations

import dataclasses
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, get_args, get_origin

from bench.errors import DataMissing, UnknownName, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from bench.learn.network import Net


# --- parameters of plugins ---------------------------------------------------------------------


def option(
    default: Any,
    says: str,
    *,
    low: float | None = None,
    high: float | None = None,
    when: Mapping[str, Any] | None = None,
    needed: bool = False,
    source: str = "",
    register: Sequence[str] = (),
    other: Any = None,
) -> Any:
    """Declare one parameter of a plugin: its default, one sentence, and what else a reader or a check asks.

    Args:
        low, high: the closed range of a number.
        when: values (one, or a tuple of them) of other parameters under which this one is read; set without them
            it is refused.
        needed: with `when`, the parameter must then be given: its default is None, which means "not read".
        source: where it comes from, such as `Eq. 9` or a file and function of the public code.
        register: rows of `bench.register`, where paper and public code disagree, that it decides.
        other: another value, by which the conformance check sees that the parameter is read at all.
    """
    facts = {"says": says, "low": low, "high": high, "when": dict(when or {}), "needed": needed}
    return dataclasses.field(
        default=default, metadata={**facts, "source": source, "register": tuple(register), "other": other}
    )


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A frozen bundle of parameters; each field is `Literal`, bool, int, float or str (or None).

    Raises:
        UsageError: on a value of the wrong type, outside its choices or range, or given where it is not read.
    """

    version: ClassVar[int] = 1
    """Bumped whenever results change; part of the identity of every result."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named bundles of parameters: `swift:preset=paper` stands for those of `presets["paper"]`."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = coerce(f"{type(self).__name__}.{field.name}", getattr(self, field.name), hints[field.name])
            low, high = field.metadata.get("low"), field.metadata.get("high")
            # Not `value < low`: NaN is outside every range.
            if value is not None and not ((low is None or value >= low) and (high is None or value <= high)):
                bounds = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
                raise UsageError(f"{type(self).__name__}.{field.name}={value}: allowed is {bounds}")
            object.__setattr__(self, field.name, value)
        for field in dataclasses.fields(self):
            self._check_read(field)

    def _check_read(self, field: dataclasses.Field[Any]) -> None:
        name, value = f"{type(self).__name__}.{field.name}", getattr(self, field.name)
        conditions = field.metadata.get("when") or {}
        for other, allowed in conditions.items():
            values = allowed if isinstance(allowed, tuple) else (allowed,)
            if getattr(self, other) not in values:
                if value != field.default:
                    raise UsageError(
                        f"{name}={value} is read only with {other}={' or '.join(map(str, values))}, "
                        f"not with {other}={getattr(self, other)}: leave it out or change {other}"
                    )
                return
        if field.metadata.get("needed") and value is None:
            given = ", ".join(f"{other}={getattr(self, other)}" for other in conditions)
            low, high = field.metadata.get("low"), field.metadata.get("high")
            bounds = f" ({low} to {high})" if low is not None and high is not None else ""
            raise UsageError(f"{name} is missing: {given} needs it{bounds}; {field.metadata['says']}")


def coerce(name: str, value: Any, kind: Any) -> Any:
    """Return `value` (a string from the command line, or typed) as `kind`, or raise UsageError."""
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if str(value) not in choices:
            raise UnknownName("value", str(value), choices, where=f" for {name}")
        return choices[str(value)]
    if get_origin(kind) in (UnionType, typing.Union):
        if value is None or str(value).lower() == "none":
            return None
        kind = next(member for member in get_args(kind) if member is not NoneType)
    wrong = UsageError(f"{name}={value!r}: {kind.__name__} expected")
    if kind is bool:
        words = {"true": True, "false": False, "yes": True, "no": False}
        if str(value).lower() not in words:
            raise UsageError(f"{name}={value!r}: true or false expected")
        return words[str(value).lower()]
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise wrong
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise wrong from None


# --- what a method is given --------------------------------------------------------------------


class Batch(NamedTuple):
    """One minibatch: images `x` (B, 3, H, W), labels `y` (B,), groups `a` (B,)."""

    x: torch.Tensor
    y: torch.Tensor
    a: torch.Tensor


class Split(Protocol):
    """One set of images of a fold: `train`, `val` (as it comes) or `external` (balanced)."""

    name: str
    y: torch.Tensor
    a: torch.Tensor

    def __len__(self) -> int: ...

    def draws(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield, per batch, the images' indices (B,) and their dihedral poses (B,) in 0..7; 0 is upright."""
        ...

    def images(self, index: torch.Tensor, variant: torch.Tensor) -> torch.Tensor:
        """Images x (B, 3, H, W) for indices and poses."""
        ...

    def batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield the images once, in order or shuffled, as they are or each in one of eight dihedral poses.

        `rng` is required for `shuffle` or `augment`; the last batch may be smaller than `size`.
        """
        ...

    def where(self, keep: torch.Tensor) -> Split:
        """The images at which the boolean `keep` (N,) is true, in order."""
        ...


class Run(Protocol):
    """All that a method sees of one cell: a model, its splits, a recipe. There is no test data in it."""

    model: Net
    """A private copy of the fold's baseline: evaluation mode, every parameter requires gradients.

    `model.features` maps x to (B, D), `model.head` (dropout, then `Linear(D, 1)`) maps that to (B, 1), and the
    model maps x to z (B,).
    """
    recipe: Recipe

    def split(self, name: str) -> Split:
        """A split named in the method's `uses`; raises UndeclaredSplit for any other."""
        ...

    def score(self, net: nn.Module, name: str) -> torch.Tensor:
        """Logits (N,) of `net` on a declared split: evaluation mode, in order, no augmentation."""
        ...

    def rng(self, stage: str, *, shared: bool = False) -> torch.Generator:
        """A fresh generator seeded by (seed, task, fold, method, stage).

        Parameters of the method and variants of the task do not count, so that two settings are compared on the same
        draws. `shared` leaves out the method too: what several methods compute alike then comes out alike.
        """
        ...

    def shared(
        self,
        stage: str,
        by: Mapping[str, Any],
        compute: Callable[[], Mapping[str, Tensor]],
        *,
        across_methods: bool = False,
    ) -> Mapping[str, Tensor]:
        """What `compute` returns, computed once for all settings of a method that name the same `stage` and `by`.

        `by` names everything on which the value depends besides baseline, splits, recipe, fold and seed; with
        `across_methods` other methods that name them take it too. What `compute` logs, warns of and costs is
        kept with the value, so that a cell says the same whether it made it or found it.
        """
        ...

    def count(self, *, forward: int = 0, backward: int = 0) -> None:
        """Count images whose passes were spared because another cell had made them."""
        ...

    def log(self, **facts: Any) -> None:
        """Store facts (numbers, strings, lists, dicts of them) in the cell's JSON."""
        ...

    def warn(self, text: str) -> None:
        """Store a warning in the cell's JSON; the person waiting reads each text once."""
        ...

    def progress(self, where: str) -> None:
        """Tell the person waiting where the method is, in a few words."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method(Plugin, ABC):
    """One way to mitigate disparities of a trained classifier.

    Subclasses are frozen keyword-only dataclasses. Their fields are their parameters; `title` is
    the name in tables, `uses` the splits that the harness hands over. `fit` must not touch the
    global random state, files, or anything but `run.model`; it keeps state only in what it returns.
    """

    title: ClassVar[str]
    uses: ClassVar[frozenset[str]]
    """Of `train`, `val`, `external`. A property where parameters decide; read it from an instance."""
    changes: ClassVar[frozenset[str]] = frozenset({"extractor", "statistics", "head"})
    """What may differ from the baseline after `fit`, else bit-identical: weights of the `extractor`, its
    BatchNorm `statistics`, the `head`. A property where parameters decide."""
    row: ClassVar[int] = 100
    """Position in tables; equal rows are sorted by name."""
    ablations: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Parameter -> the settings that `--ablate` runs, such as `("mask=random", "mask=hard,rate=0.5")`. A parameter
    that is not named here is run over all its choices."""
    search: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """Parameter -> the values among which `bench tune` selects."""

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        """Settings that `--methods all` runs beside the defaults under a recipe, such as `("apply=update",)`."""
        return ()

    def undefined(self, groups: int) -> str:
        """Why the method is not defined for so many groups; empty where it is.

        With more than two groups the external set holds the two with the lowest and the highest baseline AUC,
        recoded to 1 and 0 (SWiFT, Table 5). What reads the groups of `train` or `val` is not defined there.
        """
        both = groups == 2 or "val" not in self.uses
        return "" if both else "it reads the groups of validation images and is defined on two"

    def pruned(self, net: Net) -> int | None:
        """How many entries of the network `fit` sets to zero, where the method prunes a fixed number of them."""
        return None

    @abstractmethod
    def fit(self, run: Run) -> nn.Module:
        """Return a module that maps images (B, 3, H, W) to logits (B,)."""


# --- where images come from --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Dataset(Plugin, ABC):
    """One source of images: a table of them and a way to read one. No splits, no transforms, no torch."""

    access: ClassVar[str]
    """How the files are had, in one sentence."""
    licence: ClassVar[str]
    citation: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    attributes: ClassVar[tuple[str, ...]] = ()
    synthetic: ClassVar[bool] = False
    """True for generated images: every table and figure made from them says so."""

    @abstractmethod
    def table(self, root: Path) -> pd.DataFrame:
        """One row per image.

        Columns: `uid` (unique, `<dataset>:<image id>`), `path` (relative to `root`), `group` (what must not
        straddle two splits: patient, else lesion, else image), `source` (site or release), `drop` (empty,
        or the reason why the row is not used), and the label and attribute columns. `attrs["file"]` names the file
        in errors; `attrs["lacks"]` may say, for a column that is all unknown, (what was looked for, where it is had).

        Raises:
            DataMissing: with what was looked for under `root` and where it is had.
            DataInvalid: with file, row and column of a value that is not allowed.
        """

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image: uint8 (H, W) or (H, W, 3)."""
        from bench.data.decode import read_image

        file = root / path
        if not file.is_file():
            raise DataMissing(f"image {file}", get_it=self.access)
        return read_image(file)


# --- what is compared --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one dataset (`name` or `name:parameter=value`) whose columns hold the given values."""

    dataset: str
    where: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How a column becomes 0, 1 or missing, and what the two are called.

    Without `one`, `zero` and `above` the column holds 0 and 1 already. With `one`, those values are 1, with `zero`
    those are 0; where one of the two is empty it stands for all other known values. With `above`, numbers greater
    than it are 1.
    """

    column: str
    names: tuple[str, str]
    """The names of 0 and of 1."""
    one: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    above: float | None = None


class Label(Coding):
    """What is predicted: 1 is the positive class."""


class Attribute(Coding):
    """Whose disparity is measured: 1 is the group that the literature calls disadvantaged."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a task is trained: pre-training of the baseline, then the budget that every method shares."""

    pretrain_optimiser: Literal["sgd", "adam"]
    pretrain_lr: float
    pretrain_epochs: int
    optimiser: Literal["sgd", "adam"]
    lr_extractor: float
    lr_head: float
    epochs: int
    """Fine-tuning epochs in all; a method of two stages halves them."""
    epsilon: float
    """Weight of the prediction loss in SWiFT's first step, and of the bias loss in its second."""
    pretrain_decay: bool = False
    """Let the rate of pre-training fall to 0 along a half cosine."""
    pretrain_momentum: float = 0.9
    """Read by SGD alone, as `momentum` and both weight decays."""
    pretrain_weight_decay: float = 5e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 128
    threads: int = 1
    """CPU threads of one cell. Float sums depend on it, so it is fixed here and not by what is free."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One comparison: where the baseline is trained, what is predicted, whose disparity, where it is tested."""

    name: str
    says: str
    """One sentence for `bench ls tasks`."""
    source: Rows
    ood: Mapping[str, Rows]
    label: Label
    attribute: Attribute
    image_size: int
    channels: Literal[1, 3]
    crop: Literal["none", "centre"]
    recipe: Recipe
    backbones: tuple[str, ...] = ("small",)
    weights: Literal["imagenet", "none"] = "none"
    folds: int = 5
