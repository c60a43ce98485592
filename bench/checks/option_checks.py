"""Checks of the parameters: each is read, each choice runs, and the declared changes and counts hold."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import Method
from bench.checks.setting_checks import completed, other_choices, other_values, presets, settings
from bench.checks.subject import Broken, NoFit, NotApplicable, Subject, Trial, must_fit, trained_net, trial
from bench.net import Net
from bench.spec import describe


def check_choices(subject: Subject) -> None:
    """Every value of every choice runs, together with the parameters it requires."""
    if not [must_fit(subject, completed(subject.method, choice)) for choice in other_choices(subject.method)]:
        raise NotApplicable("no parameter is a choice")


def check_presets(subject: Subject) -> None:
    """Every preset runs."""
    if not [must_fit(subject, method) for method in presets(subject.method).values()]:
        raise NotApplicable("the method has none")


def check_parameters(subject: Subject) -> None:
    """Every parameter is read: another value gives other logits or other logged facts.

    If no difference is seen on usual batches, batches that lack a group or a class are tried.
    """
    default = subject.method
    trial(subject, default)
    for field in dataclasses.fields(default):
        values: dict[str, None] = {}
        tries = ((base, rare) for rare in (False, True) for base in _bases(default, field.name))
        if not any(_is_read(subject, base, field, values, rare=rare) for base, rare in tries):
            raise Broken(
                f"{field.name} changes neither logits nor logged facts (tried {', '.join(values) or 'nothing'}): read "
                "it in fit, remove it, or name a value that has an effect with option(..., other=...)"
            )
    if not dataclasses.fields(default):
        raise NotApplicable("the method has no parameters")


def _is_read(
    subject: Subject, base: Method, field: dataclasses.Field[Any], tried: dict[str, None], *, rare: bool
) -> bool:
    before = _outcome(subject, base, field.name, rare=rare)
    for value in other_values(base, field, getattr(base, field.name)):
        try:
            method = completed(base, {field.name: value})
        except Broken:  # refused by a rule of the method; check_choices reports choices that can never be set
            continue
        tried[str(value)] = None
        if _outcome(subject, method, field.name, rare=rare) != before:
            return True
    return False


def _bases(default: Method, name: str) -> Iterator[Method]:
    """Yield settings in which a parameter is read: the defaults, then with one other parameter changed.

    The defaults alone may not show it: a method that keeps its best state may return the baseline if its rate is small.
    """
    base = completed(default, {}, reading=name)
    yield base
    for field in dataclasses.fields(base):
        with contextlib.suppress(Broken):  # reported when that parameter is checked
            for value in other_values(base, field, getattr(base, field.name)) if field.name != name else ():
                with contextlib.suppress(Broken):
                    yield completed(base, {field.name: value}, reading=name)


def _outcome(subject: Subject, method: Method, name: str, *, rare: bool) -> str | None:
    """Return logits and facts as text, without facts named like the parameter; None if the method does not fit."""
    try:
        done = trial(subject, method, rare=rare)
    except NoFit:
        return None
    return json.dumps([done.logits.tolist(), _without(done.facts, name)], sort_keys=True, default=str)


def _without(facts: Any, name: str) -> Any:
    if isinstance(facts, Mapping):
        return {key: _without(value, name) for key, value in facts.items() if key != name}
    return facts


def check_changes(subject: Subject) -> None:
    """Only the parts that `changes` declares differ from the baseline; the others are bit-identical."""
    for method, done in _trials(subject):
        for part, name in changed_parts(trained_net(), done.model).items():
            if part not in method.changes:
                declared = ", ".join(sorted(method.changes)) or "nothing"
                raise Broken(
                    f"{describe(subject.name, method)} changes {name} (the {part}), but declares {declared}: add "
                    f"'{part}' to changes, or freeze it with learn.freeze, which also freezes BatchNorm statistics"
                )


def check_pruned(subject: Subject) -> None:
    """The fit sets exactly as many entries to zero as `pruned` says."""
    counts = 0
    for method, done in _trials(subject):
        promised = method.pruned(trained_net())
        if promised is None:
            continue
        counts += 1
        found = newly_zero(trained_net(), done.model)
        if found != promised:
            raise Broken(
                f"pruned() of {describe(subject.name, method)} promises {promised} entries, fit sets {found} to zero: "
                "break ties by position, count only the pruned layers, and keep masks as buffers"
            )
    if not counts:
        raise NotApplicable("the method prunes no fixed number")


def _trials(subject: Subject) -> Iterator[tuple[Method, Trial]]:
    """Yield each setting with its trial; settings that do not fit are left out.

    Raises:
        NoFit: if the defaults do not fit.
    """
    trial(subject, subject.method)
    for method in settings(subject.method):
        with contextlib.suppress(NoFit):
            yield method, trial(subject, method)


def changed_parts(before: Net, after: nn.Module) -> dict[str, str]:
    """Return the parts of a network that differ in a fitted model, each with the name of the first changed entry.

    The entries of the `state_dict` are compared. One that was only renamed is not changed; one that was added changes
    its part.
    """
    entries, added = _matched(before, after)
    statistics = {name for name, _ in before.named_buffers()}
    found: dict[str, str] = {}
    for name, old, new in entries:
        if new is None or not torch.equal(old, new):
            head = name.startswith("head.")
            found.setdefault("head" if head else "statistics" if name in statistics else "extractor", name)
    for name in added:
        inside = "features." in name
        found.setdefault("extractor" if inside else "head", name)
    return found


def newly_zero(before: Net, after: nn.Module) -> int:
    """Count the parameters that became zero, and the zeros in added entries of zeros and ones (masks)."""
    entries, added = _matched(before, after)
    parameters = {name for name, _ in before.named_parameters()}
    count = sum(
        int(((old != 0) & (new == 0)).sum()) for name, old, new in entries if name in parameters and new is not None
    )
    masks = [tensor for tensor in added.values() if ((tensor == 0) | (tensor == 1)).all()]
    return count + sum(int((mask == 0).sum()) for mask in masks)


def _matched(before: Net, after: nn.Module) -> tuple[list[tuple[str, Tensor, Tensor | None]], dict[str, Tensor]]:
    """Return (name, old entry, new entry or None) for each entry of `before`, and the other entries of `after`."""
    left = dict(after.state_dict())
    named = {name: left.pop(name) for name in before.state_dict() if name in left}
    entries: list[tuple[str, Tensor, Tensor | None]] = []
    for name, old in before.state_dict().items():
        new = named.get(name)
        if new is None or new.shape != old.shape:
            same = (key for key, tensor in left.items() if torch.equal(tensor, old))
            new = left.pop(key) if (key := next(same, None)) is not None else None
        entries.append((name, old, new))
    return entries, left
