"""The commands of `bench`, one module for each kind; `add` adds them to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_verb(verbs: Any, name: str, call: Callable[[argparse.Namespace], int], says: str) -> argparse.ArgumentParser:
    """Add a command with one line of help, and return its parser; `call` runs it and returns the exit code."""
    parser = verbs.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
    parser.set_defaults(call=call)
    return parser
