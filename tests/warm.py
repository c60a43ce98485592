"""`bench` commands in processes that begin with the libraries imported: forks of one server.

A command has a process, a folder, an environment and streams of its own, as `python -m bench.cli` has, and imports the
modules of `bench` itself, and so have its workers (`tests.warm_workers`). The seconds in which they would import torch,
pandas and matplotlib are spent once. Commands that are killed or run side by side are started by the tests themselves.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests import warm_workers
from tests.warm_workers import become

LIBRARIES = (
    "torch", "torch._dynamo", "pandas", "pyarrow", "scipy.stats", "scipy.sparse", "sklearn.metrics", "matplotlib.pyplot",
    "seaborn", "msgspec", "jinja2", "PIL.Image", "safetensors.torch",
)  # fmt: skip
STREAMS = ("stdout", "stderr")


class Server:
    """Runs one command after the other; of an environment that is fixed here."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        atexit.register(self.close)

    def close(self) -> None:
        """End the server, which waits for nothing then."""
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.wait()

    def run(
        self, words: Sequence[str], folder: Path, timeout: float = 900, checkout: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, of another checkout if one is given; raises TimeoutExpired as `subprocess.run` does."""
        with tempfile.TemporaryDirectory() as place:
            files = [str(Path(place) / name) for name in STREAMS]
            request = {"words": words, "folder": str(folder), "files": files, "environment": dict(os.environ)}
            request["checkout"] = str(checkout) if checkout else ""
            self._process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
            pid = int(self._line(timeout))
            try:
                code = int(self._line(timeout))
            except subprocess.TimeoutExpired:
                os.kill(pid, 9)
                self._line(timeout)
                raise
            said = [Path(file).read_text(encoding="utf-8") for file in files]
        return subprocess.CompletedProcess(words, code, *said)

    def _line(self, timeout: float) -> bytes:
        if not select.select([self._process.stdout], [], [], timeout)[0]:  # type: ignore[list-item]
            raise subprocess.TimeoutExpired("bench", timeout)
        return self._process.stdout.readline()  # type: ignore[union-attr]


def _serve() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    warm_workers.start(LIBRARIES)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(**request)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(
    words: Sequence[str], folder: str, files: Sequence[str], environment: Mapping[str, str], checkout: str
) -> NoReturn:
    """Do what `python -m bench.cli` does, and end this process."""
    os.chdir(folder)
    become(environment, files)
    warm_workers.use(files)
    sys.path[:1], sys.argv = filter(None, [folder, checkout]), ["bench", *words]
    code = _code()
    threading._shutdown()  # type: ignore[attr-defined]  # as Python ends: threads, then what is registered, then streams
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _code() -> int:
    try:
        runpy.run_module("bench.cli", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code: Any = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
        return code if isinstance(code, int) else int(code is not None)
    return 0


if __name__ == "__main__":
    _serve()
