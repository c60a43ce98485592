"""Write the commit of the checkout into the wheel, for `bench --version`; everything else is in pyproject.toml."""

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCommit(build_py):
    """Adds `bench/commit.txt`: the commit, or nothing where neither `BENCH_COMMIT` nor a checkout of git says it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            (Path(self.build_lib) / "bench" / "commit.txt").write_text(os.environ.get("BENCH_COMMIT") or _of_git())


def _of_git() -> str:
    if shutil.which("git") is None:  # in a container
        return ""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


setup(cmdclass={"build_py": BuildWithCommit})
