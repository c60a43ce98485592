"""Names to plugins, and specs such as `swift:mask=hard,rho=0.3` to plugins with these parameters.

Every file of `methods/` and `datasets/` whose name does not start with `_` is a plugin named like the
file. Others come by `--plugin FILE.py` or by the entry-point groups `bench.methods` and `bench.datasets`.
Listing reads docstrings only: a plugin of the suite is imported when it is used, one from outside when it is
found. A broken one is left out and stops no other; `problems` says what is wrong with it.
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
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from types import ModuleType

from bench.api import Dataset, Method, Plugin
from bench.errors import DataMissing, PluginBroken, UnknownName
from bench.spec import canonical, name_of, parse

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
    """
    return _survey(kind, plugins)[0]


def problems(plugins: Sequence[Path] = ()) -> list[str]:
    """Return, once for each plugin that is left out, what is wrong with it, with the traceback of its import.

    Raises:
        DataMissing: if a file of `plugins` is not there.
    """
    return list(dict.fromkeys(text for kind in BASES for text in _survey(kind, plugins)[1].values()))


def load(kind: str, name: str, plugins: Sequence[Path] = ()) -> type[Plugin]:
    """Return the class of a plugin.

    Raises:
        UnknownName: with the nearest right spelling.
        PluginBroken: with the traceback of the import, or what the file lacks.
    """
    entries, broken = _survey(kind, plugins)
    if canonical(name) not in entries:
        if canonical(name) in broken:
            raise PluginBroken(broken[canonical(name)])
        raise UnknownName(kind, name, entries)
    entry = entries[canonical(name)]
    module_name, _, attribute = entry.module.partition(":")
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except Exception:
        raise PluginBroken(f"{kind} '{name}' ({entry.file or entry.module}):\n{traceback.format_exc()}") from None
    classes = _classes(module, BASES[kind], attribute)
    if len(classes) != 1:
        raise PluginBroken(f"{entry.file or entry.module}: {_one_class_expected([BASES[kind]], classes)}")
    return classes[0]


def build(kind: str, spec: str, plugins: Sequence[Path] = ()) -> Plugin:
    """Return the plugin that a spec such as `swift:epsilon=0.2` or `swift:preset=paper` names.

    A preset stands for its parameters; what is given beside it wins.

    Raises:
        UnknownName: for the name, a parameter or a choice, with the nearest right spelling.
        UsageError: for a value of the wrong type or out of range.
    """
    name = name_of(spec)
    cls = load(kind, name, plugins)
    fields = [field.name for field in dataclasses.fields(cls)]
    values = parse(spec).allowed([*fields, "preset"])
    preset = values.pop("preset", None)
    if preset is not None and preset not in cls.presets:
        raise UnknownName("preset", preset, cls.presets, where=f" of {name}")
    return cls(**{**(cls.presets[preset] if preset else {}), **values})


_FILE_PREFIX = "bench_plugin_"


@cache
def _built_in(kind: str) -> dict[str, Entry]:
    package = importlib.import_module(f"bench.{kind}s")
    files = sorted(file for folder in package.__path__ for file in Path(folder).glob("[!_]*.py"))
    return {file.stem: Entry(kind, file.stem, f"bench.{kind}s.{file.stem}", file) for file in files}


@cache
def _installed(kind: str) -> EntryPoints:
    """Return the entry points of a kind: to find them, the metadata of every distribution is read."""
    return entry_points(group=f"bench.{kind}s")


def _survey(kind: str, plugins: Sequence[Path]) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the plugins of a kind by name, and what is wrong with those from outside that are left out."""
    found, broken = dict(_built_in(kind)), {}
    outside: list[tuple[str, str, Path | None, str]]
    outside = [(p.name, f"entry point {p.name} = {p.value}", None, p.value) for p in _installed(kind)]
    for path in plugins:
        file = path.resolve()
        if not file.is_file():
            raise DataMissing(f"plugin {file}", get_it="`bench new method NAME` writes one.")
        outside.append((file.stem, f"plugin {file}", file, _FILE_PREFIX + canonical(file.stem)))
    for given, where, file, target in outside:
        name, (module_name, _, attribute) = canonical(given), target.partition(":")
        module = _imported(module_name, file)
        if isinstance(module, str):
            broken[name] = f"{where} is left out:\n{module}"
            continue
        classes = _classes(module, BASES[kind], attribute)
        if file and not classes and any(_classes(module, base) for base in BASES.values()):
            continue  # a file of the other kind
        if len(classes) != 1:
            expected = [BASES[kind]] if classes or not file else list(BASES.values())
            broken[name] = f"{where} is left out: {_one_class_expected(expected, classes)}"
        elif name in found:
            broken[name] = f"{where} is left out: {kind} '{name}' is there already ({found[name].module}); rename it"
        else:
            found[name] = Entry(kind, name, target, file)
    return found, broken


def _one_class_expected(bases: Sequence[type[Plugin]], classes: Sequence[type[Plugin]]) -> str:
    expected, names = " or ".join(base.__name__ for base in bases), ", ".join(cls.__name__ for cls in classes)
    return f"one public subclass of {expected} expected, found {names or 'none'}; names that start with _ do not count"


def _classes(module: ModuleType, base: type[Plugin], attribute: str = "") -> list[type[Plugin]]:
    """Return the class that `attribute` names, else all that the module defines."""
    names = [attribute] if attribute else [name for name in vars(module) if not name.startswith("_")]
    return [
        value
        for value in (getattr(module, name, None) for name in names)
        if isinstance(value, type)
        and issubclass(value, base)
        and (attribute or value.__module__ == module.__name__)
        and not inspect.isabstract(value)
    ]


@cache
def _imported(name: str, file: Path | None) -> ModuleType | str:
    """Return a module from outside the suite, or the traceback of its import."""
    try:
        if file is None:
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            return "not a Python file: its name must end in .py"
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up while they are made
        spec.loader.exec_module(module)
    except (Exception, SystemExit):
        sys.modules.pop(name, None)
        return traceback.format_exc()
    return module
