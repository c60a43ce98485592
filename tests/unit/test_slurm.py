"""Arrays and the queue of SLURM; and, by fake commands, what a one-node cluster cannot do: limits, lost answers."""

import dataclasses
import json
import re

import pytest
from inline_snapshot import snapshot
from msgspec.structs import replace

import bench.methods
from bench.cells.identity import Cell
from bench.errors import UsageError
from bench.files import write_json
from bench.running import environment
from bench.running.launchers import Queued
from bench.running.launchers.slurm import commands, queue, submit
from bench.running.launchers.slurm.profile import Profile
from bench.running.launchers.slurm.submit import arrays
from bench.running.plan import PlannedCell
from bench.settings import Settings
from tests.factory import failure, record
from tests.prose import plain


def planned(method, fold, seed=0):
    cell, origin = Cell("t", "small", method, fold, seed), f"weights of fold {fold}, seed {seed}"
    return PlannedCell(cell, f"hash of {method} {fold}", Settings("t"), origin)


PLAIN = Profile("p", {part: {"time": 60, "array_parallelism": 4} for part in ("baseline", "method")})
ALL = [*(planned("baseline", f) for f in (0, 1)), *(planned(m, f) for f in (0, 1) for m in ("swift", "bmft", "llft"))]


def shape(found):
    return [(a.part, [[str(p.cell.spec) for p in task] for task in a.tasks], a.after) for a in found]


def cut(todo, tmp_path, chosen=PLAIN, **given):
    usual = {"group_by": "cell", "largest": 1001, "in_queue": {}}
    return arrays(todo, chosen, results=tmp_path, **{**usual, **given})


def test_methods_depend_on_the_baseline_of_their_fold(tmp_path):
    methods = [["swift"], ["bmft"], ["llft"]]
    assert shape(cut(ALL, tmp_path)) == [
        ("baseline", [["baseline"], ["baseline"]], ""),
        ("method", methods, "t/small/baseline/f0-s0"),
        ("method", methods, "t/small/baseline/f1-s0"),
    ]


def test_of_done_baselines_nothing_is_waited_for_and_of_queued_ones_their_job_is(tmp_path):
    methods = ALL[2:]
    assert [a.after for a in cut(methods, tmp_path)] == [""]
    waiting = {"t/small/baseline/f1-s0": Queued("7_1", "waiting"), "t/small/baseline/f0-s0": Queued("7_0", "gone")}
    assert [(a.after, len(a.tasks)) for a in cut(methods, tmp_path, in_queue=waiting)] == [
        ("", 3),
        ("t/small/baseline/f1-s0", 3),
    ]


def test_a_job_per_fold_computes_its_baseline_first(tmp_path):
    fold = ["baseline", "swift", "bmft", "llft"]
    assert shape(cut(ALL[::-1], tmp_path, group_by="fold"))[0][2] == ""
    assert [sorted(task, key=fold.index) for task in shape(cut(ALL, tmp_path, group_by="fold"))[0][1]] == [fold, fold]
    assert all(task[0].cell.spec == "baseline" for a in cut(ALL[::-1], tmp_path, group_by="fold") for task in a.tasks)


def test_a_job_of_several_gpus_has_a_cell_for_each(tmp_path):
    four = Profile("four", {part: {**keys, "gpus_per_node": 4} for part, keys in PLAIN.keys.items()})
    found = cut([planned(spec, fold) for fold in (0, 1) for spec in ("baseline", *"abcde")], tmp_path, chosen=four)
    assert shape(found) == [
        ("baseline", [["baseline", "baseline"]], ""),
        ("method", [["a", "b", "c", "d"], ["e"]], "t/small/baseline/f0-s0"),
        ("method", [["a", "b", "c", "d"], ["e"]], "t/small/baseline/f1-s0"),
    ]
    assert shape(cut(ALL, tmp_path, chosen=four, group_by="fold")) == shape(cut(ALL, tmp_path, group_by="fold"))


def of_task(task, method, fold=0, **settings):
    """A cell of another task, which starts from the weights of the same fold."""
    cell = Cell(task, "small", method, fold, 0)
    return PlannedCell(cell, str(cell), Settings(task, **settings), planned(method, fold).origin)


def test_of_two_tasks_with_one_baseline_the_second_waits_and_methods_wait_for_their_own(tmp_path):
    todo = [of_task(task, method) for method in ("baseline", "swift", "bmft") for task in ("age", "sex")]
    assert shape(cut(todo, tmp_path)) == [
        ("baseline", [["baseline"]], ""),
        ("baseline", [["baseline"]], "age/small/baseline/f0-s0"),
        ("method", [["swift"], ["bmft"]], "age/small/baseline/f0-s0"),
        ("method", [["swift"], ["bmft"]], "sex/small/baseline/f0-s0"),
    ]
    fold = [["baseline", "swift", "bmft"]]
    assert shape(cut(todo, tmp_path, group_by="fold")) == [("baseline", fold, "")] * 2
    assert [a.after for a in cut(todo[2:], tmp_path)] == ["", ""], "their baselines are done"
    queued = {"age/small/baseline/f0-s0": Queued("7_0", "waiting")}
    assert [a.after for a in cut(todo[2:], tmp_path, in_queue=queued)] == ["", "age/small/baseline/f0-s0"]


def test_an_array_has_the_cells_of_one_run_and_a_job_of_a_fold_those_of_several(tmp_path):
    """A fold has one baseline, so its cells are in one job, whichever runs ask for them; each keeps its own settings."""
    runs = [{"results": tmp_path, "methods": name, "plugins": (tmp_path / f"{name}.py",)} for name in ("swift", "bmft")]
    for run in runs:
        run["plugins"][0].touch()
    todo = [
        of_task("age", "baseline", **runs[0]),
        of_task("age", "swift", **runs[0]),
        of_task("age", "bmft", **runs[1]),
    ]
    by_cell = cut(todo, tmp_path)
    assert shape(by_cell) == [
        ("baseline", [["baseline"]], ""),
        ("method", [["swift"]], "age/small/baseline/f0-s0"),
        ("method", [["bmft"]], "age/small/baseline/f0-s0"),
    ]
    (array,) = cut(todo, tmp_path, group_by="fold")
    intent = submit.intent(array)
    assert [run["methods"] for run in intent["runs"]] == ["swift", "bmft"]
    assert [(cell["spec"], cell["run"]) for cell in intent["tasks"][0]] == [("baseline", 0), ("swift", 0), ("bmft", 1)]
    assert {"plugin swift.py", "plugin bmft.py"} <= set(intent["code"])


@pytest.mark.parametrize(("largest", "sizes"), [(2500, [2500]), (1000, [1000, 1000, 500]), (8, [8] * 312 + [4])])
def test_arrays_are_no_larger_than_the_cluster_takes(tmp_path, largest, sizes):
    many = [planned("swift", 0, seed) for seed in range(2500)]
    found = cut(many, tmp_path, largest=largest)
    assert [len(a.tasks) for a in found] == sizes
    assert [task[0] for a in found for task in a.tasks] == many


def test_a_cell_that_was_over_its_time_has_half_as_much_again_up_to_four_times(tmp_path):
    minutes = []
    for attempt in (1, 2, 9):
        file = tmp_path / "cells/t/small/swift/f0-s0.failed.json"
        write_json(file, replace(failure(record("swift"), kind="timeout"), attempt=attempt))
        minutes.append(cut([planned("swift", 0)], tmp_path)[0].minutes)
    assert minutes == [90, 135, 240]
    write_json(file, replace(failure(record("swift"), kind="oom"), attempt=2))
    assert cut([planned("swift", 0)], tmp_path)[0].minutes == 60


@pytest.mark.parametrize(("kind", "minutes"), [("timeout", 90), ("cancelled", 60)])
def test_a_job_that_could_not_write_that_its_time_was_over_has_more_too(tmp_path, kind, minutes):
    gone = {"t/small/swift/f0-s0": Queued("7_0", "gone", kind)}
    assert cut([planned("swift", 0)], tmp_path, in_queue=gone)[0].minutes == minutes


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts commands on the PATH: `fake(sbatch="shell text")`; each call is written to a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(**texts):
        for name, text in texts.items():
            file = folder / name
            file.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n{text}\n')
            file.chmod(0o755)
        return lambda: (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []

    return make


def written(results, name="bench-0123456789", cells=("t/small/swift/f0-s0",)):
    tasks, folder = [[{"path": cell, "hash": "h"}] for cell in cells], results / "slurm" / name
    queue.write_intent(folder, {"task": "t", "minutes": 5, "tasks": tasks}, "#!/bin/sh\n")
    return folder


def test_a_submission_whose_answer_was_lost_is_found_by_name_and_not_made_again(fake, tmp_path):
    folder = written(tmp_path)
    calls = fake(
        sbatch='echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1',
        squeue=f'echo "{folder.name}|41|0|PENDING"',
    )
    waits = []
    assert commands.sbatch(folder / "script.sh", sleep=waits.append) == "41"
    assert [line.split()[0] for line in calls()] == ["sbatch", "squeue"]
    assert len(waits) == 1


def test_a_controller_that_is_silent_is_asked_again_with_growing_waits(fake, tmp_path):
    folder = written(tmp_path)
    silent = 'echo "error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
    calls = fake(sbatch=silent, squeue=silent)
    waits = []
    with pytest.raises(commands.NotAnswered, match="tried 6 times"):
        commands.sbatch(folder / "script.sh", sleep=waits.append)
    # Never a second sbatch before a look whether the first was accepted.
    assert [line.split()[0] for line in calls()] == ["sbatch"] + ["squeue"] * 5
    assert all(0.7 < wait / 2**turn < 1.3 for turn, wait in enumerate(waits))


@pytest.mark.parametrize(
    "said",
    [
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "AssocMaxSubmitJobLimit",
        "QOSMaxSubmitJobPerUserLimit",
    ],
)
def test_a_limit_on_jobs_is_no_error_of_the_script(fake, tmp_path, said):
    fake(sbatch=f'echo "sbatch: error: {said}" >&2; exit 1', squeue="exit 0")
    with pytest.raises(commands.LimitReached) as error:
        commands.sbatch(written(tmp_path) / "script.sh")
    assert plain(error.value, said=said) == snapshot("the cluster accepts no more jobs for now (sbatch: error: <said>)")


def test_a_full_queue_is_a_limit_although_sbatch_goes_on_trying(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "PATIENCE", 0.3)
    said = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying."
    calls = fake(sbatch=f'echo "{said}" >&2; exec sleep 5')
    with pytest.raises(commands.LimitReached, match="temporarily unable"):
        commands.sbatch(written(tmp_path) / "script.sh")
    assert len(calls()) == 1


def test_what_the_cluster_refuses_is_a_usage_error_with_its_words(fake, tmp_path):
    fake(sbatch='echo "sbatch: error: invalid partition specified: gpus" >&2; exit 1')
    with pytest.raises(UsageError) as error:
        commands.sbatch(written(tmp_path) / "script.sh")
    assert str(error.value) == snapshot("sbatch --parsable: sbatch: error: invalid partition specified: gpus")


def test_a_number_that_is_used_again_is_not_taken_for_ours(fake, tmp_path):
    folder = written(tmp_path)
    queue.acknowledge(folder, "41")
    fake(squeue='echo "somebody-else|41|0|RUNNING"', sacct="exit 1")
    assert queue.queued(tmp_path, "t") == {}
    fake(squeue=f'echo "{folder.name}|9041|0|RUNNING"')
    assert queue.queued(tmp_path, "t") == {"t/small/swift/f0-s0": Queued("9041_0", "running")}


def test_a_lost_answer_is_made_up_for_by_the_next_look_at_the_queue(fake, tmp_path):
    folder = written(tmp_path)
    assert queue.submissions(tmp_path)[0].job == ""
    fake(squeue=f'echo "{folder.name}|77|0|PENDING"')
    queue.queued(tmp_path, "t")
    assert queue.submissions(tmp_path)[0].job == "77"


def test_accounts_are_asked_once_and_only_for_what_vanished(fake, tmp_path):
    cells = [f"t/small/swift/f{fold}-s0" for fold in range(3)]
    folder = written(tmp_path, cells=cells)
    queue.acknowledge(folder, "5")
    calls = fake(
        squeue=f'echo "{folder.name}|5|0|RUNNING"',
        sacct=f'echo "{folder.name}|5_1|TIMEOUT"; echo "{folder.name}|5_2|CANCELLED by 1000"',
    )
    assert queue.queued(tmp_path, "t") == {
        cells[0]: Queued("5_0", "running"),
        cells[1]: Queued("5_1", "gone", "timeout"),
        cells[2]: Queued("5_2", "gone", "cancelled"),
    }
    assert [line.split()[0] for line in calls()] == ["squeue", "sacct"]
    for cell in cells[1:]:
        file = tmp_path / "cells" / f"{cell}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}\n")
    queue.queued(tmp_path, "t")
    assert [line.split()[0] for line in calls()] == ["squeue", "sacct", "squeue"]


def test_without_accounting_the_files_have_to_do(fake, tmp_path):
    written(tmp_path)
    fake(squeue="exit 0", sacct='echo "Slurm accounting storage is disabled" >&2; exit 1')
    assert queue.queued(tmp_path, "t") == {}


def test_without_slurm_nothing_is_asked(tmp_path, monkeypatch):
    written(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.queued(tmp_path, "t") == {}


def test_variables_of_the_own_job_are_not_inherited_but_the_cluster_is(monkeypatch):
    given = {"SLURM_JOB_ID": "3", "SLURM_ARRAY_TASK_ID": "1", "SLURM_CONF": "/there", "SBATCH_ACCOUNT": "mine"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    kept = commands.environment()
    assert {name: kept[name] for name in given if name in kept} == {"SLURM_CONF": "/there", "SBATCH_ACCOUNT": "mine"}


def test_code_is_told_apart_by_its_files_and_those_of_plugins(tmp_path, monkeypatch):
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    before = environment.code([plugin])
    assert environment.code([plugin]) == before
    plugin.write_text("x = 2\n")
    after = environment.code([plugin])
    assert {name for name in before if before[name] != after[name]} == {"plugin mine.py"}
    more = tmp_path / "more"
    more.mkdir()
    (more / "new.py").write_text("x = 1\n")
    monkeypatch.setattr(bench.methods, "__path__", [*bench.methods.__path__, str(more)])
    assert environment.code([plugin])["files"] != after["files"]


def test_what_is_written_for_a_job_is_names_and_numbers(tmp_path):
    folder = written(tmp_path)
    intent = json.loads((folder / "intent.json").read_text())
    assert set(intent) == {"task", "minutes", "tasks", "submitted"}
    assert re.fullmatch(r"bench-[0-9a-f]{10}", queue.new_folder(tmp_path).name)
    assert queue.new_folder(tmp_path) != queue.new_folder(tmp_path)
    assert dataclasses.asdict(queue.submissions(tmp_path)[0])["tasks"] == (("t/small/swift/f0-s0",),)
