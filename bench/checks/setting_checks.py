"""The settings of a method that checks try: each choice with the parameters it requires, and other numbers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

from bench import options
from bench.api import Method
from bench.checks.subject import Broken
from bench.errors import UsageError

Field = dataclasses.Field


def choices(method: Method, field: Field[Any]) -> tuple[Any, ...]:
    """Return the possible values of a parameter; empty for numbers and texts."""
    return options.choices(get_type_hints(type(method))[field.name])


def completed(default: Method, wanted: Mapping[str, Any], *, reading: str = "") -> Method:
    """Return the setting with the `wanted` values and all values that they, and the parameter `reading`, require.

    A condition (`when`) is met by the first value that it allows. A parameter that is then `needed` gets its `other`.

    Raises:
        Broken: if the conditions contradict each other, or the method refuses the setting.
    """
    fields = {field.name: field for field in dataclasses.fields(default)}
    values, waiting = dict(wanted), [*wanted, *([reading] if reading else [])]
    while waiting:
        name = waiting.pop(0)
        for other, allowed in options.conditions(fields[name]).items():
            if values.get(other, getattr(default, other)) in allowed:
                continue
            if other in values:
                raise Broken(f"{name} is read with {other}={allowed[0]}, which contradicts {other}={values[other]}")
            values[other] = allowed[0]
            waiting.append(other)
    current = lambda name: values.get(name, getattr(default, name))  # noqa: E731
    for name, field in fields.items():
        missing = field.metadata.get("needed") and current(name) is None and name not in wanted
        if missing and all(current(other) in allowed for other, allowed in options.conditions(field).items()):
            values[name] = next(other_values(default, field, None))
    try:
        return dataclasses.replace(default, **values)
    except UsageError as error:
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        raise Broken(f"{text} is refused ({error}): declare its conditions with when= or needed=") from None


def other_choices(default: Method) -> Iterator[dict[str, Any]]:
    """Yield every choice that is not the default, as {parameter: value}."""
    for field in dataclasses.fields(default):
        for value in choices(default, field):
            if value != getattr(default, field.name):
                yield {field.name: value}


def settings(default: Method) -> Iterator[Method]:
    """Yield the defaults, every other choice with the parameters it requires, and every preset, if it can be built."""
    yield default
    for choice in other_choices(default):
        with contextlib.suppress(Broken):
            yield completed(default, choice)
    with contextlib.suppress(Broken):
        yield from presets(default).values()


def presets(default: Method) -> dict[str, Method]:
    """Return the presets by name.

    Raises:
        Broken: if one cannot be built.
    """
    found = {}
    for name, values in type(default).presets.items():
        try:
            found[name] = type(default)(**values)
        except (UsageError, TypeError) as error:
            raise Broken(f"preset {name} cannot be built: {error}") from None
    return found


def other_values(method: Method, field: Field[Any], value: Any) -> Iterator[Any]:
    """Yield other values of a parameter than `value`: the declared `other`, else choices, else numbers in range.

    Raises:
        Broken: if no other value can be derived.
    """
    facts = field.metadata
    if facts.get("other") is not None and facts["other"] != value:
        yield facts["other"]
        return
    candidates = list(choices(method, field))
    if not candidates:
        kind = get_type_hints(type(method))[field.name]
        members = [member for member in (get_args(kind) or (kind,)) if member is not NoneType]
        if members[0] in (int, float):
            far = [100 * value] if members[0] is float and value else []
            candidates = [members[0](number) for number in _numbers(value, facts.get("low"), facts.get("high"), far)]
    candidates = [candidate for candidate in dict.fromkeys(candidates) if candidate != value]
    if not candidates:
        raise Broken(f"no other value of {field.name} is known: declare option(..., other=...)")
    yield from candidates


def _numbers(value: Any, low: float | None, high: float | None, far: list[float]) -> list[float]:
    """Return numbers in the range, those near the value first."""
    near = [0.5 * value, 2 * value] if value else [1.0]
    inside = [0.5 * (low + high), 0.9 * low + 0.1 * high] if low is not None and high is not None else []
    ends = [end for end in (low, high) if end is not None]
    if value is None and not ends:
        return []
    numbers = (inside if value is None else [*near, *inside, *far]) + ends
    return [n for n in numbers if (low is None or n >= low) and (high is None or n <= high)]
