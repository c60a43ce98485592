"""What a cluster does wrong: no configuration, a number given twice, jobs that it holds, several shells that submit."""

import threading
import time

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.cells.identity import runs_folder
from bench.errors import UsageError
from bench.lease import lease
from bench.running import run_cells
from bench.running.launchers import Queued, Work
from bench.running.launchers.slurm import commands, queue, submit
from bench.settings import Settings
from tests.unit.test_slurm import ALL, fake, written  # noqa: F401  a fixture

UNCONFIGURED = (
    "echo 'squeue: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host squeue: error: fetch_config: DNS "
    "SRV lookup failed' >&2; echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1"
)


def test_an_installed_client_without_a_cluster_is_named_and_stops_no_plan(fake, tmp_path, capsys):  # noqa: F811
    calls = fake(squeue=UNCONFIGURED, scontrol=UNCONFIGURED, sbatch=UNCONFIGURED)
    written(tmp_path)
    assert queue.queued(tmp_path, "t") == {}
    assert capsys.readouterr().err == snapshot(
        "squeue finds no configuration of SLURM here: log in to a node of the cluster, or set SLURM_CONF; the state of waiting jobs is unknown\n"
    )
    work = Work(tuple(ALL), Settings("t", tmp_path, dry_run=True))
    assert "8 jobs in 3 arrays" in "\n".join(submit.preview(work, "no-accounting", "cell"))
    assert capsys.readouterr().err == snapshot(
        "scontrol finds no configuration of SLURM here: log in to a node of the cluster, or set SLURM_CONF; arrays are taken to have at most 1001 tasks\n"
    )
    with pytest.raises(commands.NotConfigured):
        commands.sbatch(tmp_path / "slurm/bench-0123456789/script.sh")
    assert sum(line.startswith("sbatch") for line in calls()) == 1, "asking again would not help"
    with pytest.raises(commands.NotConfigured):
        queue.still_queued(queue.submissions(tmp_path))
    for verb in ("status", "cancel"):
        assert cli.main([verb, "--results", str(tmp_path / "empty")]) == 0


def test_a_number_that_is_given_twice_is_cancelled_because_it_would_wait_for_itself(fake, tmp_path):  # noqa: F811
    calls = fake(sbatch="echo 7", squeue="exit 0", scontrol="echo MaxArraySize = 1001", scancel="exit 0")
    with pytest.raises(commands.NotAnswered) as error:
        submit.submit(Work(tuple(ALL), Settings("t", tmp_path)), "no-accounting", "cell")
    assert str(error.value) == snapshot(
        "SLURM gave the number 7 twice, so its controller has forgotten the first job: run the same command again, which submits what is not in the queue"
    )
    assert [line for line in calls() if line.startswith("scancel")] == ["scancel 7"]


def test_a_refused_script_names_the_key_of_the_profile(fake, tmp_path):  # noqa: F811
    said = "sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification"
    fake(sbatch=f"echo '{said}' >&2; exit 1", squeue="exit 0", scontrol="echo MaxArraySize = 1001")
    with pytest.raises(UsageError) as error:
        submit.submit(Work(tuple(ALL), Settings("t", tmp_path)), "plain", "cell")
    assert str(error.value) == snapshot(
        "sbatch --parsable: sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification. Asked for by gpus_per_node = 1 in [baseline] of profile plain: profile no-accounting asks for none. Change it in a copy of the profile (`bench new profile`)"
    )


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("Priority", ""),
        ("Dependency", ""),
        ("None", ""),
        ("AssocGrpCpuLimit", ""),
        ("JobHeldUser", snapshot("SLURM holds it (JobHeldUser): `scontrol release 41` lets it start")),
        (
            "launch failed requeued held",
            snapshot("SLURM holds it (launch failed requeued held): `scontrol release 41` lets it start"),
        ),
        (
            "DependencyNeverSatisfied",
            snapshot("it cannot start (DependencyNeverSatisfied): `bench cancel`, then run again with another profile"),
        ),
        (
            "PartitionTimeLimit",
            snapshot("it cannot start (PartitionTimeLimit): `bench cancel`, then run again with another profile"),
        ),
    ],
)
def test_a_job_that_will_not_start_by_itself_says_why(fake, tmp_path, reason, why):  # noqa: F811
    folder = written(tmp_path)
    fake(squeue=f'echo "{folder.name}|41|0|PENDING|{reason}"')
    assert queue.queued(tmp_path, "t") == {"t/small/swift/f0-s0": Queued("41_0", "waiting", why)}


def test_an_array_that_has_waited_for_itself_since_an_earlier_run_says_so(fake, tmp_path):  # noqa: F811
    folder = written(tmp_path)
    fake(squeue=f'echo "{folder.name}|41|0|PENDING|Dependency"')
    for number, why in (
        ("40", ""),
        (
            "41",
            snapshot(
                "it waits for itself, because SLURM gave the number 41 twice: `bench cancel`, then run the same command again"
            ),
        ),
    ):
        (folder / "script.sh").write_text(
            f"#!/bin/bash\n#SBATCH --array=0-1\n#SBATCH --dependency=afterok:{number}_3\n"
        )
        assert queue.queued(tmp_path, "t")["t/small/swift/f0-s0"].kind == why


def test_a_number_of_a_job_that_waits_from_before_is_not_taken_again(fake, tmp_path):  # noqa: F811
    calls = fake(sbatch="echo 7", squeue="exit 0", scontrol="echo MaxArraySize = 1001", scancel="exit 0")
    before = {str(ALL[0].cell): Queued("7_0", "waiting")}
    with pytest.raises(commands.NotAnswered):
        submit.submit(Work(tuple(ALL[1:]), Settings("t", tmp_path), queued=before), "no-accounting", "cell")
    assert [line for line in calls() if line.startswith("scancel")] == ["scancel 7"]


def test_a_second_shell_waits_until_the_first_has_submitted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_cells, "TURN", 0.05)
    order = []

    def second():
        with run_cells._in_turn(tmp_path):
            order.append("second")

    with lease(runs_folder(tmp_path) / "submission"):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
    assert "which submits cells of these results" in capsys.readouterr().err
