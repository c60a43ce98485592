"""The paper regenerated from phantoms: every table and figure is made of what the printed commands make."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.reporting import artefacts
from bench.reporting.numbers.paper_layout import TWINS, layouts
from bench.reporting.reports import report_paper
from bench.reporting.rerun_commands import once
from bench.reporting.task_results import read
from bench.running.plan import under
from bench.settings import Settings
from tests import factory
from tests.end_to_end.conftest import PROGRESS, server
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with
from tests.task_texts import AGE, RECIPE, SEX

TWIN = """
name = "{name}"
says = "a small phantom"
folds = 2
image_size = 32
channels = {channels}
crop = "none"

[source]
dataset = "phantom:family={family},tied={tied},hospital=source,images={images},size=32"
[ood.ood_neutral]
dataset = "phantom:family={family},tied={tied},hospital=ood_neutral,images=120,size=32"
[ood.ood_reversed]
dataset = "phantom:family={family},tied={tied},hospital=ood_reversed,images=120,size=32"
[label]
{label}
[attribute]
{attribute}
""" + RECIPE.format(epochs=2, batch=64)
FILMS = {
    "family": "chest",
    "channels": 1,
    "label": 'column = "pneumothorax"\nnames = ["no finding", "pneumothorax"]',
}
LESIONS = {
    "family": "skin",
    "channels": 3,
    "label": 'column = "melanoma"\none = ["0"]\nzero = ["1"]\nnames = ["melanoma", "other lesion"]',
}
BY_SEX = {"tied": "sex", "attribute": SEX}
BY_TONE = {"tied": "tone", "attribute": 'column = "dark"\nnames = ["light", "dark"]'}
BY_AGE = {"tied": "age", "attribute": AGE}
BANDS = {"tied": "age", "attribute": 'column = "age"\ncuts = [45, 66]\nnames = ["young", "middle", "old"]'}
TYPES = {
    "tied": "tone",
    "attribute": 'column = "fst"\nvalues = [["1", "2"], ["3", "4"], ["5", "6"]]\nnames = ["1-2", "3-4", "5-6"]',
}
SMALL = {
    "skin-tone": {**LESIONS, **BY_TONE},
    "skin-gender": {**LESIONS, **BY_SEX},
    "cxr-gender": {**FILMS, **BY_SEX},
    "cxr-age": {**FILMS, **BY_AGE},
    "skin-tone-groups": {**LESIONS, **TYPES},
    "cxr-age-groups": {**FILMS, **BANDS},
}


@pytest.fixture
def names(tmp_path):
    """Phantoms that take seconds, in place of the twins that are listed."""
    for task, fields in SMALL.items():
        text = TWIN.format(name=f"small-{task}", images=480 if task.endswith("groups") else 180, **fields)
        (tmp_path / f"small-{task}.toml").write_text(text)
    return {task: str(tmp_path / f"small-{task}.toml") for task in TWINS}


@pytest.mark.slow
def test_every_table_and_figure_of_the_twins_is_made(tmp_path, names, capsys):
    settings = Settings("", tmp_path / "results", tmp_path / ".cache", None)
    place = tmp_path / "reports"
    first = Settings(names["skin-tone"], *(settings.results, settings.cache, None))

    def missing():
        results = read(first)
        return artefacts.of_paper(results, names), results

    every, results = missing()
    lines = once(line for item in every for line in item.lines(results))
    assert lines
    for command in map(str, lines):
        bench, *words = shlex.split(command)
        assert bench == "bench"
        done = server().run([*words, "--folds", "0"], tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"

    every, results = missing()
    assert [item.name for item in every if not item.possible(results)] == []
    assert report_paper(names, place, settings, min_cell=0) == 0
    said = capsys.readouterr()
    assert lines_with(said.err, "table-8", "6", "12") == snapshot(["table-8: 6 of 12 cells are there"]), (
        "of two folds one was run"
    )
    for item in every:
        kinds = {file.suffix for file in place.glob(f"{item.name}.*")}
        tabular = item.name.startswith(("table", "claims"))
        assert kinds == ({".tex", ".md", ".csv"} if tabular else {".pdf", ".png", ".csv"}), item.name
    assert "not run" not in (place / "claims.csv").read_text()
    tables = sorted(place.glob("table-*.tex"))
    assert [file.stem for file in tables] == [f"table-{n}" for n in range(1, 10)]
    for file in tables:
        text = file.with_suffix(".md").read_text()
        assert "SYNTHETIC PHANTOM DATA" in text
        assert "not run" not in text
        assert r"\textbf{SYNTHETIC PHANTOM DATA" in file.read_text()
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    assert report_paper(names, place, settings, min_cell=0) == 0
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    needs_pdflatex([*tables, place / "claims.tex"], tmp_path)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_two_commands_run_and_report_the_twins_under_a_preset(tmp_path, names, capsys, monkeypatch, preset):
    """Each row of each table has the numbers of the cells that the preset made of its method, under its own name."""
    for task, file in names.items():
        monkeypatch.setitem(TWINS, task, file)
    monkeypatch.chdir(tmp_path)
    words = ["--paper", "--twins", "--preset", preset]
    assert cli.main(["run", *words, "--jobs", "1"]) == 0, capsys.readouterr()
    done, cells = re.match(r"(\d+) of (\d+) cells? done, ", capsys.readouterr().out).groups()
    assert done == cells
    assert cli.main(["report", *words]) == 0
    assert PROGRESS.sub("", capsys.readouterr().err) == "", "nothing is missing"
    records = [factory.plain(file) for file in (tmp_path / "results/cells").rglob("f?-s0.json")]
    assert len(records) == int(cells)
    assert all(f"preset={preset}" in one["cell"]["task"] for one in records)
    tables_hold_the_means_of_their_cells(tmp_path / f"reports/phantom-twins-{preset}", records, preset)


def tables_hold_the_means_of_their_cells(place, records, preset):
    found = {}
    for one in records:
        found.setdefault((one["cell"]["task"], one["cell"]["spec"]), []).append(one["scores"])
    for layout in layouts():
        table = pd.read_csv(place / f"{layout.name}.csv", keep_default_na=False, na_values={"mean": [""]})
        assert dict(zip(table["key"], table["method"], strict=True)) == layout.rows
        specs = {key: under(key, preset) for key in layout.rows}
        for row in table[~table["metric"].str.startswith("auc, ")].to_dict("records"):
            if (layout.number, row["key"], preset) == (5, "swift", "reference"):
                assert (row["note"], np.isnan(row["mean"])) == ("not defined", True)  # it reads the groups of val
                continue
            own = [sets[row["test_set"]][row["metric"]] for sets in found[row["task"], specs[row["key"]]]]
            assert len(own) == 2
            assert row["mean"] == pytest.approx(np.mean(own)), row


def needs_pdflatex(tables, folder):
    """Compile them where pdflatex is installed; the rest of the test does not need it."""
    if not needs_latex.args[0]:
        compile_tables(tables, folder)


def test_reports_of_the_twins_and_the_paper_say_what_was_not_run(place):
    """Nothing was run: all nine tables say so, and which commands make their cells."""
    done = place.bench("report", "--paper", "--twins")
    folder = place.folder / "reports/phantom-twins"
    assert sorted(file.stem for file in folder.glob("table-*.md")) == [f"table-{n}" for n in range(1, 10)]
    assert "SYNTHETIC PHANTOM DATA" in (folder / "table-7.md").read_text()
    assert lines_with((folder / "table-7.md").read_text(), "| z-score |") == snapshot(
        ["| z-score | not run | not run | not run |", "| z-score | not run | not run | not run |"]
    )
    assert lines_with(done.stderr, "table-8") == snapshot(["table-8: 0 of 30 cells are there"])
    (head, *lines) = done.stderr.splitlines()[-1 - len(lines_with(done.stderr, "    bench run ")) :]
    assert head == snapshot("all that is missing:")
    assert len({shlex.join(line.split()[:4]) + line.partition("--ablate")[2] for line in lines}) == len(lines)
    (sex,) = [line for line in lines if "phantom-skin-sex" in line]
    assert {"swift:mask=random", "swift:steps=first", "swift"} <= set(sex.split("--methods ")[1].split(","))

    listed = place.bench("report", "--list", "--paper").stdout
    assert re.search(r"^table-4 +Table 4 +0 of 100 ", listed, re.MULTILINE)
    assert "    bench run --task cxr-age --methods baseline," in listed
    one = place.bench("report", "--paper", "--only", "table-5", code=1)
    assert lines_with(one.stderr, "table-5") == snapshot(["table-5: 0 of 20 cells are there"])
    assert "not run" in (place.folder / "reports/paper/table-5.md").read_text()
    assert place.told(place.bench("report", "--paper", "--only", "tabel-5", code=2).stderr) == snapshot(
        "bench: unknown artefact 'tabel-5': did you mean table-5 or table-9 or table-8? allowed: table-1, table-2, table-3, table-4, table-5, table-6, table-7, table-8, table-9, figure-1-skin-tone, figure-3-skin-tone, figure-4-skin-tone, figure-4-cxr-age, figure-5-skin-tone, figure-6-skin-tone, figure-6-cxr-age, figure-7-skin-tone, figure-7-cxr-age, figure-8-skin-tone, figure-9-cxr-age, claims\n"
    )


def test_one_report_at_a_time(place):
    for words, says in (
        (
            ("--all", "--paper", "--twins"),
            snapshot(
                "bench: give exactly one of --task, --all, --paper, --published, --from (given: --all, --paper)\n"
            ),
        ),
        (
            ("--twins", "--all"),
            snapshot("bench: --twins belongs to --paper\n"),
        ),
        (
            ("--task", "tiny.toml", "--paper"),
            snapshot(
                "bench: give exactly one of --task, --all, --paper, --published, --from (given: --task, --paper)\n"
            ),
        ),
        (
            ("--only", "table-6"),
            snapshot("bench: give exactly one of --task, --all, --paper, --published, --from (given: none)\n"),
        ),
        (
            ("--published", "--plain"),
            snapshot("bench: --plain and --cite are for the tables of --task, --all and --paper\n"),
        ),
        (("--published", "--list"), snapshot("bench: --list and --only do not apply to --published\n")),
    ):
        done = place.bench("report", *words, code=2)
        assert place.told(done.stderr) == says


@pytest.mark.slow
def test_one_task_has_its_tables_when_their_cells_are_there(place):
    place.bench("run", "--task", "tiny.toml", "--methods", "swift,swift:normalise=zscore", "--folds", "0")
    report = place.report()
    assert {"table-7.tex", "table-7.md", "table-7.csv"} <= set(report)
    assert not any(name.startswith("table-6") for name in report)
    # An --only that can be made, beside one that cannot.
    done = place.bench("report", "--task", "tiny.toml", "--only", "table-7,table-9", code=1)
    assert [line.rpartition("/")[2] for line in done.stdout.split()] == ["table-7.tex", "table-7.md", "table-7.csv"]
    assert done.stderr.splitlines()[-4:] == snapshot(
        [
            "table-7: 2 of 4 cells are there",
            "table-9: 1 of 6 cells are there",
            "all that is missing:",
            "    bench run --task tiny.toml --methods swift:normalise=zscore,swift,swift:reinit=none,swift:reinit=full",
        ]
    )
    assert "table-9" not in done.stdout
