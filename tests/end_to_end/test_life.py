"""The life of a run on this machine: its state, its logs, again, stopped, cleaned; and two runs at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from inline_snapshot import snapshot

from tests.end_to_end.test_run import ALONE, PLUGIN
from tests.prose import lines_with

RUN = ("run", "--task", "tiny.toml", "--methods", "llft,bmft", "--folds", "0")


def start(place, *words, **environment):
    return subprocess.Popen(
        place.command(*words),
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
        # As shells start what is put into the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def hidden(place):
    return [str(f) for f in (place.folder / "results").rglob("*") if f.name.startswith(".")]


def begun(place):
    """Cells whose attempts began, with how many were begun and how many done."""
    texts = {
        f.relative_to(place.folder / "results/cells"): f.read_text() for f in (place.folder / "results").rglob("*.log")
    }
    return {str(name): (text.count("  attempt on "), text.count("  done\n")) for name, text in texts.items()}


RAISES = ("--plugin", "raises.py")


@pytest.fixture(scope="module")
def broken(new_place):
    """A finished run in which one method failed."""
    place = new_place("broken")
    (place.folder / "raises.py").write_text(PLUGIN.format(name="Raises", body="raise RuntimeError('the reason')"))
    place.bench(*("run", "--task", "tiny.toml", "--methods", "raises,llft", *ALONE, "--plugin", "raises.py"), code=1)
    return place


def test_status_counts_states_and_says_why_cells_failed(broken):
    text = broken.bench("status", *RAISES).stdout
    assert lines_with(broken.told(text), "tiny/small/raises/f0-s0") == snapshot(
        [
            "failed    tiny/small/raises/f0-s0  bug: RuntimeError: the reason",
            "`bench logs tiny/small/raises/f0-s0` shows the first; `bench retry --failed --task tiny --plugin raises.py` runs the failed cells again",
        ]
    )
    (record,) = json.loads(broken.bench("status", *RAISES, "--json", "--task", "tiny.toml").stdout)
    assert record["counts"] == {"done": 2, "failed": 1}
    cell = record["cells"]["tiny/small/raises/f0-s0"]
    assert (cell["error"]["kind"], cell["error"]["attempt"]) == ("bug", 1)
    assert "the reason" in cell["last_line"]
    assert broken.told(broken.bench("status", *RAISES, "--task", "tinny", code=2).stderr) == snapshot(
        "bench: unknown run of task 'tinny' in <tmp>/results: did you mean tiny? allowed: tiny\n"
    )


def test_logs_are_found_by_a_part_of_the_name(broken):
    assert "raise RuntimeError('the reason')" in broken.bench("logs", "raises").stdout
    assert broken.told(broken.bench("logs", "tiny/small/raise/f0-s0", code=2).stderr) == snapshot(
        "bench: unknown cell 'tiny/small/raise/f0-s0': did you mean tiny/small/raises/f0-s0 or tiny/small/baseline/f0-s0 or tiny/small/llft/f0-s0? allowed: tiny/small/baseline/f0-s0, tiny/small/llft/f0-s0, tiny/small/raises/f0-s0\n"
    )
    assert broken.told(broken.bench("logs", "f0", code=2).stderr) == snapshot(
        "bench: 'f0' is part of the names of 3 cells: give one of tiny/small/baseline/f0-s0, tiny/small/llft/f0-s0, tiny/small/raises/f0-s0\n"
    )


def test_retry_runs_what_failed_and_no_more(broken):
    again = broken.bench("retry", *RAISES, "--failed", code=1)
    assert broken.ended(again.stdout) == {"done": 1, "cells": 2, "failed": 1, "computed": 0, "recomputed": 0}
    assert (
        json.loads(broken.bench("status", *RAISES, "--json").stdout)[0]["cells"]["tiny/small/raises/f0-s0"]["error"][
            "attempt"
        ]
        == 2
    )
    (broken.folder / "raises.py").write_text(PLUGIN.format(name="Raises", body="pass"))
    assert broken.told(broken.bench("retry", *RAISES, "small", code=2).stderr) == snapshot(
        "bench: 'small' is part of the names of 3 cells: give one of tiny/small/baseline/f0-s0, tiny/small/raises/f0-s0, tiny/small/llft/f0-s0\n"
    )
    mended = broken.ended(broken.bench("retry", *RAISES, "raises").stdout)
    assert mended == {"done": 2, "cells": 2, "computed": 1, "recomputed": 0}
    assert broken.told(broken.bench("retry", *RAISES, "--failed").stdout) == snapshot("no cell is failed\n")
    assert broken.told(broken.bench("retry", *RAISES, code=2).stderr) == snapshot(
        "bench: one of the arguments cell --failed --stale is required (see `bench retry --help`)\n"
    )
    assert broken.told(broken.bench("retry", *RAISES, "rises", code=2).stderr) == snapshot(
        "bench: unknown cell 'rises': allowed: tiny/small/baseline/f0-s0, tiny/small/raises/f0-s0, tiny/small/llft/f0-s0\n"
    )


def test_clean_says_what_it_removes_and_keeps_results(broken):
    before = broken.cells()
    file = broken.folder / "results/cells/tiny/small/llft/.f0-s0.lease.3"
    file.write_text(json.dumps({"host": "gone", "pid": 1, "parent": 1, "job": "", "started": 0.0}))
    os.utime(file, (0, 0))
    dry = broken.bench("clean", *RAISES, "--dry-run")
    assert f"would remove {file}" in dry.stderr
    assert file.exists()
    broken.bench("clean", *RAISES)
    assert hidden(broken) == []
    assert not (broken.folder / "results/cells/tiny/small/llft/f0-s0.log").exists()
    assert broken.cells() == before


def test_two_runs_at_once_share_the_work(finished, place):
    runs = [start(place, *RUN, "--jobs", "1") for _ in range(2)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert all("3 of 3 cells done" in out for out, _ in said)
    # Each cell was computed by one of them.
    assert set(begun(place).values()) == {(1, 1)}
    whole = finished.records()
    for name, one in place.records().items():
        assert one["scores"] == whole[name]["scores"]
    assert hidden(place) == []


def test_interrupted_once_it_finishes_the_running_cells_and_the_next_run_the_rest(place):
    run = start(place, *RUN, "--jobs", "1")
    wait(lambda: begun(place))
    os.kill(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert lines_with(place.told(said), "Ctrl-C") == snapshot(
        ["waiting for the running cells; press Ctrl-C again to stop them"]
    )
    assert list(begun(place).values()) == [(1, 1)]
    assert hidden(place) == []
    assert place.ended(place.bench(*RUN).stdout) == {"done": 3, "cells": 3, "computed": 2, "recomputed": 0}


def test_interrupted_while_its_workers_start_it_prints_no_traceback(place):
    words = place.command(*RUN, "--jobs", "2")
    run = subprocess.Popen(words, cwd=place.folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    worker = ["pgrep", "-P", str(run.pid), "-f", "multiprocessing.spawn"]
    wait(lambda: subprocess.run(worker, capture_output=True, check=False).returncode == 0)
    time.sleep(0.1)  # its interpreter imports
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said


def test_interrupted_twice_it_stops_at_once_and_can_be_resumed(place):
    (place.folder / "sleeps.py").write_text(PLUGIN.format(name="Sleeps", body="import time; time.sleep(60)"))
    words = ("run", "--task", "tiny.toml", "--methods", "sleeps", "--folds", "0", "--plugin", "sleeps.py")
    run = start(place, *words)
    wait(lambda: "small/sleeps/f0-s0.log" in " ".join(begun(place)))
    begun_at = time.monotonic()
    os.kill(run.pid, signal.SIGINT)
    # Two signals in a row are one to a process that has not heard of the first.
    assert any("Ctrl-C" in line for line in run.stderr)
    assert run.poll() is None
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert time.monotonic() - begun_at < 30
    (place.folder / "sleeps.py").write_text(PLUGIN.format(name="Sleeps", body="pass"))
    assert json.loads(place.bench("status", "--plugin", "sleeps.py", "--json").stdout)[0]["counts"] == {
        "done": 1,
        "pending": 1,
    }
    assert place.ended(place.bench(*words).stdout) == {"done": 2, "cells": 2, "computed": 1, "recomputed": 0}
    assert hidden(place) == []


def test_cancel_stops_a_run_of_this_machine(place):
    (place.folder / "sleeps.py").write_text(PLUGIN.format(name="Sleeps", body="import time; time.sleep(60)"))
    run = start(place, "run", "--task", "tiny.toml", "--methods", "sleeps", "--folds", "0", "--plugin", "sleeps.py")
    wait(lambda: "small/sleeps/f0-s0.log" in " ".join(begun(place)))
    (running,) = lines_with(place.bench("status", "--plugin", "sleeps.py").stdout, "tiny/small/sleeps/f0-s0")
    assert re.match(r"running +tiny/small/sleeps/f0-s0  process \d+", running)
    assert place.told(place.bench("cancel", "--plugin", "sleeps.py").stdout) == snapshot(
        "0 jobs cancelled, 1 run on this machine stopped\n"
    )
    run.communicate(timeout=30)
    assert run.returncode == -signal.SIGTERM


GPU = """import os, pathlib
        seen = pathlib.Path(os.environ["SEEN"], str(os.getpid()))
        seen.write_text(os.environ["CUDA_VISIBLE_DEVICES"])"""


def test_each_slot_sees_one_gpu_and_no_more_threads_run_than_there_are_cores(place):
    (place.folder / "looks.py").write_text(PLUGIN.format(name="Looks", body=GPU))
    (place.folder / "seen").mkdir()
    words = ("--methods", "looks", "--plugin", "looks.py", "--gpus", "5,7", "--jobs", "40")
    done = place.bench("run", "--task", "tiny.toml", *words, SEEN=str(place.folder / "seen"))
    (said,) = lines_with(place.told(done.stderr), "--jobs 40: ")
    assert said.replace(f"to {os.cpu_count()} at", "to <cores> at") == snapshot(
        "--jobs 40: reduced to <cores> at a time, because each cell uses 1 thread"
    )
    seen = [file.read_text() for file in (place.folder / "seen").iterdir()]
    assert seen
    assert set(seen) <= {"5", "7"}
    assert len(seen) == len(set(seen))


def test_status_and_the_others_do_not_import_torch():
    code = "import sys, bench.running.status, bench.running.housekeeping; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
