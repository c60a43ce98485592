"""Methods built from their specs, and the reasons for which some are not defined on a task or a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench import registry
from bench.api import Method, Question, Task, Vector
from bench.backbones import lacking
from bench.options import conditions
from bench.spec import Spec, is_tuned, name_of, parse, untuned


def build_method(spec: str, plugins: Sequence[Path] = ()) -> Method:
    """Return the method of a spec, less `@tuned`: `swift@tuned` gives the method with the parameters of `swift`."""
    return _built(spec, tuple(plugins))


@cache
def _built(spec: str, plugins: tuple[Path, ...]) -> Method:
    whole = completed(untuned(spec), plugins)[0] if is_tuned(spec) else spec
    return registry.METHODS.build(whole, plugins)


def completed(spec: str, plugins: Sequence[Path] = ()) -> tuple[str, list[str]]:
    """Return a spec to tune with the parameters that it needs and leaves open, and their names.

    Each gets the first value of the method's `search`: `swift:mask=hard` becomes `swift:mask=hard,rate=0.1`.
    """
    given, cls = parse(spec), registry.METHODS.load(name_of(spec), plugins)
    texts = {one.name: str(one.default) for one in fields(cls)} | dict(given.options)
    left_open = [
        one.name
        for one in fields(cls)
        if one.metadata.get("needed")
        and one.name in cls.search
        and one.name not in given.options
        and all(texts[other] in map(str, allowed) for other, allowed in conditions(one).items())
    ]
    more = {name: str(cls.search[name][0]) for name in left_open}
    return str(Spec(given.name, {**given.options, **more})), left_open


class Reason(NamedTuple):
    """What a method is not defined for, in words (`3 groups`, or a backbone), and why."""

    on: str
    why: str


def _of_vectors(backbone: str, plugins: tuple[Path, ...]) -> bool:
    return isinstance(registry.backbone(backbone, "none", plugins).input, Vector)


def undefined(methods: Sequence[str], task: Task, backbone: str, plugins: Sequence[Path] = ()) -> dict[str, Reason]:
    """Return the specs of methods that are not defined for the groups of a task, or on a backbone, and why."""
    groups, found = len(task.attribute.names), dict[str, Reason]()
    for spec, method in ((spec, build_method(spec, plugins)) for spec in methods):
        if why := method.undefined(Question(groups)):
            found[spec] = Reason(f"{groups} groups", why)
        elif why := method.undefined(Question(groups, vector=_of_vectors(backbone, tuple(plugins)))):
            found[spec] = Reason(backbone, why)
        elif method.needs:
            lacks = lacking(registry.backbone(backbone, "none", tuple(plugins)))
            if why := method.undefined(Question(groups, lacks)):
                found[spec] = Reason(backbone, why)
    return found
