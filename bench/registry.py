"""Names to plugins, and `swift:mask=hard,rho=0.3` to parameters and back.

Every file of `methods/` and `datasets/` whose name does not start with `_` is a plugin named like the
file. Others come by `--plugin FILE.py` or by the entry-point groups `bench.methods` and `bench.datasets`.
Listing reads docstrings only; a plugin is imported when it is used.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from bench.api import Dataset, Method, Plugin
from bench.errors import DataMissing, PluginBroken, UnknownName, UsageError

BASES: dict[str, type[Plugin]] = {"method": Method, "dataset": Dataset}


@dataclass(frozen=True)
class Entry:
    """Where one plugin is: a module of the suite, a file given by `--plugin`, or an entry point."""

    kind: str
    name: str
    module: str
    file: Path | None

    @property
    def summary(self) -> str:
        """The first line of the module's docstring, read without importing it."""
        if self.file is None:
            return f"from {self.module}"
        try:
            text = ast.get_docstring(ast.parse(self.file.read_text(encoding="utf-8")))
        except (SyntaxError, OSError) as error:
            return f"cannot be read: {error}"
        return (text or "").partition("\n")[0]


def catalogue(kind: str, plugins: Sequence[Path] = ()) -> dict[str, Entry]:
    """Return all plugins of a kind ("method" or "dataset") by name; `plugins` are files from `--plugin`.

    Raises:
        DataMissing: if a file of `plugins` is not there.
        PluginBroken: if a file of `plugins` cannot be imported, or takes the name of another plugin.
    """
    found = dict(_built_in(kind))
    extra = [Entry(kind, _canonical(point.name), point.value, None) for point in entry_points(group=f"bench.{kind}s")]
    for file in plugins:
        module = _import_file(file.resolve())
        if _classes(module, BASES[kind]):
            extra.append(Entry(kind, _canonical(file.stem), module.__name__, file.resolve()))
    for entry in extra:
        if entry.name in found:
            raise PluginBroken(f"{kind} '{entry.name}' of {entry.module} is there already: {found[entry.name].module}")
        found[entry.name] = entry
    return found


def load(kind: str, name: str, plugins: Sequence[Path] = ()) -> type[Plugin]:
    """Return the class of a plugin.

    Raises:
        UnknownName: with the nearest right spelling.
        PluginBroken: with the traceback of the import, or what the file lacks.
    """
    entries = catalogue(kind, plugins)
    if _canonical(name) not in entries:
        raise UnknownName(kind, name, entries)
    entry = entries[_canonical(name)]
    base = BASES[kind]
    module_name, _, attribute = entry.module.partition(":")
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except Exception:
        raise PluginBroken(f"{kind} '{name}' ({entry.file or entry.module}):\n{traceback.format_exc()}") from None
    classes = [getattr(module, attribute)] if attribute else _classes(module, base)
    if len(classes) != 1 or not issubclass(classes[0], base):
        raise PluginBroken(
            f"{entry.file or entry.module}: one public subclass of {base.__name__} expected, "
            f"found {[c.__name__ for c in classes] or 'none'}"
        )
    return classes[0]


def build(kind: str, spec: str, plugins: Sequence[Path] = ()) -> Plugin:
    """Return the plugin that a spec such as `swift:epsilon=0.2` or `swift:preset=paper` names.

    A preset stands for its parameters; what is given beside it wins.

    Raises:
        UnknownName: for the name, a parameter or a choice, with the nearest right spelling.
        UsageError: for a value of the wrong type or out of range.
    """
    name, _, given = spec.partition(":")
    cls = load(kind, name, plugins)
    fields = [field.name for field in dataclasses.fields(cls)]
    values = settings(given, [*fields, "preset"], "parameter", name)
    preset = values.pop("preset", None)
    if preset is not None and preset not in cls.presets:
        raise UnknownName("preset", preset, cls.presets, where=f" of {name}")
    return cls(**{**(cls.presets[preset] if preset else {}), **values})


def settings(given: str, allowed: Sequence[str], kind: str, name: str) -> dict[str, str]:
    """Return what `mask=hard,rho=0.3` gives; `kind` and `name` say in messages what the keys are and of what.

    Raises:
        UsageError: a piece without `=`, or a key twice.
        UnknownName: a key that is not allowed.
    """
    values: dict[str, str] = {}
    for piece in filter(None, given.split(",")):
        key, equals, value = piece.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"'{piece}' in '{name}:{given}': write {kind}=value")
        if key not in allowed:
            raise UnknownName(kind, key, allowed, where=f" of {name}")
        if key in values:
            raise UsageError(f"'{name}:{given}' gives {key} twice")
        values[key] = value.strip()
    return values


def describe(name: str, plugin: Plugin) -> str:
    """Return the canonical spec: the name, then the parameters that differ from their defaults."""
    changed = [
        f"{field.name}={getattr(plugin, field.name)}"
        for field in dataclasses.fields(plugin)
        if getattr(plugin, field.name) != field.default
    ]
    return _canonical(name) + (":" + ",".join(changed) if changed else "")


def split_specs(text: str) -> list[str]:
    """Split `swift:mask=hard,rho=0.3,bmft` into `swift:mask=hard,rho=0.3` and `bmft`."""
    specs: list[str] = []
    for piece in filter(None, (part.strip() for part in text.split(","))):
        if specs and "=" in piece and ":" not in piece:
            specs[-1] += f",{piece}" if ":" in specs[-1] else f":{piece}"
        else:
            specs.append(piece)
    return specs


_FILE_PREFIX = "bench_plugin_"


def _canonical(name: str) -> str:
    return name.strip().lower().replace("-", "_")


@cache
def _built_in(kind: str) -> dict[str, Entry]:
    package = importlib.import_module(f"bench.{kind}s")
    files = sorted(file for folder in package.__path__ for file in Path(folder).glob("[!_]*.py"))
    return {file.stem: Entry(kind, file.stem, f"bench.{kind}s.{file.stem}", file) for file in files}


def _classes(module: ModuleType, base: type[Plugin]) -> list[type[Plugin]]:
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and not inspect.isabstract(value)
    ]


@cache
def _import_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise DataMissing(f"plugin {file}", get_it="`bench new method NAME` writes one.")
    name = _FILE_PREFIX + _canonical(file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginBroken(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    except Exception:
        del sys.modules[name]
        raise PluginBroken(f"plugin {file}:\n{traceback.format_exc()}") from None
    return module
