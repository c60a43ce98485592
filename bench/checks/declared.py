"""What a method says of itself: checked without a fit."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from bench import registry
from bench.api import Method
from bench.checks.setting_checks import choices, completed, other_values, settings
from bench.checks.subject import RECIPE, SPLITS, Broken, NotApplicable, Subject
from bench.errors import BenchError, UsageError
from bench.options import conditions
from bench.spec import describe

PARTS = ("extractor", "statistics", "head")


def check_docstring(subject: Subject) -> None:
    """The module says where the method comes from and where it departs from that."""
    text = inspect.getdoc(inspect.getmodule(type(subject.method))) or ""
    missing = [word for word in ("Paper:", "Code:", "Departures:") if word not in text]
    if missing:
        raise Broken(f"the module's docstring has no {', '.join(missing)}: add the line, with 'none' where it is so")


def check_declaration(subject: Subject) -> None:
    """Title, splits and what changes are declared, every parameter has a default and a sentence."""
    cls, fields = type(subject.method), dataclasses.fields(subject.method)
    if not getattr(cls, "title", ""):
        raise Broken("no title: set the name that tables print")
    for name, allowed in (("uses", SPLITS), ("changes", PARTS)):
        wrong = set(getattr(subject.method, name, {"?"})) - set(allowed)
        if wrong:
            raise Broken(f"{name} holds {', '.join(sorted(map(str, wrong)))}: a frozenset of {', '.join(allowed)}")
    lost = [name for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)]
    if lost:
        raise Broken(f"parameter {lost[0]} is none: put @dataclass(frozen=True, kw_only=True) on {cls.__name__}")
    for field in fields:
        if field.default is dataclasses.MISSING or not field.metadata.get("says"):
            raise Broken(f"parameter {field.name} has no default or no sentence: declare it with option(...)")


def check_spec(subject: Subject) -> None:
    """A spec names the parameters that differ from the defaults, and gives them back."""
    for method in settings(subject.method):
        spec = describe(subject.name, method)
        if registry.METHODS.build(spec, subject.plugins) != method:
            raise Broken(f"{spec} reads back as another setting: keep values that a command line can carry")


def check_grids(subject: Subject) -> None:
    """What `ablations`, `search` and `companions` name can be built."""
    method, found = subject.method, 0
    fields = {field.name: field for field in dataclasses.fields(method)}
    unknown = (set(method.ablations) | set(method.search)) - set(fields)
    if unknown:
        raise Broken(f"ablations or search name {', '.join(sorted(unknown))}: of {', '.join(fields) or 'no parameter'}")
    for setting in [*_flat(method.ablations), *method.companions(RECIPE)]:
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
        raise NotApplicable("it names none")


def _flat(grid: Mapping[str, Any]) -> Iterator[str]:
    for named in grid.values():
        yield from named


def check_refusals(subject: Subject) -> None:
    """A setting that is not defined is refused when it is built, not while it is fitted."""
    tried = 0
    for values, why in _undefined(subject.method):
        tried += 1
        try:
            dataclasses.replace(subject.method, **values)
        except UsageError:
            continue
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        raise Broken(f"{text} is accepted, but {why}: call super().__post_init__() in __post_init__, or leave it out")
    if not tried:
        raise NotApplicable("it has no parameter with a range, choices or conditions")


def _undefined(method: Method) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield settings that must be refused, each with the reason."""
    fields = {field.name: field for field in dataclasses.fields(method)}
    for field in fields.values():
        read = completed(method, {}, reading=field.name)
        needs = {name: value for name in fields if (value := getattr(read, name)) != getattr(method, name)}
        low, high = field.metadata.get("low"), field.metadata.get("high")
        if low is not None:
            yield {**needs, field.name: low - 1}, f"it may be {low} at least"
        if high is not None:
            yield {**needs, field.name: high + 1}, f"it may be {high} at most"
        if set(choices(method, field)) - {True, False}:
            yield {**needs, field.name: "no such choice"}, "it is none of its choices"
        if field.metadata.get("needed"):
            yield {**needs, field.name: None}, "it is needed there"
        for other, allowed in conditions(field).items():
            possible = (getattr(method, other), *choices(method, fields[other]))
            unread = next((value for value in possible if value not in allowed), None)
            if unread is not None:
                values = {field.name: next(other_values(method, field, field.default))}
                if unread != getattr(method, other):
                    values = {other: unread, **values}
                yield values, f"{field.name} is not read with {other}={unread}"
