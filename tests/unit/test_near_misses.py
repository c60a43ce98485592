"""Near misses on the command line are understood, or corrected with what to type instead."""

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.errors import UnknownName, number_of


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "status phantom-cxr-age",
            snapshot(
                "bench: unexpected 'phantom-cxr-age': did you mean --task phantom-cxr-age? (see `bench --help`)\n"
            ),
        ),
        (
            "report phantom-cxr-age",
            snapshot(
                "bench: unexpected 'phantom-cxr-age': did you mean --task phantom-cxr-age? (see `bench --help`)\n"
            ),
        ),
        (
            "run phantom-cxr-age",
            snapshot(
                "bench: plan phantom-cxr-age not found. Give the path of a TOML file, or a task: `--task phantom-cxr-age`.\n"
            ),
        ),
        (
            "swift",
            snapshot(
                "bench: 'swift' is a method and no command: `bench ls methods swift` shows it, and `bench run --methods swift --task NAME` runs it\n"
            ),
        ),
        (
            "phantom-cxr-age",
            snapshot("bench: 'phantom-cxr-age' is a task and no command: `bench run --task phantom-cxr-age` runs it\n"),
        ),
        (
            "--list",
            snapshot(
                "bench: unexpected '--list': a command comes first, as in `bench run` or `bench ls` (see `bench --help`)\n"
            ),
        ),
        (
            "run --task films.csv",
            snapshot("bench: films.csv is a table: `bench new task NAME --csv films.csv` makes a task of it\n"),
        ),
        ("run --task films", snapshot("bench: unknown task 'films' (there is a file films.toml: give that):")),
        (
            "run --task phantom-cxr-age --folds 0-2",
            snapshot(
                "bench: argument --folds: '0-2': whole numbers from 0, of at most 9 digits, joined by commas expected, such as 0,1,2 (see `bench run --help`)\n"
            ),
        ),
        (
            "run --task phantom-cxr-age --methods swift bmft",
            snapshot(
                "bench: unexpected 'bmft' beside --task: several methods are joined by commas without spaces, as in --methods swift,bmft\n"
            ),
        ),
        (
            "tune --task phantom-cxr-age swift",
            snapshot(
                "bench: unexpected 'swift': methods follow --methods, joined by commas without spaces, as in --methods swift,bmft (see `bench --help`)\n"
            ),
        ),
    ],
)
def test_a_near_miss_is_corrected(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.toml").touch()
    assert cli.main(words.split()) in (2, 3)
    said = capsys.readouterr().err
    assert said.partition(" allowed: ")[0] == says


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("help", "usage: bench [-h]"),
        ("help run", "usage: bench run [-h]"),
        ("version", "bench 0."),
        ("help ls", "usage: bench ls"),
    ],
)
def test_help_and_version_are_understood_as_words(words, begins, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words.split())
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(begins)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("--method", "did you mean --methods? "),
        ("METHODS", "did you mean --methods? "),
        ("--fold", "did you mean --folds? "),
        ("--seeds", "did you mean --seeds? "),
        ("--x", ""),
    ],
)
def test_a_name_that_differs_by_capitals_dashes_or_a_plural_is_the_only_suggestion(given, near):
    said = str(UnknownName("option", given, ["--methods", "--folds", "--seeds"]))
    assert said == f"unknown option '{given}': {near}allowed: --methods, --folds, --seeds"


def test_a_number_and_its_noun_agree():
    assert [number_of(n, "fold") for n in (0, 1, 2)] == ["0 folds", "1 fold", "2 folds"]
