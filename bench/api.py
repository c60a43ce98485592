"""The contract between the harness and its plugins.

Every plugin uses these names, and only in this sense:

    x   images   (B, C, H, W)  float32, C channels on the scale that the backbone wants (`Input`)
    y   labels   (B,)          float32 in {0, 1}
    a   groups   (B,)          int64 in {0, 1}; 1 is the group that the literature calls disadvantaged or, if the
                               attribute has more than two groups, the one with the lowest baseline AUC. Methods never
                               see images whose attribute is not known; elsewhere these have `NO_GROUP`
    z   logits   (B,)          float32
    p   scores   (B,)          sigmoid(z)

A method is one file with one subclass of `Method`, a source of images one with a subclass of `Dataset`, a network one
with a subclass of `Backbone`. A task is an instance of `Task`. This module imports neither torch nor pandas.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from bench.errors import DataMissing, UnknownName, UsageError, number_of
from bench.options import check_options
from bench.options import option as option  # plugins find it here
from bench.weights import is_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from bench.net import Net


CONTRACT = 1
"""Version of this contract. Raised when a plugin that kept the last one must be changed; the changelog says how."""
PATIENT = "patient"
"""The `unit` of a task that decides on patients: the column `patient` of its tables, which is not always a person."""
NO_GROUP = -1
"""`a` of an image whose attribute is not known: it trains the baseline and counts in the AUC, but in no gap."""


# --- parameters of plugins ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A frozen dataclass of parameters; each is a `Literal`, bool, int, float or str, or None.

    Raises:
        UsageError: on a value of the wrong type, outside its choices or range, or of a parameter that is not read.
    """

    version: ClassVar[int] = 1
    """Raised whenever results change; part of the identity of every result."""
    contract: ClassVar[int] = CONTRACT
    """The `CONTRACT` that the plugin was written for. Any other is refused; if not declared, it is taken for this."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of parameters: `swift:preset=paper` sets those in `presets["paper"]`."""
    unnamed: ClassVar[str] = ""
    """The parameter that a spec may give first, without its name: `timm:resnet18` is `timm:model=resnet18`."""

    def __post_init__(self) -> None:
        check_options(self)


# --- arguments of a method ---------------------------------------------------------------------


class Batch(NamedTuple):
    """One minibatch: images `x` (B, C, H, W), labels `y` (B,), groups `a` (B,)."""

    x: torch.Tensor
    y: torch.Tensor
    a: torch.Tensor


class Split(Protocol):
    """One set of images of a fold: `train`, `val` (unbalanced) or `external` (balanced)."""

    name: str
    y: torch.Tensor
    a: torch.Tensor
    uids: np.ndarray

    @property
    def augmentations(self) -> int | None:
        """Number of augmentations that `augment` draws from; None if there are too many to cache features of each."""
        ...

    def __len__(self) -> int: ...

    def index_batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the indices (B,) and augmentations (B,) of each batch, for `images`; augmentation 0 changes nothing."""
        ...

    def read_ahead(
        self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield indices and augmentations as they are, while the next images are read; `batches` does so too."""
        ...

    def images(self, index: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
        """Return images x (B, C, H, W) by index and augmentation."""
        ...

    def labels(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels y (B,) and groups a (B,) by index, on the device."""
        ...

    def known(self, index: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and groups by index as arrays of the host, which asks no device for what a batch holds."""
        ...

    def batches(
        self, *, size: int, shuffle: bool = False, augment: bool = False, rng: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield every image once, in order or shuffled, unchanged or with an augmentation of the recipe's `augment`.

        `shuffle` and `augment` require `rng`. The last batch may be smaller than `size`.
        """
        ...

    def where(self, keep: torch.Tensor) -> Split:
        """Return the images for which the boolean `keep` (N,) is true, in order."""
        ...


class Run(Protocol):
    """Everything that a method can access in one cell: a model, splits and a recipe, but no test data."""

    model: Net
    """A private copy of the fold's baseline, in evaluation mode; every parameter requires gradients.

    `model.features` maps x to features (B, D), `model.head` (dropout, then `Linear(D, 1)`) maps features to (B, 1), and
    the model maps x to z (B,).
    """
    recipe: Recipe

    def split(self, name: str) -> Split:
        """Return a split that the method's `uses` names; raise UndeclaredSplit for any other."""
        ...

    def score(self, net: nn.Module, data: str | Split) -> torch.Tensor:
        """Return the logits (N,) of `net` on a split or a part of one: evaluation mode, in order, no augmentation."""
        ...

    def rng(self, stage: str, *, shared: bool = False) -> torch.Generator:
        """Return a new generator, seeded by (seed, task, fold, method, stage).

        The seed does not depend on parameters of the method and variants of the task, so that two settings are
        compared on the same draws. With `shared` it does not depend on the method either, so that several methods that
        make the same computation get the same result.
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
        """Return the value of `compute`, computed once for all settings of a method with the same `stage` and `by`.

        `by` names everything that the value depends on besides baseline, splits, recipe, fold and seed. With
        `across_methods`, other methods with the same `stage` and `by` share the value. Logged facts, warnings and
        costs of `compute` are stored with the value, so that the record of a cell does not depend on whether it
        computed the value or found it.
        """
        ...

    def count(self, *, forward: int = 0, backward: int = 0) -> None:
        """Count passes of images that were not made because another cell had already made them."""
        ...

    def keep(self, kind: Literal["bias", "prediction", "mask"], values: Mapping[str, Tensor]) -> None:
        """Store a tensor for each parameter of the extractor, by name; only figures read them.

        The kinds are the importance to the `bias` and to the `prediction`, each tensor scaled to [0, 1], and the
        `mask` applied in training. Each block is stored as means over at most 512 consecutive runs of entries.
        """
        ...

    def log(self, **facts: Any) -> None:
        """Store facts (numbers, strings, lists and dictionaries of them) in the cell's JSON."""
        ...

    def warn(self, text: str) -> None:
        """Store a warning in the cell's JSON; each text is also printed once."""
        ...

    def progress(self, where: str) -> None:
        """Show in a few words what the method is doing."""
        ...


PARTS = {
    "stem": "a first convolution whose outputs are maps",
    "stem activation": "a ReLU or SiLU after its first convolution",
}
"""Parts of an extractor that a method may need."""


class Question(NamedTuple):
    """What a method is asked to be defined on: a number of groups, and a network that lacks some of `PARTS`."""

    groups: int = 2
    lacks: Mapping[str, str] = {}
    """Part -> why the network does not have it."""
    vector: bool = False
    """Whether there is no network before the head, because the source has vectors."""


class Sizes(NamedTuple):
    """Number of images in the parts of a fold."""

    train: int
    val: int
    external: int


@dataclass(frozen=True, kw_only=True)
class Method(Plugin, ABC):
    """A method that mitigates disparities of a trained classifier.

    Subclasses are frozen keyword-only dataclasses whose fields are their parameters. `title` is the name in tables and
    `uses` names the splits that `fit` may read. `fit` must change nothing but `run.model`, in particular not the global
    random state or files, and must keep state only in the module that it returns.
    """

    title: ClassVar[str]
    uses: ClassVar[frozenset[str]]
    """Splits among `train`, `val` and `external`. May be a property that depends on parameters, so read an instance."""
    changes: ClassVar[frozenset[str]] = frozenset({"extractor", "statistics", "head"})
    """Parts that `fit` may change: weights of the `extractor`, its BatchNorm `statistics`, the `head`. Other parts stay
    bit-identical to the baseline. It may be a property that depends on parameters."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Parts of the extractor, among `PARTS`, without which the method is not defined. May be a property."""
    needs_attribute: ClassVar[bool] = False
    """Whether the module that `fit` returns is called with (x, a), so that it needs the attribute of every future
    patient. `a` is -1 where it is not known. Tables mark such methods, and `--methods all` leaves them out."""
    comparator: ClassVar[bool] = False
    """Whether it is a simple method that others have to beat: tables set it apart under a rule, and `--methods all`
    leaves it out, which `--methods everything` does not."""
    auc_says: ClassVar[str] = ""
    """How its AUC is to be read, if it was chosen for decisions rather than ranks; a note of the tables."""
    threshold: ClassVar[float | None] = None
    """The score above which the method predicts 1, if it chooses decisions itself; None: tuned on validation."""
    row: ClassVar[int] = 100
    """Position in tables; methods with equal positions are sorted by name."""
    ablations: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Parameter -> the settings that `--ablate` runs, such as `("mask=random", "mask=hard,rate=0.5")`. For any other
    parameter, `--ablate` runs all choices."""
    search: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """Parameter -> the values that `bench tune` tries."""

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        """Return settings that `--methods all` runs beside the defaults under a recipe, such as `("apply=update",)`."""
        return ()

    def undefined(self, question: Question) -> str:
        """Return why the method is not defined for these groups or on this network; empty if it is defined.

        With more than two groups, the external set contains the two with the lowest and the highest baseline AUC,
        recoded to 1 and 0 (SWiFT, Table 5). A method that reads the groups of `train` or `val` is not defined then.
        """
        read = " and ".join(name for name in ("train", "val") if name in self.uses)
        if question.groups != 2 and read:
            return f"it reads the groups of {read} and is defined on two"
        if question.groups != 2 and self.needs_attribute:
            return "it is given the group of every image and is defined on two"
        if question.vector and self.changes - {"head"}:
            return f"it changes the {' and the '.join(sorted(self.changes - {'head'}))}, and a vector has no network"
        lacking = next((part for part in PARTS if part in self.needs and part in question.lacks), None)
        return f"it needs {PARTS[lacking]}, and {question.lacks[lacking]}" if lacking else ""

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float] | None:
        """Return about how many images `fit` trains on, and how many it only passes forward; None: not known.

        `bench run --dry-run` and `docs/cost.md` estimate hours from it. A backward pass without a step of an optimiser
        counts as two forward passes.
        """
        return None

    def pruned(self, net: Net) -> int | None:
        """Return how many entries of the network `fit` sets to zero, if the method prunes a fixed number of them."""
        return None

    @abstractmethod
    def fit(self, run: Run) -> nn.Module:
        """Return a module that maps images (B, C, H, W) and, with `needs_attribute`, groups (B,) to logits (B,).

        In evaluation mode, a logit depends on its own image alone: neither on the other images of the batch nor on
        earlier calls. `bench check` and `bench run` refuse other modules.
        """


# --- sources of images -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of images of a source: rows of the table of a release, used here by default, used by SWiFT, and why."""

    release: str = ""
    rows: int | None = None
    used: int | None = None
    paper: int | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset(Plugin, ABC):
    """A source of images: a table of them and a way to read one, without splits, transforms or torch."""

    access: ClassVar[str]
    """How to get the files, in one sentence."""
    licence: ClassVar[str]
    citation: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    attributes: ClassVar[tuple[str, ...]] = ()
    synthetic: ClassVar[bool] = False
    """True for generated images; every table and figure made from them says so."""
    counts: ClassVar[Counts | None] = None
    """Images in the release, and those that the paper used."""
    credentialed: ClassVar[bool] = False
    """True if each user must sign an agreement; files made from the data are then not readable for other users."""
    independent: ClassVar[str] = "patients"
    """What the column `patient` holds, in words, where it does not hold images."""

    @abstractmethod
    def table(self, root: Path) -> pd.DataFrame:
        """One row per image.

        Columns: `uid` (unique, `<dataset>:<image id>`), `path` (relative to `root`), `patient` (the unit that is never
        divided between two splits: patient, else lesion, else image), `source` (site or release), `drop` (empty, or
        the reason why the row is not used), and the label and attribute columns. `attrs["file"]` names the file in
        errors. For a column that is entirely unknown, `attrs["lacks"]` may hold (what was looked for, where to get it).

        Raises:
            DataMissing: with what was looked for under `root` and where to get it.
            DataInvalid: with file, row and column of a value that is not allowed.
        """

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image: uint8 (H, W) or (H, W, 3)."""
        return _decoded(root / path, self.access)

    def deep_image(self, root: Path, path: str) -> np.ndarray:
        """Decode one image with all its grey levels, for a backbone of more than 8 bits: uint16, or uint8 as `image`.

        The largest level of the file becomes 65535. A source that decodes images itself defines this beside `image`;
        otherwise a backbone of more than 8 bits is refused.
        """
        return self.image(root, path) if self.shallow else _decoded(root / path, self.access, deep=True)

    @property
    def shallow(self) -> bool:
        """Whether images have 8 bits at most: they are generated, or decoded by an `image` without a `deep_image`."""
        own = type(self)
        return self.synthetic or (own.image is not Dataset.image and own.deep_image is Dataset.deep_image)

    def vectors(self, root: Path) -> tuple[Sequence[str], np.ndarray] | None:
        """Return paths (N,) and vectors (N, D) float32 of a source of vectors; None for images."""
        return None

    def planted(self) -> Mapping[tuple[str, str], float]:
        """Return the planted ties of generated images: (label, attribute) -> log odds ratio; {} for real images.

        The attribute is `age>65` or a column of 0 and 1. No other pair of this label and the attributes is tied.
        `bench doctor` prints these beside those that it finds.
        """
        return {}

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write `images` generated images below `root`, with tables in the layout of the release.

        Optional; `bench phantom` calls it. The same arguments give the same bytes. `progress` is called with (done,
        total). The returned facts are stored in PHANTOM.json: at least `planted`, `rows`, `used`, `left_out` (reason
        -> rows).
        """
        raise NotImplementedError


def _decoded(file: Path, access: str, *, deep: bool = False) -> np.ndarray:
    from bench.decode import read_image

    if not file.is_file():
        raise DataMissing(f"image {file}", get_it=access)
    return read_image(file, deep=deep)


# --- networks ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Input:
    """The images that a network is given.

    An image is decoded, prepared by `Backbone.prepare`, cropped as the task says, resized by `interpolation` to the
    `image_size` of the task, and stored with `bits`. Black becomes `low` and white `high`; from this `mean` is
    subtracted, and the result is divided by `std`. A network of three channels gets a grey image three times, a network
    of one channel gets the luma of a colour image.

    Raises:
        UsageError: mean and std do not have one number or one for each channel, or a scale is empty.
    """

    size: int = 224
    """Pixels of each side that the network was made for; the task's `image_size` wins."""
    channels: int = 3
    """1 or 3."""
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "lanczos"
    bits: Literal[8, 16, 32] = 8
    """Bits of a stored value; with 32, floats in which black is 0 and white is 1."""

    def __str__(self) -> str:
        """Return the input in words, for messages."""
        numbers = [", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std)]
        return (
            f"{number_of(self.channels, 'channel')} from {self.low:g} (black) to {self.high:g} (white), "
            f"less the mean {numbers[0]}, divided by {numbers[1]}, resized to {self.size} x {self.size} "
            f"({self.interpolation})"
        )

    def __post_init__(self) -> None:
        lengths = (1, self.channels)
        if self.channels not in (1, 3) or len(self.mean) not in lengths or len(self.std) not in lengths:
            raise UsageError(f"mean={self.mean}, std={self.std}: one number, or one for each of 1 or 3 channels")
        finite = all(map(isfinite, (*self.mean, *self.std, self.low, self.high)))
        if not (finite and all(value > 0 for value in self.std) and self.low < self.high):
            raise UsageError(
                f"mean={self.mean}, std={self.std}, range {self.low:g} to {self.high:g}: finite numbers, std above 0 "
                "and low < high expected"
            )


@dataclass(frozen=True, kw_only=True)
class Vector(Input):
    """A vector (D,) in place of an image, as the source has it: x is (B, D) and cannot be augmented."""

    width: int = 0
    """D; 0: not known yet."""

    def __str__(self) -> str:
        return f"vectors of {self.width} numbers"


@dataclass(frozen=True, kw_only=True)
class Backbone(Plugin, ABC):
    """A network without its last layer: how it is built, what it is given, and where its weights come from."""

    tags: ClassVar[tuple[str, ...]] = ()
    """Names of initial weights that the backbone knows, beside `none` and files."""
    prepares: ClassVar[int] = 0
    """Version of `prepare`, part of the identity of every result; 0: images are not prepared."""
    lacks: ClassVar[Mapping[str, str] | None] = None
    """Those of `PARTS` that the extractor does not have, each with the reason; None: found by building it."""

    weights: str = option(
        "task",
        "Initial weights of pre-training: none, a tag of the backbone, or a local .safetensors or .pth file; task: "
        "those that the task names.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights not in ("task", "none", *self.tags) and not is_file(self.weights):
            raise UnknownName("weights", self.weights, ("none", *self.tags, "FILE.safetensors", "FILE.pth"))

    @property
    @abstractmethod
    def input(self) -> Input:
        """The images that the network is given."""

    @abstractmethod
    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int | nn.Linear]:
        """Return a module that maps images (B, C, size, size) to features (B, D), and the width D.

        Weights are those of the file or, without one, random ones drawn from the global random state. A linear layer
        (D -> 1) in place of the width has the initial weights of the head.

        Raises:
            DataError: the file does not hold the weights of the network (`bench.weights.load_exactly`).
        """

    def weight_file(self, tag: str) -> tuple[str, Path] | None:
        """Return address and local file of the weights of a tag; `bench prepare` downloads them, a run never does."""
        return None

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return an image as it is stored, before it is cropped and resized; optional, see `prepares`.

        The image is as `Dataset.image` or, with more than 8 bits, `Dataset.deep_image` returns it. The result may have
        the same types, or be floats in which black is 0 and white is 1. It must not change its argument.
        """
        return image


# --- tasks -------------------------------------------------------------------------------------


_REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class Tie:
    """A tie between label and attribute that is planted in the source by leaving out whole patients (or lesions).

    Test sets stay as they are. Images whose attribute is not known are left out of the source too.

    Raises:
        UsageError: odds that are no finite number above 0.
    """

    attribute: str
    """The column of the attribute of the task."""
    odds: float = option(
        _REQUIRED,
        "Odds ratio of label and attribute that the source has after images were left out: how many times larger the "
        "odds of label 1 are in group 1 than in group 0.",
        low=0,
    )
    draw: int = option(0, "Number of the draw: another one leaves out other patients (or lesions).", low=0)
    untied: bool = option(
        False, "The control of a draw: as many images of each label and of each group, with an odds ratio of 1."
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 < self.odds < inf:
            raise UsageError(f"odds={self.odds}: a finite number above 0 expected")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a dataset (`name` or `name:parameter=value`) whose columns have one of the values in `where`.

    Raises:
        UsageError: a share outside of 0.01..0.99, or beside `where`, or of a test set that is out of distribution.
    """

    dataset: str
    where: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    kind: Literal["out", "in"] = "out"
    """Of a test set: out of the distribution that was trained on, such as another hospital, or in it."""
    share: float | None = None
    """Of a test set in distribution: the share of the source's patients that is held out for it."""
    tie: Tie | None = None
    """Of the source alone."""

    def __post_init__(self) -> None:
        if self.share is not None and (not 0.01 <= self.share <= 0.99 or self.kind == "out" or self.where):
            raise UsageError(
                f"share={self.share}: 0.01 to 0.99 allowed, for a set [tests.NAME] without `where`; it is a share "
                "of the patients of the source"
            )


def _whole(number: float) -> float:
    """Return a whole number as an int, so that 65 and 65.0 are one cut, in hashes too."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How a column is coded as 0, 1 or missing, and the names of 0 and 1.

    Without `one`, `zero` and `above` the column already contains 0 and 1. The values in `one` become 1 and those in
    `zero` become 0; a value in neither list is not known. With `above`, larger numbers become 1.

    Raises:
        UsageError: if two codings are combined, a value is in two lists, or the number of names differs from the number
            of groups.
    """

    column: str
    names: tuple[str, ...]
    """The names of 0 and of 1."""
    one: tuple[str, ...] = ()
    """The values that are 1, as the table writes them; "" is an empty field."""
    zero: tuple[str, ...] = ()
    """The values that are 0."""
    rest: bool = False
    """With one of `one` and `zero` alone: every other known value belongs to the other of the two."""
    unknown: tuple[str, ...] = ()
    """Values that mean "not known", such as "-1", beside empty fields and the words of `bench.data.columns.UNKNOWN`."""
    above: float | None = None

    def __post_init__(self) -> None:
        self._check({"`one` and `zero`": bool(self.one or self.zero), "`above`": self.above is not None}, groups=2)

    @property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """The values of each group; empty where the column is coded in another way."""
        return (self.zero, self.one) if self.one or self.zero else ()

    @property
    def bounds(self) -> tuple[float, ...]:
        """The numbers at which the column is cut; empty where it is coded in another way."""
        return () if self.above is None else (self.above,)

    def _check(self, ways: Mapping[str, bool], groups: int) -> None:
        object.__setattr__(self, "above", None if self.above is None else _whole(self.above))
        if self.above is not None and not isfinite(self.above):
            raise UsageError(f"column '{self.column}': above={self.above}: a finite number expected")
        codings = [way for way, used in ways.items() if used]
        if len(codings) > 1:
            raise UsageError(f"column '{self.column}' is coded by {' and by '.join(codings)}: only one is allowed")
        if len(self.names) != groups or len(set(self.names)) != groups:
            names = ", ".join(self.names) or "none"
            raise UsageError(f"column '{self.column}': {groups} different names expected, one per group, not {names}")
        listed = [value for group in (*self.lists, self.unknown) for value in group]
        if twice := sorted({value for value in listed if listed.count(value) > 1}):
            values = ", ".join(map(repr, twice))
            raise UsageError(f"column '{self.column}': {values} is listed twice: each value belongs to one group")
        alone = bool(self.one) != bool(self.zero)
        if alone and not self.rest:
            given, other = ("one", "zero") if self.one else ("zero", "one")
            raise UsageError(
                f"column '{self.column}': `{given}` is given without `{other}`: list the values of the other group, "
                "or set rest = true, which takes all remaining known values"
            )
        if self.rest and not alone:
            raise UsageError(f"column '{self.column}': rest is read only with one of `one` and `zero` alone")


@dataclass(frozen=True, kw_only=True)
class Label(Coding):
    """The label that is predicted; 1 is the positive class."""

    combine: Literal["any", "all"] | None = None
    """Where several rows name one image: it is positive if any, or all, of them are; None: they must agree."""


@dataclass(frozen=True, kw_only=True)
class Attribute(Coding):
    """The attribute whose disparity is measured; 1 is the group that the literature calls disadvantaged.

    With `cuts` or `values` the groups are 0 to G-1 and none is named as disadvantaged in advance. The external set then
    contains the two with the lowest and the highest baseline AUC (SWiFT, Table 5). So it is with `cross`, whose groups
    are all combinations of the groups of other attributes; the task fills in `column` and `names` then.

    Raises:
        UsageError: as for `Coding`; also if cuts do not rise, a group has no value, or two groups share a value.
    """

    column: str = ""
    names: tuple[str, ...] = ()
    cross: tuple[str, ...] = ()
    """Names of two or more attributes of `also` whose groups are combined."""
    primary: bool = False
    """Of an attribute of `also`: its gaps belong to the claims of the task; otherwise they are exploratory."""
    cuts: tuple[float, ...] = ()
    """Lower bounds of groups: numbers below the first are group 0, numbers at or above the last are group G-1."""
    values: tuple[tuple[str, ...], ...] = ()
    """The values of each group; a value in no list is not known."""

    @property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """The values of each group; empty where the column is coded in another way."""
        return self.values or super().lists

    @property
    def bounds(self) -> tuple[float, ...]:
        """The numbers at which the column is cut; empty where it is coded in another way."""
        return self.cuts or super().bounds

    @property
    def grouped(self) -> bool:
        """Whether no group is named as disadvantaged, so that two groups are chosen on validation images."""
        return bool(self.cuts or self.values or self.cross)

    @property
    def coding(self) -> tuple[Any, ...]:
        """What decides the group of an image; attributes with equal ones divide images in the same way."""
        return self.column, self.bounds, bool(self.cuts), self.rest, tuple(tuple(sorted(one)) for one in self.lists)

    def crossed(self, also: Mapping[str, Attribute]) -> Attribute:
        """Return a crossing with its column and names, from the attributes that it names.

        Raises:
            UsageError, UnknownName: fewer than two attributes, one twice, or one that is not in `also`.
        """
        for name in self.cross:
            if name not in also:
                raise UnknownName("attribute", name, also, where=" in `cross`; describe it in a table [also.NAME]")
        if len(set(self.cross)) < len(self.cross) or len(self.cross) < 2:
            raise UsageError(f"cross = {list(self.cross)}: two or more different attributes of [also.NAME] expected")
        names = tuple(" / ".join(parts) for parts in product(*(also[name].names for name in self.cross)))
        return dataclasses.replace(self, column=" x ".join(self.cross), names=names)

    def __post_init__(self) -> None:
        if self.cross:
            if self.lists or self.bounds or self.unknown:
                raise UsageError("cross: its groups are those of the attributes that it names; give no other coding")
            return
        if missing := [name for name in ("column", "names") if not getattr(self, name)]:
            raise UsageError(f"{', '.join(missing)} missing")
        two = {"`one` and `zero`": bool(self.one or self.zero), "`above`": self.above is not None}
        object.__setattr__(self, "cuts", tuple(_whole(cut) for cut in self.cuts))
        groups = len(self.cuts) + 1 if self.cuts else max(2, len(self.values))
        self._check({**two, "`cuts`": bool(self.cuts), "`values`": bool(self.values)}, groups)
        # `low >= high` would be false for NaN.
        if not all(low < high for low, high in pairwise((-inf, *self.cuts, inf))):
            raise UsageError(f"column '{self.column}': cuts={list(self.cuts)}: finite numbers in rising order expected")
        if not all(self.values) or len(self.values) == 1:
            raise UsageError(
                f"column '{self.column}': values={[list(group) for group in self.values]}: two or more groups of "
                "one or more values expected"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training settings of a task: pre-training of the baseline, and the budget that all methods share.

    Raises:
        UsageError: as for a plugin.
    """

    pretrain_optimiser: Literal["sgd", "adam"] = option(_REQUIRED, "Optimiser of pre-training.")
    pretrain_lr: float = option(_REQUIRED, "Learning rate of pre-training.", low=0)
    pretrain_epochs: int = option(_REQUIRED, "Epochs of pre-training.", low=0)
    optimiser: Literal["sgd", "adam"] = option(_REQUIRED, "Optimiser of fine-tuning.")
    lr_extractor: float = option(_REQUIRED, "Learning rate if the extractor is trained.", low=0)
    lr_head: float = option(_REQUIRED, "Learning rate if only the head is trained.", low=0)
    epochs: int = option(_REQUIRED, "Total epochs of fine-tuning; a method with two stages halves them.", low=0)
    epsilon: float = option(
        _REQUIRED, "Weight of the prediction loss in SWiFT's first step, of the bias loss in its second.", low=0, high=1
    )
    pretrain_decay: bool = option(False, "Let the learning rate of pre-training fall to 0 along a half cosine.")
    pretrain_momentum: float = option(0.9, "Momentum of pre-training; only SGD reads it.", low=0, high=1)
    pretrain_weight_decay: float = option(5e-4, "Weight decay of pre-training; only SGD reads it.", low=0)
    pretrain_checkpoint: Literal["last", "best_inner", "reference"] = option(
        "last",
        "Epoch that is kept: the last, the one with the best AUC on a tenth of the training part that is held out, or "
        "the one with the best AUC on the validation part, which also contains the external set.",
        source="`reference`: configs/callbacks/default.yaml, monitor val/auc",
    )
    pretrain_clip: float | None = option(
        None,
        "Largest norm of the gradient in pre-training; none: no clipping.",
        low=0,
        source="configs/experiment/*.yaml: gradient_clip_val 0.5",
    )
    pretrain_plateau: bool = option(
        False,
        "Divide the learning rate of pre-training by 10 after 10 epochs without a smaller training loss.",
        when={"pretrain_decay": False},
        source="configs/model/*.yaml: ReduceLROnPlateau, factor 0.1, patience 10",
    )
    pretrain_statistics: Literal["imagenet", "training"] = option(
        "imagenet",
        "Mean and standard deviation by which pixels are standardised, in pre-training and from then on: those that "
        "the backbone asks for, of ImageNet for the networks of the suite, or of each channel over the training images "
        "of the fold.",
        source="`imagenet`: A.Normalize() in src/data",
    )
    momentum: float = option(0.9, "Momentum of fine-tuning; only SGD reads it.", low=0, high=1)
    weight_decay: float = option(5e-4, "Weight decay of fine-tuning; only SGD reads it.", low=0)
    batch: int = option(128, "Images per step, also in pre-training.", low=1)
    augment: Literal["dihedral", "chest_reference"] = option(
        "dihedral",
        "Augmentations in training and pre-training: flips and transpose, or a horizontal flip and a rotation within "
        "15 degrees, each with probability 0.5.",
        source="`chest_reference`: src/data/mimic_datamodule.py",
    )
    weight_counts: Literal["batch", "dataset"] = option(
        "batch", "Images over which the prediction loss counts the classes for its weights.", source="Eq. 1"
    )
    reduction: Literal["mean", "sum"] = option(
        "mean", "Reduction of the prediction loss over a batch; the paper writes a sum.", source="Eq. 1"
    )
    epochs_mode: Literal["split_total", "per_stage"] = option(
        "split_total", "Whether a method with two stages halves the epochs or uses all of them in each."
    )
    schedule: Literal["constant", "cosine"] = option(
        "constant",
        "Learning rate schedule of fine-tuning; the public code creates a cosine schedule and never steps it.",
    )
    precision: Literal["device", "float32", "bfloat16"] = option(
        "device",
        "Precision of training and pre-training; device: bfloat16 autocast on a GPU, float32 on a CPU. On a CPU "
        "bfloat16 is faster only with instructions for it (avx512_bf16, amx_bf16).",
    )
    threads: int = option(1, "CPU threads of one cell. It is fixed because sums of floats depend on it.", low=1)
    deterministic: bool = option(
        True,
        "Use only those kernels of a GPU that give the same sums every time; otherwise cuDNN tries which are fastest. "
        "On a CPU nothing changes.",
        added=True,
    )
    compile: bool = option(
        False,
        "Compile the training passes with torch.compile, which needs a C++ compiler. Dropout then draws other masks, "
        "and sums may differ in their last digits.",
        added=True,
    )

    def __post_init__(self) -> None:
        check_options(self)

    def drawn(self, epochs: int) -> float:
        """Return how often an image is passed forward, on average, while only the head is trained.

        Features of each of the eight flips and transposes are computed once; rotations are too many to keep.
        """
        return 8 * (1 - (7 / 8) ** epochs) if self.augment == "dihedral" else epochs

    def stages(self, epochs: int | None = None) -> tuple[int, int]:
        """Return the epochs of both stages of a method that has `epochs` in all (None: those of the recipe)."""
        total = self.epochs if epochs is None else epochs
        return (total, total) if self.epochs_mode == "per_stage" else (total // 2, total - total // 2)


FOLD_SPLITS = ("train", "val", "external", "train_inner", "val_inner")
"""Parts of a fold. The last two are what pre-training with `pretrain_checkpoint=best_inner` makes of `train`."""
RESERVED = (*FOLD_SPLITS, "source", "holdout", "ood", "all")
"""Names that the suite gives to sets of images, so that no test set may have them."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How the images were preprocessed on which a user's own model was trained; what is empty is as the backbone says.

    Raises:
        UsageError: as for `Input`.
    """

    mean: tuple[float, ...] = ()
    """Subtracted from each channel, on the scale of `range`."""
    std: tuple[float, ...] = ()
    range: tuple[float, ...] = ()
    """The values of black and white before `mean` is subtracted, such as [0, 255]."""
    resize: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] | None = None
    """The interpolation by which images were resized."""

    def of(self, given: Input) -> Input:
        """Return what the network is given, with what is stated here."""
        if len(self.range) not in (0, 2):
            raise UsageError(f"[baseline] range={list(self.range)}: the values of black and white expected")
        low, high = self.range or (given.low, given.high)
        mean, std, filtered = self.mean or given.mean, self.std or given.std, self.resize or given.interpolation
        try:
            return dataclasses.replace(given, low=low, high=high, mean=mean, std=std, interpolation=filtered)
        except UsageError as error:
            raise UsageError(f"[baseline] {error}") from None


@dataclass(frozen=True, kw_only=True)
class Task:
    """One comparison: images for training, the label, the attribute whose disparity is measured, and the test sets.

    Raises:
        UsageError: as for a plugin; or there is no backbone.
    """

    name: str
    """For a variant, the canonical spec, such as `phantom-cxr-age:external=0.2`."""
    says: str
    """The description that `bench ls tasks` prints, in one sentence."""
    preset: str = "suite"
    """The preset of task, recipe and methods: `suite`, `paper` or `reference` (`bench/tasks.toml`)."""
    source: Rows
    ood: Mapping[str, Rows]
    label: Label
    labels: Mapping[str, Label] = dataclasses.field(default_factory=dict)
    """The labels of a task that asks about several findings, `label` among them; empty where there is one. One network
    with an output for each is the baseline of all."""
    attribute: Attribute
    also: Mapping[str, Attribute] = dataclasses.field(default_factory=dict)
    """Further attributes that are only measured: they change no cell."""
    image_size: int = option(_REQUIRED, "Height and width of an image in pixels.", low=1)
    channels: Literal[1, 3] = option(_REQUIRED, "1 for films, 3 for colour images.")
    crop: Literal["none", "centre"] = option(_REQUIRED, "Cut out the central square, or squeeze the whole image.")
    unit: str = option(
        "image",
        "What is decided on: image; patient; or a column whose equal values are one unit, such as an exam. Reports "
        "combine the images of a unit; cells do not depend on it.",
    )
    unit_logit: Literal["mean", "largest"] = option(
        "mean",
        "The logit of a unit: the mean over its images, or the largest; the smallest if `combine` of the label is all.",
    )
    recipe: Recipe
    baseline: Preprocessing = Preprocessing()
    """Of the user's own model (`--baseline`); other runs do not read it."""
    backbones: tuple[str, ...] = ("small",)
    weights: Literal["imagenet", "imagenet_v1", "none"] | str = option(
        "none",
        "Initial weights of pre-training: imagenet, torchvision's newest; imagenet_v1, its first ones; another tag "
        "that the backbone knows; a .safetensors or .pth file; or none, random ones.",
    )
    folds: int = option(5, "Number of folds; each part of the source set is the validation part once.", low=2)
    protocol: Literal["clean", "paper"] = option(
        "clean",
        "Folds by patient (else lesion), stratified by source and label; or by image, stratified by label.",
    )
    stratify: Literal["label", "attribute"] = option(
        "label",
        "What folds by patient are stratified by beside the source. With the label alone, all attributes of a label "
        "share folds and baselines. Stratify by the attribute too if a group has so few images of a class that a fold "
        "could lack them.",
        when={"protocol": "clean"},
    )
    polarity: Literal["paper", "clinical"] = option("paper", "The label as coded by the task, or with 0 and 1 swapped.")
    external: float = option(
        1.0, "Share of the external set that is used. With 0, methods that read it return the baseline.", low=0, high=1
    )
    balance: Literal["matched", "four_cells", "reference"] = option(
        "matched",
        "External set. matched: the whole smaller group and, in each class, as many images of the larger; four_cells: "
        "equal numbers for each group and class; reference: as matched, with the larger group drawn with replacement.",
        source="`reference`: dataset_balance of algorithm/dataset_loader.py",
    )
    deficit: Literal["resample", "trim"] = option(
        "resample",
        "If the larger group has too few images of a class, repeat some of them, or leave out some of the smaller.",
        when={"balance": "matched"},
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not self.backbones:
            raise UsageError("backbones = []: one or more of `bench ls backbones` expected")
        if self.attribute.cross:
            object.__setattr__(self, "attribute", self.attribute.crossed(self.also))
        if self.unit_logit != "mean" and self.unit == "image":
            raise UsageError(f"unit_logit={self.unit_logit}: it is read only if `unit` is not image")
        if not self.unit or self.unit in ("uid", "path", "drop", "source"):
            raise UsageError(f"unit={self.unit!r}: image, patient or a column of the tables expected")
        self._check_also()
        self._check_labels()

    @property
    def finding(self) -> str:
        """The name of `label` among `labels`; empty where there is one label."""
        return next((name for name, one in self.labels.items() if one == self.label), "")

    @property
    def outputs(self) -> int:
        """The outputs of a baseline: one for each finding."""
        return len(self.labels) or 1

    @property
    def output(self) -> int:
        """The number of the output of a baseline that predicts `label`."""
        return list(self.labels).index(self.finding) if self.labels else 0

    @property
    def unit_column(self) -> str:
        """The column of `unit`; empty for images and patients."""
        return "" if self.unit in ("image", PATIENT) else self.unit

    def _check_also(self) -> None:
        """Refuse further attributes whose names cannot be told apart, or that are coded as another one."""
        known = {} if self.attribute.cross else {self.attribute.coding: "the mitigated attribute"}
        for name, one in self.also.items():
            if not re.fullmatch(r"[A-Za-z][\w-]{0,29}", name) or name == "x":
                raise UsageError(
                    f"[also.{name}]: a name of at most 30 letters, digits, '-' and '_' expected, that begins with a "
                    "letter and is not 'x'"
                )
            if one.cross:
                raise UsageError(f"[also.{name}]: crossings of two attributes are measured anyway; leave out `cross`")
            if name == self.attribute.column:
                raise UsageError(f"[also.{name}]: the mitigated attribute is called {name!r}: choose another name")
            if one.coding in known:
                raise UsageError(f"[also.{name}]: it is coded as {known[one.coding]}: they coincide; delete one")
            known[one.coding] = f"[also.{name}]"
        if self.attribute.primary:
            raise UsageError("primary: the mitigated attribute is primary anyway; it is a key of [also.NAME]")

    def _check_labels(self) -> None:
        """Refuse labels that cannot be told apart, and settings that several labels have no answer for."""
        if not self.labels:
            return
        known: dict[Any, str] = {}
        for name, one in self.labels.items():
            if not re.fullmatch(r"[^\W_]([\w .-]{0,48}[\w])?", name):
                raise UsageError(
                    f"labels: {name!r}: a name of at most 50 letters, digits, spaces, '.', '-' and '_' expected, that "
                    "begins with a letter or digit; a table [labels.NAME] gives a column another name"
                )
            coding = one.column, one.above, one.rest, tuple(tuple(sorted(values)) for values in one.lists)
            if coding in known:
                raise UsageError(f"labels: {name} is coded as {known[coding]}: they coincide; delete one")
            known[coding] = name
        if len({name.casefold() for name in self.labels}) < len(self.labels):
            raise UsageError(f"labels: {', '.join(self.labels)}: two names differ only in case")
        if self.source.tie:
            raise UsageError("labels: a tie ([source.tie]) is planted for one label; delete one of the two")
        if self.recipe.pretrain_checkpoint != "last":
            raise UsageError(
                f"labels: pretrain_checkpoint={self.recipe.pretrain_checkpoint} chooses an epoch by the AUC of one "
                "label; with several only `last` is allowed"
            )

    @property
    def label_names(self) -> tuple[str, str]:
        """The names of y = 0 and y = 1 under the polarity of the task."""
        zero, one = self.label.names
        return (zero, one) if self.polarity == "paper" else (one, zero)
