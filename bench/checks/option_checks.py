"""What the parameters of a method do: each is read, each choice runs, and what is declared for it holds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.api import Method
from bench.checks.differences import changed_parts, newly_zero
from bench.checks.setting_checks import completed, other_choices, other_values, presets, settings
from bench.checks.subject import Broken, NoFit, NotApplicable, Subject, Trial, must_fit, setting_of, trained_net, trial


def check_choices(subject: Subject) -> None:
    """Every value of every choice runs, with what it needs."""
    if not [must_fit(subject, completed(subject.method, choice)) for choice in other_choices(subject.method)]:
        raise NotApplicable("no parameter is a choice")


def check_presets(subject: Subject) -> None:
    """Every preset runs."""
    if not [must_fit(subject, method) for method in presets(subject.method).values()]:
        raise NotApplicable("it has none")


def check_parameters(subject: Subject) -> None:
    """Every parameter is read: another value gives other logits or other logged facts.

    What shows on none of the usual images is tried on batches that lack a group or a class.
    """
    default = subject.method
    trial(subject, default)
    for field in dataclasses.fields(default):
        values: dict[str, None] = {}
        tries = ((base, rare) for rare in (False, True) for base in _bases(default, field.name))
        if not any(_is_read(subject, base, field, values, rare=rare) for base, rare in tries):
            raise Broken(
                f"{field.name} changes neither logits nor logged facts (tried {', '.join(values) or 'nothing'}): read "
                "it in fit, take it out, or name a value that shows with option(..., other=...)"
            )
    if not dataclasses.fields(default):
        raise NotApplicable("it has no parameters")


def _is_read(
    subject: Subject, base: Method, field: dataclasses.Field[Any], tried: dict[str, None], *, rare: bool
) -> bool:
    before = _outcome(subject, base, field.name, rare=rare)
    for value in other_values(base, field, getattr(base, field.name)):
        try:
            method = completed(base, {field.name: value})
        except Broken:  # refused by a rule of its own; a choice that can never be set is found by check_choices
            continue
        tried[str(value)] = None
        if _outcome(subject, method, field.name, rare=rare) != before:
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


def _outcome(subject: Subject, method: Method, name: str, *, rare: bool) -> str | None:
    """Return logits and facts as text, without facts that only repeat the parameter; None where there is no fit."""
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
    """Nothing differs from the baseline but what `changes` declares, bit for bit."""
    for method, done in _trials(subject):
        for part, name in changed_parts(trained_net(), done.model).items():
            if part not in method.changes:
                declared = ", ".join(sorted(method.changes)) or "nothing"
                raise Broken(
                    f"{setting_of(subject, method)} changes {name} (the {part}), but declares {declared}: add '{part}' "
                    "to changes, or freeze it with learn.freeze, which keeps BatchNorm's statistics too"
                )


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


def _trials(subject: Subject) -> Iterator[tuple[Method, Trial]]:
    """Yield each setting with what fitting it left behind; what does not fit is left out.

    Raises:
        NoFit: where the defaults do not fit.
    """
    trial(subject, subject.method)
    for method in settings(subject.method):
        with contextlib.suppress(NoFit):
            yield method, trial(subject, method)
