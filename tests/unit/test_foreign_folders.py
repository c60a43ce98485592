"""A folder of results is data: nothing that it names is imported, signalled or believed without a look."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict

import msgspec
import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.lease import Holder
from bench.processes import here, is_run, started
from bench.running.history import remember, remembered, trusted
from bench.settings import Settings
from tests.prose import plain

PLUGIN = "from pathlib import Path\nPath({ran!r}).touch()\n"
VERBS = (
    ("retry", "--failed"),
    ("retry", "--stale"),
    ("clean", "--dry-run"),
    ("cancel",),
)


@pytest.fixture
def foreign(tmp_path):
    """A folder of results whose last run names a plugin that says when it is imported."""
    plugin, ran = tmp_path / "theirs.py", tmp_path / "ran"
    plugin.write_text(PLUGIN.format(ran=str(ran)))
    results = tmp_path / "results"
    remember(Settings("phantom-cxr-age", results, plugins=(plugin,)), "phantom-cxr-age")
    task = tmp_path / "own.toml"
    task.write_text("")
    remember(Settings(str(task), results, plugins=(plugin,)), "own")
    (results / "cells" / "own").mkdir(parents=True)
    return results, plugin, ran


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_command_imports_a_plugin_that_a_results_folder_names(foreign, verb, capsys, tmp_path):
    results, _, ran = foreign
    assert cli.main([*verb, "--results", str(results)]) == 2
    said = plain(capsys.readouterr().err, tmp_path)
    assert "--plugin <tmp>/theirs.py" in said
    assert not ran.exists()


def test_status_shows_the_rest_and_names_what_it_does_not_check(foreign, capsys, tmp_path):
    results, plugin, ran = foreign
    remember(Settings("phantom-cxr-age", results, methods="swift,theirs:beta=2", plugins=(plugin,)), "phantom-cxr-age")
    cell = results / "cells/phantom-cxr-age/small/theirs+beta-2/f0-s0.json"
    cell.parent.mkdir(parents=True)
    cell.write_text("{}")
    assert cli.main(["status", "--task", "phantom-cxr-age", "--results", str(results)]) == 0
    said = plain(capsys.readouterr().out, tmp_path)
    assert [line for line in said.splitlines() if line.startswith(("swift ", "unknown"))] == snapshot(
        [
            "swift                       5",
            "unknown   theirs (1 stored): not checked, because theirs.py is not given. A results folder is data: what it names is not loaded. If you trust this file, add --plugin <tmp>/theirs.py",
        ]
    )
    assert cli.main(["status", "--task", "phantom-cxr-age", "--json", "--results", str(results)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["unknown"] == {"theirs": 1}
    assert not ran.exists()


def test_a_report_of_all_imports_no_plugin(foreign, capsys):
    results, _, ran = foreign
    assert cli.main(["report", "--all", "--results", str(results)]) == 1
    assert not ran.exists()


def test_merge_does_not_import_it_either(foreign, capsys, tmp_path):
    results, _, ran = foreign
    sites = ["merge", str(results), str(results), "--names", "north,south", "--task", "phantom-cxr-age"]
    assert cli.main(sites) == 2
    assert plain(capsys.readouterr().err, tmp_path) == snapshot(
        "bench: a run of phantom-cxr-age used theirs.py. A results folder is data: what it names is not loaded. If you trust this file, add --plugin <tmp>/theirs.py\n"
    )
    assert not ran.exists()


def test_a_plugin_that_is_given_is_used_from_where_it_is_given(foreign, tmp_path):
    results, plugin, _ = foreign
    (run,) = remembered(results, "phantom-cxr-age")["phantom-cxr-age"]
    here = tmp_path / "moved" / plugin.name
    assert [one.plugins for one in trusted([run], [here])] == [(here,)]


# --- leases ----------------------------------------------------------------------------------------


@pytest.fixture
def victim():
    """A process of this user that is no run."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def forge(results, **fields):
    """Write the lease of a cell, with fields of a holder in place of those of a living process of this machine."""
    folder = results / "cells" / "phantom-cxr-age" / "small" / "swift"
    folder.mkdir(parents=True, exist_ok=True)
    me = Holder(platform.node(), os.getpid(), os.getppid(), "", 0.0, here(), started(os.getpid()))
    (folder / ".f0-s0.lease.1").write_bytes(msgspec.json.encode({**asdict(me), **fields}))


@pytest.fixture
def results(tmp_path):
    remember(Settings("phantom-cxr-age", tmp_path / "results"), "phantom-cxr-age")
    return tmp_path / "results"


def cancelled(results, capsys):
    assert cli.main(["cancel", "--results", str(results)]) == 0
    return capsys.readouterr().out


def test_cancel_signals_no_process_that_is_not_a_run(results, victim, capsys):
    forge(results, parent=victim.pid)
    said = cancelled(results, capsys)
    assert said.replace(str(victim.pid), "<pid>") == snapshot(
        "0 jobs cancelled, 0 runs on this machine stopped; left alone, because it is no `bench run` on these results: process <pid>\n"
    )
    assert victim.poll() is None


def test_cancel_signals_no_parent_of_a_process_that_is_not_a_run(results, victim, capsys):
    """The holder lives and is the child of the process that its lease names, which is this test."""
    forge(results, pid=victim.pid, parent=os.getpid(), born=started(victim.pid))
    assert "left alone" in cancelled(results, capsys)


@pytest.mark.parametrize("fields", [{"pid": "7"}, {"pid": 10**30}, {"parent": -1}, {"pid": [1]}, {"host": None}])
def test_a_lease_that_is_none_is_no_lease(results, fields, capsys):
    forge(results, **fields)
    assert cancelled(results, capsys).startswith("0 jobs cancelled, 0 runs on this machine stopped")


def test_a_lease_of_nested_brackets_is_no_lease(results, capsys):
    forge(results)
    (file,) = results.rglob(".f0-s0.lease.1")
    file.write_text("[" * 100_000)
    assert cancelled(results, capsys).startswith("0 jobs cancelled, 0 runs")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bench", "run"], True),
        (["python", "-m", "bench.cli", "run", "--task", "x"], True),
        (["/opt/bin/python3", "/opt/bin/bench", "retry", "--failed"], True),
        (["bench", "report"], False),
        (["vim", "bench", "run"], False),
        (["python", "bench.py", "run"], False),
    ],
)
def test_a_run_is_known_by_its_command_line(words, expected):
    assert is_run(words) == expected
