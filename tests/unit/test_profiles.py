"""Profiles of a SLURM cluster: times, numbers and keys, and the scripts they become."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.errors import UnknownName, UsageError
from bench.running.launchers.slurm.profile import asked_by, profile, profiles, script, valid_keys
from tests.prose import plain


def test_more_time_ends_at_the_cap_of_the_profile_and_never_below_its_time(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("longest_time = 100\n[baseline]\ntime = 200\n[method]\ntime = 60\n")
    mine = profile(str(file))
    assert [mine.minutes_after("method", over) for over in range(4)] == [60, 90, 100, 100]
    assert mine.minutes_after("baseline", 1) == 200
    file.write_text("longest_time = '2 days'\n")
    with pytest.raises(UsageError) as error:
        profile(str(file))
    assert plain(error.value, tmp_path) == snapshot(
        "longest_time in <tmp>/mine.toml: '2 days': minutes, or a time as SLURM writes it, such as 90, 1:30:00 or 1-12:00:00"
    )


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("90", 90),
        ("'90'", 90),
        ("'30:00'", 30),
        ("'0:30'", 1),
        ("'1:30:00'", 90),
        ("'1-12'", 2160),
        ("'1-12:30'", 2190),
        ("'1-12:00:00'", 2160),
    ],
)
def test_times_are_read_as_slurm_reads_them(tmp_path, written, minutes):
    file = tmp_path / "mine.toml"
    file.write_text(f"[method]\ntime = {written}\n")
    assert profile(str(file)).minutes_after("method", 0) == minutes


@pytest.mark.parametrize(
    "line",
    [
        *(
            "time = 0",
            "time = -5",
            "time = nan",
            "time = [3]",
            "time = 'x'",
            "time = true",
            "time = '1:2:3:4'",
            "nodes = 0",
        ),
        *(
            "array_parallelism = 'x'",
            "nodes = true",
            "gpus_per_node = -1",
            "cpus_per_task = 1.5",
            "mem = 32",
            "mem = nan",
        ),
        *(
            "setup = 3",
            "setup = 'x'",
            "setup = [3]",
            "account = ['x']",
            'account = "x\\n#SBATCH -A y"',
            "exclusive = 3",
        ),
        *("additional_parameters = 3", "additional_parameters = { a = [1] }", "additional_parameters = { a = nan }"),
        *('additional_parameters = { "a\\n" = 1 }', "use_srun = 3", "srun_args = 'x'", "nodes = 99999999999"),
    ],
)
def test_numbers_of_a_profile_that_cannot_be_are_refused(tmp_path, line):
    file = tmp_path / "mine.toml"
    file.write_text(f"[method]\n{line}\n")
    with pytest.raises(UsageError, match=line.partition(" ")[0]):
        profile(str(file))


def test_the_shipped_profiles_are_valid_and_become_scripts(tmp_path):
    assert profiles() == ["no-accounting", "plain", "small-arrays"]
    for name in profiles():
        text = script(profile(name), "method", command="true", folder=tmp_path, tasks=5, dependency="afterok:3_1")
        assert "#SBATCH --array=0-4%" in text
        assert "#SBATCH --dependency=afterok:3_1\n" in text
        assert "#SBATCH --kill-on-invalid-dep=yes\n" in text
        assert "wckey" not in text
    assert "#SBATCH --gpus-per-node=1\n" in script(
        profile("plain"), "baseline", command="true", folder=tmp_path, tasks=1
    )


def test_a_wrong_key_or_table_is_refused_with_the_valid_ones(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[method]\npartitoin = 'gpu'\n")
    with pytest.raises(UnknownName) as told:
        profile(str(file))
    said = plain(told.value, tmp_path).replace("teardown, ", "")  # a key of newer releases of submitit
    assert said == snapshot(
        "unknown key 'partitoin' in [method] of <tmp>/mine.toml: did you mean partition? allowed: account, additional_parameters, array_parallelism, constraint, cpus_per_gpu, cpus_per_task, exclude, exclusive, gpus_per_node, gpus_per_task, gres, mail_type, mail_user, mem, mem_per_cpu, mem_per_gpu, nodelist, nodes, ntasks_per_node, partition, qos, setup, signal_delay_s, srun_args, stderr_to_stdout, time, use_srun, wckey"
    )
    assert all(key in str(told.value) for key in valid_keys())
    file.write_text("[methods]\ntime = 3\n")
    with pytest.raises(UnknownName) as error:
        profile(str(file))
    assert plain(error.value, tmp_path) == snapshot(
        "unknown table 'methods' in <tmp>/mine.toml: did you mean method? allowed: baseline, method, longest_time"
    )
    with pytest.raises(UnknownName) as error:
        profile("plan")
    assert plain(error.value, Path(__file__).parents[2]) == snapshot(
        "unknown profile 'plan' (or give the path of a .toml file): did you mean plain? allowed: no-accounting, plain, small-arrays"
    )


def test_a_table_that_is_none_is_told_apart_from_an_unknown_one(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("baseline = 3\n")
    with pytest.raises(UsageError) as error:
        profile(str(file))
    assert plain(error.value, tmp_path) == snapshot("baseline = 3 in <tmp>/mine.toml: a table [baseline] expected")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            "sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification",
            snapshot(
                ". Asked for by gpus_per_node = 1 in [baseline] of profile plain: profile no-accounting asks for none. Change it in a copy of the profile (`bench new profile`)"
            ),
        ),
        (
            "sbatch: error: invalid partition specified: gpus",
            snapshot(
                ". Asked for by partition in [baseline] of profile plain: `sinfo` lists the partitions. Change it in a copy of the profile (`bench new profile`)"
            ),
        ),
        ("sbatch: error: something else", snapshot("")),
    ],
)
def test_what_sbatch_refuses_is_told_with_the_key_that_asked_for_it(said, says):
    assert asked_by(profile("plain"), "baseline", said) == says
