"""Tasks by name or from the user's own TOML file, and variants of them.

`phantom-cxr-age:external=0.2,epochs=20` is a task with two changed fields, one of the task and one of its recipe.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shlex
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from bench.api import RESERVED, Recipe, Rows, Task, Tie
from bench.errors import DataMissing, UnknownName, UsageError
from bench.files import read_toml
from bench.labels import add_labels
from bench.options import coerce, options
from bench.spec import Spec, name_of, parse
from bench.tasks import PRESETS, RECIPES, TASKS

UNCONFIRMED = "# confirm:"
"""Marks a line of a task file that `bench new task` guessed; a file with such a line is not run."""
TASK_FIELDS = {name: kind for name, kind in options(Task).items() if name not in ("name", "says", "preset")}
RECIPE_FIELDS = options(Recipe)
TIE_FIELDS = {name: kind for name, kind in options(Tie).items() if name != "attribute"}
FINDING = "label"
"""The key that names one of the labels of a task: `my.toml:label=Effusion`."""
OF_REPORTS = ("unit", "unit_logit")
"""Fields of the task that change no cell: a variant in these has the name and the results of its base."""
FIELDS = {**TASK_FIELDS, **RECIPE_FIELDS, **TIE_FIELDS}
"""The fields that a variant can change, and their types."""


def resolve(spec: str) -> Task:
    """Return the task of a name or TOML file, with the changes that follow a colon.

    The name of a variant is its canonical spec: the name of its base, the preset unless it is `suite`, then the fields
    that differ from these, sorted.

    Raises:
        UnknownName: a name, key or choice is unknown; the message has the nearest spelling.
        UsageError: a value has the wrong type or is out of range, a key is missing, or the file is not TOML.
        DataMissing: the file does not exist.
    """
    base, given = fields_of(spec)
    finding = given.pop(FINDING, None)
    task = of_finding(_base(base), finding, spec)
    try:
        return _changed(task, given)
    except UsageError as error:
        raise UsageError(f"{spec}: {error}") from None


def of_finding(task: Task, finding: str | None, spec: str) -> Task:
    """Return the task of one of its findings; `spec` names the task in errors.

    Raises:
        UsageError, UnknownName: several labels and none of them is named, or one that the task does not have.
    """
    if finding is None and task.labels:
        first = str(Spec(spec, {FINDING: next(iter(task.labels))}))
        names = ", ".join(task.labels)
        raise UsageError(f"{spec} asks about {len(task.labels)} findings ({names}): name one, as in --task '{first}'")
    if finding is None:
        return task
    if not task.labels:
        raise UsageError(f"{spec}: {FINDING}={finding}: the task has one label; leave it out")
    if finding not in task.labels:
        raise UnknownName("finding", finding, task.labels, where=f" of {name_of(spec)}")
    named = {"name": str(Spec(task.name, {FINDING: finding})), "says": f"{task.says}; finding {finding}"}
    return dataclasses.replace(task, label=task.labels[finding], **named)


def findings_of(spec: str) -> tuple[str, ...]:
    """Return the names of the findings that a task asks about; none if it has one label, or the spec names one.

    Raises:
        As `resolve`.
    """
    base, given = fields_of(spec)
    return () if FINDING in given else tuple(_base(base).labels)


def whole_task(spec: str) -> str:
    """Return the spec of the task that a finding belongs to; of a task of one label, the spec itself."""
    base, given = fields_of(spec)
    rest = {key: value for key, value in given.items() if key != FINDING}
    return spec if len(rest) == len(given) else str(Spec(base, rest))


def each(spec: str) -> list[str]:
    """Return the spec of each finding of a task; of a task with one label, the spec itself; raises as `resolve`."""
    base, given = fields_of(spec)
    return [str(Spec(base, {FINDING: name, **given})) for name in findings_of(spec)] or [spec]


def fields_of(spec: str) -> tuple[str, dict[str, str]]:
    """Return the base of a spec, a name or the path of a TOML file, and the fields that it changes.

    Raises:
        UsageError, UnknownName: a field cannot be changed, or is given twice.
    """
    parsed = parse(spec, "field")
    return parsed.name, parsed.allowed([*FIELDS, "preset", FINDING], "field")


def vary(spec: str, field: str, value: object) -> str:
    """Return the canonical spec of a task with one more field changed.

    Raises:
        UnknownName, UsageError: as for `resolve`.
    """
    base, given = fields_of(spec)
    task = resolve(str(Spec(base, {**given, field: str(value)})))
    kept = {key: value for key, value in given.items() if key in OF_REPORTS}
    named = parse(base + task.name.removeprefix(_base(base).name))
    return str(Spec(named.name, {**named.options, **kept}))


def _check_test_sets(task: Task, where: str) -> None:
    """Refuse test sets under names of the suite's own, which would be trained on, and names that no file can have.

    Also a tie of a test set, and one with another attribute than the task's, whose groups are not read.
    """
    for name in task.ood:
        if task.ood[name].tie:
            raise UsageError(f"{where}: test set '{name}': a tie is planted in [source] alone; delete its table `tie`")
        if name.casefold() in RESERVED:
            reserved = ", ".join(RESERVED)
            raise UsageError(f"{where}: test set '{name}': the suite uses this name itself; not allowed are {reserved}")
        if not re.fullmatch(r"[^\W_]([\w .-]{0,98}\w)?", name):
            raise UsageError(
                f"{where}: test set '{name}': a name begins with a letter or digit, ends with one or with '_', and "
                "holds at most 100 letters, digits, spaces, '.', '-' and '_'"
            )
    if (tie := task.source.tie) and (tie.attribute != task.attribute.column or len(task.attribute.names) != 2):
        raise UsageError(
            f"{where}: [source.tie] attribute '{tie.attribute}': the column of the task's attribute expected, "
            f"'{task.attribute.column}', with two groups (it has {len(task.attribute.names)})"
        )
    names = [re.sub(r"\W", "_", name.casefold()) for name in task.ood]
    if len(set(names)) < len(names):
        raise UsageError(f"{where}: test sets {', '.join(task.ood)}: two names differ only in signs or in case")


def _changed(task: Task, given: Mapping[str, str]) -> Task:
    preset = given.get("preset", task.preset)  # the file of an export says under which it was run
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    base = _with(task, PRESETS[preset][str(task.channels)])[0] if "preset" in given else task
    # Fields that are given besides a preset win, as in the spec of a method.
    result, changed = _with(base, {key: value for key, value in given.items() if key != "preset"})
    if preset == task.preset and not changed:
        return task
    shown = {"preset": preset} if preset != task.preset else {}
    own = parse(task.name)
    shown |= {**own.options, **{key: str(value) for key, value in changed.items() if key not in OF_REPORTS}}
    name = str(Spec(own.name, shown))
    return dataclasses.replace(result, name=name, preset=preset)


def _with(task: Task, given: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
    """Return a task with some fields of its own, of its recipe or of its tie, and those that changed."""
    tie = task.source.tie
    if tie is None and (lacking := [key for key in given if key in TIE_FIELDS]):
        raise UsageError(f"{', '.join(lacking)}: the task has no [source.tie], see docs/tasks.md")
    now = {**dataclasses.asdict(task.recipe), **(vars(tie) if tie else {}), **vars(task)}
    wanted = {key: coerce(key, value, FIELDS[key]) for key, value in given.items()}
    changed = {key: value for key, value in sorted(wanted.items()) if value != now[key]}
    recipe = dataclasses.replace(task.recipe, **{key: v for key, v in changed.items() if key in RECIPE_FIELDS})
    own = {key: value for key, value in changed.items() if key in TASK_FIELDS}
    if tie:
        tie = dataclasses.replace(tie, **{key: value for key, value in changed.items() if key in TIE_FIELDS})
    return dataclasses.replace(task, recipe=recipe, source=dataclasses.replace(task.source, tie=tie), **own), changed


def _base(name: str) -> Task:
    if not name.endswith(".toml"):
        if name.endswith((".csv", ".tsv", ".parquet")):
            raise UsageError(f"{name} is a table: `bench new task NAME --csv {shlex.quote(name)}` makes a task of it")
        if name not in TASKS:
            there = f" (there is a file {name}.toml: give that)" if Path(f"{name}.toml").is_file() else ""
            raise UnknownName("task", name, TASKS, where=there or " (or give the path of a .toml file)")
        return TASKS[name]
    file = Path(name)
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is no file: give the name of a task (`bench ls tasks`) or a TOML file")
    if not file.is_file():
        raise DataMissing(f"task file {file}", get_it="Give the name of a task (`bench ls tasks`) or a TOML file.")
    given = read_toml(file)
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    if guesses := [str(number) for number, line in lines if UNCONFIRMED in line and line[0] != "#"]:
        raise UsageError(
            f"{file}: line{'s' * (len(guesses) > 1)} {', '.join(guesses)} were guessed: correct them and delete "
            f"`{UNCONFIRMED}` from each"
        )
    fields = {"name": file.stem, "says": f"from {file.name}", "crop": "none", "recipe": "small", **given}
    if isinstance(recipe := fields["recipe"], str):
        if recipe not in RECIPES:
            raise UnknownName("recipe", recipe, RECIPES, where=f" in {file}")
        fields["recipe"] = dataclasses.asdict(RECIPES[recipe])
    _add_tests(fields, file)
    add_labels(fields, str(file))
    task: Task = build(Task, fields, str(file))
    if task.name in TASKS:
        raise UsageError(f"{file}: a task of the suite has the name '{task.name}' already; choose another name")
    if not task.name.strip():
        raise UsageError(f"{file}: the name is empty, which the folder of its results cannot be: give it one")
    if set(task.name) & set(":,=@"):
        raise UsageError(f"{file}: name '{task.name}': `:`, `,`, `=` and `@` mark variants of a task; leave them out")
    if not task.ood:
        raise UsageError(
            f"{file}: no test set; add a table [ood.NAME] with the dataset of another hospital, or [tests.NAME] with "
            "share = 0.2, which holds out a fifth of the patients"
        )
    return task


def _add_tests(given: dict[str, Any], file: Path) -> None:
    """Put the test sets in distribution, [tests.NAME], beside those out of it; their dataset is that of the source."""
    inside, outside, source = given.pop("tests", {}), given.get("ood", {}), given.get("source", {})
    tables = (inside, outside, source, *(inside.values() if isinstance(inside, Mapping) else ()))
    if not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{file}: tables [source], [ood.NAME] and [tests.NAME] expected")
    if both := sorted(inside.keys() & outside.keys()):
        raise UsageError(f"{file}: {', '.join(both)} is in [ood] and in [tests]: a test set is one of the two")
    defaults = {"kind": "in", "dataset": source.get("dataset", "")}
    given["ood"] = {**outside, **{name: {**defaults, **rows} for name, rows in inside.items()}}


def build(cls: type, given: Any, where: str) -> Any:
    """Return a dataclass from a table of TOML: nested tables become dataclasses, lists become tuples.

    `where` names the table in errors.

    Raises:
        UnknownName: a key is unknown.
        UsageError: a key is missing, or a value is not allowed.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if not isinstance(given, Mapping):
        raise UsageError(f"{where}: a table of {', '.join(fields)} expected")
    for key in given:
        if key not in fields:
            raise UnknownName("key", key, fields, where=f" in {where}")
    needed = (name for name, field in fields.items() if field.default is field.default_factory is dataclasses.MISSING)
    missing = [name for name in needed if name not in given]
    if missing:
        says = [f"{name}: {fields[name].metadata['says']}" for name in missing if fields[name].metadata]
        raise UsageError(" ".join([f"{where}: {', '.join(missing)} missing" + "." * bool(says), *says]))
    if cls is Rows and isinstance(given["dataset"], Mapping):
        given = {**given, "dataset": _dataset(given["dataset"], where)}
    hints = _hints(cls)
    values = {key: _value(hints[key], value, where, key) for key, value in given.items()}
    try:
        made = cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    if isinstance(made, Task):
        _check_test_sets(made, where)
    return made


_hints = functools.cache(typing.get_type_hints)


def _value(kind: Any, value: Any, where: str, key: str) -> Any:
    """Return a value of TOML as a field of type `kind`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is UnionType and dataclasses.is_dataclass(inner[0]):  # a table that may be left out
        kind = inner[0]
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, f"{where} [{key}]")
    if origin is Mapping and dataclasses.is_dataclass(inner[1]):
        if not isinstance(value, Mapping):
            of = "attribute" if key == "also" else "test set"
            raise UsageError(f"{where}: {key}: a table for each {of} expected, [{key}.NAME]")
        return {name: _value(inner[1], table, where, f"{key}.{name}") for name, table in value.items()}
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: {key}: a table of columns and their values expected")
        return {column: tuple(map(str, v if isinstance(v, list | tuple) else [v])) for column, v in value.items()}
    if origin is tuple:
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple(_value(inner[0], part, where, key) for part in parts)
    return coerce(f"{where}: {key}", value, kind)


def _dataset(table: Mapping[str, Any], where: str) -> str:
    """Return the spec of a dataset that a task file holds as a table of its name and options."""
    given = {key: value for key, value in table.items() if key != "name"}
    if not isinstance(table.get("name"), str):
        raise UsageError(f'{where}: dataset: name missing, as in {{ name = "manifest", csv = "films.csv" }}')
    if wrong := [key for key, value in given.items() if not isinstance(value, str | int | float)]:
        raise UsageError(f"{where}: dataset: {', '.join(wrong)}: a text, number, true or false expected")
    return str(Spec(table["name"], {key: str(value) for key, value in given.items()}))


def toml_value(value: Any) -> str:
    """Return a value as TOML; strings, numbers, booleans and lists are written as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Return a key as TOML: bare, or in quotes."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)
