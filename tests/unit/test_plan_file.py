"""Plans in TOML: which runs they ask for, and how a mistake is refused."""

import dataclasses
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.cli import main
from bench.errors import DataMissing, UnknownName, UsageError
from bench.running.plan_file import keep_plan, read_plan
from bench.running.run_task import check
from bench.settings import Settings
from tests.prose import lines_with, plain
from tests.unit.expanded import asked

CXR, SKIN = "phantom-cxr-age", "phantom-skin-tone"


DOCS = Path(__file__).parents[2] / "docs"


PLAN = f"""
task = ["{CXR}", "{SKIN}:folds=3"]
seeds = [0, 1]
results = "out"
plugin = ["../mine.py"]

[[run]]
[[run]]
task = "own.toml:epochs=3,folds=2"
methods = ["swift:mask=hard,rate=0.3", "bmft"]
folds = 1
[[run]]
task = "{CXR}"
methods = "swift"
ablate = "steps"
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a plan, and read it as the command line does; other folders are beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "mine.py").touch()
    (tmp_path / "plans/own.toml").write_text((DOCS / "examples/nih-extract.toml").read_text(encoding="utf-8"))

    def read(text, named=(), **given):
        file = tmp_path / "plans/mine.toml"
        file.write_text(text)
        return read_plan(file, Settings("", **given), [*given, *named])

    return read


def test_a_plan_has_defaults_and_runs(write, tmp_path):
    runs = write(PLAN)
    folder = tmp_path / "plans"
    assert asked(runs) == [
        (CXR, None, "all"),
        (f"{SKIN}:folds=3", None, "all"),
        (f"{folder}/own.toml:epochs=3,folds=2", None, "swift:mask=hard,rate=0.3,bmft"),
        (CXR, None, "swift,swift:steps=both,swift:steps=first,swift:steps=second"),
    ]
    assert {run.seeds for run in runs} == {(0, 1)}
    assert [run.folds for run in runs] == [None, None, (1,), None]
    assert {run.results for run in runs} == {folder / "out"}, "paths start at the folder of the plan"
    assert {run.plugins for run in runs} == {(tmp_path / "mine.py",)}


def test_the_command_line_decides_folders_and_execution(write, tmp_path):
    given = {"results": tmp_path / "there", "jobs": 2, "on": "slurm", "force": True}
    runs = write(PLAN + "", **given)
    assert {(run.results, run.jobs, run.on, run.force) for run in runs} == {(tmp_path / "there", 2, "slurm", True)}
    (one,) = write(f'task = "{CXR}"\njobs = 3\non = "slurm"\nper-gpu = 2\nplugin = "../mine.py"')
    assert (one.jobs, one.on, one.per_gpu, one.plugins) == (3, "slurm", 2, (tmp_path / "mine.py",))
    with pytest.raises(UsageError) as error:
        write(PLAN, ["methods", "seeds", "jobs"])
    assert plain(error.value, tmp_path) == snapshot(
        "--methods, --seeds beside <tmp>/plans/mine.toml: the plan says what to run; change it there"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", snapshot('<tmp>/plans/mine.toml: names no task: add task = "NAME"')),
        ("[[run]]\nmethods = 'swift'", snapshot('<tmp>/plans/mine.toml: [[run]] 1 names no task: add task = "NAME"')),
        ("task = ", snapshot("<tmp>/plans/mine.toml is not TOML: Invalid value (at end of document)")),
        (
            f"task = '{CXR}'\nmethod = 'swift'",
            snapshot(
                "unknown key 'method' in <tmp>/plans/mine.toml: did you mean methods? allowed: task, results, cache, data, plugin, splits, baseline, methods, backbone, folds, seeds, ablate, jobs, gpus, per_gpu, on, profile, group_by"
            ),
        ),
        (
            f"[[run]]\ntask = '{CXR}'\nseed = 1",
            snapshot(
                "unknown key 'seed' in <tmp>/plans/mine.toml [[run]] 1: did you mean seeds? allowed: task, results, cache, data, plugin, splits, baseline, methods, backbone, folds, seeds, ablate, jobs, gpus, per_gpu, on, profile, group_by"
            ),
        ),
        (
            f"task = '{CXR}'\nfolds = true",
            snapshot("<tmp>/plans/mine.toml: folds: a text, a whole number or a list of them expected, not True"),
        ),
        (
            f"task = '{CXR}'\nfolds = []",
            snapshot("<tmp>/plans/mine.toml: folds: a text, a whole number or a list of them expected, not []"),
        ),
        (
            f"task = '{CXR}'\nfolds = 'first'",
            snapshot(
                "<tmp>/plans/mine.toml: folds: 'first': whole numbers from 0, of at most 9 digits, joined by commas expected, such as 0,1,2"
            ),
        ),
        (f"task = '{CXR}'\nresults = ['a', 'b']", snapshot("<tmp>/plans/mine.toml: results: one path expected, not 2")),
        (
            f"task = '{CXR}'\nforce = 1",
            snapshot(
                "unknown key 'force' in <tmp>/plans/mine.toml: allowed: task, results, cache, data, plugin, splits, baseline, methods, backbone, folds, seeds, ablate, jobs, gpus, per_gpu, on, profile, group_by"
            ),
        ),
        (
            f"task = '{CXR}'\n[run]\nmethods = 'swift'",
            snapshot("<tmp>/plans/mine.toml: `run`: one or more tables [[run]] expected"),
        ),
        (
            f"[[run]]\ntask = '{CXR}'\njobs = 2",
            snapshot("<tmp>/plans/mine.toml: [[run]] 1: jobs: all runs share it; write it above [[run]]"),
        ),
        (
            f"[[run]]\ntask = '{CXR}'\n[[run]]\ntask = '{SKIN}'\nresults = 'b'",
            snapshot("<tmp>/plans/mine.toml: the runs of a plan have one results folder"),
        ),
        (
            (DOCS / "examples/nih-extract.toml").read_text(encoding="utf-8"),
            snapshot("<tmp>/plans/mine.toml is a task, not a plan: `bench run --task <tmp>/plans/mine.toml`"),
        ),
        (
            "task = 'gone.toml'",
            snapshot(
                "task file <tmp>/plans/gone.toml not found. Give the name of a task (`bench ls tasks`) or a TOML file."
            ),
        ),
        (
            f"task = '{CXR},skin-tones'",
            snapshot(
                "unknown task 'skin-tones' (or give the path of a .toml file): did you mean skin-tone? allowed: phantom-cxr-age, phantom-cxr-sex, phantom-cxr-findings, phantom-skin-tone, phantom-skin-sex, phantom-cxr-age-no-correlation, phantom-cxr-age-no-cue, phantom-cxr-age-faint, phantom-cxr-age-no-core, phantom-cxr-age-groups, phantom-skin-tone-groups, ham10000-sex, ham10000-age, ham10000-melanoma-sex, ham10000-melanoma-age, ham10000-melanoma-sex-tied, ham10000-diagnoses-sex, skin-tone, skin-gender, cxr-gender, cxr-age, skin-tone-groups, cxr-age-groups"
            ),
        ),
    ],
)
def test_a_mistake_in_a_plan_is_named(write, tmp_path, text, says):
    with pytest.raises((UsageError, DataMissing)) as error:
        write(text)
    assert plain(error.value, tmp_path) == says


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataMissing, match=r"plan .*gone\.toml"):
        read_plan(tmp_path / "gone.toml", Settings(""), [])


def test_methods_and_folds_of_a_plan_are_checked_before_it_is_kept(write, tmp_path):
    for wrong in ("methods = 'swit'", "folds = 9"):
        with pytest.raises((UnknownName, UsageError)):
            check(write(f"task = '{CXR}'\n{wrong}"))
        assert main(["run", "plans/mine.toml"]) == 2
        assert not (tmp_path / "results").exists()


def test_the_plan_that_is_kept_asks_for_the_same_wherever_it_is_read(write, tmp_path, monkeypatch):
    """Folders of the command line are written, the machine's options are not; the folder of results may be moved."""
    (tmp_path / "odd, name.toml").write_text((tmp_path / "plans/own.toml").read_text())
    task = f"'../odd, name.toml:epochs=3,folds=2', '{CXR}'"
    text = (
        f"{PLAN}[[run]]\ntask = [{task}]\nbackbone = 'all'\nbaseline = 'model {{fold}} {{file}}.pt'\ndata = 'd \"é'\n"
    )
    runs = write(text, cache=tmp_path / "c", jobs=3)
    kept = keep_plan(runs, "mine")
    assert kept == tmp_path / "plans/out/plans/mine.toml"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    same = [dataclasses.replace(run, jobs=None) for run in runs]
    assert read_plan(kept, Settings(""), []) == same
    before = kept.read_text()
    keep_plan(read_plan(kept, Settings(""), []), "mine")
    assert kept.read_text() == before
    (tmp_path / "plans/out").rename(tmp_path / "moved")
    moved = read_plan(tmp_path / "moved/plans/mine.toml", Settings(""), [])
    assert moved == [dataclasses.replace(run, results=tmp_path / "moved") for run in same]


def test_a_plan_that_is_only_shown_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(f"task = ['{CXR}', '{CXR}:epochs=3']\nmethods = 'swift'\nfolds = 0")
    assert main(["run", "mine.toml", "--dry-run", "--cache", str(tmp_path / "c")]) == 0
    assert not (tmp_path / "results").exists()
    shown = capsys.readouterr()
    assert lines_with(shown.out, "f0-s0") == snapshot(
        [
            "pending    phantom-cxr-age/small/baseline/f0-s0",
            "pending    phantom-cxr-age/small/swift/f0-s0",
            "pending    phantom-cxr-age+epochs-3/small/baseline/f0-s0",
            "pending    phantom-cxr-age+epochs-3/small/swift/f0-s0",
        ]
    )


def test_a_cell_of_two_runs_is_shown_and_counted_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        f"task = '{CXR}'\nfolds = 0\n[[run]]\nmethods = 'swift,bmft'\n[[run]]\nmethods = 'bmft,llft'\n"
        "[[run]]\nmethods = 'swift'\n"
    )
    assert main(["run", "mine.toml", "--dry-run"]) == 0
    shown = capsys.readouterr()
    cells = [line.split()[1] for line in lines_with(shown.out, "pending")]
    assert [cell.split("/")[2] for cell in cells] == ["baseline", "swift", "bmft", "llft"]
    assert lines_with(shown.err, " backbone, ") == snapshot(
        [
            "phantom-cxr-age  SYNTHETIC  small backbone, 1 fold, 3 methods: 3 cells, 0 done, 1 baseline first",
            "phantom-cxr-age  SYNTHETIC  small backbone, 1 fold, 1 method: 1 cell, 0 done",
        ]
    )


def test_the_example_of_the_documentation_can_be_run():
    runs = read_plan(DOCS / "examples/plan.toml", Settings(""), [])
    check(runs)
    assert [(run.task, run.backbone, len(run.seeds)) for run in runs] == snapshot(
        [
            ("phantom-cxr-age", None, 3),
            ("phantom-cxr-sex", None, 3),
            ("phantom-skin-tone", None, 1),
            ("phantom-cxr-age:epochs=0", None, 3),
            ("phantom-cxr-age:epochs=1", None, 3),
            ("phantom-cxr-age:epochs=2", None, 3),
            ("phantom-cxr-age:epochs=5", None, 3),
            ("phantom-cxr-age", None, 3),
            ("phantom-cxr-age:epochs=20", None, 3),
            ("phantom-cxr-age:epochs=40", None, 3),
        ]
    )
