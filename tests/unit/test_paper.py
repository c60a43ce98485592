"""The paper's tables: what they are made of, whose tasks stand in, and what is printed of fabricated cells."""

import io
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.errors import UnknownName, UsageError
from bench.reporting import artefacts, catalogue
from bench.reporting.numbers.paper_layout import FIGURES, ITSELF, TWINS, blocks_of, layouts
from bench.reporting.numbers.published import COLUMNS, everything
from bench.reporting.task_results import TaskResults
from bench.running.plan import build_method
from bench.scoring.definitions import METRICS
from bench.settings import Settings
from bench.spec import describe, name_of, split_specs
from bench.tasks import TASKS
from tests.factory import changed, failure, record, scores, task_info
from tests.latex import compile_tables, needs_latex
from tests.prose import sentences_with

TEN = [
    *("baseline", "fullft_rw", "fullft_reg", "fullft_fdr", "llft"),
    *("diff_gda", "fair_prune", "diff_prune", "bmft", "swift"),
]
FOLDERS = shlex.join(["--results", "no results", "--cache", "no cache"])


def cells(task, *specs, folds=2, backbone=None, groups=None):
    """Cells of a task of the suite: the AUC falls from spec to spec by 0.01, gaps rise by 0.01."""
    task = TASKS[task]
    made = []
    for place, spec in enumerate(specs):
        metrics = {
            name: 0.1 + place / 100 if METRICS[name].direction == "down" else 0.8 - place / 100 for name in METRICS
        }
        one = scores(groups or dict.fromkeys(task.attribute.names, (75, 25)), **metrics)
        sets, where = dict.fromkeys((*task.ood, "val"), one), backbone or task.backbones[0]
        made += [
            record(
                spec,
                fold,
                task=task.name,
                backbone=where,
                synthetic=task.name.startswith("phantom"),
                scores=sets,
                cost={"images_forward": 0, "images_backward": 0},
            )
            for fold in range(folds)
        ]
    return made


def task_results(spec, found, known=None, failures=(), min_cell=0):
    """TaskResults of a task of the suite; `known` is that of others, so that nothing is read."""
    task = TASKS[spec]
    grouped = task.attribute.grouped
    settings = Settings(spec, Path("no results"), Path("no cache"), None)
    info = task_info(
        task.name,
        says="Demo.",
        synthetic=spec.startswith("phantom"),
        label_names=task.label_names,
        attribute_name=task.attribute.column,
        group_names=task.attribute.names,
        ood=tuple(task.ood),
        folds=task.folds,
        columns=("auc", "min_auc", "gap_auc") if grouped else ("auc", "spd", "eodds"),
        min_cell=min_cell,
        settings=settings,
    )
    known = {} if known is None else known
    known[spec] = TaskResults(settings, task, info, found, list(failures), known=known)
    return known[spec]


def twins(**found):
    known: dict = {}
    for name in TWINS.values():
        task_results(name, found.get(name.replace("-", "_"), []), known)
    return known


def table(name, results, made=None):
    every = artefacts.artefacts(results) if made is None else made
    (item,) = catalogue.chosen(every, name)
    return {kind: data.decode() for kind, data in item.make(results).items()}


def test_layouts_are_those_of_the_published_numbers():
    found = {layout.number: layout for layout in layouts()}
    assert list(found) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    for number in (1, 2, 3, 4):
        assert list(found[number].rows) == TEN
        assert [part.sets for part in found[number].parts] == [2, 2]
    assert [(part.task, part.backbone, part.sets) for part in found[6].parts] == [
        ("skin-tone", "resnet50", 1),
        ("skin-gender", "resnet50", 1),
    ]
    assert list(found[6].rows.values()) == [
        "Random mask",
        *(f"Hard mask, rate {rate}" for rate in (0.1, 0.3, 0.5, 0.7, 0.9)),
        "SWiFT (soft mask)",
    ]
    assert list(found[8].rows.items()) == [
        ("swift:steps=first", "Without step 2"),
        ("swift:steps=second", "Without step 1"),
        ("swift", "SWiFT (both steps)"),
    ]
    for layout in layouts():
        for spec in layout.rows:
            assert describe(name_of(spec), build_method(spec)) == spec


def test_every_task_of_the_paper_has_its_twin():
    assert set(TWINS) == set(everything()["task"]) == set(ITSELF)
    for name, twin in TWINS.items():
        paper, phantom = TASKS[name], TASKS[twin]
        assert len(paper.attribute.names) == pytest.approx(len(phantom.attribute.names), abs=0)
        assert (paper.label, paper.channels) == (phantom.label, phantom.channels)
        assert len(phantom.ood) >= len(paper.ood)
    assert {task for tasks in FIGURES.values() for task in tasks} <= set(TWINS)


@pytest.mark.parametrize(
    ("spec", "tables"),
    [
        ("phantom-cxr-age", [("table-3", "small"), ("table-5", "small")]),
        ("skin-tone", [("table-1", "resnet50"), ("table-2", "efficientnet_b3"), ("table-5", "resnet50")]),
        ("cxr-gender", [("table-3", "resnet50"), ("table-4", "densenet121")]),
        ("ham10000-sex", [("table-1", "small")]),
        ("phantom-cxr-age:image_size=32", [("table-3", "small"), ("table-5", "small")]),
    ],
)
def test_a_task_has_the_tables_in_which_the_paper_has_it_and_those_of_ablations(spec, tables):
    found = [(layout.name, block.backbone) for layout, (block,) in blocks_of(spec, taskfile.resolve(spec))]
    first = spec.partition(":")[0]
    assert found == [*tables, *((f"table-{n}", TASKS[first].backbones[0]) for n in (6, 7, 8, 9))]
    sibling = {block.task for layout, (block,) in blocks_of(spec, taskfile.resolve(spec)) if layout.number == 5}
    assert sibling <= {spec.replace(first, f"{first}-groups")}


def test_a_task_on_more_than_two_groups_has_table_5_alone():
    assert [layout.name for layout, _ in blocks_of("phantom-cxr-age-groups", TASKS["phantom-cxr-age-groups"])] == [
        "table-5"
    ]


def test_best_and_second_are_those_of_the_rows_that_are_shown():
    rows = ["swift:reinit=none", "swift:reinit=full", "swift"]
    found = task_results("phantom-cxr-age", cells("phantom-cxr-age", "baseline", *rows))
    made = table("table-9", found)
    lines = [line for line in made["md"].splitlines() if line.startswith("| ")][2:]
    assert lines == [
        "| No reset |" + " **0.790 ± 0.000** | **0.110 ± 0.000** | **0.110 ± 0.000** |" * 2,
        "| Full reset |" + " <ins>0.780 ± 0.000</ins> | <ins>0.120 ± 0.000</ins> | <ins>0.120 ± 0.000</ins> |" * 2,
        "| SWiFT (partial reset) |" + " 0.770 ± 0.000 | 0.130 ± 0.000 | 0.130 ± 0.000 |" * 2,
    ]
    assert "**SYNTHETIC PHANTOM DATA" in made["md"]
    assert r"\textbf{SYNTHETIC PHANTOM DATA" in made["tex"]
    assert r"& No reset & \textbf{0.790}{\scriptsize$\pm$0.000} & \textbf{0.110}{\scriptsize$\pm$0.000}" in made["tex"]
    read = pd.read_csv(io.StringIO(made["csv"]))
    assert list(read) == [*COLUMNS, "synthetic"]
    assert len(read) == 3 * 2 * 3
    first = read.to_dict("records")[0]
    assert [first[name] for name in ("key", "test_set", "metric", "mean", "n")] == [
        "swift:reinit=none",
        "ood_neutral",
        "auc",
        0.79,
        2,
    ]


def test_what_was_not_run_is_said_and_the_command_that_runs_it():
    known = twins(phantom_skin_tone=cells("phantom-skin-tone", "swift", "swift:steps=first", folds=5))
    root = known["phantom-skin-tone"]
    every = artefacts.of_paper(root, TWINS)
    made = table("table-8", root, every)
    blocks_of_table = made["md"].split("## ")
    assert blocks_of_table[1].startswith("phantom-skin-tone, small backbone")
    assert sentences_with(blocks_of_table[1], "Without") == snapshot(
        [
            "| Without step 2 | <ins>0.790 ± 0.000</ins> | <ins>0.110 ± 0.000</ins> | <ins>0.110 ± 0.000</ins> |",
            "| Without step 1 | not run | not run | not run |",
        ]
    )
    assert "| SWiFT (both steps) | **0.800" in blocks_of_table[1]
    assert blocks_of_table[2].startswith("phantom-skin-sex")
    assert blocks_of_table[2].count(" not run |") == 9
    assert r"& Without step 1 & \multicolumn{3}{c}{not run}" in made["tex"]
    assert made["csv"].count(",not run,") == 4 * 3

    (item,) = catalogue.chosen(every, "table-8")
    assert item.count(root) == (10, 30)
    assert catalogue.lacking([item], root) == [
        "table-8: 10 of 30 cells are there",
        "all that is missing:",
        f"    bench run --task phantom-skin-tone --methods swift:steps=second {FOLDERS}",
        f"    bench run --task phantom-skin-sex --methods swift:steps=first,swift:steps=second,swift {FOLDERS}",
    ]


def test_hints_in_a_file_name_no_folder():
    found = [changed(item, metrics_version=1) for item in cells("phantom-cxr-age", "baseline", "swift")]
    made = table("table-3", task_results("phantom-cxr-age", found))
    assert "`bench metrics --recompute --task phantom-cxr-age`" in made["md"]
    assert "no results" not in made["md"]


def test_a_row_that_failed_is_not_called_not_run():
    done = cells("phantom-cxr-age", "swift", folds=5)
    failed = failure(*cells("phantom-cxr-age", "swift:normalise=zscore", folds=1), message="at /home/someone")
    made = table("table-7", task_results("phantom-cxr-age", done, failures=[failed]))
    assert "| z-score | failed |" in made["md"]
    assert sentences_with(made["md"], "NonFinite") == snapshot(
        ["- Failed: SWiFT (normalise zscore), fold 0: NonFinite (why: in the results)"]
    )
    assert "someone" not in made["md"]


def test_another_backbone_is_another_table():
    found = cells("skin-tone", *TEN, backbone="resnet50") + cells("skin-tone", "swift", backbone="efficientnet_b3")
    known: dict = {}
    for name in ITSELF:
        task_results(name, found if name == "skin-tone" else [], known)
    root = known["skin-tone"]
    every = artefacts.of_paper(root, ITSELF)
    first, second = (pd.read_csv(io.StringIO(table(f"table-{n}", root, every)["csv"])) for n in (1, 2))
    assert first["backbone"].unique().tolist() == ["resnet50"]
    assert (first["mean"].notna().sum(), second["mean"].notna().sum()) == (10 * 6, 6)
    (item,) = catalogue.chosen(every, "table-2")
    assert item.lines(root)[0].settings.backbone == "efficientnet_b3"
    # The same cells stand where the published numbers stand: keys, sets and metrics agree.
    published = everything()
    keys = ["key", "task", "backbone", "test_set", "metric"]
    assert set(map(tuple, first[keys].to_numpy())) == set(
        map(tuple, published[published["table"] == 1][keys].to_numpy())
    )


def test_small_cells_are_suppressed_here_too():
    few = {"up to 65": (75, 3), "over 65": (75, 25)}
    found = cells("phantom-cxr-age", "swift", "swift:normalise=zscore", groups=few)
    made = table("table-7", task_results("phantom-cxr-age", found, min_cell=10))
    lines = [line for line in made["md"].splitlines() if line.startswith("| ")][2:]
    assert lines == [
        "| z-score |" + " <ins>0.790 ± 0.000</ins> | – | – |" * 2,
        "| SWiFT (min-max) |" + " **0.800 ± 0.000** | – | – |" * 2,
    ]
    read = pd.read_csv(io.StringIO(made["csv"]))
    assert read[read["metric"] != "auc"]["mean"].isna().all()
    for text in made.values():
        assert not re.search(r"\b3 pneumothorax", text)


def test_names_are_chosen_and_misspelt_ones_get_the_nearest():
    found = artefacts.artefacts(task_results("phantom-cxr-age", cells("phantom-cxr-age", "baseline", "swift")))
    assert [item.name for item in catalogue.chosen(found, "table-7, main,table-7")] == ["table-7", "main"]
    assert len({item.name for item in found}) == len(found)
    with pytest.raises(UnknownName) as error:
        catalogue.chosen(found, "tabel-7")
    assert str(error.value) == snapshot(
        "unknown artefact 'tabel-7': did you mean table-7 or table-9 or table-8? allowed: main, forest, trade-off, features, features-gap, cost-gain, equal-odds, frontier, groups, attributes, common-mix, attributes-forest, roc-ood_neutral, roc-ood_reversed, table-3, table-5, table-6, table-7, table-8, table-9, figure-1, figure-3, figure-4, figure-5, figure-6, figure-7, figure-9, tuned, claims"
    )
    with pytest.raises(UsageError) as error:
        catalogue.chosen(found, " ,")
    assert str(error.value) == snapshot(
        "--only: name at least one of main, forest, trade-off, features, features-gap, cost-gain, equal-odds, frontier, groups, attributes, common-mix, attributes-forest, roc-ood_neutral, roc-ood_reversed, table-3, table-5, table-6, table-7, table-8, table-9, figure-1, figure-3, figure-4, figure-5, figure-6, figure-7, figure-9, tuned, claims"
    )


def test_figures_of_images_of_patients_are_made_by_name_alone():
    for task, alone in (("skin-tone", True), ("phantom-skin-tone", False)):
        found = task_results(task, cells(task, "baseline", "swift"))
        by_name = {item.name: item for item in artefacts.artefacts(found)}
        assert [by_name[name].named_only for name in ("figure-1", "figure-3", "figure-5")] == [alone, False, alone]
        (need,) = by_name["figure-1"].needs
        assert (need.specs, need.fold, need.part) == (("baseline", "swift"), 0, "cam/")


def test_the_list_says_how_much_is_there_and_what_makes_the_rest():
    known: dict = {}
    task_results("phantom-cxr-age-groups", cells("phantom-cxr-age-groups", "baseline", folds=5), known)
    found = task_results("phantom-cxr-age", cells("phantom-cxr-age", "baseline", "swift", folds=3), known)
    lines = catalogue.listing(artefacts.artefacts(found), found)
    by_name = {line.split()[0]: place for place, line in enumerate(lines) if not line.startswith(" ")}
    assert re.fullmatch(r"table-7 +Table 7 +3 of 10 +how importances are normalised", lines[by_name["table-7"]])
    assert lines[by_name["table-7"] + 1] == (
        f"    bench run --task phantom-cxr-age --methods swift:normalise=zscore,swift {FOLDERS}"
    )
    assert lines[by_name["table-5"] + 1] == (f"    bench run --task phantom-cxr-age-groups --methods swift {FOLDERS}")
    assert "5 of 10" in lines[by_name["table-5"]]
    # It can be made of three folds; what is below it runs the others.
    assert lines[by_name["main"] + 1].startswith("    bench run --task phantom-cxr-age --methods baseline,fullft_rw,")
    everything = lines[lines.index("all that is missing:") + 1 :]
    own = [line for line in everything if " --task phantom-cxr-age " in line]
    assert [re.findall("bench (run|tune)|(--ablate [a-z_]+|--force)", line) for line in own] == [
        [("run", "")],
        [("run", ""), ("", "--force")],
        *([("run", ""), ("", f"--ablate {field}")] for field in ("epochs", "reset_share", "external")),
        [("tune", "")],
    ]
    wanted = split_specs(own[0].split(" --methods ")[1].split(" --results ")[0])
    assert len(set(wanted)) == len(wanted) == 10 + 1 + 6 + 1 + 2 + 2


@needs_latex
def test_tables_of_phantoms_compile(tmp_path):
    known = twins(phantom_cxr_age=cells("phantom-cxr-age", *TEN))
    root = known["phantom-cxr-age"]
    files = [tmp_path / f"table-{n}.tex" for n in range(1, 10)]
    for file in files:
        file.write_text(table(file.stem, root, artefacts.of_paper(root, TWINS))["tex"])
    compile_tables(files, tmp_path)
