"""Two hospitals that run one task, each on its own images: what they hand over, and what comes of it elsewhere."""

import json
import os
import platform
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.cells.store import read_cell
from bench.files import to_json
from tests import factory
from tests.prose import plain

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs a command in a folder, in this process, and returns what it printed; starting Python takes a second."""

    def run(folder, *words, code=0):
        monkeypatch.chdir(folder)
        capsys.readouterr()
        given = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        assert given == code, f"exit {given}\n{said.out}\n{said.err}"
        return said.err if code else said.out

    return run


def texts(archive):
    with tarfile.open(archive) as tar:
        return {item.name: opened.read() for item in tar if (opened := tar.extractfile(item))}


@pytest.fixture(scope="module")
def places(new_place):
    """North and south: the tiny task on phantoms of two seeds, Baseline and LLFT in two folds."""
    made = []
    for seed, name in enumerate(("north", "south")):
        place = new_place(name)
        file = place.folder / "tiny.toml"
        file.write_text(file.read_text().replace("size=32", f"size=32,seed={seed}"))
        place.bench("run", "--task", "tiny.toml", "--methods", "llft", "--jobs", "1")
        place.bench("export", "--task", "tiny.toml", "--out", f"{name}.tar.gz")
        made.append(place)
    return made


@pytest.fixture(scope="module")
def sites(places):
    return [place.folder for place in places]


@pytest.fixture(scope="module")
def archives(sites):
    return [folder / f"{name}.tar.gz" for folder, name in zip(sites, ("north", "south"), strict=True)]


def reports(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("least", [(), ("--min-cell", "13")], ids=["all", "min-cell"])
def test_elsewhere_the_report_has_the_bytes_of_home(sites, bench, tmp_path, least):
    archive = tmp_path / "tiny.tar.gz"
    said = bench(sites[0], "export", "--task", "tiny.toml", "--out", archive, *least)
    assert plain(said, tmp_path) == snapshot("""\
4 cells, 0 failures. The archive contains no predictions and no image ids.
<tmp>/tiny.tar.gz
""")
    bench(sites[0], "report", "--task", "tiny.toml", "--reports", tmp_path / "home", *least)
    bench(tmp_path, "report", "--from", archive, "--reports", "away")
    home, away = (reports(tmp_path / place / "tiny") for place in ("home", "away"))
    assert {"main.csv", "main.md", "main.tex", "trade-off.png"} <= set(away)
    tables = {name: data for name, data in away.items() if not name.endswith(".html")}
    # At home the page also shows what each value became, and there may be figures of predictions.
    assert without_values(tables) == without_values({name: home[name] for name in tables})
    assert b"| value as written |" in home["main.md"] or least
    assert b"| value as written |" not in away["main.md"]
    inside = texts(archive)
    assert inside["reports/main.csv"] == home["main.csv"]
    assert (b'"suppressed"' in inside["cells/small/llft/f0-s0.json"]) == bool(least), "some cells have fewer than 13"


def without_values(files):
    """The files of a report, without the part of the main table that shows the values of the tables."""
    data = re.compile(rb"## Data as read\n.*?(?=\n## |\Z)", re.DOTALL)
    return {name: data.sub(b"", content) if name == "main.md" else content for name, content in files.items()}


def test_neither_data_nor_task_nor_torch_are_needed_to_read_and_to_merge(archives, place):
    (place.folder / "tiny.toml").unlink()
    blocked = place.folder / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text("raise ImportError('there is no torch here')\n")
    path = os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])
    assert "index.html" in place.bench("report", "--from", str(archives[0]), PYTHONPATH=path).stdout
    assert "merged.csv" in place.bench("merge", *map(str, archives), PYTHONPATH=path).stdout


def test_an_export_is_the_same_again_and_holds_no_prediction_path_or_host(sites, bench, tmp_path):
    # As after a failure on an image: none of it may leave.
    cell = factory.changed(read_cell(sites[0] / "results/cells/tiny/small/llft/f0-s0.json"), seed=7)
    planted = factory.failure(cell, "ValueError", f"{sites[0]}/zqfilm.png", traceback="zqfilm", kind="bug")
    failure = sites[0] / "results/cells/tiny/small/llft/f0-s7.failed.json"
    failure.write_bytes(to_json(planted))
    try:
        for name in ("one.tar.gz", "two.tar.gz"):
            bench(sites[0], "export", "--task", "tiny.toml", "--out", tmp_path / name)
    finally:
        failure.unlink()
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    inside = texts(tmp_path / "one.tar.gz")
    assert "cells/small/llft/f0-s7.failed.json" in inside
    assert {Path(name).suffix for name in inside} == {".json", ".toml", ".txt", ".csv", ".md", ".tex"}
    assert "splits.csv" not in inside
    for planted in ("zqfilm", str(sites[0]), "/tmp", str(Path.home()), platform.node(), "phantom-chest-source:"):
        assert [name for name, data in inside.items() if planted.encode() in data] == [], planted
    assert inside["commands.txt"] == b"bench run --task task.toml --methods llft\n"
    assert json.loads(inside["environment.json"])["packages"]["torch"]
    manifest = json.loads(inside["MANIFEST.json"])
    assert (manifest["task"], manifest["synthetic"], manifest["predictions"]) == ("tiny", True, False)
    assert json.loads(inside["splits.json"])["by_fold"]["0"]["n"] == 120


def test_the_task_in_an_export_is_one_that_another_site_can_run(archives, bench, tmp_path):
    inside = texts(archives[0])
    (tmp_path / "task.toml").write_bytes(inside["task.toml"])
    line = inside["commands.txt"].decode().split()
    assert bench(tmp_path, *line[1:], "--dry-run").count("pending") == 4


def test_each_site_keeps_its_own_numbers_in_a_merge(sites, archives, bench, tmp_path):
    said = bench(tmp_path, "merge", *archives).splitlines()
    assert said[-3:] == [f"reports/tiny-merged/{name}" for name in ("merged.md", "merged.csv", "pooled.csv")]
    found = reports(tmp_path / "reports/tiny-merged")
    page = found["merged.md"].decode()
    assert "SYNTHETIC PHANTOM DATA" in page
    for name in ("ood\\_neutral", "ood\\_reversed"):
        assert page.index(f"### north/{name} (n 100)") < page.index(f"### south/{name} (n 100)")
    for folder, site in zip(sites, ("north", "south"), strict=True):
        bench(folder, "report", "--task", "tiny.toml", "--only", "main")
        own = (folder / "reports/tiny/main.csv").read_text().splitlines()[1:]
        theirs = [line for line in found["merged.csv"].decode().splitlines() if line.startswith(f"{site},")]
        assert [line.removeprefix(f"{site},").replace(f",{site}/", ",") for line in theirs] == own


def test_folders_of_results_say_the_same_as_archives_and_more_with_predictions(sites, archives, bench, tmp_path):
    folders = [folder / "results" for folder in sites]
    named = ("--names", "north,south", "--out")
    bench(tmp_path, "merge", *folders, *named, "folders")
    of_folders = reports(tmp_path / "folders")
    headings = [line for line in of_folders["merged.md"].decode().splitlines() if line.startswith("## ")]
    assert headings == snapshot(
        [
            "## small backbone",
            "## Over sites",
            "## Images of all sites together",
            "## How to read this",
            "## What is supported at each site",
        ]
    ), "folders have the predictions"
    bench(sites[1], "export", "--task", "tiny.toml", "--with-predictions", "--out", tmp_path / "south.tar.gz")
    bench(tmp_path, "merge", folders[0], "south.tar.gz", *named, "mixed")
    assert reports(tmp_path / "mixed") == of_folders
    bench(tmp_path, "merge", *archives, "--out", "mixed")
    of_archives = reports(tmp_path / "mixed")
    assert set(of_folders) - set(of_archives) == {"together.csv"}, "what was there before does not stay beside it"
    for name in ("merged.csv", "pooled.csv"):
        assert of_archives[name] == of_folders[name]


def test_what_cannot_be_merged_is_said_at_once_and_nothing_is_written(sites, archives, bench, tmp_path):
    again = bench(tmp_path, "merge", archives[0], sites[0] / "results", "--names", "a,b", code=2)
    assert plain(again, tmp_path, sites[0]) == snapshot("""\
bench: a and b cannot be merged:
  images: a and b have the same in external, ood_neutral, ood_reversed, train, val
  cells: 4 are at a and b, first small/baseline/f0-s0: one site given twice?
""")
    text = (sites[1] / "tiny.toml").read_text()
    (tmp_path / "tiny.toml").write_text(
        text.replace("above = 65", "above = 60").replace("\nepochs = 2", "\nepochs = 3")
    )
    shutil.copytree(sites[1] / "results", tmp_path / "results")
    runs = tmp_path / "results/runs/tiny.json"
    runs.write_text(runs.read_text().replace(str(sites[1]), str(tmp_path)))
    stale = bench(tmp_path, "merge", archives[0], "results", "--names", "a,b", code=2)
    assert plain(stale, tmp_path, sites[0]) == snapshot("""\
left out: <tmp>/results/cells/tiny/small/baseline/f0-s0.json: stale; `bench run --task tiny.toml --methods baseline --backbone small --folds 0` replaces it
left out: <tmp>/results/cells/tiny/small/baseline/f1-s0.json: stale; `bench run --task tiny.toml --methods baseline --backbone small --folds 1` replaces it
left out: <tmp>/results/cells/tiny/small/llft/f0-s0.json: stale; `bench run --task tiny.toml --methods llft --backbone small --folds 0` replaces it
left out: <tmp>/results/cells/tiny/small/llft/f1-s0.json: stale; `bench run --task tiny.toml --methods llft --backbone small --folds 1` replaces it
bench: a and b cannot be merged:
  cells: no usable results at b
  task: attribute.above is 65 at a, 60 at b
  task: recipe.epochs is 2 at a, 3 at b
"""), "its cells are of the task as it was"
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (
            ("merge", "NORTH"),
            snapshot(
                "bench: merge: two sites or more expected, each an archive of `bench export` or a folder of results\n"
            ),
            2,
        ),
        (
            ("merge", "NORTH", "nowhere"),
            snapshot("bench: site nowhere not found. A site is an archive of `bench export` or a folder of results.\n"),
            3,
        ),
        (
            ("merge", "NORTH", "SOUTH", "--names", "a"),
            snapshot("bench: --names: 1 names for 2 sites; give one for each site, in their order\n"),
            2,
        ),
        (
            ("merge", "NORTH", "SOUTH", "--names", "a,a"),
            snapshot("bench: sites are called a, a: give each a different name with --names\n"),
            2,
        ),
        (
            ("merge", "NORTH", "SOUTH", "--names", "a,../b"),
            snapshot("bench: site name '../b': letters, digits, - and _ expected; choose other names with --names\n"),
            2,
        ),
        (
            ("merge", "NORTH", ".", "--names", "a,b"),
            snapshot("bench: .: runs of one task expected, found none: choose one with --task or export it there\n"),
            2,
        ),
        (
            ("report", "--from", "NORTH", "--task", "tiny.toml"),
            snapshot(
                "bench: give exactly one of --task, --all, --paper, --published, --from (given: --task, --from)\n"
            ),
            2,
        ),
        (
            ("report", "--from", "tiny.toml"),
            snapshot("bench: tiny.toml is not a complete export: Not a gzipped file (b'\\nn')\n"),
            3,
        ),
        (
            ("export", "--task", "tiny.toml"),
            snapshot("bench: no results of tiny: `bench run --task tiny.toml --methods all` makes them\n"),
            1,
        ),
        (
            ("export", "--task", "tiny.toml", "--with-predictions", "--min-cell", "5"),
            snapshot(
                "bench: --with-predictions and --min-cell exclude each other: predictions reveal counts of groups\n"
            ),
            2,
        ),
    ],
    ids=["one", "none", "few names", "same names", "path as name", "no runs", "task", "no archive", "no cells", "both"],
)
def test_a_wrong_command_says_what_is_wrong(archives, place, bench, words, says, code):
    given = [archives[("NORTH", "SOUTH").index(word)] if word in ("NORTH", "SOUTH") else word for word in words]
    assert plain(bench(place.folder, *given, code=code), archives[0].parent, place.folder) == says
