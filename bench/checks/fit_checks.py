"""What a fit does: checked on small random data, on a network that was trained a little."""

from __future__ import annotations

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
)
from bench.errors import UndeclaredSplit


def check_splits(subject: Subject) -> None:
    """Only the declared splits are read."""
    for method in settings(subject.method):
        try:
            trial(subject, method)
        except NoFit as problem:
            if isinstance(problem.error, UndeclaredSplit):
                raise Broken(str(problem.error)) from None


def check_logits(subject: Subject) -> None:
    """A few steps give one finite logit per image."""
    must_fit(subject, subject.method)


def check_scores(subject: Subject) -> None:
    """The model returns logits, which may be any number, and not scores between 0 and 1."""
    model = trial(subject, subject.method).model.eval()
    noise = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # A network answers far-off images with far-off logits; a score stays a score.
        z = torch.cat([logits(model), *(model(scale * noise + shift) for scale in (1, 30) for shift in (-30, 0, 30))])
    if ((z >= 0) & (z <= 1)).all():
        raise Broken("every output lies between 0 and 1, as scores do: return logits, the harness applies the sigmoid")


def check_repeats(subject: Subject) -> None:
    """The same seed gives the same logits."""
    if not _repeats(subject):
        raise Broken("two fits with the same seed give different logits: draw only from run.rng(stage)")


def check_leaks(subject: Subject) -> None:
    """State lives in the returned model alone: a fit does not depend on those before it."""
    if not _repeats(subject):
        raise NotApplicable("two fits with the same seed differ already")
    method = reimported(subject.method)
    fit(method, subject.spec)
    if not torch.equal(fit(method, subject.spec, seed=1).logits, _alone(subject)):
        raise Broken(
            "a fit gives other logits after another fit than alone: keep nothing on the class, the instance, "
            "the module or in a cache; run.shared is for what cells have in common"
        )


@functools.lru_cache(maxsize=64)
def _alone(subject: Subject, time: int = 1) -> Tensor:
    """Return the logits of a fit before which nothing was fitted; `time` tells two of them apart."""
    return fit(reimported(subject.method), subject.spec, seed=1).logits


def _repeats(subject: Subject) -> bool:
    return torch.equal(_alone(subject), _alone(subject, time=2))


def check_random_state(subject: Subject) -> None:
    """The global random states of torch, NumPy and Python stay as they were."""
    moved = trial(subject, subject.method).moved
    if moved:
        raise Broken(
            f"the global random state of {', '.join(moved)} moved: use run.rng(stage), and learn.seeded for dropout"
        )


def check_baseline(subject: Subject) -> None:
    """The model that the harness shares among methods stays as it was."""
    before, after = trained_net().state_dict(), trial(subject, subject.method).baseline
    for name, tensor in after.state_dict().items():
        if not torch.equal(tensor, before[name]):
            raise Broken(f"the shared baseline's {name} changed: change run.model, which is a private copy")
    if not torch.equal(logits(after), baseline_logits()):
        raise Broken("the shared baseline gives other logits: patch no class of torch or bench, change run.model alone")


def check_data(subject: Subject) -> None:
    """Labels, groups and pixels of the splits stay as they were."""
    opened = trial(subject, subject.method).splits
    for name, split in opened.items():
        fresh = random_split(name, gap=True)
        for part in ("y", "a", "array", "rows"):
            if not torch.equal(torch.as_tensor(getattr(split, part)), torch.as_tensor(getattr(fresh, part))):
                raise Broken(f"{part} of the split {name} changed: splits are shared, change a copy of {name}.{part}")
    if not opened:
        raise NotApplicable("it reads no split")


def check_rare_groups(subject: Subject) -> None:
    """Batches of one class, or without a group, leave every number finite."""
    trial(subject, subject.method)
    for method in settings(subject.method):
        try:
            trial(subject, method)
        except NoFit:
            continue  # what goes wrong on all data is the finding of another check
        try:
            trial(subject, method, rare=True)
        except NoFit as problem:
            raise Broken(
                f"with batches that lack a class or a group, {problem.says}: leave a term out where its group is empty"
            ) from None


def check_state(subject: Subject) -> None:
    """The fitted model is whole in its `state_dict`: another fit that loads it gives its logits."""
    first = trial(subject, subject.method)
    other = fit(subject.method, subject.spec, seed=1).model
    buffer = io.BytesIO()
    torch.save(first.model.state_dict(), buffer)
    buffer.seek(0)
    try:
        other.load_state_dict(torch.load(buffer, weights_only=True))
    except RuntimeError as error:
        raise Broken(f"two fits have different state_dicts: {error}") from None
    if not torch.equal(first.logits, logits(other)):
        raise Broken("a model that loads the state_dict gives other logits: keep masks as buffers, not as attributes")
