"""Exports: what leaves, and that it gives the tables of home."""

import csv
import dataclasses
import io
import json
import tomllib

import numpy as np
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Task
from bench.cells.identity import SCHEMA, splits_file
from bench.cells.record import Counted, Leaves, Record
from bench.errors import BenchError, UsageError
from bench.reporting.tables import main_table
from bench.share.archive import pack
from bench.share.export import commands, contents
from bench.share.privacy import leaving, leaving_failures, leaving_task, pathless, permitted
from bench.share.read_export import opened
from bench.share.task_toml import differences, from_toml, to_toml
from bench.taskfile import build
from bench.tasks import TASKS
from tests.factory import GONE, changed, failure
from tests.unit.exports import SMALL, members, small_site, stored
from tests.unit.sites import GROUPS, TASK, cell, predictions, site, with_predictions

HIDDEN = ("131", "67", "59", "198", "66", "190", "74")
"""Counts of SMALL by group, class or both."""
RECORD = cell("swift", 0, "north")


@pytest.mark.parametrize(
    "task", [*TASKS.values(), taskfile.resolve("phantom-cxr-age:external=0.2,preset=paper")], ids=str
)
def test_the_definition_of_a_task_comes_back_from_toml(task):
    assert from_toml(to_toml(task), "here") == task
    assert differences(from_toml(to_toml(task), "here"), task) == {}


def test_no_name_of_a_patient_or_folder_leaves_with_a_task():
    rows = {
        "dataset": 'manifest:csv="Doe, Jane/films.csv",images=../Doe_Jane,prefix=Doe_Jane,path_column=file',
        "where": {"patient": ("Doe_Jane", "007"), "file": ("Doe_Jane.png",)},
    }
    task = build(Task, {**tomllib.loads(to_toml(TASK)), "source": rows, "ood": {"b": rows}}, "here")
    text = to_toml(leaving_task(task))
    assert "Doe" not in text
    assert "007" not in text
    left = from_toml(text, "here")
    assert left.source == left.ood["b"], "equal lists stay equal"
    assert left.source.dataset == "manifest:path_column=file"
    assert [value[0].partition(",")[0] for value in left.source.where.values()] == ["2 values", "1 values"]
    assert leaving_task(task).source.where != leaving_task(task).source.where, "the salt is not kept"
    assert leaving_task(TASK) == TASK, "a release keeps its official names"
    sites, people = ("dias",), ("HAM_0001", "HAM_0002")
    rows = dataclasses.replace(TASK.source, dataset="ham10000", where={"source": sites, "patient": people})
    left = leaving_task(dataclasses.replace(TASK, source=rows)).source.where
    assert left["source"] == sites
    assert "HAM" not in repr(left)
    plugin = dataclasses.replace(rows, dataset="my_hospital:folder=x", where={"subject": people})
    assert "HAM" not in repr(leaving_task(dataclasses.replace(TASK, source=plugin)).source)


def test_a_definition_of_a_later_version_is_refused_by_its_key():
    with pytest.raises(UsageError) as error:
        from_toml("foldes = 3\n" + to_toml(TASK), "here")
    assert str(error.value) == snapshot(
        "unknown key 'foldes' in here: did you mean folds or labels? allowed: name, says, preset, source, ood, label, labels, attribute, also, image_size, channels, crop, unit, unit_logit, recipe, baseline, backbones, weights, folds, protocol, stratify, polarity, external, balance, deficit"
    )


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("manifest:csv=/home/jane doe/x/films.csv,patient_column=p", "manifest:csv=films.csv,patient_column=p"),
        ("--plugin ~/mine.py", "--plugin mine.py"),
        ("from /srv/a b/x.csv to /srv/y.csv", "from y.csv"),  # a folder may be called `a b/x.csv to`
        ('File "/srv/a/b.py", line 3', 'File "b.py", line 3'),
        ("finding / no finding, n/a, up/down", "finding / no finding, n/a, up/down"),
        ("https://example.org/x", "https://example.org/x"),
        ({"/srv/a": ["/srv/b", 1, None]}, {"a": ["b", 1, None]}),
    ],
    ids=["spec", "home", "two", "traceback", "words", "address", "nested"],
)
def test_paths_are_cut_down_to_their_last_part(given, left):
    assert pathless(given) == left


def test_nothing_that_may_name_an_image_a_path_or_a_host_leaves_with_a_cell():
    planted = changed(
        cell("swift", 0, "zq"),
        hash="",
        log={"images": ["zqfilm1"], "user_checkpoint": "sha"},
        warnings=["zqfilm2 is odd"],
        environment={"host": "zqhost", "bench": "1", "python": "3", "submitted": {"plugin zq.py": "1"}},
        predictions_sha256="zqsha",
        data=dict.fromkeys(("train", "external", "val", *TASK.ood), GONE),
    )
    failed = failure(planted, "ValueError", "zqfilm3", traceback="zq")
    trained = changed(planted, log={"images": ["zqfilm1"]})
    left = stored([*leaving([planted, trained], site("north").info), *leaving_failures([failed])])
    assert "zq" not in json.dumps(left)
    assert left[0]["log"] == {"user_checkpoint": "sha"}
    assert left[2]["error"] == {"class": "ValueError"}
    assert set(planted.scores) == set(left[0]["scores"])


def test_a_new_field_leaves_only_if_it_says_so():
    class Newer(Record, kw_only=True):
        quiet: str = ""
        loud: Leaves[str] = ""
        size: Counted[int] = 0

    newer = Newer(**{name: getattr(RECORD, name) for name in Record.__struct_fields__}, quiet="a", loud="b", size=1)
    left = permitted(newer)
    assert (left.quiet, left.loud, left.size) == ("", "b", 1)
    assert permitted(newer, counted=False).size == 0


def numbers(value):
    """All numbers in JSON, as text."""
    if isinstance(value, dict):
        return {one for item in value.values() for one in numbers(item)}
    if isinstance(value, list):
        return {one for item in value for one in numbers(item)}
    return {str(value)} if isinstance(value, int | float) else set()


@pytest.mark.parametrize("least", [8, 60])
def test_no_count_that_a_report_would_withhold_is_in_a_cell(least):
    shown = small_site(0, ood_neutral=SMALL)
    assert {"7", "59", "131"} <= numbers(stored(leaving(shown.cells, shown.info))), "without the option they are there"
    made = small_site(least, ood_neutral=SMALL)
    for left in stored(leaving(made.cells, made.info)):
        scores = left["scores"]["ood_neutral"]
        assert scores == {"n": 264, "metrics": {"auc": 0.4}, "suppressed": scores["suppressed"]}
        assert "eodds" in scores["suppressed"]
        assert not numbers(left) & set(HIDDEN)
        # 40 and 25 are small too where 60 is the least.
        assert ("attributes" in left["scores"]["ood_reversed"]) == (least == 8)


def test_a_small_cell_of_val_hides_the_size_of_the_external_set_and_what_counts_it():
    made = small_site(10, val=SMALL)
    left = stored(leaving(made.cells, made.info))[0]
    assert left["data"]["external"] == {}, "labels of a small set can be found from its checksum"
    assert left["cost"] == {"seconds": 1.0}
    assert left["scores"]["ood_neutral"]["attributes"]["age"]["metrics"]["eodds"] == 0.4
    assert "external_repeats" not in left
    pair = {"best": "a", "worst": "b", "skipped": [], "auc": {"a": 0.9}}
    stays = {"objective": "o", "chosen": "swift", "trials": 2, "failed": 0, "undefined": 0}
    goes = {"images_forward": 777, "images_backward": 555, "scores": {"swift": {"eodds": 0.123}}}
    tuned = {**stays, **goes, "holdout": {"n": 9, "sha": "s"}}
    cells = [changed(item, pair=pair, tuned=tuned, external_repeats=3) for item in made.cells]
    left = stored(leaving(cells, made.info))[0]
    assert left["pair"] == {"best": "a", "worst": "b", "skipped": []}
    assert left["tuned"] == {**stays, "holdout": {}}
    assert "external_repeats" not in left


@pytest.mark.parametrize("least", [0, 10, 60, 100])
def test_what_was_exported_gives_the_tables_of_home(tmp_path, least):
    tiny = {GROUPS[0]: (2, 1), GROUPS[1]: (1, 2)}
    made = small_site(least, ood_neutral=SMALL, ood_reversed=tiny)
    first = changed(made.cells[0], scores={name: {"degenerate": True} for name in TASK.ood})
    made = dataclasses.replace(made, cells=[first, *made.cells[1:]])
    about, files = contents(made)
    pack(tmp_path / "a.tar.gz", about, files)
    here = main_table.files(made.tested(made.results))
    with opened(tmp_path / "a.tar.gz") as away:
        assert main_table.files(away.tested(away.results)) == here
    for kind in ("csv", "md", "tex"):
        assert members(tmp_path / "a.tar.gz")[f"reports/main.{kind}"].decode() == here[kind]


def scattered(folder, distance):
    """A site whose predictions of the two labels lie `distance` standard deviations apart."""
    rng, y, a = np.random.default_rng(0), [0, 1] * 20, [0] * 20 + [1] * 20
    frames = {
        (method, fold): predictions("zq", list(rng.normal(np.multiply(y, distance))), y, a).assign(
            cluster=[*range(40)] * 3
        )
        for method in ("baseline", "swift")
        for fold in (0, 1)
    }
    return with_predictions("north", folder, frames)


def test_that_a_classifier_is_near_chance_travels(tmp_path):
    home = scattered(tmp_path, 0)
    here = main_table.files(home.tested(home.results))
    assert "chance" in {row["excluded"] for row in csv.DictReader(io.StringIO(here["csv"]))}
    pack(tmp_path / "a.tar.gz", *contents(home))
    with opened(tmp_path / "a.tar.gz") as away:
        assert main_table.files(away.tested(away.results)) == here


@pytest.mark.parametrize("least", [0, 10])
def test_intervals_over_patients_travel_without_the_predictions_they_are_made_of(tmp_path, least):
    home = scattered(tmp_path, 1)
    small = [cell(m, f, "north", ood_neutral=SMALL) for m in ("baseline", "swift") for f in (0, 1)]
    home = dataclasses.replace(home, cells=small, info=dataclasses.replace(home.info, min_cell=least))
    pack(tmp_path / "a.tar.gz", *contents(home))
    found = list(csv.DictReader(io.StringIO(main_table.csv(home.tested(home.results)))))
    drawn = {row["set"] for row in found if row["draws"] not in ("", "0")}
    assert drawn == ({"ood_reversed"} if least else {"ood_neutral", "ood_reversed"})
    with opened(tmp_path / "a.tar.gz") as away:
        assert main_table.files(away.tested(away.results)) == main_table.files(home.tested(home.results))
    with opened(tmp_path / "a.tar.gz", min_cell=10) as away:
        rows = list(csv.DictReader(io.StringIO(main_table.csv(away.tested(away.results)))))
        assert {row["set"] for row in rows if row["draws"] not in ("", "0")} == {"ood_reversed"}
        assert "ood_neutral 40 images" not in main_table.files(away.tested(away.results))["md"]
    inside = members(tmp_path / "a.tar.gz")
    assert [name for name, data in inside.items() if b"zq" in data] == []
    assert len(inside["intervals.json"]) < 20_000, "draws are thousands for each number"


def test_elsewhere_more_can_be_suppressed_and_never_less(tmp_path):
    pack(tmp_path / "open.tar.gz", *contents(small_site(0, ood_neutral=SMALL)))
    pack(tmp_path / "careful.tar.gz", *contents(small_site(10, ood_neutral=SMALL)))
    careful = small_site(10, ood_neutral=SMALL)
    with opened(tmp_path / "open.tar.gz", min_cell=10) as away:
        assert main_table.csv(away.results) == main_table.csv(careful.results)
    with opened(tmp_path / "careful.tar.gz", min_cell=1) as away:
        assert away.info.min_cell == 10
        assert main_table.csv(away.results) == main_table.csv(careful.results)


@pytest.fixture(scope="module")
def exported():
    return contents(site("north"))


def edit(name, **changes):
    def change(files):
        files[name] = json.dumps({**json.loads(files[name]), **changes}).encode()

    return change


FIRST = "cells/small/baseline/f0-s0.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edit(FIRST, schema=9), f"{FIRST.partition('/')[2]}: schema 9, {SCHEMA} expected"),
        (edit(FIRST, scores=[]), "not a whole result: Expected `object`, got `array` - at `$.scores`"),
        (edit(FIRST, cell={"task": "x"}), "not a whole result: Object missing required field `backbone` - at `$.cell`"),
        (lambda files: files.update({FIRST: b"[]"}), "not a whole result: Expected `object`, got `array`"),
        (
            lambda files: files.update({"cells/small/swift/f9-s0.json": files[FIRST]}),
            "holds another cell than its name",
        ),
        (lambda files: [files.pop(name) for name in list(files) if name.startswith("cells")], "it holds no cells"),
        (lambda files: files.pop("task.toml"), "task.toml"),
        (lambda files: files.update({"task.toml": b"= ="}), "a.tar.gz"),
        (
            lambda files: files.update({"task.toml": b"odd = 1"}),
            "this version of bench does not know its task: unknown key",
        ),
        (
            lambda files: files.update({"task.toml": files["task.toml"].replace(b'"phantom-cxr-age"', b'".."')}),
            "'..' is not a valid name of a task",
        ),
    ],
    ids=["schema", "scores", "cell", "list", "name", "none", "no task", "no toml", "key", "task name"],
)
def test_contents_that_are_not_as_bench_writes_them_are_refused(tmp_path, exported, change, says):
    """Their checksums are right: the manifest is made of them."""
    about, files = exported[0], dict(exported[1])
    change(files)
    pack(tmp_path / "a.tar.gz", about, files)
    with pytest.raises(BenchError) as caught, opened(tmp_path / "a.tar.gz"):
        pass
    assert says in str(caught.value)


def test_a_damaged_file_of_folds_is_left_out_by_name(tmp_path, capsys):
    made = site("north")
    made = dataclasses.replace(made, settings=dataclasses.replace(made.settings, results=tmp_path))
    assert "splits.json" not in contents(made)[1]
    assert "splits.json" not in capsys.readouterr().err, "there is none"
    file = splits_file(tmp_path, TASK.name)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xfe{")
    assert "splits.json" not in contents(made)[1]
    assert f"left out: splits.json: splits {file}" in capsys.readouterr().err


def test_packages_that_an_interrupted_installation_left_are_no_obstacle(tmp_path, monkeypatch):
    for name, metadata in (
        ("none", None),
        ("bytes", b"\xff\xfe"),
        ("blank", b""),
        ("whole", b"Name: zq\nVersion: 7\n"),
    ):
        (tmp_path / f"{name}-1.dist-info").mkdir()
        if metadata is not None:
            (tmp_path / f"{name}-1.dist-info/METADATA").write_bytes(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    written = contents(site("north"))[1]["environment.json"]
    assert isinstance(written, bytes)
    packages = json.loads(written)["packages"]
    assert packages["zq"] == "7"
    assert all([*packages, *packages.values()])


def test_commands_of_a_task_without_runs_are_none(tmp_path):
    assert commands(dataclasses.replace(site("north").settings, results=tmp_path), TASK.name) == []


def test_the_logged_share_leaves_if_it_is_a_number():
    told = changed(cell("swift", 0, "north"), log={"reset_share": "zqfilm"})
    assert "log" not in stored(leaving([told], site("north").info))[0]
