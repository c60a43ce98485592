"""What the checks look at: a method on small random data, its settings, and what a fit leaves behind."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.util
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import learn
from bench.api import Method, Recipe
from bench.data.image_split import ImageSplit
from bench.errors import UndeclaredSplit, UsageError
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.net import Net
from bench.run.context import CellRun, uncounted
from bench.run.plan import build_method
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
    """A check that failed: what is wrong, and what to do."""


class NotApplicable(Exception):
    """A check that has nothing to look at, and why."""


class NoFit(NotApplicable):
    """A fit, or the prediction after it, that raised `error`; the check that is about fits says so."""

    def __init__(self, setting: str, error: Exception) -> None:
        super().__init__(f"{setting} gave no model")
        self.error = error
        self.says = f"{setting} raised {type(error).__name__}: {error}"


@dataclass(frozen=True)
class Subject:
    """A method to check, by the spec with its defaults."""

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
    """Return a split of random square images with every (group, class) cell.

    `rare`: 3 positives a group. `gap`: the classes overlap, those of group 1 more, so that there is a disparity.
    """
    rng = np.random.default_rng([seed, len(name)])
    pixels = rng.integers(0, 256, (images, size, size, 1), dtype=np.uint8)
    a = np.arange(images) % 2
    y = (np.arange(images) < 6) if rare else (np.arange(images) % 4 < 2)
    if gap:
        brightest = np.where(y, np.where(a == 1, 0.95, 0.75), 1.0)
        pixels = (pixels * (brightest - 0.4 * rng.random(images))[:, None, None, None]).astype(np.uint8)
    else:
        # A mean grey that depends on the label gives the methods something to learn.
        pixels[y.astype(bool)] //= 2
    return ImageSplit(name, pixels, np.arange(images), y.astype(int), a, [f"{name}:{i}" for i in range(images)])


def random_run(
    method: Method,
    spec: str,
    *,
    seed: int = 0,
    rare: bool = False,
    gap: bool = False,
    recipe: Recipe = RECIPE,
    net: Net | None = None,
) -> CellRun:
    """Return a run of a method on random splits and a random network."""
    splits = {name: functools.partial(random_split, name, rare=rare, gap=gap) for name in SPLITS}
    net = net or random_net()
    return CellRun(net, recipe, splits, method.uses, seed=seed, task="check", fold=0, method=spec)


def random_net(seed: int = 0) -> Net:
    """Return a small network with random weights; the global random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_net("small")


@functools.cache
def _pretrained(seed: int) -> Net:
    splits = {"train": functools.partial(random_split, "train", gap=True, seed=seed)}
    recipe = dataclasses.replace(RECIPE, optimiser="adam")
    run = CellRun(
        random_net(seed), recipe, splits, frozenset(splits), seed=seed, task="check", fold=0, method="baseline"
    )
    net = learn.finetune(run, run.model, loss=learn.blend(1.0), split="train", epochs=6, lr=2e-3)
    return uncounted(net)  # type: ignore[return-value]


def trained_net(seed: int = 0) -> Net:
    """Return a network that tells the classes of the random splits apart, not perfectly."""
    return copy.deepcopy(_pretrained(seed))


@functools.cache
def baseline_logits() -> Tensor:
    """Return the logits of the trained network, as they were before the first fit."""
    return logits(trained_net())


def logits(net: nn.Module) -> Tensor:
    """Return the logits of a model on images that no method was fitted on."""
    return predict(net, random_split("test", gap=True, seed=1))


def fitted(subject: Subject, **changes: Any) -> nn.Module:
    """Return the model that a fit with the defaults gives; `changes` are those of `random_run`."""
    method = subject.method
    return method.fit(random_run(method, subject.spec, **changes))


# --- what a fit leaves behind ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A fit with all that it may have touched."""

    model: nn.Module
    logits: Tensor
    facts: Mapping[str, Any]
    baseline: Net
    splits: Mapping[str, ImageSplit]
    moved: tuple[str, ...]
    """The global random states that it moved."""


def fit(method: Method, spec: str, *, seed: int = 0, rare: bool = False) -> Trial:
    """Fit a method on random data and a trained network (both named by `seed`; `rare` makes batches small).

    The global random states are set before and restored after, so that a method that draws from them is found by
    the check that is about them alone.

    Raises:
        NoFit: whatever the method or its model raised.
    """
    # Half of the pairs lack a group, most lack a class.
    recipe, images = (dataclasses.replace(RECIPE, batch=2), 32) if rare else (RECIPE, 96)
    baseline, _ = trained_net(seed), baseline_logits()
    opened: dict[str, ImageSplit] = {}

    def opening(name: str) -> ImageSplit:
        opened[name] = random_split(name, images=images, rare=rare, gap=True, seed=seed)
        return opened[name]

    splits = {name: functools.partial(opening, name) for name in SPLITS}
    run = CellRun(baseline, recipe, splits, method.uses, seed=seed, task="check", fold=0, method=spec)
    before = _set_random_states()
    known = _random_states()
    try:
        model = method.fit(run)
        now = _random_states()
        moved = tuple(name for name in known if known[name] != now[name])
        return Trial(
            model=uncounted(model),
            logits=logits(model),
            facts=copy.deepcopy(run.facts),
            baseline=baseline,
            splits=opened,
            moved=moved,
        )
    except Exception as error:  # a plugin may raise anything; that it does is the finding
        raise NoFit("fit", error) from error
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


@functools.lru_cache(maxsize=512)
def trial(subject: Subject, method: Method, *, seed: int = 0, rare: bool = False) -> Trial:
    """Return what `fit` returns, computed once; not to be changed by those who look at it."""
    try:
        return fit(method, subject.spec, seed=seed, rare=rare)
    except NoFit as problem:
        raise NoFit(f"fit of {setting_of(subject, method)}", problem.error) from problem.error


def must_fit(subject: Subject, method: Method) -> Method:
    """Return `method`, or raise Broken where it cannot be fitted; an undeclared split is another check's finding."""
    try:
        trial(subject, method)
    except NoFit as problem:
        if isinstance(problem.error, UndeclaredSplit):
            raise
        hint = "; refuse the setting in __post_init__, before anything is computed"
        raise Broken(problem.says + (hint if isinstance(problem.error, UsageError) else "")) from None
    return method


def setting_of(subject: Subject, method: Method) -> str:
    """Return the spec of a setting, such as `swift:epsilon=0.2`."""
    return describe(subject.name, method)


def reimported(method: Method) -> Method:
    """Return the same setting of a method whose module was executed anew: nothing of an earlier fit is in it."""
    old = sys.modules[type(method).__module__]
    assert old.__spec__ is not None
    assert old.__spec__.loader is not None
    new = importlib.util.module_from_spec(old.__spec__)
    try:
        sys.modules[old.__name__] = new  # dataclasses look their module up while they are made
        old.__spec__.loader.exec_module(new)
        cls = getattr(new, type(method).__qualname__)
        return cls(**{field.name: getattr(method, field.name) for field in dataclasses.fields(method)})
    finally:
        sys.modules[old.__name__] = old


def _random_states() -> dict[str, str]:
    numpy = np.random.get_state(legacy=False)["state"]
    return {
        "torch": str(torch.get_rng_state().tolist()),
        "numpy": f"{numpy['key'].tolist()} {numpy['pos']}",
        "random": str(random.getstate()),
    }


def _set_random_states() -> tuple[Any, Any, Any]:
    """Seed torch, NumPy and Python; return the states that they had."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    return states
