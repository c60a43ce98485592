"""`bench score` as a user runs it: predictions of a run, written to one file, give the numbers of the run."""

import subprocess
import sys
import tarfile

import pandas as pd
import pytest
from inline_snapshot import snapshot

from tests import factory

FILMS = "image_id,sex,label,score,method\n" + "".join(
    f"{image},{score},{method}\n"
    for image, score in (("a,F,1", 0.9), ("b,F,0", 0.2), ("c,M,1", 0.7), ("d,M,0", 0.1))
    for method in ("baseline", "swift")
)
NUMBERS = ["mean", "std", "n", "degenerate", "excluded", "mark", "difference", "ci_low", "ci_high", "p", "draws"]
NUMBERS += ["p_holm", "supported", "same_sign", "pairs", "trained_low", "trained_high", "levelled_down"]


@pytest.fixture(scope="module")
def exported(finished):
    """The predictions of all cells of the tiny task, as one table."""
    frames = []
    for file in sorted((finished.folder / "results/cells/tiny").rglob("f*.parquet")):
        cell = factory.plain(file.with_suffix(".json"))["cell"]
        table = pd.read_parquet(file).astype({"logit": float})
        frames.append(table.assign(method=cell["spec"], fold=cell["fold"]))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module", params=["csv", pytest.param("parquet", marks=pytest.mark.slow)])
def scored(request, finished, exported):
    kind = request.param
    file = finished.folder / f"all.{kind}"
    exported.to_csv(file, index=False) if kind == "csv" else exported.to_parquet(file)
    done = finished.bench("score", file.name, "--task", "tiny.toml", "--results", kind, "--reports", f"{kind}-reports")
    return kind, done


def test_every_row_is_that_of_the_run(finished, scored):
    kind, _ = scored
    ours, theirs = (
        pd.read_csv(finished.folder / folder / "tiny" / "main.csv").query("metric != 'cost'")
        for folder in ("reports", f"{kind}-reports")
    )
    ours = ours.set_index(["spec", "set", "metric"])[NUMBERS]
    theirs = theirs.assign(spec=theirs["label"]).set_index(["spec", "set", "metric"])[NUMBERS]  # as the file calls it
    assert ours["p_holm"].notna().any()
    assert ours["std"].notna().any()
    pd.testing.assert_frame_equal(theirs.sort_index(), ours.sort_index(), check_exact=True)


@pytest.mark.slow
def test_report_export_and_archive_read_them_like_other_cells(finished, scored):
    kind, done = scored
    assert "warning" not in done.stderr
    where = ("--task", "tiny.toml", "--results", kind)
    again = finished.bench("report", *where, "--reports", f"{kind}-again", "--only", "main,groups,forest")
    assert "bench run" not in again.stdout + again.stderr
    folders = [finished.folder / name / "tiny" for name in (f"{kind}-reports", f"{kind}-again")]
    files = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
    assert {file.stem for file in folders[1].iterdir()} == {"main", "groups", "forest"}
    assert files[1].items() <= files[0].items()
    finished.bench("export", *where, "--out", f"{kind}.tar.gz")
    finished.bench("report", "--from", f"{kind}.tar.gz", "--reports", f"{kind}-archive")
    assert (finished.folder / f"{kind}-archive/tiny/main.csv").read_bytes() == files[0]["main.csv"]
    with tarfile.open(finished.folder / f"{kind}.tar.gz") as archive:
        assert "cells/elsewhere/swift/f0-s0.json" in archive.getnames()
    assert "0 of 22 cells scored again" in finished.bench("metrics", "--recompute", "--results", kind).stdout
    assert "tiny/index.html" in finished.bench("report", "--all", "--results", kind, "--reports", f"{kind}-all").stdout
    finished.bench("status", "--results", kind)


@pytest.mark.slow
def test_two_sites_are_merged(place):
    table = pd.DataFrame({"image_id": [f"i{number}" for number in range(40)], "sex": list("FM") * 20})
    table = table.assign(label=[0, 0, 1, 1] * 10, score=[0.2, 0.4, 0.6, 0.8, 0.7] * 8)
    for site in ("north", "south"):
        (place.folder / site).mkdir()
        table.assign(image_id=site + table["image_id"]).to_csv(place.folder / site / "films.csv", index=False)
        words = ("--attributes", "sex", "--results", f"{site}/results", "--reports", f"{site}/reports")
        place.bench("score", f"{site}/films.csv", *words)
        task = ("--task", f"{site}/results/scored/films-sex.toml", "--results", f"{site}/results")
        place.bench("export", *task, "--out", f"{site}.tar.gz")
    done = place.bench("merge", "north.tar.gz", "south.tar.gz")
    assert "north" in done.stdout


def test_torch_is_not_imported(place):
    """Without a task, by a task file, and with a method that has the name of one of the suite's."""
    (place.folder / "films.csv").write_text(FILMS)
    code = (
        "import sys; from bench.cli import main; "
        "codes = [main(['score', 'films.csv', '--attributes', 'sex']), "
        "main(['report', '--task', 'results/scored/films-sex.toml', '--only', 'main'])]; "
        "print('torch' in sys.modules, codes)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place.folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False [0, 0]"


def test_beside_cells_that_were_computed_here_nothing_is_stored(finished, exported):
    exported.to_parquet(finished.folder / "mixed.parquet")
    before = finished.cells()
    done = finished.bench("score", "mixed.parquet", "--task", "tiny.toml", code=2)
    assert finished.told(done.stderr) == snapshot(
        "bench: <tmp>/results/cells/tiny holds results that were computed here, and predictions made elsewhere are in no table with them: give another --results folder\n"
    )
    assert finished.cells() == before


def test_what_the_commands_for_other_runs_say_of_such_a_task(place):
    (place.folder / "films.csv").write_text(FILMS)
    place.bench("score", "films.csv", "--attributes", "sex")
    done = place.bench("run", "--task", "results/scored/films-sex.toml", code=2)
    assert place.told(done.stderr) == snapshot(
        "bench: unknown backbone 'elsewhere': allowed: densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector\n"
    )
