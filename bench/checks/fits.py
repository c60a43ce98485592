"""What a fit does: checked on small random data, on a network that was trained a little."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import Method
from bench.checks.settings import completed, other_values, presets, variants
from bench.checks.subject import (
    Broken,
    NoFit,
    NotApplicable,
    Subject,
    Trial,
    baseline_logits,
    fit,
    logits,
    random_split,
    reimported,
    setting_of,
    trained_net,
    trial,
)
from bench.errors import UndeclaredSplit, UsageError
from bench.learn.network import Net


def check_splits(subject: Subject) -> None:
    """Only the declared splits are read."""
    try:
        trial(subject, subject.method)
    except NoFit as problem:
        if isinstance(problem.error, UndeclaredSplit):
            raise Broken(str(problem.error)) from None
        raise


def check_logits(subject: Subject) -> None:
    """A few steps give one finite logit per image."""
    _must_fit(subject, subject.method)


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


def check_changes(subject: Subject) -> None:
    """Nothing differs from the baseline but what `changes` declares, bit for bit."""
    for method, done in _trials(subject):
        for part, name in changed_parts(trained_net(), done.model).items():
            if part not in method.changes:
                declared = ", ".join(sorted(method.changes)) or "nothing"
                raise Broken(
                    f"{setting_of(subject, method)} changes {name} (the {part}), but declares {declared}: add '{part}' "
                    "to changes, or freeze it with learn.freeze, which keeps BatchNorm's statistics too"
                )


def check_choices(subject: Subject) -> None:
    """Every value of every choice runs, with what it needs."""
    tried = [_must_fit(subject, method) for method in variants(subject.method)]
    if not tried:
        raise NotApplicable("no parameter is a choice")


def check_presets(subject: Subject) -> None:
    """Every preset runs."""
    tried = [_must_fit(subject, method) for method in presets(subject.method).values()]
    if not tried:
        raise NotApplicable("it has none")


def check_parameters(subject: Subject) -> None:
    """Every parameter is read: another value gives other logits or other logged facts."""
    default, tried = subject.method, 0
    trial(subject, default)
    for field in dataclasses.fields(default):
        values: dict[str, None] = {}
        if not any(_is_read(subject, base, field, values) for base in _bases(default, field.name)):
            raise Broken(
                f"{field.name} changes neither logits nor logged facts (tried {', '.join(values) or 'nothing'}): read "
                "it in fit, take it out, or name a value that shows with option(..., other=...)"
            )
        tried += 1
    if not tried:
        raise NotApplicable("it has no parameters")


def _is_read(subject: Subject, base: Method, field: dataclasses.Field[Any], tried: dict[str, None]) -> bool:
    before = _outcome(subject, base, field.name)
    for value in other_values(base, field, getattr(base, field.name)):
        try:
            method = completed(base, {field.name: value})
        except Broken:  # refused by a rule of its own; a choice that can never be set is found by check_choices
            continue
        tried[str(value)] = None
        if _outcome(subject, method, field.name) != before:
            return True
    return False


def _bases(default: Method, name: str) -> Iterator[Method]:
    """Yield settings in which a parameter is read: the defaults, then with another value of each other parameter.

    A method that keeps its best state may return the baseline throughout where its rate is small.
    """
    base = completed(default, {}, reading=name)
    yield base
    for field in dataclasses.fields(base):
        with contextlib.suppress(Broken):  # found where that parameter's own turn is
            for value in other_values(base, field, getattr(base, field.name)) if field.name != name else ():
                with contextlib.suppress(Broken):
                    yield completed(base, {field.name: value}, reading=name)


def _outcome(subject: Subject, method: Method, name: str) -> str | None:
    """Return logits and facts as text, without facts that only repeat the parameter; None where there is no fit."""
    try:
        done = trial(subject, method)
    except NoFit:
        return None
    return json.dumps([done.logits.tolist(), _without(done.facts, name)], sort_keys=True, default=str)


def _without(facts: Any, name: str) -> Any:
    if isinstance(facts, Mapping):
        return {key: _without(value, name) for key, value in facts.items() if key != name}
    return facts


def check_pruned(subject: Subject) -> None:
    """Exactly as many entries are zero as `pruned` says."""
    counts = 0
    for method, done in _trials(subject):
        promised = method.pruned(trained_net())
        if promised is None:
            continue
        counts += 1
        found = newly_zero(trained_net(), done.model)
        if found != promised:
            raise Broken(
                f"pruned() of {setting_of(subject, method)} promises {promised} entries, fit sets {found} to zero: "
                "break ties by position, count over the layers that are pruned, and keep masks as buffers"
            )
    if not counts:
        raise NotApplicable("it prunes no fixed number")


def check_rare_groups(subject: Subject) -> None:
    """Batches of one class, or without a group, leave every number finite."""
    for method in (subject.method, *variants(subject.method)):
        trial(subject, method)  # what goes wrong on all data is the finding of another check
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


# --- helpers -----------------------------------------------------------------------------------


def changed_parts(before: Net, after: nn.Module) -> dict[str, str]:
    """Return the parts of a network that differ in a model, each with the first name in it.

    An entry under a new name with the same values is not changed; an entry that was added changes its part.
    """
    pairs, added = _pairs(before, after)
    statistics = {name for name, _ in before.named_buffers()}
    found: dict[str, str] = {}
    for name, old, new in pairs:
        if new is None or not torch.equal(old, new):
            head = name.startswith("head.")
            found.setdefault("head" if head else "statistics" if name in statistics else "extractor", name)
    for name in added:
        inside = "features." in name
        found.setdefault("extractor" if inside else "head", name)
    return found


def newly_zero(before: Net, after: nn.Module) -> int:
    """Count the parameters that became zero, and the zeros of 0/1 entries that were added (masks)."""
    pairs, added = _pairs(before, after)
    parameters = {name for name, _ in before.named_parameters()}
    count = sum(
        int(((old != 0) & (new == 0)).sum()) for name, old, new in pairs if name in parameters and new is not None
    )
    masks = [tensor for tensor in added.values() if ((tensor == 0) | (tensor == 1)).all()]
    return count + sum(int((mask == 0).sum()) for mask in masks)


def _pairs(before: Net, after: nn.Module) -> tuple[list[tuple[str, Tensor, Tensor | None]], dict[str, Tensor]]:
    """Return (name, old entry, new entry or None) for each entry of `before`, and what `after` has besides."""
    left = dict(after.state_dict())
    named = {name: left.pop(name) for name in before.state_dict() if name in left}
    pairs: list[tuple[str, Tensor, Tensor | None]] = []
    for name, old in before.state_dict().items():
        new = named.get(name)
        if new is None or new.shape != old.shape:
            same = (key for key, tensor in left.items() if torch.equal(tensor, old))
            new = left.pop(key) if (key := next(same, None)) is not None else None
        pairs.append((name, old, new))
    return pairs, left


def _trials(subject: Subject) -> Iterator[tuple[Method, Trial]]:
    """Yield the defaults and every choice with what fitting them left behind; what does not fit is left out."""
    yield subject.method, trial(subject, subject.method)
    for method in variants(subject.method):
        try:
            yield method, trial(subject, method)
        except NoFit:
            continue


def _must_fit(subject: Subject, method: Method) -> Method:
    try:
        trial(subject, method)
    except NoFit as problem:
        if isinstance(problem.error, UndeclaredSplit):
            raise
        hint = "; refuse the setting in __post_init__, before anything is computed"
        raise Broken(problem.says + (hint if isinstance(problem.error, UsageError) else "")) from None
    return method
