"""Runs on a real one-node SLURM, disturbed in every way that a node and its controller can be."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from inline_snapshot import snapshot

from tests.prose import lines_with
from tests.slurm.conftest import CLUSTER, METHODS, PROFILE, configured, drained, shell
from tests.task_texts import CHEST, SEX


def test_a_full_queue_takes_the_rest_later(cluster, local, daemons):
    """The first test, as jobs of before count until the controller forgets them: a minute or two."""
    with configured(daemons, MaxJobCount="3", MinJobAge="2"), drained():
        cluster.wait(until=lambda: not shell("squeue", "--noheader", "--states=all"), seconds=120)
        first = cluster.submit()
        said = re.sub(r"\(.*\)", "(<what sbatch says>)", first.stdout)
        assert said == snapshot(
            "0 of 6 cells done, 2 submitted in 1 array, 4 left for later: the cluster accepts no more jobs for now (<what sbatch says>); run the same command again when some jobs have finished. `bench status --task tiny.toml` shows their state; run the same command to resume.\n"
        )
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


@pytest.mark.parametrize("task", ["tiny.toml", pytest.param("phantom-cxr-age", marks=pytest.mark.long)])
def test_all_ten_methods_on_slurm_are_those_here_byte_for_byte(cluster, place_of, task):
    """Tables and predictions of a fold: a baseline in a job, then a job for each method."""
    here, words = place_of("here"), ("run", "--methods", "all", "--task", task, "--folds", "0")
    here.bench(*words, timeout=900)
    shutil.copytree(here.folder / ".cache/images", cluster.folder / ".cache/images")
    cluster.profile("long.toml", time=60)
    slurm = (*words, "--on", "slurm", "--profile", "long.toml")
    ended = f"`bench status --task {task}` shows their state; run the same command to resume.\n"
    assert cluster.bench(*slurm).stdout == f"0 of 11 cells done, 11 submitted in 2 arrays. {ended}"
    cluster.wait(seconds=900)
    assert cluster.bench(*slurm).stdout == f"11 of 11 cells done, 0 submitted in 0 arrays. {ended}"
    for place in (here, cluster):
        place.bench("report", "--task", task, "--only", "main")
    for name in ("main.csv", "main.md", "main.tex"):
        ours, theirs = (p.folder / "reports" / Path(task).stem / name for p in (cluster, here))
        assert ours.read_bytes() == theirs.read_bytes()
    tables = sorted((here.folder / "results/cells").rglob("*.parquet"))
    assert len(tables) == 11
    for file in tables:
        other = cluster.folder / file.relative_to(here.folder)
        pd.testing.assert_frame_equal(pd.read_parquet(file), pd.read_parquet(other), check_exact=True)
    cluster.done_once()


def test_cells_of_a_fold_share_the_gpu_of_its_job(cluster, local):
    cluster.profile("mine.toml", text=PROFILE.replace("cpus_per_task = 1", "cpus_per_task = 2"))
    cluster.submit("--group-by", "fold", "--per-gpu", "2")
    cluster.complete("--group-by", "fold", "--per-gpu", "2")
    assert cluster.shown() == local.shown_first
    cluster.done_once()


def test_jobs_are_submitted_in_seconds_and_wait_for_their_baselines(cluster, local):
    first = cluster.submit()
    assert first.stdout == snapshot(
        "0 of 6 cells done, 6 submitted in 3 arrays. `bench status --task tiny.toml` shows their state; run the same command to resume.\n"
    )
    queue = shell("squeue", "--noheader", "--format=%j %E")
    assert len(re.findall(r"bench-\w+ afterok:\d+_[01]", queue)) == 2
    # The shell that submitted has ended; a second one finds everything on its way, or done already.
    done, queued = re.search(
        r"^(\d) of 6 cells done, 0 submitted in 0 arrays(?:, (\d) already queued or running)?\.",
        cluster.submit().stdout,
    ).groups()
    assert int(done) + int(queued or 0) == 6
    assert set(cluster.counts()) <= {"running", "submitted", "done"}
    cluster.wait()
    assert cluster.counts() == {"done": 6}
    assert cluster.shown() == local.shown_first
    cluster.done_once()


def test_two_tasks_are_one_queue_and_train_their_baselines_once(cluster, place_of):
    """A baseline of two tasks is trained by one of its cells; the other task's cell and methods wait for that one."""
    here = place_of("here")
    for place in (here, cluster):
        (place.folder / "sex.toml").write_text(CHEST.format(name="sex", images=240, attribute=SEX))
    both = ("run", "--task", "tiny.toml,sex.toml", "--methods", "llft")
    here.bench(*both)
    slurm = (*both, "--on", "slurm", "--profile", "mine.toml")
    with drained():
        assert cluster.bench(*slurm).stdout == snapshot(
            "0 of 8 cells done, 8 submitted in 7 arrays. `bench status` shows their state; run the same command to resume.\n"
        )
        assert cluster.bench(*slurm).stdout == snapshot(
            "0 of 8 cells done, 0 submitted in 0 arrays, 8 already queued or running. `bench status` shows their state; run the same command to resume.\n"
        )
        waiting = shell("squeue", "--noheader", "--array", "--format=%E").splitlines()
    assert [line.startswith("afterok:") for line in sorted(waiting)] == [False] * 2 + [True] * 6, waiting
    cluster.wait(seconds=600)
    counts = {one["task"]: one["counts"] for one in json.loads(cluster.bench("status", "--json").stdout)}
    assert counts == {"tiny": {"done": 4}, "sex": {"done": 4}}
    cluster.done_once()
    logs = (cluster.folder / "results/cells").rglob("baseline/*.log")
    assert sum("pre-training, epoch 1/1" in file.read_text() for file in logs) == 2
    assert cluster.bench(*slurm).stdout == snapshot(
        "8 of 8 cells done, 0 submitted in 0 arrays. `bench status` shows their state; run the same command to resume.\n"
    )
    for place in (here, cluster):
        for task in ("tiny.toml", "sex.toml"):
            place.bench("report", "--task", task, "--only", "main")
    for name in ("tiny/main.csv", "sex/main.csv", "tiny/main.md", "sex/main.md"):
        ours, theirs = (p.folder / "reports" / name for p in (cluster, here))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_names_of_jobs_say_nothing_of_the_data(cluster):
    cluster.submit()
    for name in shell("squeue", "--noheader", "--format=%j").split():
        assert re.fullmatch(r"bench-[0-9a-f]{10}", name)


@pytest.mark.parametrize("how", ["bench cancel", "scancel"])
def test_cancelled_jobs_are_resumed(cluster, local, how):
    cluster.submit()
    cluster.wait(until=cluster.leases)
    if how == "scancel":
        subprocess.run(["scancel", "--user", str(os.getuid())], check=True)
    else:
        said = re.sub(r"^[1-6] ", "<jobs> ", cluster.bench("cancel").stdout)
        assert said == snapshot("<jobs> jobs cancelled, 0 runs on this machine stopped\n")
    cluster.wait()
    assert cluster.counts() != {"done": 6}
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


def test_a_killed_worker_is_taken_over(cluster, local):
    cluster.submit()
    cluster.wait(until=cluster.leases)
    os.kill(cluster.leases()[0]["pid"], signal.SIGKILL)
    cluster.wait()
    counts = cluster.counts()
    assert counts.get("done", 0) < 6
    assert "running" not in counts
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


@pytest.mark.parametrize("name", ["slurmctld", "slurmd"])
def test_a_daemon_that_is_restarted_loses_nothing(cluster, local, daemons, name):
    cluster.submit()
    cluster.wait(until=cluster.leases)
    daemons("stop", name)
    time.sleep(2)
    daemons("start", name)
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


def test_without_a_controller_submission_waits_for_it(cluster, local, daemons):
    daemons("stop", "slurmctld")
    run = ("run", "--task", "tiny.toml", "--methods", METHODS, "--on", "slurm", "--profile", "mine.toml")
    submitting = subprocess.Popen(
        cluster.command(*run), cwd=cluster.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    time.sleep(15)
    daemons("start", "slurmctld")
    said, _ = submitting.communicate(timeout=180)
    assert submitting.returncode in (0, 1), said
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


SLEEPER = '''"""Sleeper: takes its time on the first attempt.

Paper: none.
Code: none.
Departures: none.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.api import Method


@dataclass(frozen=True, kw_only=True)
class Sleeper(Method):
    """Takes its time on the first attempt."""

    title = "Sleeper"
    uses = frozenset({"external"})

    def fit(self, run):
        begun = Path("FOLDER") / "begun"
        if not begun.exists():
            begun.touch()
            time.sleep(200)
        return run.model
'''


def test_a_job_over_its_time_is_resumed_with_more(cluster):
    """One minute is the shortest limit that SLURM has; USR2 is not sent, as where a cluster does not."""
    (cluster.folder / "sleeper.py").write_text(SLEEPER.replace("FOLDER", str(cluster.folder)))
    cluster.profile("short.toml", time="1\nsignal_delay_s = 0")
    given = {"methods": "sleeper", "profile": "short.toml"}
    words = ("--folds", "0", "--plugin", "sleeper.py")
    cluster.submit(*words, **given)
    cluster.wait(seconds=200)
    assert cluster.counts() == {"done": 1, "failed": 1}
    assert "timeout" in cluster.bench("status", *cluster.plugins()).stdout
    cluster.complete(*words, **given)
    cluster.done_once()
    scripts = (cluster.folder / "results" / "slurm").glob("*/script.sh")
    times = [re.search(r"--time=(\d+)", file.read_text())[1] for file in scripts]
    assert sorted(times, key=int) == ["1", "2", "10"]


def test_code_that_changed_while_jobs_waited_is_noted_in_their_records(cluster):
    plugin = cluster.folder / "sleeper.py"
    plugin.write_text(SLEEPER.replace("FOLDER", str(cluster.folder)))
    (cluster.folder / "begun").touch()
    words = ("--folds", "0", "--plugin", "sleeper.py")
    cluster.submit("--folds", "0", methods="baseline")
    cluster.wait()
    with drained():
        cluster.submit(*words, methods="sleeper")
        plugin.write_text(plugin.read_text() + "# changed\n")
    cluster.wait()
    records = {name: cluster.folder / f"results/cells/tiny/small/{name}/f0-s0" for name in ("baseline", "sleeper")}
    noted = {
        name: json.loads(file.with_suffix(".json").read_text())["environment"].get("submitted")
        for name, file in records.items()
    }
    assert noted["baseline"] is None
    assert "plugin sleeper.py" in noted["sleeper"]
    logged = lines_with(records["sleeper"].with_suffix(".log").read_text(), " code ")
    assert [line[21:] for line in logged] == snapshot(["the code has changed since the submission"])


def test_a_job_that_is_told_to_end_goes_back_into_the_queue(cluster):
    (cluster.folder / "sleeper.py").write_text(SLEEPER.replace("FOLDER", str(cluster.folder)))
    cluster.submit("--folds", "0", "--plugin", "sleeper.py", methods="sleeper")
    cluster.wait(until=(cluster.folder / "begun").exists)
    subprocess.run(["scancel", "--signal=USR2", "--user", str(os.getuid()), "--state=RUNNING"], check=True)
    cluster.wait()
    assert cluster.counts() == {"done": 2}
    log = (cluster.folder / "results/cells/tiny/small/sleeper/f0-s0.log").read_text()
    assert [line[21:] for line in lines_with(log, "preempted")] == snapshot(["preempted: returned to the queue"])
    assert log.count("attempt on") == 2


def test_a_failed_baseline_blocks_its_methods_and_retry_heals_them(cluster, local):
    shutil.copytree(local.folder / ".cache", cluster.folder / ".cache")
    good = {file: file.read_bytes() for file in (cluster.folder / ".cache/baselines").glob("*.pt")}
    for file in good:
        file.unlink()
        file.mkdir()  # what is trained cannot be written
    cluster.submit()
    cluster.wait()
    assert cluster.counts() == {"failed": 2, "blocked": 4}
    assert "is a folder, where a file is written: remove it" in cluster.bench("status").stdout
    assert "IsADirectoryError" in cluster.bench("logs", "baseline/f0").stdout
    for file, content in good.items():
        file.rmdir()
        file.write_bytes(content)
    cluster.bench("retry", "--failed")
    cluster.wait()
    assert cluster.counts() == {"done": 6}
    assert cluster.shown() == local.shown_first


def test_arrays_are_cut_to_the_largest_that_the_cluster_takes(cluster, daemons):
    with configured(daemons, MaxArraySize="8"):
        submitted = cluster.submit("--folds", "0", methods="all")
        # A baseline, then ten methods in arrays of eight and two.
        assert submitted.stdout == snapshot(
            "0 of 11 cells done, 11 submitted in 3 arrays. `bench status --task tiny.toml` shows their state; run the same command to resume.\n"
        )
        cluster.complete("--folds", "0", methods="all")
    cluster.done_once()


def test_a_partition_that_does_not_exist_is_named_before_anything_is_lost(cluster, local):
    cluster.profile("wrong.toml", text='[baseline]\npartition = "gpus"\n[method]\npartition = "gpus"\n')
    refused = cluster.submit(profile="wrong.toml", code=2)
    assert "invalid partition specified: gpus" in refused.stderr
    cluster.submit()
    cluster.complete()
    assert cluster.shown() == local.shown_first
    cluster.done_once()


def test_a_job_can_submit(cluster):
    """From inside a job, its own SLURM_ variables must not reach the jobs that it submits."""
    words = " ".join(cluster.command("run", "--task", "tiny.toml", "--methods", "llft", "--on", "slurm"))
    run = f"cd {cluster.folder} && {words} --profile mine.toml"
    subprocess.run(["sbatch", "--array=3", "--output=/dev/null", "--wrap", run], check=True, timeout=60)
    cluster.wait(until=lambda: (cluster.folder / "results" / "slurm").is_dir())
    cluster.wait()
    assert cluster.counts() == {"done": 4}


def test_the_page_for_cluster_users_works_as_written(cluster):
    """Every command of docs/cluster.md, one after the other."""
    page = (CLUSTER.parents[1] / "docs" / "cluster.md").read_text()
    commands = [
        line[2:]
        for block in re.findall(r"```console\n(.*?)```", page, re.S)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert len(commands) >= 8
    (bench := cluster.folder / "bin" / "bench").parent.mkdir()
    bench.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench.cli "$@"\n')
    bench.chmod(0o755)
    for command in commands:
        done = subprocess.run(
            command.replace("phantom-cxr-age", "tiny.toml").replace("--methods all", "--methods swift"),
            shell=True,
            cwd=cluster.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "PATH": f"{bench.parent}:{os.environ['PATH']}"},
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command.startswith("bench new profile"):  # the person edits it: here, as this cluster needs it
            shutil.copy(cluster.folder / "mine.toml", cluster.folder / "my-cluster.toml")
        if "--on slurm" in command and "--dry-run" not in command:
            cluster.wait()
    assert (cluster.folder / "reports/tiny/main.md").is_file()
