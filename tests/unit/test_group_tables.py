"""Attributes of more than two groups in tables, notes, findings and figures."""

import io

import numpy as np
from inline_snapshot import snapshot

from bench.reporting.figures import trade_off
from bench.reporting.numbers import frames
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.task_info import MORE_GROUPS, Undefined
from bench.reporting.tables import main_table, terminal
from bench.reporting.words.conclusions import findings
from bench.reporting.words.notes import reading
from tests.factory import record, scores, task_info
from tests.prose import lines_with, sentences_with
from tests.unit.as_tested import as_tested

INFO = task_info(
    says="Finding on demo images.",
    group_names=("young", "middle", "old"),
    ood=("near",),
    columns=MORE_GROUPS,
    undefined=(
        Undefined("reg", "Reg", 2, "it reads val", "3 groups"),
        Undefined("last", "Last", 90, "it reads val", "3 groups"),
    ),
)


def cell(title, fold, worst="old", near=None, **values):
    counts = {"young": (60, 40), "middle": (30, near or 9), "old": (75, 0 if near == 0 else 25)}
    sets = dict.fromkeys(("near", "val"), scores(counts, n=239, **values))
    pair = {"worst": worst, "best": worst and "young", "auc": {}, "skipped": ["middle"] if fold == 1 else []}
    row = {"Baseline": 1, "Reg": 2, "A": 3}[title]
    return record(title.lower(), fold, title=title, row=row, scores=sets, pair=pair)


def five(near=None):
    rng, cells = np.random.default_rng(0), []
    for fold in range(5):
        shift, worst = 0.01 * rng.normal(), (None if fold == 4 else "old" if fold else "middle")
        cells.append(cell("Baseline", fold, worst, near, auc=0.7 + shift, min_auc=0.6, gap_auc=0.3 + shift))
        gap = 0.1 + shift + 0.001 * fold
        cells.append(cell("A", fold, worst, near, auc=0.7 + shift, min_auc=0.6, gap_auc=gap))
    return cells


def test_the_table_has_overall_min_and_gap_and_dashes():
    made = main_table.files(collect(five(), [], INFO))
    page, text = made["md"], made["tex"]
    assert sentences_with(page, "Overall", "Min") == snapshot(
        [
            "| method | Overall AUC ↑ | Min AUC ↑ | Gap AUC ↓ | cost | folds |",
            "| method | Overall AUC ↑ | Min AUC ↑ | Gap AUC ↓ | cost | folds |",
        ]
    )
    assert sentences_with(page, "young") == snapshot(
        [
            "Disparities between the groups young, middle and old (age).",
            "- External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4).",
            "- near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill).",
            "- val: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill, fewest over the folds).",
        ]
    )
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines[2:6]] == ["Baseline", "Reg", "A", "Last"]
    assert lines[3] == "| Reg | – | – | – | – | – |"
    assert r"Reg & -- & -- & -- & -- & -- \\" in text
    stream = io.StringIO()
    terminal.show(collect(five(), [], INFO), stream)
    assert sentences_with(stream.getvalue(), "Gap AUC") == snapshot(
        ["method     Gap AUC      AUC", "Gap AUC between young, middle and old is 0.30 at an AUC of 0.70."]
    )
    assert sentences_with(stream.getvalue(), "val") == snapshot(
        ["– Not defined on 3 groups: Reg and Last: it reads val."]
    )


def test_the_findings_are_about_gap_auc_and_overall_auc():
    text = findings(as_tested(collect(five(), [], INFO)))
    assert text[-1] == snapshot(
        "near: Supported: Gap AUC is lower than Baseline's with A (−0.198; 5 of 5 models). No difference in Overall AUC is supported."
    )
    assert "EOdds" not in " ".join(text)
    assert "Reg" not in " ".join(text), "why it has no numbers is said once, in the notes"
    alone = [item for item in five() if item.cell.title == "Baseline"]
    assert findings(collect(alone, [], INFO)) == snapshot(["There are results of Baseline only: nothing is compared."])


def test_the_notes_say_pairs_sizes_and_what_is_undefined():
    notes = "\n".join(reading(collect(five(), [], INFO)))
    assert sentences_with(notes, "Reg") == snapshot(["– Not defined on 3 groups: Reg and Last: it reads val."])
    assert "Missing" not in notes
    assert sentences_with(notes, "middle", "Baseline") == snapshot(
        [
            "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4)."
        ]
    )
    assert sentences_with(notes, "middle", "Not") == snapshot(
        ["Not eligible, because of too few images: middle (fold 1)."]
    )
    assert sentences_with(notes, "near", "239") == snapshot(
        ["near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill)."]
    )
    assert lines_with(notes, "10") == snapshot(
        [
            "Images of a fold: validation 239, external 100.",
            "near: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill). Min and Gap AUC are over 3 of 3 groups. Fewer than 10 images of a class: middle (9).",
            "val: 239 images (young: 60 healthy, 40 ill; middle: 30 healthy, 9 ill; old: 75 healthy, 25 ill, fewest over the folds). Min and Gap AUC are over 3 of 3 groups. Fewer than 10 images of a class: middle (9).",
        ]
    )
    lacking = "\n".join(reading(collect(five(near=0), [], INFO)))
    assert sentences_with(lacking, "AUC") == snapshot(
        [
            "External set: the groups with the lowest and the highest Baseline AUC on validation images, of those with 20 images of each class, chosen once per fold before fine-tuning: middle and young (fold 0); old and young (fold 1, 2 and 3); no pair, so that every method is the Baseline (fold 4).",
            "Min and Gap AUC are over 2 of 3 groups, without old, which lack a class.",
            "Min and Gap AUC are over 2 of 3 groups, without old, which lack a class.",
        ]
    )


def test_the_figure_shows_gap_auc():
    results = collect(five(), [], INFO)
    figure = trade_off.draw(frames.by_fold(results), INFO, results.backbones)
    assert figure.axes[0].get_xlabel() == snapshot("Overall AUC (higher is better)")
    assert figure.axes[0].get_ylabel() == snapshot("Gap AUC (lower is better)")
    assert [text.get_text() for text in figure.axes[0].texts] == ["Baseline", "A"]


def test_a_method_that_is_not_defined_on_one_of_two_networks_is_a_dash_there_alone():
    why = Undefined("a", "A", 3, "it needs a stem", "timm:vit", "timm:vit")
    info = task_info(undefined=(why,))
    cells = [
        record(
            spec,
            fold,
            title=title,
            row=row,
            backbone=backbone,
            scores={"near": scores(), "far": scores(), "val": scores()},
        )
        for backbone, methods in (("small", ("Baseline", "A")), ("timm:vit", ("Baseline",)))
        for row, title in enumerate(methods, 1)
        for spec in [title.lower()]
        for fold in range(2)
    ]
    results = collect(cells, [], info)
    found = {(row.backbone, row.excluded) for row in results.rows if row.method == "a" and row.set == "near"}
    assert found == {("small", ""), ("timm:vit", "undefined")}
    page = main_table.files(results)["md"]
    assert "Not defined on timm:vit: A: it needs a stem." in page
    small = collect([cell for cell in cells if cell.cell.backbone == "small"], [], info)
    assert "Not defined" not in main_table.files(small)["md"]
