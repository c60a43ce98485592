"""The grammar of specs, `name:option=value,...@tuned`: methods, datasets, backbones and variants of a task.

The first option of some plugins has no name: `timm:resnet18,channels=1`.
The name of a task may be the path of a TOML file. `@tuned` ends the spec of a method whose parameters `bench tune`
chooses for each fold. Only this module parses specs.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any

from bench.errors import UnknownName, UsageError

TUNED = "@tuned"
_PIECES = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^,"])+|"')
"""The options of a spec: a comma in quotes or in the list of a grid separates nothing."""
_OUTSIDE = re.compile(r",(?![^\[]*\])")
"""A comma that is in no list."""
MOST = 100
"""Most settings of one grid."""
_FILE = re.compile(r"(.*?\.toml)(?::(.*))?")
_OPTION_FIRST = re.compile(r"[^:]*:\s*[\w-]+\s*=")
"""A spec whose options start at its first colon. A path may contain colons too."""


@dataclass(frozen=True)
class Spec:
    """A name, the options that are set, as text, and whether `bench tune` chooses the others."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    tuned: bool = False

    def __str__(self) -> str:
        """Return the spec as text, the inverse of `parse`."""
        options = ",".join(f"{key}={_quoted(value)}".removeprefix("=") for key, value in self.options.items())
        return f"{self.name}{':' if options else ''}{options}{TUNED if self.tuned else ''}"

    def allowed(self, keys: Collection[str], kind: str = "parameter", unnamed: str = "") -> dict[str, str]:
        """Return the options of a spec without `@tuned`, all of which must be in `keys`.

        A first option without a name belongs to the key `unnamed`.

        Raises:
            UnknownName: another key; the message suggests the nearest spelling and calls the keys `kind`.
            UsageError: a tuned spec; or an option without a name, which is not allowed there or given twice.
        """
        if self.tuned:
            raise UsageError(f"'{self}': {TUNED} is allowed only for methods of a run")
        if "" in self.options:
            first, *others = self.options.items()
            if not unnamed:
                raise UsageError(f"'{first[1]}' in '{self}': write {kind}=value")
            if unnamed in self.options:
                raise UsageError(f"'{self}' gives {unnamed} twice")
            return Spec(self.name, {unnamed: first[1], **dict(others)}).allowed(keys, kind)
        for key in self.options:
            if key not in keys:
                raise UnknownName(kind, key, keys, where=f" of {self.name}")
        return dict(self.options)


@cache
def parse(text: str, kind: str = "parameter") -> Spec:
    """Parse a spec; error messages call its options `kind`.

    Raises:
        UsageError: an option without `=`, or one that is given twice.
    """
    name, given = _cut(text)
    options: dict[str, str] = {}
    for piece in filter(None, _PIECES.findall(given)):
        key, equals, value = piece.partition("=")
        if not equals and options:
            raise UsageError(f"'{piece}' in '{name}:{given}': write {kind}=value")
        key, value = (key.strip().replace("-", "_"), value) if equals else ("", piece)
        if key in options:
            raise UsageError(f"'{name}:{given}' gives {key} twice")
        options[key] = _unquoted(value.strip())
    return Spec(name, MappingProxyType(options), text.endswith(TUNED))


def _quoted(value: str) -> str:
    """Return a value as specs hold it: in quotes where a comma, say, would end it."""
    plain = value == value.strip() and not set(value) & set(',"@')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    try:
        return json.loads(value) if value.startswith('"') else value
    except ValueError:
        raise UsageError(f'{value}: a text in quotes expected, as in csv="Data, 2024/films.csv"') from None


@cache
def name_of(text: str) -> str:
    """Return the name in a spec, whatever its options are: `swift` of `swift:epsilon=0.2@tuned`."""
    return _cut(text)[0]


def _cut(text: str) -> tuple[str, str]:
    plain = text.removesuffix(TUNED)
    if (file := _FILE.fullmatch(plain)) and not _OPTION_FIRST.match(plain):
        return file[1], file[2] or ""
    name, _, given = plain.partition(":")
    return name, given


def is_tuned(text: str) -> bool:
    """Return whether `bench tune` chooses the parameters that a spec does not set."""
    return text.endswith(TUNED)


def tuned(text: str) -> str:
    """Return the spec with `@tuned`: `bench tune` chooses the parameters that it does not set."""
    return text + TUNED


def untuned(text: str) -> str:
    """Return the spec without `@tuned`."""
    return text.removesuffix(TUNED)


def split_specs(text: str) -> list[str]:
    """Split `swift:mask=hard,rho=0.3,bmft` into `swift:mask=hard,rho=0.3` and `bmft`.

    A grid, `swift:rho=[0.1,0.3]`, is a spec for each value, and for each combination of the values of several options.

    Raises:
        UsageError: a list that is empty, is not closed, or gives a value twice; or very many settings.
    """
    return [one for spec in join_options(_OUTSIDE.split(text)) for one in grid(spec)]


def grid(text: str) -> list[str]:
    """Return the specs of a grid, or a spec without lists itself; raises as `split_specs`."""
    if "[" not in text or '"' in text:
        return [text]
    spec, values = parse(text), dict[str, list[str]]()
    for key, value in spec.options.items():
        if "[" not in value and "]" not in value:
            values[key] = [value]
            continue
        listed = [one.strip() for one in value[1:-1].split(",")]
        if not (value.startswith("[") and value.endswith("]")) or not all(listed) or "[" in value[1:]:
            raise UsageError(f"{key}={value} in '{text}': a list of values expected, such as {key}=[1,2]")
        if len(set(listed)) < len(listed):
            raise UsageError(f"{key}={value} in '{text}' gives a value twice")
        values[key] = listed
    number = math.prod(map(len, values.values()))
    if number > MOST:
        raise UsageError(f"'{text}' has {number} settings; at most {MOST} are allowed in one grid")
    return [str(Spec(spec.name, dict(zip(values, row, strict=True)), spec.tuned)) for row in product(*values.values())]


def join_options(pieces: Iterable[str]) -> list[str]:
    """Return specs from the pieces between commas: a piece such as `rho=0.3` belongs to the spec before it."""
    specs: list[str] = []
    for piece in filter(None, (part.strip() for part in pieces)):
        if specs and "=" in piece and ":" not in piece:
            specs[-1] += f",{piece}" if ":" in specs[-1] else f":{piece}"
        else:
            specs.append(piece)
    return specs


def label(title: str, text: str) -> str:
    """Return a title with the options of a spec in words: `SWiFT (mask hard, rate 0.5)`, `SWiFT (tuned)`."""
    spec = parse(text)
    words = [f"{key.replace('_', ' ')} {_WORDS.get(value, value)}".strip() for key, value in spec.options.items()]
    words += ["tuned"] if spec.tuned else []
    return f"{title} ({', '.join(words)})" if words else title


_WORDS = {"True": "yes", "False": "no"}


def canonical(name: str) -> str:
    """Return the canonical spelling of the name of a plugin: `My-Method` is `my_method`."""
    return name.strip().lower().replace("-", "_")


def describe(name: str, plugin: Any) -> str:
    """Return the canonical spec of a plugin: its name, then the parameters that differ from their defaults."""
    values = {f.name: (getattr(plugin, f.name), f.default) for f in dataclasses.fields(plugin)}
    changed = {key: str(value) for key, (value, default) in values.items() if value != default}
    first = {"": changed.pop(plugin.unnamed)} if plugin.unnamed in changed else {}
    return str(Spec(canonical(name), first | changed))
