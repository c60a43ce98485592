"""Parameters as fields of frozen dataclasses: declared with a description and a range, read from text, and checked.

Methods, datasets, recipes and tasks declare them with `option`; a spec such as `swift:mask=hard,rate=0.3` sets them.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from math import inf
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from bench.errors import UnknownName, UsageError


def option(
    default: Any,
    says: str,
    *,
    low: float | None = None,
    high: float | None = None,
    when: Mapping[str, Any] | None = None,
    needed: bool = False,
    source: str = "",
    other: Any = None,
    added: bool = False,
) -> Any:
    """Declare one parameter of a plugin: its default and its description in one sentence.

    Args:
        low, high: the closed range of a number.
        when: values (one, or a tuple) of other parameters with which this one is read; it must not be set otherwise.
        needed: whether it must be set if `when` holds; its default is then None, which means "not read".
        source: where it comes from, such as `Eq. 9` or a file and function of the public code.
        other: another value, with which a conformance check tests that the parameter is read.
        added: declared after results were stored, so that its default is no part of the identity of a result.
    """
    facts = {"says": says, "low": low, "high": high, "when": dict(when or {}), "needed": needed}
    return dataclasses.field(default=default, metadata={**facts, "source": source, "other": other, "added": added})


fraction = functools.partial(option, low=0, high=1)
"""Declare a parameter in 0..1."""


@functools.cache  # thousands of cells are planned with a few classes
def options(cls: type) -> Mapping[str, Any]:
    """Return name -> type of the fields of a dataclass that a spec can set: `Literal`, bool, int, float, str or None.

    Nested fields (a dataclass, a tuple, a mapping) are left out.
    """
    hints = typing.get_type_hints(cls)
    simple = (field.name for field in dataclasses.fields(cls) if _simple(hints[field.name]))
    return MappingProxyType({name: hints[name] for name in simple})


def _simple(kind: Any) -> bool:
    if get_origin(kind) in (UnionType, typing.Union):
        return all(_simple(member) for member in get_args(kind))
    return get_origin(kind) is Literal or kind in (bool, int, float, str, NoneType)


def identifying(bundle: Any) -> dict[str, Any]:
    """Return the parameters that identify a result: all but those at their default that were `added` later."""
    later = {
        f.name for f in dataclasses.fields(bundle) if f.metadata.get("added") and getattr(bundle, f.name) == f.default
    }
    return {name: value for name, value in dataclasses.asdict(bundle).items() if name not in later}


def choices(kind: Any) -> tuple[Any, ...]:
    """Return all values of a `Literal` or bool, alone or in a union; empty for other types."""
    if get_origin(kind) in (UnionType, typing.Union):
        return tuple(choice for member in get_args(kind) for choice in choices(member))
    return (False, True) if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()


def conditions(field: dataclasses.Field[Any]) -> dict[str, tuple[Any, ...]]:
    """Return the options that this one depends on, each with the values for which this one is read."""
    declared = field.metadata.get("when") or {}
    return {name: allowed if isinstance(allowed, tuple) else (allowed,) for name, allowed in declared.items()}


def is_read(field: dataclasses.Field[Any], values: Mapping[str, Any]) -> bool:
    """Tell whether an option is read beside the values of the others."""
    return all(values[other] in allowed for other, allowed in conditions(field).items())


def check_options(bundle: Any) -> None:
    """Coerce the options of a frozen dataclass in place, then check their ranges and conditions.

    Raises:
        UsageError: with the class, the field, the value and the allowed values.
    """
    kinds = options(type(bundle))
    fields = [field for field in dataclasses.fields(bundle) if field.name in kinds]
    for field in fields:
        name = f"{type(bundle).__name__}.{field.name}"
        value = coerce(name, getattr(bundle, field.name), kinds[field.name])
        low, high = field.metadata.get("low"), field.metadata.get("high")
        # `value < low` would be false for NaN, which is outside every range.
        if value is not None and not ((low is None or value >= low) and (high is None or value <= high)):
            bounds = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
            raise UsageError(f"{name}={value}: a number from {bounds} expected")
        object.__setattr__(bundle, field.name, value)
    for field in fields:
        _check_read(bundle, field)


def _check_read(bundle: Any, field: dataclasses.Field[Any]) -> None:
    name, value = f"{type(bundle).__name__}.{field.name}", getattr(bundle, field.name)
    for other, values in conditions(field).items():
        if getattr(bundle, other) not in values:
            if value != field.default:
                raise UsageError(
                    f"{name}={value} is only read with {other}={' or '.join(map(str, values))}, "
                    f"not with {other}={getattr(bundle, other)}: leave it out or change {other}"
                )
            return
    if field.metadata.get("needed") and value is None:
        reasons = ", ".join(f"{other}={getattr(bundle, other)}" for other in conditions(field))
        low, high = field.metadata.get("low"), field.metadata.get("high")
        bounds = f" ({low} to {high})" if low is not None and high is not None else ""
        raise UsageError(f"{name} is missing: {reasons} requires it{bounds}; {field.metadata['says']}")


def coerce(name: str, value: Any, kind: Any) -> Any:
    """Convert `value`, a string or a typed value, to `kind`; raise UsageError if it does not fit."""
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if str(value) not in choices:
            raise UnknownName("value", str(value), choices, where=f" for {name}")
        return choices[str(value)]
    if get_origin(kind) in (UnionType, typing.Union):
        members = [member for member in get_args(kind) if member is not NoneType]
        if len(members) < len(get_args(kind)) and (value is None or str(value).lower() == "none"):
            return None
        return coerce(name, value, str if str in members else members[0])
    wrong = UsageError(f"{name}={value!r}: {kind.__name__} expected")
    if kind is bool:
        words = {"true": True, "false": False, "yes": True, "no": False}
        if str(value).lower() not in words:
            raise UsageError(f"{name}={value!r}: true or false expected")
        return words[str(value).lower()]
    if (isinstance(value, bool) and kind in (int, float)) or (
        kind is int and isinstance(value, float) and not value.is_integer()
    ):
        raise wrong
    try:
        found = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if found in (inf, -inf):
        raise UsageError(f"{name}={value!r}: a finite number expected")
    return found
