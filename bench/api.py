"""The whole contract between the harness and its plugins.

Legend, used by every plugin and nowhere else in another sense:

    x   images   (B, 3, H, W)  float32, normalised with the ImageNet statistics
    y   labels   (B,)          float32 in {0, 1}
    a   groups   (B,)          int64 in {0, 1}; 1 = the group the literature calls disadvantaged, or of an
                               attribute of more groups the one with the lowest baseline AUC
    z   logits   (B,)          float32
    p   scores   (B,)          sigmoid(z)

A method is one file with one subclass of `Method`; a source of images is one file with one
subclass of `Dataset`; a task is a value of `Task`. This module imports neither torch nor pandas.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from bench.errors import DataMissing, UsageError
from bench.options import check_options
from bench.options import option as option  # plugins find it here

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from bench.net import Net


# --- parameters of plugins ---------------------------------------------------------------------


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
        check_options(self)


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
    uids: np.ndarray

    @property
    def augmentations(self) -> int | None:
        """How many augmentations `augment` draws from; None where they are too many for their features to be kept."""
        ...

    def __len__(self) -> int: ...

    def index_batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield, per batch, the images' indices (B,) and their augmentations (B,), which `images` reads; 0 is none."""
        ...

    def images(self, index: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
        """Images x (B, 3, H, W) for indices and augmentations."""
        ...

    def batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield the images once, in order or shuffled, as they are or each under one that the recipe's `augment` draws.

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

    def score(self, net: nn.Module, data: str | Split) -> torch.Tensor:
        """Logits (N,) of `net` on a declared split, or a part of one: evaluation mode, in order, no augmentation."""
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

    def keep(self, kind: Literal["bias", "prediction", "mask"], values: Mapping[str, Tensor]) -> None:
        """Hand over, for figures alone, a tensor for each parameter of the extractor, by its name.

        Its importance to the `bias` and to the `prediction`, each tensor scaled to [0, 1], and the `mask` through
        which it was trained. What is stored are means over at most 512 runs of entries in each block.
        """
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
        read = " and ".join(name for name in ("train", "val") if name in self.uses)
        return "" if groups == 2 or not read else f"it reads the groups of {read} and is defined on two"

    def pruned(self, net: Net) -> int | None:
        """How many entries of the network `fit` sets to zero, where the method prunes a fixed number of them."""
        return None

    @abstractmethod
    def fit(self, run: Run) -> nn.Module:
        """Return a module that maps images (B, 3, H, W) to logits (B,)."""


# --- where images come from --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images of a source: rows of its table (`release` says of which), used by default here, used by SWiFT, and why."""

    release: str = ""
    rows: int | None = None
    used: int | None = None
    paper: int | None = None
    why: str = ""


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
    counts: ClassVar[Counts | None] = None
    """What the release holds and what the paper used."""
    credentialed: ClassVar[bool] = False
    """True where each user signs an agreement: what is made from the files is closed to other users."""

    @abstractmethod
    def table(self, root: Path) -> pd.DataFrame:
        """One row per image.

        Columns: `uid` (unique, `<dataset>:<image id>`), `path` (relative to `root`), `patient` (what must not
        straddle two splits: patient, else lesion, else image), `source` (site or release), `drop` (empty,
        or the reason why the row is not used), and the label and attribute columns. `attrs["file"]` names the file
        in errors; `attrs["lacks"]` may say, for a column that is all unknown, (what was looked for, where it is had).

        Raises:
            DataMissing: with what was looked for under `root` and where it is had.
            DataInvalid: with file, row and column of a value that is not allowed.
        """

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image: uint8 (H, W) or (H, W, 3)."""
        from bench.decode import read_image

        file = root / path
        if not file.is_file():
            raise DataMissing(f"image {file}", get_it=self.access)
        return read_image(file)

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write `images` generated images with tables in the layout of the release below `root`.

        Optional; `bench phantom` calls it. The same arguments give the same bytes. `progress` is told (done, total).
        The result goes into PHANTOM.json: at least `planted`, `rows`, `used`, `left_out` (reason -> rows).
        """
        raise NotImplementedError


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

    Raises:
        UsageError: on two codings at once, or not one name for each group.
    """

    column: str
    names: tuple[str, ...]
    """The names of 0 and of 1."""
    one: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    above: float | None = None

    def __post_init__(self) -> None:
        self._check({"`one` and `zero`": bool(self.one or self.zero), "`above`": self.above is not None}, groups=2)

    def _check(self, ways: Mapping[str, bool], groups: int) -> None:
        given = [way for way, used in ways.items() if used]
        if len(given) > 1:
            raise UsageError(f"column '{self.column}' is coded by {' and by '.join(given)}: one of them allowed")
        if len(self.names) != groups or len(set(self.names)) != groups:
            names = ", ".join(self.names) or "none"
            raise UsageError(f"column '{self.column}': {groups} different names expected, one per group, not {names}")


class Label(Coding):
    """What is predicted: 1 is the positive class."""


@dataclass(frozen=True, kw_only=True)
class Attribute(Coding):
    """Whose disparity is measured: 1 is the group that the literature calls disadvantaged.

    With `cuts` or `values` the groups are 0 to G-1 and none is called disadvantaged beforehand: the external set holds
    the two with the lowest and the highest baseline AUC (SWiFT, Table 5).

    Raises:
        UsageError: also on cuts that do not rise, groups without a value, or a value in two of them.
    """

    cuts: tuple[float, ...] = ()
    """Where bands of numbers begin: below the first is group 0, at or above the last is group G-1."""
    values: tuple[tuple[str, ...], ...] = ()
    """The values of each group; others are missing."""

    @property
    def grouped(self) -> bool:
        """Whether the groups are numbered without an order, so that two of them are chosen on validation images."""
        return bool(self.cuts or self.values)

    def __post_init__(self) -> None:
        two = {"`one` and `zero`": bool(self.one or self.zero), "`above`": self.above is not None}
        groups = len(self.cuts) + 1 if self.cuts else max(2, len(self.values))
        self._check({**two, "`cuts`": bool(self.cuts), "`values`": bool(self.values)}, groups)
        # Not `low >= high`: NaN is above and below nothing.
        if not all(low < high for low, high in pairwise((-inf, *self.cuts, inf))):
            raise UsageError(f"column '{self.column}': cuts={list(self.cuts)}: finite numbers in rising order expected")
        listed = [value for group in self.values for value in group]
        if not all(self.values) or len(set(listed)) < len(listed) or len(self.values) == 1:
            raise UsageError(
                f"column '{self.column}': values={[list(group) for group in self.values]}: two or more groups of "
                "one or more values expected, each value in one group"
            )


_REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a task is trained: pre-training of the baseline, then the budget that every method shares.

    Raises:
        UsageError: as for a plugin.
    """

    pretrain_optimiser: Literal["sgd", "adam"] = option(_REQUIRED, "Optimiser of pre-training.")
    pretrain_lr: float = option(_REQUIRED, "Its learning rate.", low=0)
    pretrain_epochs: int = option(_REQUIRED, "Its epochs.", low=0, register=("D30",))
    optimiser: Literal["sgd", "adam"] = option(_REQUIRED, "Optimiser of fine-tuning.")
    lr_extractor: float = option(_REQUIRED, "Learning rate where the extractor is trained.", low=0, register=("D10",))
    lr_head: float = option(_REQUIRED, "Learning rate where the head alone is trained.", low=0, register=("D10",))
    epochs: int = option(_REQUIRED, "Fine-tuning epochs in all; a method of two stages halves them.", low=0)
    epsilon: float = option(
        _REQUIRED, "Weight of the prediction loss in SWiFT's first step, of the bias loss in its second.", low=0, high=1
    )
    pretrain_decay: bool = option(False, "Let the rate of pre-training fall to 0 along a half cosine.")
    pretrain_momentum: float = option(0.9, "Momentum of pre-training; read by SGD alone.", low=0, high=1)
    pretrain_weight_decay: float = option(5e-4, "Weight decay of pre-training; read by SGD alone.", low=0)
    pretrain_checkpoint: Literal["last", "best_inner", "reference"] = option(
        "last",
        "Epoch that is kept: the last; the one with the best AUC on a tenth held out of the training part, which "
        "is not trained on then; the one with the best AUC on the validation part, from which the external set is cut.",
        source="`reference`: configs/callbacks/default.yaml, monitor val/auc",
        register=("D31",),
    )
    pretrain_clip: float | None = option(
        None,
        "Largest norm of the gradient in pre-training; none: not clipped.",
        low=0,
        source="configs/experiment/*.yaml: gradient_clip_val 0.5",
        register=("D31",),
    )
    pretrain_plateau: bool = option(
        False,
        "Divide the rate of pre-training by 10 after 10 epochs without a smaller training loss.",
        when={"pretrain_decay": False},
        source="configs/model/*.yaml: ReduceLROnPlateau, factor 0.1, patience 10",
        register=("D31",),
    )
    momentum: float = option(0.9, "Momentum of fine-tuning; read by SGD alone.", low=0, high=1, register=("D11",))
    weight_decay: float = option(5e-4, "Its weight decay; read by SGD alone.", low=0, register=("D11",))
    batch: int = option(128, "Images per step, in pre-training too.", low=1, register=("D12",))
    augment: Literal["dihedral", "chest_reference"] = option(
        "dihedral",
        "Augmentations that training draws, in pre-training too: flips and transpose; or a mirror image and a rotation "
        "within 15 degrees, each with probability a half.",
        source="`chest_reference`: src/data/mimic_datamodule.py",
        register=("D17",),
    )
    weight_counts: Literal["batch", "dataset"] = option(
        "batch", "Where the prediction loss counts the classes that it weighs.", source="Eq. 1", register=("D03",)
    )
    reduction: Literal["mean", "sum"] = option(
        "mean", "Of the prediction loss over a batch; the paper writes a sum.", source="Eq. 1", register=("D03",)
    )
    epochs_mode: Literal["split_total", "per_stage"] = option(
        "split_total", "Whether a method of two stages halves the epochs or spends them on each.", register=("D09",)
    )
    schedule: Literal["constant", "cosine"] = option(
        "constant",
        "Learning rate of fine-tuning; the public code makes a cosine schedule and never steps it.",
        register=("D40",),
    )
    precision: Literal["device", "float32", "bfloat16"] = option(
        "device",
        "Of the passes that train, in pre-training too: the device's (bfloat16 autocast on a GPU, float32 on a CPU), "
        "or one for all. On a CPU bfloat16 pays where it has instructions for it (avx512_bf16, amx_bf16).",
    )
    threads: int = option(
        1, "CPU threads of one cell. Float sums depend on it, so it is fixed here and not by what is free.", low=1
    )

    def __post_init__(self) -> None:
        check_options(self)

    def stages(self, epochs: int | None = None) -> tuple[int, int]:
        """Epochs of the two stages of a method, of `epochs` in all (None: those of the recipe)."""
        total = self.epochs if epochs is None else epochs
        return (total, total) if self.epochs_mode == "per_stage" else (total // 2, total - total // 2)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One comparison: where the baseline is trained, what is predicted, whose disparity, where it is tested.

    Raises:
        UsageError: as for a plugin.
    """

    name: str
    """Of a variant the canonical spec, such as `phantom-cxr-age:external=0.2`."""
    says: str
    """One sentence for `bench ls tasks`."""
    source: Rows
    ood: Mapping[str, Rows]
    label: Label
    attribute: Attribute
    image_size: int = option(_REQUIRED, "Height and width of an image in pixels.", low=1)
    channels: Literal[1, 3] = option(_REQUIRED, "1 for films, 3 for colour.")
    crop: Literal["none", "centre"] = option(
        _REQUIRED, "Cut the central square before resizing, or squeeze the whole image.", register=("D18",)
    )
    recipe: Recipe
    backbones: tuple[str, ...] = ("small",)
    weights: Literal["imagenet", "none"] = option("none", "Weights that pre-training starts from.")
    folds: int = option(5, "Parts of the source set, each once the validation part.", low=2)
    protocol: Literal["clean", "paper"] = option(
        "clean",
        "Folds by group (patient, else lesion), alike in source, label and attribute; or by image, alike in the label.",
    )
    polarity: Literal["paper", "clinical"] = option(
        "paper", "The label as the task codes it; or its 0 and 1 swapped, with their names.", register=("D19",)
    )
    external: float = option(
        1.0, "Share of the external set that is used; with 0, methods that read it return the baseline.", low=0, high=1
    )
    balance: Literal["matched", "four_cells", "reference"] = option(
        "matched",
        "External set: the smaller group whole and as many of the larger, class by class; or four equal cells; or "
        "as matched, but the larger group drawn with replacement.",
        source="`reference`: dataset_balance of algorithm/dataset_loader.py",
        register=("D02", "D38"),
    )
    deficit: Literal["resample", "trim"] = option(
        "resample",
        "Where the larger group has fewer images of a class: repeat some of them, or leave some of the smaller out.",
        when={"balance": "matched"},
    )

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def label_names(self) -> tuple[str, str]:
        """The names of y = 0 and y = 1 under the polarity of the task."""
        zero, one = self.label.names
        return (zero, one) if self.polarity == "paper" else (one, zero)
