"""Commands that are printed for the user to run next: each is complete, and runs where it was printed."""

import re
import shlex

import msgspec
import pytest

from bench.cells.intact import sealed
from bench.cells.record import Scores, decode
from tests.end_to_end.conftest import TINY

BROKEN = '''"""A method of one's own that fails until a file is there."""
from dataclasses import dataclass
from pathlib import Path
from bench.api import Method

@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    title = "Mine"
    uses = frozenset()

    def fit(self, run):
        if not Path("mended").is_file():
            raise ValueError("not yet")
        return run.model
'''


def hints(done):
    """The commands in what was printed: between backticks, or on an indented line of their own."""
    text = done.stdout + done.stderr
    quoted = re.findall(r"`(bench [^`]+)`", text)
    return [*quoted, *re.findall(r"^ {4}(bench .+)$", text, re.MULTILINE)]


@pytest.mark.slow
def test_every_printed_command_runs_with_the_folders_of_the_user(place):
    """Folders and files with a space in their names; nothing is where it would be looked for by default."""
    (place.folder / "own tasks").mkdir()
    (place.folder / "tiny.toml").unlink()
    (place.folder / "own tasks" / "my task.toml").write_text(TINY.replace("name =", "# name ="))
    (place.folder / "own tasks" / "mine.py").write_text(BROKEN)
    (place.folder / "my data").mkdir()
    task = "own tasks/my task.toml"
    folders = ["--results", "my results", "--cache", "my cache", "--data", "my data"]
    folders += ["--plugin", "own tasks/mine.py"]
    run = place.bench("run", "--task", task, "--methods", "mine", "--folds", "0", "--jobs", "1", *folders, code=1)
    first = [hint for hint in hints(run) if hint.startswith("bench report")]
    assert len(first) == 1, run.stderr
    said = [run]
    said.append(place.bench("status", "--results", "my results", *folders[-2:]))
    assert [hint.split()[1] for hint in hints(said[-1])] == ["logs", "retry"]
    (place.folder / "mended").touch()
    said.append(place.bench("report", "--list", "--task", task, *folders))
    said.append(place.bench("prepare", task, *folders))
    said.append(place.bench("doctor", task, *folders))
    said.append(place.bench(*shlex.split(hints(said[1])[1])[1:]))
    place.bench("export", "--task", task, "--out", "newer.tar.gz", *folders)
    for file in (place.folder / "my results").rglob("*.scores.json"):
        file.write_bytes(sealed(msgspec.structs.replace(decode(file.read_bytes(), Scores), version=1)))
    said.append(place.bench("report", "--task", task, *folders))
    assert [hint.split()[1] for hint in hints(said[-1])] == ["metrics"]
    plugin = folders[-2:]
    said.append(place.bench("merge", "my results", "newer.tar.gz", "--names", "older,newer", *plugin, code=2))
    assert [hint.split()[1] for hint in hints(said[-1])] == ["metrics"]
    tuned = place.bench("run", "--task", task, "--methods", "mine@tuned", "--folds", "0", *folders, code=1)
    assert [hint.split()[1] for hint in hints(tuned) if hint.startswith("bench tune")] == ["tune"]
    found = dict.fromkeys(hint for done in [*said, tuned] for hint in hints(done))
    assert {hint.split()[1] for hint in found} >= {"report", "logs", "retry", "run", "tune", "metrics"}
    # The choice comes first: the cell that waits for it would fail again.
    for hint in sorted(found, key=lambda hint: not hint.startswith("bench tune")):
        words = shlex.split(hint)
        assert "my results" in words, hint
        # What reports list takes minutes to compute: that it can be planned is enough.
        place.bench(*words[1:], *(["--dry-run"] if words[1] == "run" else []))
