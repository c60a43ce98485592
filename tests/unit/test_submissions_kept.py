"""`bench clean` removes no submission whose jobs may still wait: unknown is not empty."""

import os

import pytest
from inline_snapshot import snapshot

from bench.errors import BenchError
from bench.running.launchers.slurm import Slurm
from bench.running.launchers.slurm.queue import new_folder, write_intent

CELL = "tiny/small/swift/f0-s0"


@pytest.fixture
def submitted(tmp_path):
    folder = new_folder(tmp_path)
    folder.mkdir(parents=True)
    write_intent(folder, {"task": "tiny", "tasks": [[{"path": CELL}]]}, "#!/bin/sh\n")
    return tmp_path, folder


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Puts a squeue with this text on the PATH, or none at all."""

    def install(text):
        place = tmp_path / "bin"
        place.mkdir()
        if text is not None:
            (place / "squeue").write_text(f"#!/bin/sh\n{text}\n")
            (place / "squeue").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}{os.pathsep}/usr/bin{os.pathsep}/bin" if text else str(place))

    return install


def test_without_the_commands_of_slurm_nothing_is_removed(submitted, squeue):
    squeue(None)
    with pytest.raises(BenchError) as error:
        Slurm().leftovers(submitted[0], "tiny", set())
    assert str(error.value) == snapshot(
        "1 submissions are recorded, and squeue is not on the PATH: their jobs may still wait. Nothing is removed; run the command again where SLURM's commands are"
    )


def test_where_the_controller_does_not_answer_nothing_is_removed(submitted, squeue):
    squeue('echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1')
    with pytest.raises(BenchError):
        Slurm().leftovers(submitted[0], "tiny", set())


def test_what_is_queued_stays_and_what_is_not_goes(submitted, squeue):
    results, folder = submitted
    squeue(f'echo "{folder.name}|7|0|PENDING"')
    assert Slurm().leftovers(results, "tiny", set()) == []


def test_what_is_not_queued_is_left_over(submitted, squeue):
    results, folder = submitted
    squeue("exit 0")
    assert Slurm().leftovers(results, "tiny", set()) == [folder]
    assert Slurm().leftovers(results, "tiny", {CELL}) == []


def test_without_submissions_nothing_is_asked(tmp_path, squeue):
    squeue(None)
    assert Slurm().leftovers(tmp_path, "tiny", set()) == []
