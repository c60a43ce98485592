"""Conformance: what every method must keep, checked on a small random data set. `bench check NAME` runs it.

Each check is a function of a `Subject` that returns nothing, or raises `Broken` with what is wrong and what
to do. Tests of plugins may run `CHECKS` themselves.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import io
import random
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench import registry
from bench.api import Method, Recipe
from bench.data.split import ImageSplit
from bench.errors import BenchError, UndeclaredSplit
from bench.learn.network import Net, build_net
from bench.run.context import CellRun
from bench.run.plan import build_method, method_specs
from bench.score.predict import predict

RECIPE = Recipe(
    pretrain_optimiser="adam", pretrain_lr=1e-3, pretrain_epochs=1, optimiser="sgd", lr_extractor=1e-3, lr_head=1e-2,
    epochs=2, epsilon=0.1, batch=16,
)  # fmt: skip


class Broken(Exception):
    """A check that failed: what is wrong, and what to do."""


@dataclass(frozen=True)
class Subject:
    """A method to check, by the spec with its defaults."""

    spec: str
    plugins: tuple[Path, ...] = ()

    @property
    def method(self) -> Method:
        """The method with its defaults."""
        return build_method(self.spec, self.plugins)


def random_split(name: str, *, images: int = 96, size: int = 32, rare: bool = False, seed: int = 0) -> ImageSplit:
    """Return a split of random square images with every (group, class) cell; `rare`: 3 positives a group."""
    rng = np.random.default_rng([seed, len(name)])
    pixels = rng.integers(0, 256, (images, size, size, 1), dtype=np.uint8)
    a = np.arange(images) % 2
    y = (np.arange(images) < 6) if rare else (np.arange(images) % 4 < 2)
    # A mean grey that depends on the label gives the methods something to learn.
    pixels[y.astype(bool)] //= 2
    return ImageSplit(name, pixels, np.arange(images), y.astype(int), a, [f"{name}:{i}" for i in range(images)])


def random_run(
    method: Method, spec: str, *, seed: int = 0, rare: bool = False, recipe: Recipe = RECIPE, net: Net | None = None
) -> CellRun:
    """Return a run of a method on random splits and a random network."""
    splits = {name: (lambda name=name: random_split(name, rare=rare)) for name in ("train", "val", "external")}
    net = net or random_net()
    return CellRun(net, recipe, splits, method.uses, seed=seed, task="check", fold=0, method=spec)


def random_net(seed: int = 0) -> Net:
    """Return a small network with random weights; the global random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_net("small")


def logits(net: nn.Module) -> torch.Tensor:
    """Return the logits of a model on images that no method was fitted on."""
    return predict(net, random_split("test", seed=1))


def fitted(subject: Subject, **changes: object) -> nn.Module:
    method = subject.method
    return method.fit(random_run(method, subject.spec, **changes))  # type: ignore[arg-type]


def check_docstring(subject: Subject) -> None:
    """The module says where the method comes from and where it departs from that."""
    text = inspect.getdoc(inspect.getmodule(type(subject.method))) or ""
    missing = [word for word in ("Paper:", "Code:", "Departures:") if word not in text]
    if missing:
        raise Broken(f"the module's docstring has no {', '.join(missing)}: add the line, with 'none' where it is so")


def check_declaration(subject: Subject) -> None:
    """Title and splits are declared, every parameter has a default and a sentence."""
    cls = type(subject.method)
    if not getattr(cls, "title", ""):
        raise Broken("no title: set the name that tables print")
    uses = set(getattr(subject.method, "uses", {"?"}))
    if uses - {"train", "val", "external"}:
        raise Broken(f"uses = {sorted(uses)}: of train, val, external")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING or not field.metadata.get("says"):
            raise Broken(f"parameter {field.name} has no default or no sentence: declare it with option(...)")


def check_spec(subject: Subject) -> None:
    """A spec names the parameters that differ from the defaults, and gives them back."""
    name = subject.spec.partition(":")[0]
    for method in (subject.method, *variants(subject)):
        again = registry.build("method", registry.describe(name, method), subject.plugins)
        if again != method:
            raise Broken(f"{registry.describe(name, method)} reads back as {again}, not as {method}")


def check_logits(subject: Subject) -> None:
    """A few steps give one finite logit per image."""
    logits(fitted(subject))


def check_repeats(subject: Subject) -> None:
    """The same seed gives the same logits, also after another fit in between."""
    first = logits(fitted(subject))
    fitted(subject, seed=1)
    if not torch.equal(first, logits(fitted(subject))):
        raise Broken("two fits with the same seed give different logits: draw only from run.rng(stage), keep no state")


def check_baseline(subject: Subject) -> None:
    """The model that the harness shares among methods stays as it was."""
    net = random_net()
    before = copy.deepcopy(net.state_dict())
    fitted(subject, net=net)
    for name, tensor in net.state_dict().items():
        if not torch.equal(tensor, before[name]):
            raise Broken(f"the shared baseline's {name} changed: change run.model, which is a private copy")


def check_splits(subject: Subject) -> None:
    """Only the declared splits are read."""
    try:
        fitted(subject)
    except UndeclaredSplit as error:
        raise Broken(str(error)) from None


def check_random_state(subject: Subject) -> None:
    """The global random states of torch, NumPy and Python stay as they were."""
    before = _random_states()
    fitted(subject)
    after = _random_states()
    touched = [name for name in before if before[name] != after[name]]
    if touched:
        raise Broken(
            f"the global random state of {', '.join(touched)} moved: use run.rng(stage), and learn.seeded for dropout"
        )


def _random_states() -> dict[str, str]:
    numpy = np.random.get_state(legacy=False)["state"]
    return {
        "torch": str(torch.get_rng_state().tolist()),
        "numpy": f"{numpy['key'].tolist()} {numpy['pos']}",
        "random": str(random.getstate()),
    }


def check_choices(subject: Subject) -> None:
    """Every value of every choice runs."""
    for method in variants(subject):
        logits(method.fit(random_run(method, subject.spec)))


def check_rare_groups(subject: Subject) -> None:
    """Batches of one class, or without a group among the positives, leave every number finite."""
    recipe = dataclasses.replace(RECIPE, batch=4)
    logits(fitted(subject, rare=True, recipe=recipe))


def check_state(subject: Subject) -> None:
    """The fitted model is whole in its `state_dict`: another fit that loads it gives its logits."""
    first, other = fitted(subject), fitted(subject, seed=1, net=random_net(1))
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    try:
        other.load_state_dict(torch.load(buffer, weights_only=True))
    except RuntimeError as error:
        raise Broken(f"two fits have different state_dicts: {error}") from None
    if not torch.equal(logits(first), logits(other)):
        raise Broken("a model that loads the state_dict gives other logits: keep masks as buffers, not as attributes")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_docstring, check_declaration, check_spec, check_logits, check_repeats, check_baseline, check_splits,
    check_random_state, check_choices, check_rare_groups, check_state,
)  # fmt: skip


def variants(subject: Subject) -> Iterator[Method]:
    """Yield the method once for every choice and every boolean that is not the default."""
    default = subject.method
    hints = typing.get_type_hints(type(default))
    for field in dataclasses.fields(default):
        kind = hints[field.name]
        values: Sequence[object] = (True, False) if kind is bool else ()
        if typing.get_origin(kind) is typing.Literal:
            values = typing.get_args(kind)
        for value in values:
            if value != field.default:
                yield dataclasses.replace(default, **{field.name: value})


def check_methods(names: Sequence[str], plugins: tuple[Path, ...] = ()) -> int:
    """Run all checks on methods, print a line for each, and return the exit code."""
    torch.set_num_threads(1)
    failed = 0
    for spec in method_specs(",".join(names), plugins):
        for check in CHECKS:
            problem = run_check(check, Subject(spec, plugins))
            failed += problem is not None
            says = (check.__doc__ or "").splitlines()[0]
            print(f"{'FAIL' if problem else 'ok  '}  {spec:<12}  {says}", flush=True)
            if problem:
                print(f"      {problem}", flush=True)
    if failed:
        print(f"{failed} checks failed", file=sys.stderr)
    return 1 if failed else 0


def run_check(check: Callable[[Subject], None], subject: Subject) -> str | None:
    """Return what is wrong, or None."""
    try:
        check(subject)
    except Broken as error:
        return str(error)
    except BenchError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:  # a plugin may raise anything; that it does is the finding
        return f"fit raised {type(error).__name__}: {error}"
    return None
