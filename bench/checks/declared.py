"""Checks of the declarations of a method, without fitting it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from itertools import chain
from typing import Any

from bench import registry
from bench.api import Method
from bench.checks.setting_checks import choices, completed, other_values, settings
from bench.checks.subject import RECIPE, SPLITS, Broken, NotApplicable, Subject
from bench.errors import BenchError, UsageError
from bench.options import conditions
from bench.spec import describe, split_specs

PARTS = ("extractor", "statistics", "head")


def check_docstring(subject: Subject) -> None:
    """The docstring of the module names the paper, the code, and every departure from them."""
    text = inspect.getdoc(inspect.getmodule(type(subject.method))) or ""
    missing = [word for word in ("Paper:", "Code:", "Departures:") if word not in text]
    if missing:
        raise Broken(f"the module's docstring has no {', '.join(missing)}: add the line; 'none' is a valid entry")


def check_declaration(subject: Subject) -> None:
    """Title, splits and changed parts are declared, and every parameter has a default and a description."""
    cls, fields = type(subject.method), dataclasses.fields(subject.method)
    if not getattr(cls, "title", ""):
        raise Broken("no title: set `title` to the name that tables print")
    for name, allowed in (("uses", SPLITS), ("changes", PARTS)):
        wrong = set(getattr(subject.method, name, {"?"})) - set(allowed)
        if wrong:
            found = ", ".join(sorted(map(str, wrong)))
            raise Broken(f"{name} holds {found}: a frozenset of {', '.join(allowed)} expected")
    lost = [name for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)]
    if lost:
        raise Broken(f"{lost[0]} is not a parameter: put @dataclass(frozen=True, kw_only=True) on {cls.__name__}")
    for field in fields:
        if field.default is dataclasses.MISSING or not field.metadata.get("says"):
            raise Broken(f"parameter {field.name} has no default or no description: declare it with option(...)")


def check_spec(subject: Subject) -> None:
    """A spec names the parameters that differ from the defaults, and the method can be built from it again."""
    for method in settings(subject.method):
        spec = describe(subject.name, method)
        if split_specs(spec) != [spec] or registry.METHODS.build(spec, subject.plugins) != method:
            raise Broken(f"{spec} reads back as another setting: use values that a command line can express")


def check_grids(subject: Subject) -> None:
    """The settings in `ablations`, `search` and `companions` can be built."""
    method, found = subject.method, 0
    fields = {field.name: field for field in dataclasses.fields(method)}
    unknown = (set(method.ablations) | set(method.search)) - set(fields)
    if unknown:
        wrong, known = ", ".join(sorted(unknown)), ", ".join(fields) or "no parameters"
        raise Broken(f"ablations or search name {wrong}, but the method has {known}")
    for setting in [*chain.from_iterable(method.ablations.values()), *method.companions(RECIPE)]:
        try:
            registry.METHODS.build(f"{subject.name}:{setting}", subject.plugins)
        except BenchError as error:
            raise Broken(f"ablations or companions name {setting}, which cannot be built: {error}") from None
        found += 1
    for name, values in method.search.items():
        for value in values:
            completed(method, {name: value}, reading=name)
            found += 1
    if not found:
        raise NotApplicable("the method has none")


def check_refusals(subject: Subject) -> None:
    """A setting that is not allowed is refused when the method is built, not while it is fitted."""
    tried = 0
    for values, why in _undefined(subject.method):
        tried += 1
        try:
            dataclasses.replace(subject.method, **values)
        except UsageError:
            continue
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        raise Broken(f"{text} is accepted, but {why}: call super().__post_init__() in its __post_init__")
    if not tried:
        raise NotApplicable("no parameter has a range, choices or conditions")


def _undefined(method: Method) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield settings that must be refused, each with the reason."""
    fields = {field.name: field for field in dataclasses.fields(method)}
    for field in fields.values():
        read = completed(method, {}, reading=field.name)
        needs = {name: value for name in fields if (value := getattr(read, name)) != getattr(method, name)}
        low, high = field.metadata.get("low"), field.metadata.get("high")
        if low is not None:
            yield {**needs, field.name: low - 1}, f"it must be at least {low}"
        if high is not None:
            yield {**needs, field.name: high + 1}, f"it must be at most {high}"
        if set(choices(method, field)) - {True, False}:
            yield {**needs, field.name: "no such choice"}, "it is not one of the choices"
        if field.metadata.get("needed"):
            yield {**needs, field.name: None}, "it is required there"
        for other, allowed in conditions(field).items():
            possible = (getattr(method, other), *choices(method, fields[other]))
            unread = next((value for value in possible if value not in allowed), None)
            if unread is not None:
                values = {field.name: next(other_values(method, field, field.default))}
                if unread != getattr(method, other):
                    values = {other: unread, **values}
                yield values, f"{field.name} is not read with {other}={unread}"
