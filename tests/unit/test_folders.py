"""Folders of tasks and methods: no two names share one, and none leaves the results."""

import unicodedata

import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.cells.identity import cells_folder, runs_file, slug
from bench.errors import UsageError
from bench.files import write_json
from bench.running.history import remember
from bench.running.run_task import check
from bench.settings import Settings
from tests.prose import plain
from tests.task_texts import AGE, CHEST

NAMES = [
    "sex study",
    "sex_study",
    "sex  study",
    "😀",
    "🎈",
    "a/b",
    "a\\b",
    "..",
    ".",
    "../x",
    "~",
    "a" * 300,
    "a" * 301,
    "שלום",
    "ש" * 140,
    "日" * 60,
    "日" * 300,
    "日" * 301,
    "a b",
    "a\tb",
    "tiny:external=0.2",
    "tiny+external-0.2",
    "a_b-c14cddc0",  # the folder of a/b
    "5ec1f7e7",  # that of two dots
    "Sex_Study",
    "SEX_STUDY",
    "stra\u00dfe",
    "strasse",
    "caf\u00e9",
    "cafe\u0301",
]


def test_no_two_names_share_a_folder():
    # Also where the disk tells neither case nor forms of Unicode apart.
    assert len({unicodedata.normalize("NFC", slug(name)).casefold() for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_one_folder_below_the_results(name, tmp_path):
    folder = cells_folder(tmp_path, name)
    assert folder.resolve().parent == tmp_path / "cells"
    folder.mkdir(parents=True)
    write_json(runs_file(tmp_path, name), {})  # there is room for the ending, and for that of a file being written


def test_usual_names_are_their_own():
    assert slug("phantom-cxr-age:external=0.2,epochs=20") == "phantom-cxr-age+external-0.2+epochs-20"
    assert slug("swift@tuned") == "swift@tuned"


def task_file(folder, *, images=240, name="tiny"):
    folder.mkdir(exist_ok=True)
    (folder / "my.toml").write_text(CHEST.format(name=name, images=images, attribute=AGE))
    return folder / "my.toml"


def test_a_task_without_a_name_is_refused(tmp_path):
    with pytest.raises(UsageError) as error:
        taskfile.resolve(str(task_file(tmp_path, name=" ")))
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/my.toml: the name is empty, which the folder of its results cannot be: give it one"
    )


def test_two_files_of_one_name_do_not_share_results(tmp_path):
    files = [task_file(tmp_path / folder, images=images) for folder, images in (("a", 240), ("b", 260), ("c", 240))]
    runs = [Settings(str(file), tmp_path / "results", methods="baseline") for file in files]
    remember(runs[0], "tiny")
    check([runs[0], runs[2]])  # the third is a copy of the first
    with pytest.raises(UsageError) as error:
        check([runs[1]])
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/b/my.toml and <tmp>/a/my.toml both define a task of the name 'tiny', and <tmp>/results holds runs of the latter: give one of them another `name`, or use another --results"
    )
    files[0].unlink()  # moved away
    check([runs[1]])
