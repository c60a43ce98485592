"""The paper regenerated from phantoms: every table and figure is made of what the printed commands make."""

import re
import shlex

import pytest
from inline_snapshot import snapshot

from bench import cli
from bench.report import artefacts
from bench.report.numbers.paper_layout import TWINS
from bench.report.reports import report_paper
from bench.report.rerun_commands import once
from bench.report.task_results import read
from bench.settings import Settings
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with

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
dataset = "phantom:family={family},tied={tied},hospital=ood_neutral,images=200,size=32"
[ood.ood_reversed]
dataset = "phantom:family={family},tied={tied},hospital=ood_reversed,images=200,size=32"
[label]
{label}
[attribute]
{attribute}
[recipe]
pretrain_optimiser = "adam"
pretrain_lr = 2e-3
pretrain_epochs = 1
optimiser = "adam"
lr_extractor = 1e-3
lr_head = 1e-2
epochs = 2
epsilon = 0.1
batch = 64
"""
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
SEX = {"tied": "sex", "attribute": 'column = "female"\nnames = ["male", "female"]'}
TONE = {"tied": "tone", "attribute": 'column = "dark"\nnames = ["light", "dark"]'}
AGE = {"tied": "age", "attribute": 'column = "age"\nabove = 65\nnames = ["up to 65", "over 65"]'}
BANDS = {"tied": "age", "attribute": 'column = "age"\ncuts = [45, 66]\nnames = ["young", "middle", "old"]'}
TYPES = {
    "tied": "tone",
    "attribute": 'column = "fst"\nvalues = [["1", "2"], ["3", "4"], ["5", "6"]]\nnames = ["1-2", "3-4", "5-6"]',
}
SMALL = {
    "skin-tone": {**LESIONS, **TONE},
    "skin-gender": {**LESIONS, **SEX},
    "cxr-gender": {**FILMS, **SEX},
    "cxr-age": {**FILMS, **AGE},
    "skin-tone-groups": {**LESIONS, **TYPES},
    "cxr-age-groups": {**FILMS, **BANDS},
}


@pytest.fixture
def names(tmp_path):
    """Phantoms that take seconds, in place of the twins that are listed."""
    for task, fields in SMALL.items():
        text = TWIN.format(name=f"small-{task}", images=600 if task.endswith("groups") else 240, **fields)
        (tmp_path / f"small-{task}.toml").write_text(text)
    return {task: str(tmp_path / f"small-{task}.toml") for task in TWINS}


@pytest.mark.slow
@pytest.mark.long
def test_every_table_and_figure_of_the_twins_is_made(tmp_path, names, capsys, monkeypatch):
    settings = Settings("", tmp_path / "results", tmp_path / ".cache", None)
    place = tmp_path / "reports"
    first = Settings(names["skin-tone"], *(settings.results, settings.cache, None))

    def missing():
        results = read(first)
        return artefacts.of_paper(results, names), results

    every, results = missing()
    lines = once(line for item in every for line in item.lines(results))
    assert lines
    monkeypatch.chdir(tmp_path)
    for command in map(str, lines):
        bench, *words = shlex.split(command)
        assert bench == "bench"
        # In this process: to import everything for each of the commands would take most of the time.
        code = cli.main([*words, "--folds", "0"])
        assert code == 0, f"{command}\n{capsys.readouterr()}"
    capsys.readouterr()

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
