"""Checks of the fit, on small random data and on a network that was trained for a few epochs."""

from __future__ import annotations

import copy
import functools
import io

import torch
from torch import Tensor

from bench.checks.setting_checks import settings
from bench.checks.subject import (
    Broken,
    NoFit,
    NotApplicable,
    Subject,
    baseline_logits,
    fit,
    logits,
    must_fit,
    random_split,
    reimported,
    trained_net,
    trial,
    unseen_split,
)
from bench.data.image_split import ImageSplit
from bench.errors import PluginBroken, UndeclaredSplit
from bench.learn import predict


def check_splits(subject: Subject) -> None:
    """The fit reads only the declared splits."""
    for method in settings(subject.method):
        try:
            trial(subject, method)
        except NoFit as problem:
            if isinstance(problem.error, UndeclaredSplit):
                raise Broken(str(problem.error)) from None


def check_files(subject: Subject) -> None:
    """The fit opens no file, where labels of test sets may be."""
    for method in settings(subject.method):
        try:
            opened = trial(subject, method).opened
        except NoFit:
            continue
        if opened:
            raise Broken(
                f"fit opens {opened[0]}{f' and {len(opened) - 1} other files' if opened[1:] else ''}: read only "
                "run.split(name), and store facts with run.log; constants belong into the method's module"
            )


def check_logits(subject: Subject) -> None:
    """After a few steps the model gives one finite logit per image."""
    must_fit(subject, subject.method)


def check_alone(subject: Subject) -> None:
    """A logit depends on its own image alone, not on the other images of a batch or on earlier calls."""
    if (why := _dependent(subject)) is not None:
        raise Broken(why)


def _dependent(subject: Subject) -> str | None:
    """Return what the logits of the model depend on besides their image, or None."""
    done = trial(subject, subject.method)
    try:
        predict.check_alone(copy.deepcopy(done.model), unseen_split(), done.logits, grouped=done.grouped)
    except PluginBroken as error:
        return str(error)
    return None


def check_scores(subject: Subject) -> None:
    """The model returns logits, which may be any number, not scores between 0 and 1."""
    done = trial(subject, subject.method)
    model = functools.partial(done.model.eval(), **({"a": torch.arange(32) % 2} if done.grouped else {}))
    noise = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # Logits of extreme images leave the range of scores; a score never does.
        z = torch.cat([done.logits, *(model(scale * noise + shift) for scale in (1, 30) for shift in (-30, 0, 30))])
    if ((z >= 0) & (z <= 1)).all():
        raise Broken("every output lies between 0 and 1, like a score: return logits, the harness applies the sigmoid")


def check_attribute(subject: Subject) -> None:
    """A model that is given the attribute reads it."""
    done = trial(subject, subject.method)
    split = unseen_split()
    split.a = 1 - split.a
    if done.grouped and torch.equal(predict.predict(done.model, split, grouped=True), done.logits):
        raise Broken(
            "needs_attribute is declared, but another group changes no logit: leave the declaration out, so that the "
            "method needs the attribute of no future patient"
        )


def check_repeats(subject: Subject) -> None:
    """The same seed gives the same logits."""
    if not _repeats(subject):
        raise Broken("two fits with the same seed give different logits: draw only from run.rng(stage)")


def check_leaks(subject: Subject) -> None:
    """A fit keeps state only in the model it returns, and does not depend on earlier fits."""
    if not _repeats(subject):
        raise NotApplicable("two fits with the same seed already differ")
    method = reimported(subject.method)
    fit(method, subject.spec)
    if not torch.equal(fit(method, subject.spec, seed=1).logits, _alone(subject)):
        raise Broken(
            "a fit gives other logits after another fit than alone: keep no state on the class, the instance, "
            "the module or in a cache; use run.shared for values that cells have in common"
        )


@functools.lru_cache(maxsize=64)
def _alone(subject: Subject, time: int = 1) -> Tensor:
    """Return the logits of a fit without any fit before it; another `time` computes them again."""
    return fit(reimported(subject.method), subject.spec, seed=1).logits


def _repeats(subject: Subject) -> bool:
    return torch.equal(_alone(subject), _alone(subject, time=2))


def check_random_state(subject: Subject) -> None:
    """The fit does not change the global random state of torch, NumPy or Python."""
    moved = trial(subject, subject.method).moved
    if moved:
        raise Broken(f"global random state of {', '.join(moved)} changed: use run.rng(stage); for dropout learn.seeded")


def check_baseline(subject: Subject) -> None:
    """The fit does not change the baseline that methods share."""
    before, after = trained_net().state_dict(), trial(subject, subject.method).baseline
    for name, tensor in after.state_dict().items():
        if not torch.equal(tensor, before[name]):
            raise Broken(f"the shared baseline's {name} changed: change run.model, which is a private copy")
    if not torch.equal(logits(after), baseline_logits()):
        raise Broken("the shared baseline gives other logits: do not patch torch or bench, change only run.model")


def check_data(subject: Subject) -> None:
    """The fit does not change labels, groups and pixels of the splits."""
    splits = trial(subject, subject.method).splits
    for name, split in splits.items():
        fresh = random_split(name, gap=True)
        parts = {"y": (split.y, fresh.y), "a": (split.a, fresh.a)}
        parts["images"] = _all_images(split), _all_images(fresh)
        for part, (now, before) in parts.items():
            if not torch.equal(now, before):
                raise Broken(f"{part} of the split {name} changed: splits are shared, change a copy of {name}.{part}")
    if not splits:
        raise NotApplicable("the method reads no split")


def _all_images(split: ImageSplit) -> Tensor:
    return split.images(torch.arange(len(split)))


def check_rare_groups(subject: Subject) -> None:
    """Batches that lack a class or a group leave every number finite."""
    trial(subject, subject.method)
    for method in settings(subject.method):
        try:
            trial(subject, method)
        except NoFit:
            continue  # another check reports failures on usual data
        try:
            trial(subject, method, rare=True)
        except NoFit as problem:
            raise Broken(
                f"batches that lack a class or a group: {problem.says}; leave out terms of empty groups"
            ) from None


def check_state(subject: Subject) -> None:
    """The `state_dict` holds the whole fitted model: another fit that loads it gives the same logits."""
    if _dependent(subject) is not None:
        raise NotApplicable("a logit depends on more than its image")
    first = trial(subject, subject.method)
    done = fit(subject.method, subject.spec, seed=1)
    other = done.model
    buffer = io.BytesIO()
    torch.save(first.model.state_dict(), buffer)
    buffer.seek(0)
    try:
        other.load_state_dict(torch.load(buffer, weights_only=True))
    except RuntimeError as error:
        raise Broken(f"a fit cannot load the state_dict of another fit: {error}") from None
    if not torch.equal(first.logits, logits(other, grouped=done.grouped)):
        raise Broken("a model that loads the state_dict gives other logits: keep masks as buffers, not as attributes")
