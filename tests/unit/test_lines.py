"""Lines that make what a report lacks: pasted they do so, handed on they name no folder, and each cell is made once."""

import argparse
import shlex
from pathlib import Path

import pytest

from bench.report.rerun_commands import CACHE, RESULTS, Line, once
from bench.run.plan import Settings
from bench.run.run_task import settings
from bench.verbs import computing, reporting

TASK = "phantom-cxr-age"
USUAL = Settings(TASK, RESULTS.absolute(), CACHE.absolute(), None)


@pytest.fixture(autouse=True)
def _no_cache_of_the_environment(monkeypatch):
    monkeypatch.delenv("BENCH_CACHE", raising=False)


def read(*words):
    """What the command line makes of some words."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    computing.add(verbs)
    reporting.add(verbs)
    args = parser.parse_args(words)
    return settings(args), args


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
    asked, _ = read("report", "--task", "own.toml:epochs=3", *given)
    line = Line(asked, ("swift:mask=hard,rate=0.1", "bmft"), "resnet18", ("--folds", "0"))
    found, args = read(*shlex.split(str(line))[1:])
    assert found == asked
    assert (args.methods, args.backbone, args.folds) == ("swift:mask=hard,rate=0.1,bmft", "resnet18", (0,))


def test_usual_folders_are_not_named(monkeypatch):
    assert str(Line(USUAL, ("swift",))) == f"bench run --task {TASK} --methods swift"
    assert str(Line(USUAL, ("all",), verb="tune")) == f"bench tune --task {TASK} --methods all"
    monkeypatch.setenv("BENCH_CACHE", "/elsewhere")
    assert str(Line(USUAL, ("swift",))).endswith(f"--cache {CACHE.absolute()}")


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
    line = Line(Settings(task, private, private, private, **files), ("swift:epsilon=0.2", "bmft"))
    assert "zq" in str(line)
    assert str(line.handed_on) == (
        f"bench run --task {kept} --methods swift:epsilon=0.2,bmft --plugin m.py --splits s.csv --baseline 'a b.pt'"
    )


def test_lines_of_a_task_become_one_and_each_of_its_ablations_one():
    other = Settings("phantom-skin-sex", USUAL.results, USUAL.cache, None)
    lines = [
        Line(USUAL, ("swift:steps=first", "swift")),
        Line(USUAL, ("swift",), None, ("--ablate", "external")),
        Line(other, ("swift",)),
        Line(USUAL, ("swift", "swift:steps=second")),
        Line(USUAL, ("bmft",), None, ("--ablate", "external")),
        Line(USUAL, ("swift",), "resnet18"),
    ]
    assert [str(line).removeprefix("bench run --task ") for line in once(lines)] == [
        f"{TASK} --methods swift:steps=first,swift,swift:steps=second",
        f"{TASK} --methods swift,bmft --ablate external",
        "phantom-skin-sex --methods swift",
        f"{TASK} --methods swift --backbone resnet18",
    ]


def test_what_all_names_and_what_is_run_in_every_fold_is_not_run_again():
    lines = [
        Line(USUAL, ("all",)),
        Line(USUAL, ("baseline", "llft", "swift"), None, ("--folds", "0")),
        Line(USUAL, ("swift", "swift:apply=update", "swift:steps=first")),
        Line(USUAL, ("bmft",), None, ("--folds", "0", "--force")),
    ]
    assert [str(line).removeprefix(f"bench run --task {TASK} --methods ") for line in once(lines)] == [
        "all,swift:steps=first",
        "bmft --folds 0 --force",
    ]
    some = [Line(USUAL, ("swift",)), Line(USUAL, ("baseline", "swift", "llft"), None, ("--folds", "0"))]
    assert [line.methods for line in once(some)] == [("swift",), ("llft",)]
