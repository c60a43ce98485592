"""Several tasks and backbones on the command line: which runs they ask for, and how a mistake is refused."""

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.cli import main
from bench.errors import UsageError
from bench.running.plan_file import expand, tasks_of
from bench.running.run_task import check
from bench.settings import Settings
from tests.prose import plain
from tests.task_texts import AGE, CHEST
from tests.unit.expanded import expanded

CXR, SKIN = "phantom-cxr-age", "phantom-skin-tone"


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        (f"{CXR},{SKIN}", [CXR, SKIN]),
        (f"{CXR}:external=0.2,epochs=3,{SKIN}", [f"{CXR}:external=0.2,epochs=3", SKIN]),
        (f" {CXR} , {SKIN} ", [CXR, SKIN]),
        ("films, 2024.toml", ["films, 2024.toml"]),
        (f"{CXR},films, 2024.toml:folds=3,epochs=2,{SKIN}", [CXR, "films, 2024.toml:folds=3,epochs=2", SKIN]),
        ("films, 2024.toml,other.toml", ["films, 2024.toml", "other.toml"]),
        ("films, 2025.toml", ["films", "2025.toml"]),  # there is no such file
    ],
)
def test_tasks_are_joined_by_commas_which_options_and_the_names_of_files_may_hold(tmp_path, monkeypatch, text, tasks):
    for name in ("films, 2024.toml", "other.toml"):
        (tmp_path / name).touch()
    assert tasks_of(text, tmp_path) == tasks
    monkeypatch.chdir(tmp_path)
    assert tasks_of(text) == tasks


def test_a_run_for_each_task_and_backbone():
    assert expanded(f"{CXR},{SKIN}:folds=3") == [(CXR, None, "swift"), (f"{SKIN}:folds=3", None, "swift")]
    first, *others = taskfile.resolve("skin-tone").backbones
    assert others
    every = [("skin-tone", None, "swift"), *(("skin-tone", name, "swift") for name in others)]
    for backbones in ("all", " all ", f"all,{first}", ",".join((first, *others))):
        assert expanded("skin-tone", backbone=backbones) == every
    assert expanded("skin-tone", backbone=f"{others[0]}, {first},{first}") == [every[1], every[0]]
    assert expanded(f"{CXR},{CXR}") == [(CXR, None, "swift")], "the same run twice is one"


def test_a_field_is_ablated_on_every_task():
    runs = expanded(f"{CXR},{SKIN}", ablate="external")
    assert len(runs) == 12
    assert {run[0].partition(":")[0] for run in runs} == {CXR, SKIN}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"task": f"{CXR},skin-tones"},
            snapshot(
                "unknown task 'skin-tones' (or give the path of a .toml file): did you mean skin-tone? allowed: phantom-cxr-age, phantom-cxr-sex, phantom-cxr-findings, phantom-skin-tone, phantom-skin-sex, phantom-cxr-age-no-correlation, phantom-cxr-age-no-cue, phantom-cxr-age-faint, phantom-cxr-age-no-core, phantom-cxr-age-groups, phantom-skin-tone-groups, ham10000-sex, ham10000-age, ham10000-melanoma-sex, ham10000-melanoma-age, ham10000-melanoma-sex-tied, ham10000-diagnoses-sex, skin-tone, skin-gender, cxr-gender, cxr-age, skin-tone-groups, cxr-age-groups"
            ),
        ),
        (
            {"task": f"{CXR},skin-tone", "backbone": "resnet50"},
            snapshot(
                "task phantom-cxr-age does not name 'resnet50' in `backbones` (small): the networks of a task of the suite are fixed; a task file of your own names any (docs/tasks.md)"
            ),
        ),
        (
            {"task": CXR, "backbone": "smal"},
            snapshot("unknown backbone 'smal' of task phantom-cxr-age: did you mean small or all? allowed: small, all"),
        ),
        (
            {"task": CXR, "backbone": "resnet5"},
            snapshot(
                "unknown backbone 'resnet5': did you mean resnet50 or resnet18 or densenet121? allowed: densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector"
            ),
        ),
        ({"task": " , "}, snapshot("--task  , : name at least one task of `bench ls tasks`")),
    ],
)
def test_what_does_not_exist_is_named_before_anything_is_read(given, says):
    with pytest.raises(UsageError) as error:
        expand(Settings(**given))
    assert str(error.value) == says


def test_a_network_that_the_file_of_a_task_does_not_name_is_to_be_added_there(tmp_path):
    task = tmp_path / "tiny.toml"
    task.write_text(CHEST.format(name="tiny", images=240, attribute=AGE))
    with pytest.raises(UsageError) as error:
        expand(Settings(task=str(task), backbone="small,resnet18:weights=none"))
    assert plain(error.value, tmp_path) == snapshot(
        'task tiny does not name \'resnet18:weights=none\' in `backbones` (small): add it there: backbones = ["small", "resnet18:weights=none"] in <tmp>/tiny.toml'
    )
    added = json.loads(str(error.value).split("backbones = ")[1].split(" in ")[0])
    task.write_text(f"backbones = {added}\n" + task.read_text())
    runs = expand(Settings(task=str(task), backbone="small,resnet18:weights=none"))
    assert [run.backbone for run in runs] == [None, "resnet18:weights=none"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--task", CXR, "--results", "a", "--results=b"),
            snapshot("bench: --results is given twice (see `bench run --help`)\n"),
        ),
        (
            ("--task", CXR, "--methods", "swift", "--methods", "bmft"),
            snapshot("bench: --methods is given twice (see `bench run --help`)\n"),
        ),
        (("--task", CXR, "--force", "--force"), snapshot("bench: --force is given twice (see `bench run --help`)\n")),
        (
            ("--task", CXR, "--paper"),
            snapshot("bench: give exactly one of --task, PLAN.toml, --paper (given: --task, --paper)\n"),
        ),
        (
            ("plan.toml", "--task", CXR),
            snapshot("bench: give exactly one of --task, PLAN.toml, --paper (given: --task, PLAN.toml)\n"),
        ),
        ((), snapshot("bench: give exactly one of --task, PLAN.toml, --paper (given: none)\n")),
        (("--twins", "--task", CXR), snapshot("bench: --twins belongs to --paper\n")),
        (
            ("--paper", "--methods", "swift", "--seeds", "1", "--splits", "s.json"),
            snapshot("bench: --paper says what to run: leave out --methods, --splits\n"),
        ),
        (
            ("plan.toml", "--preset", "paper"),
            snapshot('bench: --preset beside a plan: name it in the plan, as in task = "cxr-age:preset=paper"\n'),
        ),
        (
            ("--task", f"{CXR}:preset=reference", "--preset", "paper"),
            snapshot(
                "bench: --preset paper: phantom-cxr-age:preset=reference names the preset reference: leave one of the two out\n"
            ),
        ),
    ],
)
def test_options_that_exclude_each_other_are_refused(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words, "--dry-run"]) == 2
    assert capsys.readouterr().err == says
    assert not list(tmp_path.iterdir())


def test_a_preset_in_a_task_file_is_refused_because_names_of_results_would_not_say_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('preset = "paper"\n' + CHEST.format(name="mine", images=240, attribute=AGE))
    assert main(["run", "--task", "mine.toml:epochs=3", "--methods", "swift", "--dry-run"]) == 2
    assert capsys.readouterr().err == snapshot(
        "bench: mine.toml:epochs=3: a preset is not a key of a task file: delete it from the file, and give --task FILE.toml:preset=paper\n"
    )
    Path("mine.toml").write_text(CHEST.format(name="mine", images=240, attribute=AGE))
    assert check([Settings("mine.toml:epochs=3,preset=paper")])[0].preset == "paper"


def test_tasks_and_plugins_may_be_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--task", CXR, "--task", SKIN, "--plugin", "a.py", "--plugin", "b.py", "--dry-run"]) == 3
    assert "twice" not in capsys.readouterr().err
