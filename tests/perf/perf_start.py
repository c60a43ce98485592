"""Commands that compute nothing do not wait for torch."""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Bytecode is written, as on a user's second start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def children():
    """Return the CPU seconds, user and system, of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(("word", "bar"), [("ls", 0.20), ("--help", 0.15)])
def test_start(compare, word, bar):
    bench, wall = shutil.which("bench", path=Path(sys.executable).parent), []
    assert bench is not None, "no command `bench` beside this Python: install the checkout first"

    def start(*words):
        begin = time.perf_counter()
        subprocess.run(words, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    try:
        compare(
            f"bench {word} / import torch",
            lambda: wall.append(start(bench, word)),
            lambda: start(sys.executable, "-c", "import torch"),
            bar=bar,
            pairs=3,
            warm=False,
            clock=children,
        )
    finally:
        # A figure to read, below 0.5 s on an idle machine, and no bar: it would test the machine.
        print(f"bench {word}: median {statistics.median(wall):.2f} s on the wall (0.5 s)")
