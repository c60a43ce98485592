"""On a real SLURM: several shells that submit, jobs that are held, resources that the cluster lacks."""

import shutil
import subprocess

from tests.prose import lines_with
from tests.slurm.conftest import METHODS, drained, shell


def test_three_shells_that_submit_at_once_submit_each_cell_once(cluster, local):
    run = cluster.command("run", "--task", "tiny.toml", "--methods", METHODS, "--on", "slurm", "--profile", "mine.toml")
    shutil.copytree(local.folder / ".cache", cluster.folder / ".cache")
    with drained():
        shells = [subprocess.Popen(run, cwd=cluster.folder, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = [one.communicate(timeout=240)[0] for one in shells]
        assert [one.returncode for one in shells] == [0, 0, 0]
        jobs = shell("squeue", "--noheader", "--array", "--format=%j").split()
    assert len(jobs) == 6, said
    cluster.wait()
    assert cluster.counts() == {"done": 6}


def test_a_held_job_and_a_resource_that_the_cluster_lacks_are_named(cluster):
    with drained():
        cluster.submit("--folds", "0")
        numbers = set(shell("squeue", "--noheader", "--format=%F").split())
        shell("scontrol", "hold", *numbers)
        (line,) = lines_with(cluster.bench("status").stdout, "held", "scontrol release")[:1]
        assert "JobHeld" in line
        cluster.bench("cancel")
    told = cluster.submit("--folds", "1", profile="plain", code=2).stderr
    assert "gpus_per_node = 1 in [baseline] of profile plain" in told
