"""The subject of a check: a method on small random data, its settings, and trials of fitting it."""

from __future__ import annotations

import copy
import functools
import importlib.util
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.linear_model  # noqa: F401  # the first import opens files and draws numbers, which no fit should be told
import torch
from torch import Tensor, nn

from bench import learn
from bench.api import Method, Recipe
from bench.cells.identity import BASELINE, Cell
from bench.checks.opened import opened_files
from bench.data.image_split import ImageSplit
from bench.errors import UndeclaredSplit, UsageError
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.net import Net
from bench.running.context import CellRun, uncounted
from bench.running.plan import build_method
from bench.spec import describe, name_of

RECIPE = Recipe(
    pretrain_optimiser="adam",
    pretrain_lr=1e-3,
    pretrain_epochs=1,
    optimiser="sgd",
    lr_extractor=1e-3,
    lr_head=1e-2,
    epochs=2,
    epsilon=0.1,
    batch=16,
)
SPLITS = ("train", "val", "external")


class Broken(Exception):
    """A failed check: what is wrong and how to mend it."""


class NotApplicable(Exception):
    """A check that does not apply, and why."""


class NoFit(NotApplicable):
    """A fit, or the prediction after it, raised `error`; the check of fits reports it."""

    def __init__(self, setting: str, error: Exception) -> None:
        super().__init__(f"{setting} failed")
        self.error = error
        self.says = f"{setting} raised {type(error).__name__}: {error}"


@dataclass(frozen=True)
class Subject:
    """A method to check, named by its spec."""

    spec: str
    plugins: tuple[Path, ...] = ()

    @property
    def method(self) -> Method:
        """The method with its defaults."""
        return build_method(self.spec, self.plugins)

    @property
    def name(self) -> str:
        return name_of(self.spec)


def random_split(
    name: str, *, images: int = 96, size: int = 32, rare: bool = False, gap: bool = False, seed: int = 0
) -> ImageSplit:
    """Return a split of random square images in which every group has both classes.

    `rare`: each group has 3 positives. `gap`: the classes overlap, and more so in group 1, which makes a disparity.
    """
    rng = np.random.default_rng([seed, len(name)])
    pixels = rng.integers(0, 256, (images, size, size, 1), dtype=np.uint8)
    a = np.arange(images) % 2
    y = (np.arange(images) < 6) if rare else (np.arange(images) % 4 < 2)
    if gap:
        brightest = np.where(y, np.where(a == 1, 0.95, 0.75), 1.0)
        pixels = (pixels * (brightest - 0.4 * rng.random(images))[:, None, None, None]).astype(np.uint8)
    else:
        # The mean grey depends on the label, so that methods have something to learn.
        pixels[y.astype(bool)] //= 2
    return ImageSplit(name, pixels, np.arange(images), y.astype(int), a, [f"{name}:{i}" for i in range(images)])


def random_run(
    method: Method,
    spec: str,
    *,
    seed: int = 0,
    data_seed: int = 0,
    recipe: Recipe = RECIPE,
    net: Net | None = None,
    **images: Any,
) -> CellRun:
    """Return a run of a method on random splits and, unless `net` is given, on a random network.

    `images` are arguments of `random_split`.
    """
    splits = {name: functools.partial(random_split, name, seed=data_seed, **images) for name in SPLITS}
    cell = Cell("check", "small", spec, fold=0, seed=seed)
    return CellRun(net or random_net(), recipe, splits, method.uses, cell)


def random_net(seed: int = 0) -> Net:
    """Return a small network with random weights, without changing the global random state."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_net("small")


@functools.cache
def _pretrained(seed: int) -> Net:
    splits = {"train": functools.partial(random_split, "train", gap=True, seed=seed)}
    recipe = replace(RECIPE, optimiser="adam")
    cell = Cell("check", "small", BASELINE, fold=0, seed=seed)
    run = CellRun(random_net(seed), recipe, splits, frozenset(splits), cell)
    net = learn.finetune(run, run.model, loss=learn.blend(1.0), split="train", epochs=6, lr=2e-3)
    return uncounted(net)  # type: ignore[return-value]


def trained_net(seed: int = 0) -> Net:
    """Return a network that separates the classes of the random splits, but not perfectly."""
    return copy.deepcopy(_pretrained(seed))


@functools.cache
def baseline_logits() -> Tensor:
    """Return the logits that the trained network had before the first fit."""
    return logits(trained_net())


def logits(net: nn.Module, *, grouped: bool = False) -> Tensor:
    """Return the logits of a model on images that methods were not fitted on; `grouped`: it is given the attribute."""
    return predict(net, unseen_split(), grouped=grouped)


def unseen_split() -> ImageSplit:
    """Return the images that methods were not fitted on."""
    return random_split("test", gap=True, seed=1)


def fitted(subject: Subject, **changes: Any) -> nn.Module:
    """Fit the method with its defaults and return the model; `changes` are arguments of `random_run`."""
    method = subject.method
    return method.fit(random_run(method, subject.spec, **changes))


# --- trials of fitting a method ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A fitted model, and everything that the fit may have changed."""

    model: nn.Module
    grouped: bool
    """Whether the model is called with the attribute."""
    logits: Tensor
    facts: Mapping[str, Any]
    baseline: Net
    splits: Mapping[str, ImageSplit]
    moved: tuple[str, ...]
    """The libraries whose global random state the fit changed."""
    opened: tuple[str, ...]
    """The files that the fit opened."""


def fit(method: Method, spec: str, *, seed: int = 0, rare: bool = False) -> Trial:
    """Fit a method on random data and a trained network, both seeded by `seed`.

    With `rare`, batches have two images, so that half of them lack a group and most lack a class. The global random
    states are seeded before the fit and restored after it, so that only the check of these states reports a method
    that draws from them.

    Raises:
        NoFit: if the method or its model raised an error.
    """
    recipe, images = (replace(RECIPE, batch=2), 32) if rare else (RECIPE, 96)
    baseline, _ = trained_net(seed), baseline_logits()
    of_images = {"data_seed": seed, "images": images, "rare": rare, "gap": True}
    run = random_run(method, spec, seed=seed, recipe=recipe, net=baseline, **of_images)
    before = {name: get() for name, (_, get, _) in _RANDOM_STATES.items()}
    for start, _, _ in _RANDOM_STATES.values():
        start(0)
    seeded = _random_states()
    try:
        with opened_files() as opened:
            model = method.fit(run)
        now = _random_states()
        return Trial(
            model=uncounted(model),
            grouped=method.needs_attribute,
            logits=logits(model, grouped=method.needs_attribute),
            facts=copy.deepcopy(run.facts),
            baseline=baseline,
            splits={name: run.split(name) for name in SPLITS if name in method.uses},
            moved=tuple(name for name in seeded if seeded[name] != now[name]),
            opened=tuple(opened),
        )
    except Exception as error:  # a plugin may raise anything, and every error is a finding
        raise NoFit("fit", error) from error
    finally:
        for name, (_, _, restore) in _RANDOM_STATES.items():
            restore(before[name])


@functools.lru_cache(maxsize=512)
def trial(subject: Subject, method: Method, *, rare: bool = False) -> Trial:
    """Return the trial of `fit`, computed once; callers must not change it."""
    try:
        return fit(method, subject.spec, rare=rare)
    except NoFit as problem:
        raise NoFit(f"fit of {describe(subject.name, method)}", problem.error) from problem.error


def must_fit(subject: Subject, method: Method) -> Method:
    """Return `method`, or raise Broken if it cannot be fitted; another check reports undeclared splits."""
    try:
        trial(subject, method)
    except NoFit as problem:
        if isinstance(problem.error, UndeclaredSplit):
            raise
        hint = "; refuse the setting in __post_init__, before the fit"
        raise Broken(problem.says + (hint if isinstance(problem.error, UsageError) else "")) from None
    return method


def reimported(method: Method) -> Method:
    """Return the same setting of the method from a fresh import of its module, without state of earlier fits."""
    old = sys.modules[type(method).__module__]
    assert old.__spec__ is not None
    assert old.__spec__.loader is not None
    new = importlib.util.module_from_spec(old.__spec__)
    try:
        sys.modules[old.__name__] = new  # dataclasses look up their module while they are defined
        old.__spec__.loader.exec_module(new)
        cls = getattr(new, type(method).__qualname__)
        return cls(**{field.name: getattr(method, field.name) for field in fields(method)})
    finally:
        sys.modules[old.__name__] = old


_RANDOM_STATES: dict[str, tuple[Callable[[int], Any], Callable[[], Any], Callable[[Any], Any]]] = {
    "torch": (torch.manual_seed, torch.get_rng_state, torch.set_rng_state),
    "numpy": (np.random.seed, np.random.get_state, np.random.set_state),
    "random": (random.seed, random.getstate, random.setstate),
}
"""Functions that seed, read and restore the global random state of each library."""


def _random_states() -> dict[str, str]:
    states = {name: get() for name, (_, get, _) in _RANDOM_STATES.items()}
    return {name: str(state.tolist() if name == "torch" else state) for name, state in states.items()}
