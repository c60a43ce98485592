"""The three examples of docs/your-data.md: every block is saved or run as the page says, in its order."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "your-data.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path):
    pytest.importorskip("pydicom")
    ran = []
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind:
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(text, encoding="utf-8")
            commands = [f"python {name}"] if kind == "python" else []
        else:
            commands = text.splitlines()
        for command in commands:
            program, *words = shlex.split(command)
            start = [sys.executable] if program == "python" else [sys.executable, "-m", "bench.cli"]
            done = subprocess.run([*start, *words], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            ran.append(command)
    assert len(ran) == 11
    assert "# confirm:" in (tmp_path / "films.toml").read_text()
