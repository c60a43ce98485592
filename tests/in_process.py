"""`bench` commands in the process of the tests, for places in which nothing is killed and many models are read."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from bench.cli import main
from tests.prose import plain


class Said(NamedTuple):
    stdout: str
    stderr: str


class Here:
    """A place in which commands run in this process, where torch is imported already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bench(self, *words: str, code: int = 0) -> Said:
        before, out, error = Path.cwd(), io.StringIO(), io.StringIO()
        os.chdir(self.folder)
        try:
            with redirect_stdout(out), redirect_stderr(error):
                found = main(list(words))
        finally:
            os.chdir(before)
        assert found == code, error.getvalue()
        return Said(plain(out.getvalue(), self.folder), plain(error.getvalue(), self.folder))
