"""Options of a run: argparse, JSON and the printed commands say the same of each."""

import argparse
import dataclasses
import json
import shlex
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.errors import DataInvalid
from bench.running.history import as_record, from_record, remember, remembered
from bench.settings import HOW, OPTIONS, POSITIONAL, WHAT, WHERE, Settings, arguments, command, read_settings

TASK = "phantom-cxr-age"
FULL = [
    *("--task", "own tasks/a.toml:epochs=3", "--methods", "swift:mask=hard,rate=0.1,bmft", "--backbone", "resnet18"),
    *("--folds", "1,0", "--seeds", "0,3", "--ablate", "external", "--force", "--jobs", "2", "--gpus", "0,1"),
    *("--per-gpu", "3", "--on", "slurm", "--profile", "a b.toml", "--group-by", "fold", "--dry-run", "--keep-models"),
    *("--results", "my results", "--cache", "my cache", "--data", "~odd", "--splits", "s p.csv"),
    *("--baseline", "m-{fold}.pt", "--plugin", "a.py", "--plugin", "it's.py"),
]


@pytest.fixture(autouse=True)
def _no_cache_of_the_environment(monkeypatch):
    monkeypatch.delenv("BENCH_CACHE", raising=False)


def read(*given):
    """What the command line makes of some words."""
    return read_settings(cli._parser().parse_args(given))


def test_what_is_not_given_has_the_default_of_its_field(monkeypatch):
    assert read("run", "--task", TASK) == Settings(TASK)
    assert Settings(TASK).results == Path("results").absolute()
    monkeypatch.setenv("BENCH_CACHE", "/elsewhere")
    assert read("report", "--task", TASK).cache == Path("/elsewhere")


def test_every_option_of_run_is_read_into_its_field():
    settings = read("run", *FULL)
    same = [field.name for field in dataclasses.fields(Settings) if getattr(settings, field.name) == field.default]
    assert same == ["selecting"], "each option is in FULL, with another value than its default"
    assert (settings.folds, settings.seeds, settings.gpus) == ((1, 0), (0, 3), ("0", "1"))
    assert settings.plugins == (Path("a.py").absolute(), Path("it's.py").absolute())


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("run", "--task", "", "--methods", "all"), "--task"),
        (("run", "--task="), "--task"),
        (("run", "--task", TASK, "--methods", ""), "--methods"),
        (("run", "--task", TASK, "--folds", " "), "--folds"),
        (("run", "--task", TASK, "--data=", "--dry-run"), "--data"),
        (("report", "--all", "--only", ""), "--only"),
        (("report", "--from", ""), "--from"),
        (("export", "--task", TASK, "--out", ""), "--out"),
        (("doctor", ""), "an argument"),
        (("ls", "methods", ""), "an argument"),
    ],
)
def test_no_word_of_a_command_may_be_empty(words, option, capsys):
    """An unset variable of the shell is one; as a path it would be the working directory."""
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith(f"bench: {option} is empty")


def test_a_value_may_end_in_a_sign_of_equality():
    assert read("run", f"--task={TASK}:polarity=").task == f"{TASK}:polarity="


def test_a_record_gives_the_settings_back(tmp_path):
    settings = read("run", *FULL)
    record = json.loads(json.dumps(as_record(settings)))
    assert str(tmp_path) not in str(record)
    found = from_record(record, tmp_path)
    task = f"{Path('own tasks/a.toml').absolute()}:epochs=3"
    assert found == dataclasses.replace(settings, results=tmp_path, task=task)
    with pytest.raises(DataInvalid, match="of another version"):
        from_record({**record, "folds": "all"}, tmp_path)
    with pytest.raises(DataInvalid, match="of another version"):
        from_record({"wanted": {}, "settings": {}}, tmp_path)


def test_a_run_is_remembered_once_however_it_was_computed(tmp_path):
    settings = Settings(TASK, tmp_path, tmp_path / "cache", None)
    for one in (settings, dataclasses.replace(settings, force=True, jobs=3, gpus=("1",), per_gpu=2)):
        remember(one, TASK)
        assert remembered(tmp_path) == {TASK: [settings]}
    queued = dataclasses.replace(settings, on="slurm", per_gpu=2, profile="plain")
    remember(dataclasses.replace(queued, jobs=3), TASK)
    assert remembered(tmp_path, TASK) == {TASK: [queued]}
    remember(dataclasses.replace(settings, folds=(0,)), TASK)
    assert len(remembered(tmp_path)[TASK]) == 2


@pytest.mark.parametrize("verb", ["run", "tune", "report", "export", "prepare", "doctor"])
def test_a_command_is_read_back_as_the_settings_that_its_verb_has(verb):
    settings = read("run", *FULL)
    words = shlex.split(command(verb, settings))
    assert words[:2] == ["bench", verb]
    found = read(*words[1:])
    for option in OPTIONS:
        name, facts = option.field.name, option.field.metadata
        expected = getattr(settings, name) if verb in facts["verbs"] and facts["again"] else getattr(Settings(""), name)
        expected = settings.task if name == "task" else expected
        assert getattr(found, name) == expected, name


def test_a_command_of_a_run_has_its_folders_and_no_others():
    settings = read("run", *FULL)
    assert shlex.split(command("retry", settings, "--failed")) == [
        *("bench", "retry", "--failed", "--task", settings.task, "--results", "my results"),
        *("--plugin", "a.py", "--plugin", "it's.py"),
    ]
    assert shlex.split(command("logs", settings, "a/b"))[:3] == ["bench", "logs", "a/b"]
    assert command("run", Settings(TASK)) == f"bench run --task {TASK} --methods all"
    assert command("prepare", Settings(TASK)) == f"bench prepare {TASK}"


def test_paths_below_the_working_directory_are_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read("report", "--task", str(tmp_path / "a.toml:epochs=3"), "--data", str(tmp_path.parent / "d"))
    assert command("report", settings) == f"bench report --task a.toml:epochs=3 --data {tmp_path.parent / 'd'}"
    odd = dataclasses.replace(settings, task=TASK, data=None, results=tmp_path / "-r")
    assert command("report", odd) == f"bench report --task {TASK} --results {tmp_path / '-r'}"


def test_the_help_of_run_has_its_options_under_what_where_and_how(capsys):
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["run", "--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n{group}:\n") for group in (WHAT, WHERE, HOW)]
    assert places == sorted(places)
    for option in OPTIONS:
        start = places[(WHAT, WHERE, HOW).index(option.field.metadata["group"])]
        assert text.index(f"\n  {option.flag} ", start) or f"\n  {option.flag}\n" in text[start:]


def test_every_verb_that_an_option_names_is_there():
    verbs = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    for option in OPTIONS:
        for verb in option.field.metadata["verbs"]:
            positional = option.field.name == "task" and verb in POSITIONAL
            assert (option.flag in verbs[verb]._option_string_actions) != positional, (verb, option.flag)


def test_an_option_that_is_new_needs_no_more_than_its_field():
    parser = argparse.ArgumentParser()
    arguments(parser, "run")
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    assert flags - {"--help"} == {option.flag for option in OPTIONS if "run" in option.field.metadata["verbs"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "status cxr-age",
            snapshot("bench: unexpected 'cxr-age': did you mean --task cxr-age? (see `bench --help`)\n"),
        ),
        (
            "report cxr-age",
            snapshot("bench: unexpected 'cxr-age': did you mean --task cxr-age? (see `bench --help`)\n"),
        ),
        ("report --task cxr-age x", snapshot("bench: unexpected 'x' (see `bench --help`)\n")),
        ("ls methods swift bmft", snapshot("bench: unexpected 'bmft' (see `bench --help`)\n")),
        (
            "run cxr-age",
            snapshot("bench: plan cxr-age not found. Give the path of a TOML file, or a task: `--task cxr-age`.\n"),
        ),
    ],
)
def test_a_word_that_no_argument_takes_is_named_with_what_was_meant(words, said, capsys):
    assert cli.main(words.split()) in (2, 3)
    assert capsys.readouterr().err == said
