"""Lines that make what a report lacks: pasted they do so, handed on they name no folder, and each cell is made once."""

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from bench.reporting.rerun_commands import Line, once
from bench.settings import Settings, of_task, read_settings
from bench.verbs import readers, runs
from tests.factory import task_info

TASK = "phantom-cxr-age"
USUAL = Settings(TASK)


def line(settings, *methods, verb="run", **options):
    """A line for some methods."""
    return Line(replace(settings, methods=",".join(methods), **options), verb)


@pytest.fixture(autouse=True)
def _no_cache_of_the_environment(monkeypatch):
    monkeypatch.delenv("BENCH_CACHE", raising=False)


def read(*words):
    """What the command line makes of some words."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    runs.add(verbs)
    readers.add(verbs)
    return read_settings(parser.parse_args(words))


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--results", "my results", "--cache", "c", "--data", "~odd"],
        ["--splits", "a/s.csv", "--baseline", "m-{fold}.pt", "--plugin", "a.py", "--plugin", "it's.py"],
    ],
    ids=["usual", "folders", "files"],
)
def test_a_pasted_line_has_the_settings_of_the_report(given):
    asked = read("report", "--task", "own.toml:epochs=3", *given)
    wanted = line(asked, "swift:mask=hard,rate=0.1", "bmft", backbone="resnet18", folds=(0,))
    found = read(*shlex.split(str(wanted))[1:])
    assert of_task(found) == asked
    assert found == wanted.settings
    assert wanted.methods == ("swift:mask=hard,rate=0.1", "bmft")


def test_hints_of_tables_have_the_settings_of_the_report_and_files_only_the_names():
    asked = read("report", "--task", "own.toml:epochs=3", "--results", "my results", "--plugin", "my own.py")
    info = task_info("own", settings=asked)
    found = read(*shlex.split(info.command("run", methods="bmft", force=True))[1:])
    assert found == replace(asked, methods="bmft", force=True)
    assert info.command("metrics", "--recompute").endswith(
        "--task own.toml:epochs=3 --results 'my results' --plugin 'my own.py'"
    )
    assert info.portable.command("metrics", "--recompute") == (
        "bench metrics --recompute --task own.toml:epochs=3 --plugin 'my own.py'"
    )
    assert task_info("own").command("run") == "bench run --task own --methods all"


def test_usual_folders_are_not_named(monkeypatch):
    assert str(line(USUAL, "swift")) == f"bench run --task {TASK} --methods swift"
    assert str(line(USUAL, "all", verb="tune")) == f"bench tune --task {TASK} --methods all"
    monkeypatch.setenv("BENCH_CACHE", "/elsewhere")
    assert str(line(USUAL, "swift")).endswith("--cache .cache")


@pytest.mark.parametrize(
    ("task", "kept"),
    [
        ("/home/me/a.toml", "a.toml"),
        ("/a house/b.toml:external=0.2,epochs=4", "b.toml:external=0.2,epochs=4"),
        ("phantom-cxr-age:epochs=4", "phantom-cxr-age:epochs=4"),
    ],
)
def test_lines_that_are_handed_on_lose_the_folders_of_this_machine(task, kept):
    private = Path("/srv/zq house")
    files = {"plugins": (private / "m.py",), "splits": private / "s.csv", "baseline": private / "a b.pt"}
    one = line(Settings(task, private, private, private, **files), "swift:epsilon=0.2", "bmft")
    assert "zq" in str(one)
    assert str(one.portable) == (
        f"bench run --task {kept} --methods swift:epsilon=0.2,bmft --plugin m.py --splits s.csv --baseline 'a b.pt'"
    )


def test_lines_of_a_task_become_one_and_each_of_its_ablations_one():
    other = Settings("phantom-skin-sex")
    lines = [
        line(USUAL, "swift:steps=first", "swift"),
        line(USUAL, "swift", ablate="external"),
        line(other, "swift"),
        line(USUAL, "swift", "swift:steps=second"),
        line(USUAL, "bmft", ablate="external"),
        line(USUAL, "swift", backbone="resnet18"),
    ]
    assert [str(one).removeprefix("bench run --task ") for one in once(lines)] == [
        f"{TASK} --methods swift:steps=first,swift,swift:steps=second",
        f"{TASK} --methods swift,bmft --ablate external",
        "phantom-skin-sex --methods swift",
        f"{TASK} --methods swift --backbone resnet18",
    ]


def test_what_all_names_and_what_is_run_in_every_fold_is_not_run_again():
    lines = [
        line(USUAL, "all"),
        line(USUAL, "baseline", "llft", "swift", folds=(0,)),
        line(USUAL, "swift", "swift:apply=update", "swift:steps=first"),
        line(USUAL, "bmft", folds=(0,), force=True),
    ]
    assert [str(one).removeprefix(f"bench run --task {TASK} --methods ") for one in once(lines)] == [
        "all,swift:steps=first",
        "bmft --folds 0 --force",
    ]
    some = [line(USUAL, "swift"), line(USUAL, "baseline", "swift", "llft", folds=(0,))]
    assert [one.methods for one in once(some)] == [("swift",), ("llft",)]
