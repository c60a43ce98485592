"""The register of points on which paper, public code and suite differ, or one of the first two is silent.

Each row says what the suite does, and which option gives the other behaviour. The rows are in `register.toml`;
`bench ls register` prints them. An option is a spec as on the command line: of a method or dataset, such as
`swift:scope=module`, or of any task, `TASK:balance=reference`; without `=` it means every value. A row without options
gives the reason in its default, and names the module or page that documents it. `docs/paper.md` walks through the paper
and names every row. The paper is SWiFT (MELBA 2025:015) unless another is named. The code is vios-s/SWiFT and
vios-s/BMFT; for LLFT, DiffGda and DiffPrune it is that of their papers.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.errors import UnknownName
from bench.spec import name_of, parse


@dataclass(frozen=True)
class Row:
    """One disagreement. `methods` are the methods it concerns; empty if it concerns tasks and all methods."""

    id: str
    topic: str
    paper: str
    code: str
    default: str
    options: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    documented: str = ""
    """The module whose docstring names the row, or the page that does, if there is no option."""


_ENTRIES = tomllib.loads(Path(__file__).with_name("register.toml").read_text(encoding="utf-8"))
REGISTER = msgspec.convert({name: {"id": name, **entry} for name, entry in _ENTRIES.items()}, dict[str, Row])


def find(name: str) -> Row:
    """Return the row called `name`, such as D05; raise UnknownName if there is none."""
    if name.upper() not in REGISTER:
        raise UnknownName("row of the register", name.upper(), REGISTER)
    return REGISTER[name.upper()]


def concerning(plugin: str) -> list[Row]:
    """Return, in order, the rows that name a method or have an option of this plugin."""
    return [row for row in REGISTER.values() if plugin in (*row.methods, *map(name_of, row.options))]


def deciding(plugin: str, parameter: str) -> list[str]:
    """Return the ids of the rows with an option that sets this parameter of a plugin, or of any "TASK"."""
    found = []
    for row in REGISTER.values():
        specs = [parse(option if "=" in option else f"{option}=") for option in row.options]
        if any(spec.name == plugin and parameter in spec.options for spec in specs):
            found.append(row.id)
    return found
