"""The commands of `bench`, one module for each kind; `add` adds them to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from bench.settings import arguments


def add_verb(
    verbs: Any, name: str, call: Callable[[argparse.Namespace], int], says: str, **changes: dict[str, Any]
) -> argparse.ArgumentParser:
    """Add a command with its options of `Settings`, and return its parser.

    Args:
        call: runs the command and returns the exit code.
        says: one line of help.
        changes: see `bench.settings.arguments`.
    """
    parser = verbs.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
    parser.set_defaults(call=call)
    arguments(parser, name, **changes)
    return parser
