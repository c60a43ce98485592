"""The paper's tables as LaTeX: its layout, names and marks, with and without notes, with citations."""

import dataclasses
import re
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.reporting import artefacts
from bench.reporting.numbers.display_names import CITED, display_name
from bench.reporting.numbers.paper_layout import TWINS
from bench.tasks import TASKS
from tests.factory import changed
from tests.latex import compile_tables, needs_latex
from tests.prose import lines_with
from tests.unit.test_paper import TEN, cells, table, task_results, twins


def written(known, latex=()):
    """The LaTeX of the nine tables of phantoms by name."""
    if latex:
        for name, one in dict(known).items():
            known[name] = dataclasses.replace(one, info=dataclasses.replace(one.info, latex=latex), known=known)
    root = known["phantom-cxr-age"]
    every = artefacts.of_paper(root, TWINS)
    return {f"table-{n}": table(f"table-{n}", root, every)["tex"] for n in range(1, 10)}


def tabular(text):
    return text[text.index(r"\begin{tabular}") : text.index(r"\bottomrule")].splitlines()


@pytest.fixture(scope="module")
def some():
    groups = TASKS["phantom-cxr-age-groups"].attribute.names
    aucs = {name: {"n": 100, "positives": 25, "negatives": 75, "auc": 0.9 - i / 10} for i, name in enumerate(groups)}
    return {
        "phantom_skin_tone": cells("phantom-skin-tone", "swift", "swift:steps=first", folds=2),
        "phantom_cxr_age": cells("phantom-cxr-age", "baseline", "swift"),
        "phantom_cxr_age_groups": cells("phantom-cxr-age-groups", "baseline", "swift", groups=aucs),
    }


@pytest.fixture(scope="module")
def made(some):
    return written(twins(**some))


def test_a_table_of_two_test_sets(made):
    assert tabular(made["table-3"])[-18:] == snapshot(
        [
            "  & DiffPrune & \\multicolumn{6}{c}{not run} \\\\",
            "  & BMFT & \\multicolumn{6}{c}{not run} \\\\",
            "  & SWiFT & \\multicolumn{6}{c}{not run} \\\\",
            "\\midrule",
            " & & \\multicolumn{3}{c}{Neutral hospital} & \\multicolumn{3}{c}{Reversed hospital} \\\\",
            "\\cmidrule(lr){3-5}\\cmidrule(lr){6-8}",
            "  &   & AUC $\\uparrow$ & SPD $\\downarrow$ & EOdds $\\downarrow$ & AUC $\\uparrow$ & SPD $\\downarrow$ & EOdds $\\downarrow$ \\\\",
            "\\midrule",
            "  & Baseline & \\textbf{0.800}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} & \\textbf{0.800}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} \\\\",
            "  & FullFT-RW & \\multicolumn{6}{c}{not run} \\\\",
            "  & FullFT-Reg & \\multicolumn{6}{c}{not run} \\\\",
            "  & FullFT-FDR & \\multicolumn{6}{c}{not run} \\\\",
            "Age & LLFT & \\multicolumn{6}{c}{not run} \\\\",
            "  & DiffGda & \\multicolumn{6}{c}{not run} \\\\",
            "  & FairPrune & \\multicolumn{6}{c}{not run} \\\\",
            "  & DiffPrune & \\multicolumn{6}{c}{not run} \\\\",
            "  & BMFT & \\multicolumn{6}{c}{not run} \\\\",
            "  & SWiFT & \\underline{0.790}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} & \\underline{0.790}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} \\\\",
        ]
    )


def test_a_table_of_one_test_set(made):
    assert tabular(made["table-8"]) == snapshot(
        [
            "\\begin{tabular}{llccc}",
            "\\toprule",
            " & & \\multicolumn{3}{c}{Neutral hospital} \\\\",
            "\\cmidrule(lr){3-5}",
            "Attr. & Method & AUC $\\uparrow$ & SPD $\\downarrow$ & EOdds $\\downarrow$ \\\\",
            "\\midrule",
            "  & Without step 2 & \\underline{0.790}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} \\\\",
            "Skin tone & Without step 1 & \\multicolumn{3}{c}{not run} \\\\",
            "  & SWiFT (both steps) & \\textbf{0.800}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} \\\\",
            "\\midrule",
            " & & \\multicolumn{3}{c}{Neutral hospital} \\\\",
            "\\cmidrule(lr){3-5}",
            "  &   & AUC $\\uparrow$ & SPD $\\downarrow$ & EOdds $\\downarrow$ \\\\",
            "\\midrule",
            "  & Without step 2 & \\multicolumn{3}{c}{not run} \\\\",
            "Gender & Without step 1 & \\multicolumn{3}{c}{not run} \\\\",
            "  & SWiFT (both steps) & \\multicolumn{3}{c}{not run} \\\\",
        ]
    )


def test_a_table_of_more_than_two_groups(made):
    assert tabular(made["table-5"])[-12:] == snapshot(
        [
            "\\cmidrule(lr){3-5}",
            "  &   & Overall AUC $\\uparrow$ & Min AUC $\\uparrow$ & Gap AUC $\\downarrow$ \\\\",
            "\\midrule",
            "Age & Baseline & \\textbf{0.800}{\\scriptsize$\\pm$0.000} & \\textbf{0.800}{\\scriptsize$\\pm$0.000} & \\textbf{0.100}{\\scriptsize$\\pm$0.000} \\\\",
            "  & SWiFT & \\underline{0.790}{\\scriptsize$\\pm$0.000} & \\underline{0.790}{\\scriptsize$\\pm$0.000} & \\underline{0.110}{\\scriptsize$\\pm$0.000} \\\\",
            "\\midrule",
            " & & \\multicolumn{5}{c}{Neutral hospital: AUC of each group $\\uparrow$} \\\\",
            "\\cmidrule(lr){3-7}",
            "  &   & 18-34 & 35-49 & 50-65 & 66-77 & 78-90 \\\\",
            "\\midrule",
            "Age & Baseline & 0.900{\\scriptsize$\\pm$0.000} & 0.800{\\scriptsize$\\pm$0.000} & 0.700{\\scriptsize$\\pm$0.000} & 0.600{\\scriptsize$\\pm$0.000} & 0.500{\\scriptsize$\\pm$0.000} \\\\",
            "  & SWiFT & 0.900{\\scriptsize$\\pm$0.000} & 0.800{\\scriptsize$\\pm$0.000} & 0.700{\\scriptsize$\\pm$0.000} & 0.600{\\scriptsize$\\pm$0.000} & 0.500{\\scriptsize$\\pm$0.000} \\\\",
        ]
    )


def test_a_table_speaks_of_the_sets_that_it_shows(some, made):
    """Table 5 shows the first test set alone, though every image of the others is predicted as one class."""
    degenerate = {name: {"degenerate": True} for name in ("ood_reversed", "val")}
    found = [changed(item, scores=degenerate) for item in some["phantom_cxr_age_groups"]]
    text = written(twins(phantom_cxr_age_groups=found))["table-5"]
    assert "Neutral hospital: 500 images" in text
    for word in ("Reversed", "reversed", "val ", r"$^\dagger$"):
        assert word not in text
    assert "Reversed hospital: 200 images" in made["table-3"]


def test_no_spec_and_no_name_of_a_plugin_is_printed(made):
    for text in made.values():
        body = text.partition(r"\par\vspace")[2]
        for word in (*TEN, "ood", "swift:", "phantom-", "resnet50", r"\_"):
            assert word not in body


def test_every_set_of_the_paper_has_a_name_and_every_method_but_baseline_a_key():
    for name in ("skin-tone", "skin-gender", "cxr-gender", "cxr-age"):
        task = TASKS[name]
        for known in (task.source.dataset, *task.ood, *task.backbones):
            assert display_name(known) != known
    assert set(CITED) == {*TEN} - {"baseline"}
    assert display_name("my_own set") == "my own set"


def test_without_notes_the_caption_says_what_a_reader_must_know(some):
    found = [changed(item, scores={"ood_neutral": {"degenerate": True}}) for item in some["phantom_cxr_age"]]
    text = written(twins(phantom_cxr_age=found), ("plain", "cite"))["table-3"]
    assert "minipage" not in text
    assert text.splitlines()[4] == snapshot(
        "\\caption{\\textbf{SYNTHETIC PHANTOM DATA: these numbers say nothing about patients.} The ten methods: gender and age; small backbone, trained on phantoms. Laid out as Table 3 of Yan et al., MELBA 2025:015. Mean $\\pm$ std over 2 folds (ddof 1). Bold: best; underlined: second best of a column, ranked on three decimals; ties share the mark. $^\\dagger$ Not ranked, nearly every image predicted as the same class; a small gap there means nothing.}"
    )
    assert r"& SWiFT~\cite{yan2025swift} & " in text
    assert r"& Baseline & " in text


def test_each_key_of_a_citation_is_that_of_an_entry():
    """A key is the surname of the first author, the year, and the first word of the title that tells something."""
    text = (Path(__file__).parents[2] / "docs/references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", text, re.M | re.S))
    assert set(entries) == set(CITED.values())
    for key, entry in entries.items():
        fields = {name: value.strip("{},") for name, value in re.findall(r"^  (\w+) = (.*)$", entry, re.M)}
        words = re.findall(r"[a-z]+", fields["title"].lower().replace("is last", "last"))
        assert key == fields["author"].partition(",")[0].lower() + fields["year"] + words[0]


@needs_latex
@pytest.mark.parametrize("latex", [(), ("plain", "cite")])
def test_no_line_is_too_wide(some, latex, tmp_path):
    found = written(twins(**{**some, "phantom_cxr_age": cells("phantom-cxr-age", *TEN)}), latex)
    files = [tmp_path / f"{name}.tex" for name in found]
    for file, text in zip(files, found.values(), strict=True):
        file.write_text(text)
    compile_tables(files, tmp_path)


def test_the_main_table_begins_with_the_table_and_can_be_without_notes():
    found = task_results("phantom-cxr-age", cells("phantom-cxr-age", "baseline", "swift"))
    text = table("main", found)["tex"]
    assert text.splitlines()[:3] == [r"% \usepackage{booktabs,graphicx}", "", r"\begin{table*}[t]"]
    assert "Neutral hospital (n 200)" in text
    assert "ood" not in text
    bare = dataclasses.replace(found, info=dataclasses.replace(found.info, latex=("plain",)), known={})
    plain = table("main", bare)["tex"]
    assert "minipage" not in plain
    assert "sloppy" in text
    assert "sloppy" not in plain


def test_the_images_of_a_fold_stand_beside_those_of_the_paper():
    found = [
        changed(item, data={"train": (46_000 + item.cell.fold, "train"), "external": (3_500, "external")})
        for item in cells("skin-tone", "baseline", "swift")
    ]
    text = table("table-1", task_results("skin-tone", found))["tex"]
    assert lines_with(text, "Images of a fold") == snapshot(
        [
            "Images of a fold: training 46000 to 46001 (paper 45489), validation 200 (paper 11374), external 3500 (paper 3600).\\\\"
        ]
    )
    own = [changed(item, data={"train": (1_500, "train")}) for item in cells("phantom-cxr-age", "swift")]
    text = table("table-7", task_results("phantom-cxr-age", own))["tex"]
    assert lines_with(text, "Images of a fold") == snapshot(
        ["Images of a fold: training 1500, validation 200, external 100.\\\\"]
    )
