"""No traceback reaches a user: what bench does not expect is one line with a file, and streams that fail stop nothing."""

import argparse
import os
import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.errors import UsageError, seconds_of
from bench.files import read_toml
from bench.settings import numbers
from bench.verbs import plugins
from tests.prose import plain

BENCH = [sys.executable, "-m", "bench.cli"]


@pytest.fixture
def fails(monkeypatch):
    """Makes `bench ls` raise an error."""

    def make(error):
        def call(args):
            raise error

        monkeypatch.setattr(plugins, "_ls", call)

    return make


def told(capsys, folder):
    assert cli.main(["ls", "tasks"]) == 1
    return plain(capsys.readouterr().err, folder)


def test_an_error_that_is_not_ours_is_a_line_and_its_traceback_a_file(fails, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fails(KeyError("one\ntwo"))
    line = told(capsys, tmp_path)
    (file,) = tmp_path.iterdir()
    assert line.replace(file.name, "bench-....txt") == snapshot(
        "bench: unexpected KeyError: 'one\\ntwo'. Please report it with its traceback, which is in <tmp>/bench-....txt\n"
    )
    assert "Traceback" in file.read_text()


def test_where_no_file_can_be_written_the_traceback_is_printed(fails, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    fails(ValueError("odd"))
    assert "unexpected ValueError: odd\nTraceback" in told(capsys, tmp_path)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(36, "File name too long", "aaa"),
            snapshot("bench: aaa: File name too long: use a shorter name, or folders with shorter paths\n"),
        ),
        (
            PermissionError(13, "Permission denied", "/srv/x"),
            snapshot("bench: /srv/x: Permission denied: check the permissions, or choose another folder\n"),
        ),
        (
            OSError(28, "No space left on device"),
            snapshot(
                "bench: No space left on device (of the output or of a file): free some space and run the same command again; finished cells are kept\n"
            ),
        ),
        (OSError("odd"), snapshot("bench: odd (of the output or of a file): run the same command again\n")),
        (
            MemoryError("malloc of size 128 failed"),
            snapshot(
                "bench: too little memory (MemoryError: malloc of size 128 failed): use a machine with more, or fewer --jobs; finished cells are kept\n"
            ),
        ),
        (
            RuntimeError("can't start new thread"),
            snapshot(
                "bench: too little memory (RuntimeError: can't start new thread): use a machine with more, or fewer --jobs; finished cells are kept\n"
            ),
        ),
        (
            BlockingIOError(11, "Resource temporarily unavailable"),
            snapshot(
                "bench: Resource temporarily unavailable: use fewer --jobs, or raise the limit of processes (`ulimit -u`); finished cells are kept\n"
            ),
        ),
        (
            OSError(12, "Cannot allocate memory"),
            snapshot(
                "bench: Cannot allocate memory: use a machine with more memory, or fewer --jobs; finished cells are kept\n"
            ),
        ),
    ],
)
def test_what_the_system_refuses_is_a_line_with_the_remedy(fails, capsys, tmp_path, error, says):
    fails(error)
    assert told(capsys, tmp_path) == says


def shell(text, folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(["sh", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_in_a_folder_that_was_deleted_it_says_so(tmp_path):
    done = shell(f"mkdir x; cd x; rmdir ../x; {' '.join(BENCH)} status", tmp_path)
    last = done.stderr.splitlines()[-1]  # Python itself may complain before
    assert (done.returncode, last) == (1, snapshot("  <no Python frame>"))


@pytest.mark.skipif(sys.platform != "linux", reason="without /dev/full")
@pytest.mark.parametrize(
    ("streams", "code"),
    [("> /dev/full", 1), ("2> /dev/full", 0), ("2>&-", 0), (">&-", 0), ("<&-", 0), ("<&- >&- 2>&-", 0)],
)
def test_streams_that_are_closed_or_full(tmp_path, streams, code):
    done = shell(f"{' '.join(BENCH)} ls tasks {streams}", tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert ("No space left" in done.stderr) == (code == 1)
    assert ("cxr-age" in done.stdout) == (streams in ("2> /dev/full", "2>&-", "<&-"))


@pytest.mark.parametrize("text", ["x", "", "-1", "0", "nan", "inf"])
def test_seconds_in_the_environment_are_checked(monkeypatch, text):
    monkeypatch.setenv("BENCH_LEASE_BEAT", text)
    with pytest.raises(UsageError, match="BENCH_LEASE_BEAT"):
        seconds_of("BENCH_LEASE_BEAT", 60)


@pytest.mark.parametrize("text", ["-1", "1,-2", "x", "1.5", "", "1" * 10, "²"])
def test_folds_and_seeds_that_no_file_can_have_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole numbers"):
        numbers(text)
    assert numbers("0, 2,0") == (0, 2)


def test_a_path_that_is_not_utf8_is_refused_before_anything_is_computed(capsys, tmp_path, monkeypatch):
    assert cli.main(["run", "--task", os.fsdecode(b"b\xe9d.toml"), "--methods", "baseline"]) == 2
    assert capsys.readouterr().err == snapshot(
        "bench: 'b\\udce9d.toml' is not UTF-8, in which names are stored: rename the file or folder\n"
    )
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert cli.main(["ls", "tasks"]) == 2


def test_on_windows_it_says_where_it_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.main(["run", "--task", "phantom-cxr-age"]) == 2
    assert "Windows Subsystem for Linux" in capsys.readouterr().err


def test_the_command_line_needs_no_module_or_function_that_windows_lacks():
    lacking = "import os, sys, signal; sys.modules.update(resource=None, fcntl=None, pwd=None, grp=None, termios=None);"
    lacking += "[delattr(os, name) for name in ('readv', 'statvfs', 'fork', 'getuid', 'sysconf', 'sched_getaffinity')];"
    lacking += "del signal.pthread_sigmask; import bench.cli"
    subprocess.run([sys.executable, "-c", lacking], check=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["status", "--results", "file"], snapshot("bench: --results file is a file: give a folder\n")),
        (
            ["run", "--task", "phantom-cxr-age", "--cache", "file"],
            snapshot("bench: --cache file is a file: give a folder\n"),
        ),
        (
            ["run", "--task", "folder.toml"],
            snapshot("bench: folder.toml is no file: give the name of a task (`bench ls tasks`) or a TOML file\n"),
        ),
        (
            ["run", "--task", "pipe.toml"],
            snapshot("bench: pipe.toml is no file: give the name of a task (`bench ls tasks`) or a TOML file\n"),
        ),
        (
            ["run", "--task", "utf-16.toml"],
            snapshot("bench: utf-16.toml is not TOML, which is text in UTF-8: save it in this encoding\n"),
        ),
    ],
)
def test_what_is_no_file_or_no_folder_is_named(capsys, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "utf-16.toml").write_text('name = "x"', encoding="utf-16")
    assert (cli.main(words), capsys.readouterr().err) == (2, says)


def test_a_task_file_of_a_windows_editor_is_read(tmp_path):
    (tmp_path / "marked.toml").write_text('name = "x"', encoding="utf-8-sig")
    assert read_toml(tmp_path / "marked.toml") == {"name": "x"}
