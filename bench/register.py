"""Where paper and public code disagree, or one of them is silent: what the suite does, and how to get the other.

The rows are in `register.toml`; `bench ls register` prints them. An option is a spec as on the command line: of a
method or dataset, such as `swift:scope=module`, or of any task, `TASK:balance=reference`; without `=` it means every
value. A row without options gives the reason in its default and is documented in the module that it names. The paper
is SWiFT (MELBA 2025:015) unless another is named; the code is vios-s/SWiFT and vios-s/BMFT, or, for LLFT, DiffGda and
DiffPrune, that of their own papers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UnknownName


@dataclass(frozen=True)
class Row:
    """One disagreement; `methods` are those that it concerns, empty where it concerns tasks and all methods."""

    id: str
    topic: str
    paper: str
    code: str
    default: str
    options: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    documented: str = ""
    """The module whose docstring names the row, where there is no option."""


def _read() -> dict[str, Row]:
    entries = tomllib.loads((Path(__file__).parent / "register.toml").read_text(encoding="utf-8"))
    lists = ("options", "methods")
    return {
        name: Row(name, **entry | {key: tuple(entry.get(key, ())) for key in lists}) for name, entry in entries.items()
    }


REGISTER: dict[str, Row] = _read()


def find(name: str) -> Row:
    """Return the row called `name`, such as D05; raise UnknownName where there is none."""
    if name.upper() not in REGISTER:
        raise UnknownName("row of the register", name.upper(), REGISTER)
    return REGISTER[name.upper()]


def concerning(plugin: str, declared: Iterable[str] = ()) -> list[Row]:
    """Return, in order, the rows that name the method `plugin` and those whose ids are `declared` by its options."""
    wanted = {*declared}
    return [row for row in REGISTER.values() if plugin in row.methods or row.id in wanted]
