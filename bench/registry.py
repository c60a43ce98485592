"""Find plugins by name, and build them from specs such as `swift:mask=hard,rate=0.3`.

There is one `Registry` for each kind of plugin. Its plugins are the modules of a package of the suite (`bench.methods`,
`bench.datasets`, `bench.backbones`, `bench.running.launchers`), named like their files; a module whose name starts with
`_` is not a plugin. Other plugins come from `--plugin FILE.py` or from the entry-point group `bench.<kind>s`. Plugins
of the suite are imported when they are used, and listed by their docstrings. Plugins from outside are imported when
they are found; a file may also define metrics. A broken plugin is left out without affecting others; `problems` says
what is wrong with it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoints, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Generic, TypeVar

from bench.api import CONTRACT, Backbone, Dataset, Method, Plugin, Task
from bench.errors import DataMissing, PluginBroken, UnknownName, UsageError, nearest
from bench.options import coerce, conditions, is_read, options
from bench.spec import canonical, name_of, parse

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class Entry:
    """The location of a plugin: a module of the suite, a file from `--plugin`, or an entry point."""

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


class Registry(Generic[P]):
    """All plugins of one kind: subclasses of `base`, one in each file."""

    every: list[Registry] = []
    """All registries, because a file from `--plugin` may hold a plugin of any kind."""

    def __init__(self, kind: str, base: type[P], package: str) -> None:
        """Register a kind ("method"), the base class of its plugins, and the package of those that are built in."""
        self.kind, self.base, self.package = kind, base, package
        self.every.append(self)

    def catalogue(self, plugins: Sequence[Path] = ()) -> dict[str, Entry]:
        """Return all plugins by name; `plugins` are files from `--plugin`.

        Raises:
            DataMissing: if one of these files does not exist.
        """
        return self._survey(plugins)[0]

    def load(self, name: str, plugins: Sequence[Path] = ()) -> type[P]:
        """Return the class of a plugin.

        Raises:
            UnknownName: with the nearest names.
            PluginBroken: with the traceback of the import, or what is wrong with the classes in the file.
        """
        entries, broken = self._survey(plugins)
        if canonical(name) not in entries:
            if canonical(name) in broken:
                raise PluginBroken(broken[canonical(name)])
            raise UnknownName(self.kind, name, entries)
        entry = entries[canonical(name)]
        module_name, _, attribute = entry.module.partition(":")
        try:
            module = sys.modules.get(module_name) or importlib.import_module(module_name)
        except Exception:
            where = entry.file or entry.module
            raise PluginBroken(f"{self.kind} '{name}' ({where}):\n{traceback.format_exc()}") from None
        classes = _classes(module, self.base, attribute)
        if len(classes) != 1:
            raise PluginBroken(f"{entry.file or entry.module}: {_one_class_expected([self.base], classes)}")
        return classes[0]

    def build(self, spec: str, plugins: Sequence[Path] = ()) -> P:
        """Return the plugin that a spec such as `swift:epsilon=0.2` or `swift:preset=paper` names.

        A preset sets its parameters; parameters given in the spec take precedence. Those of the preset beside which a
        given one is not read, or that are not read themselves, are left out.

        Raises:
            UnknownName: on an unknown plugin, parameter or choice, with the nearest names.
            UsageError: on a value of the wrong type or out of range.
        """
        name = name_of(spec)
        cls = self.load(name, plugins)
        values = parse(spec).allowed([*(field.name for field in fields(cls)), "preset"], unnamed=cls.unnamed)
        preset = values.pop("preset", None)
        if preset is not None and preset not in cls.presets:
            raise UnknownName("preset", preset, cls.presets, where=f" of {name}")
        return cls(**{**_of_preset(cls, preset, values), **values})

    @cached_property
    def _built_in(self) -> dict[str, Entry]:
        found = {}
        for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            if not module.name.startswith("_"):
                file = Path(module.module_finder.path, module.name)  # type: ignore[union-attr]
                file = file / "__init__.py" if module.ispkg else file.with_suffix(".py")
                found[module.name] = Entry(module.name, f"{self.package}.{module.name}", file)
        return dict(sorted(found.items()))

    @cached_property
    def _installed(self) -> EntryPoints:
        # Cached, because finding them reads the metadata of every installed distribution.
        return entry_points(group=f"bench.{self.kind}s")

    def _survey(self, plugins: Sequence[Path]) -> tuple[dict[str, Entry], dict[str, str]]:
        """Return the plugins by name, and the problems of plugins from outside that are left out."""
        found, broken = dict(self._built_in), {}
        outside: list[tuple[str, str, Path | None, str]]
        outside = [(p.name, f"entry point {p.name} = {p.value}", None, p.value) for p in self._installed]
        for path in plugins:
            file = path.resolve()
            if not file.is_file():
                raise DataMissing(f"plugin {file}", get_it="`bench new method my-method` writes an example.")
            outside.append((file.stem, f"plugin {file}", file, _FILE_PREFIX + canonical(file.stem)))
        for plugin, where, file, target in outside:
            name, (module_name, _, attribute) = canonical(plugin), target.partition(":")
            module = _imported(module_name, file)
            if isinstance(module, str):
                broken[name] = f"{where} is left out:\n{module}"
                continue
            classes = _classes(module, self.base, attribute)
            if file and not classes and _classes(module, Plugin):
                continue  # a plugin of another kind
            if file and not classes and _has_metrics(module_name):
                continue
            if len(classes) != 1:
                expected = [self.base] if classes or not file else [registry.base for registry in self.every]
                metrics = "" if classes or not file else "; or metrics, functions below `define`"
                broken[name] = f"{where} is left out: {_one_class_expected(expected, classes)}{metrics}"
            elif (written := classes[0].contract) != CONTRACT:
                broken[name] = f"{where} is left out: {_of_another(written)}"
            elif name in found:
                there = found[name].module
                broken[name] = f"{where} is left out: {self.kind} '{name}' already exists ({there}); rename the plugin"
            else:
                found[name] = Entry(name, target, file)
        return found, broken


METHODS = Registry("method", Method, "bench.methods")
DATASETS = Registry("dataset", Dataset, "bench.datasets")
BACKBONES = Registry("backbone", Backbone, "bench.backbones")


@cache
def backbone(spec: str, weights: str = "none", plugins: tuple[Path, ...] = ()) -> Backbone:
    """Return the backbone of a spec with the initial weights of a task, unless the spec names others.

    Raises:
        UnknownName, UsageError: as `Registry.build`; or the backbone does not know these weights.
        DataMissing: a package that the backbone needs is not installed.
    """
    found = BACKBONES.build(spec, plugins)
    return replace(found, weights=weights) if found.weights == "task" else found


def not_of_task(spec: str, task: Task, file: str, allowed: Sequence[str], plugins: tuple[Path, ...]) -> UsageError:
    """Return why a task cannot be run on a backbone that it does not name, and what to write where (`file`).

    Raises:
        UnknownName, UsageError, DataMissing: as `backbone`, if there is no such backbone at all.
    """
    if nearest(spec, list(allowed)):
        return UnknownName("backbone", spec, allowed, where=f" of task {task.name}")
    backbone(spec, task.weights, plugins)
    named = json.dumps([*task.backbones, spec], ensure_ascii=False)
    add = f"add it there: backbones = {named} in {file}"
    if not file.endswith(".toml"):
        add = "the networks of a task of the suite are fixed; a task file of your own names any (docs/tasks.md)"
    return UsageError(f"task {task.name} does not name '{spec}' in `backbones` ({', '.join(task.backbones)}): {add}")


def _of_preset(cls: type[Plugin], preset: str | None, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that a preset sets, without those that do not go together with the given ones."""
    kinds, every = options(cls), {field.name: field for field in fields(cls)}
    values = {name: coerce(f"{cls.__name__}.{name}", text, kinds[name]) for name, text in given.items()}
    needed = [conditions(every[name]) for name, value in values.items() if value != every[name].default]
    chosen = cls.presets[preset] if preset else {}
    chosen = {key: value for key, value in chosen.items() if all(value in one.get(key, (value,)) for one in needed)}
    now = {**{name: field.default for name, field in every.items()}, **chosen, **values}
    return {name: value for name, value in chosen.items() if is_read(every[name], now)}


def problems(plugins: Sequence[Path] = ()) -> list[str]:
    """Return, for each plugin of any kind that is left out, what is wrong with it, once.

    Raises:
        DataMissing: if one of the files in `plugins` does not exist.
    """
    return list(dict.fromkeys(text for registry in Registry.every for text in registry._survey(plugins)[1].values()))


_FILE_PREFIX = "bench_plugin_"


def _of_another(contract: int) -> str:
    change = f"its changelog says what to change in the plugin, whose class then says `contract = {CONTRACT}`"
    then = "install a newer bench" if contract > CONTRACT else change
    return f"it is written for version {contract} of the plugin contract, and this bench has version {CONTRACT}: {then}"


def _one_class_expected(bases: Sequence[type[Plugin]], classes: Sequence[type[Plugin]]) -> str:
    expected, names = " or ".join(base.__name__ for base in bases), ", ".join(cls.__name__ for cls in classes)
    return f"one public subclass of {expected} expected, found {names or 'none'}; names that start with _ are ignored"


def _has_metrics(module: str) -> bool:
    from bench.scoring.definitions import METRICS

    return any(metric.function.__module__ == module for metric in METRICS.values())


def _classes(module: ModuleType, base: type[P], attribute: str = "") -> list[type[P]]:
    """Return the class that `attribute` names, or all classes that the module defines."""
    names = [attribute] if attribute else [name for name in vars(module) if not name.startswith("_")]
    return [
        value
        for value in (getattr(module, name, None) for name in names)
        if isinstance(value, type)
        and issubclass(value, base)
        and (attribute or value.__module__ == module.__name__)
        and not inspect.isabstract(value)
    ]


class _Source(SourceFileLoader):
    """Compiles the file each time: bytecode beside it may be of another text, of the same length and time."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@cache
def _imported(name: str, file: Path | None) -> ModuleType | str:
    """Return a module from outside the suite, or the traceback of a failed import."""
    try:
        if file is None:
            return importlib.import_module(name)
        loader = _Source(name, str(file)) if file.suffix == ".py" else None
        spec = spec_from_file_location(name, file, loader=loader)
        if spec is None or spec.loader is None:
            return "not a Python file: its name must end in .py"
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look up their module while they are defined
        spec.loader.exec_module(module)
    except (Exception, SystemExit):
        sys.modules.pop(name, None)
        return traceback.format_exc()
    return module
