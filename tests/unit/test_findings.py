"""Several labels in one task: what a file may say, one split of patients, one baseline, and a task for each finding."""

import json

import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.data.finding_columns import of_finding, with_stratum
from bench.data.set_lines import finding_lines
from bench.errors import BenchError, DataError, UnknownName
from bench.running.plan_file import expand
from bench.settings import Settings
from bench.share.task_toml import from_toml, to_toml
from bench.tasks import TASKS
from tests.unit.several_labels import LIST, hospital, own, read, several


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return hospital(tmp_path_factory.mktemp("hospital"))


def refusal(folder, labels, more=""):
    try:
        file = own(folder, labels, more)
        for spec in taskfile.each(file):
            read(spec, folder)
    except BenchError as error:
        return f"{error.exit_code}: {str(error).replace(str(folder), 'DIR')}"
    return "accepted"


def one_vs_rest(*values, more=""):
    return f'classes = {{ column = "dx", one_vs_rest = {json.dumps(values)}{more} }}'


BAD = {
    "one": several("Effusion"),
    "500": several(*(f"c{number}" for number in range(500))),
    "no list": 'labels = "Effusion"',
    "twice": several("Effusion", "Effusion"),
    "no such column": several("Effusion", "Edma"),
    "bad name": several("Effusion", "a,b"),
    "labels and classes": LIST + "\n" + one_vs_rest("mel", "bcc"),
    "no class": one_vs_rest("mel", "xyz"),
    "classes: unknown key": one_vs_rest("mel", "bcc", more=", colunm = 1"),
    "classes: no column": 'classes = { one_vs_rest = ["mel", "bcc"] }',
    "classes: no table": 'classes = ["mel"]',
    "equal": several("Effusion", "same"),
    "opposite": several("Effusion", "well"),
    "exclude each other": several("Effusion", "apart"),
    "the attribute": several("Effusion", "old_too"),
    "in one fold": several("Effusion", "rare"),
    "no positives": several("Effusion", "none"),
}
MORE = {
    "a column for all": '[label]\ncolumn = "Effusion"\nnames = ["no", "yes"]\n',
    "unknown key": '[label]\nuncertain = "-1"\n',
    "tie": '[source.tie]\nattribute = "old"\nodds = 4\n',
    "best epoch": '[recipe]\npretrain_checkpoint = "reference"\n'
    + """
pretrain_optimiser = "adam"\npretrain_lr = 1\npretrain_epochs = 1\noptimiser = "adam"\nlr_extractor = 1\nlr_head = 1
epochs = 2\nepsilon = 0.1\n""",
}
TABLE = {
    "coded alike": '[labels.a]\ncolumn = "Effusion"\n[labels.b]\ncolumn = "Effusion"\n',
    "case": '[labels.a]\ncolumn = "Effusion"\n[labels.A]\ncolumn = "Edema"\n',
    "no table": "[labels]\na = 1\nb = 2\n",
}


def test_labels_that_cannot_be_are_named_and_nothing_is_computed(folder):
    found = {name: refusal(folder, text) for name, text in BAD.items()}
    found |= {name: refusal(folder, LIST, text) for name, text in MORE.items()}
    found |= {name: refusal(folder, "", text) for name, text in TABLE.items()}
    assert found == snapshot(
        {
            "one": "2: DIR/own.toml: 1 findings given, 2 to 50 allowed; one is a table [label], and more are several tasks",
            "500": "2: DIR/own.toml: 500 findings given, 2 to 50 allowed; one is a table [label], and more are several tasks",
            "no list": "2: DIR/own.toml: labels: a list of columns expected, not Effusion",
            "twice": "2: DIR/own.toml: labels: Effusion is listed twice",
            "no such column": "3: DIR/films.csv: no column 'Edma': did you mean 'Edema'? it has: path, patient, site, old, Effusion, Edema, same, well, old_too, apart, rare, none, dx",
            "bad name": "2: DIR/own.toml: labels: 'a,b': a name of at most 50 letters, digits, spaces, '.', '-' and '_' expected, that begins with a letter or digit; a table [labels.NAME] gives a column another name",
            "labels and classes": "2: DIR/own.toml: `labels` and `classes` are given: delete one",
            "no class": "2: unknown value 'xyz' of column 'dx' in DIR/films.csv: allowed: bcc, mel, nv",
            "classes: unknown key": "2: unknown key 'colunm' of classes in DIR/own.toml: did you mean column? allowed: column, one_vs_rest, unknown",
            "classes: no column": "2: DIR/own.toml: classes: column missing",
            "classes: no table": '2: DIR/own.toml: classes: { column = "dx", one_vs_rest = ["mel", "bcc"] } expected, say',
            "equal": "2: findings Effusion and same are equal on all 180 images that have both labels; delete one",
            "opposite": "2: findings Effusion and well are each other's opposite on all 180 images that have both labels; delete one",
            "exclude each other": "2: findings Effusion and apart exclude each other: no image has both, where 21 would if they were independent. Leave one out (such as 'no finding', which follows from the others); classes of one column are `classes = { column = \"...\", one_vs_rest = [...] }`",
            "the attribute": "2: finding old_too and the attribute old coincide on all 180 images of the source: there is no image of one without the other; leave the finding out",
            "in one fold": "2: finding rare: 'rare' (1): its 2 images are in one fold only (0), so that the baseline of this fold would see none: leave the finding out, or take more images",
            "no positives": "2: finding none: 'none' (1) has no image in the source: correct its coding, or leave the finding out",
            "a column for all": "2: DIR/own.toml: [label] beside `labels`: how all labels are coded (such as one, zero, unknown), without `column`",
            "unknown key": "2: unknown key 'uncertain' in DIR/own.toml [labels.Effusion]: allowed: column, names, one, zero, rest, unknown, above, combine",
            "tie": "2: DIR/own.toml: labels: a tie ([source.tie]) is planted for one label; delete one of the two",
            "best epoch": "2: DIR/own.toml: labels: pretrain_checkpoint=reference chooses an epoch by the AUC of one label; with several only `last` is allowed",
            "coded alike": "2: DIR/own.toml: labels: b is coded as a: they coincide; delete one",
            "case": "2: DIR/own.toml: labels: a, A: two names differ only in case",
            "no table": "2: DIR/own.toml: labels: a: a table [labels.NAME] expected, or a list of columns",
        }
    )


GOOD = {
    "list": (LIST, ""),
    "coded alike": (LIST, '[label]\none = ["1"]\nzero = ["0"]\nnames = ["no", "yes"]\n'),
    "tables": ("", '[labels.Effusion]\n[labels."swollen lung"]\ncolumn = "Edema"\nnames = ["dry", "wet"]\n'),
    "classes": (one_vs_rest("mel", "bcc"), ""),
    "all classes": (one_vs_rest("mel", "bcc", "nv"), ""),
    "named classes": ('classes = { column = "dx", one_vs_rest = { cancer = ["mel", "bcc"], nevus = "nv" } }', ""),
}


@pytest.mark.parametrize("name", ["list", "coded alike", "tables", "classes", "all classes"])
def test_labels_that_can_be(folder, name):
    assert refusal(folder, *GOOD[name]) == "accepted"


def test_classes_of_one_column_that_are_each_others_opposite_are_one_question(folder):
    assert "each other's opposite" in refusal(folder, *GOOD["named classes"])


def test_each_class_stands_against_all_others(folder):
    table = pd.read_csv(folder / "films.csv")
    for name in ("mel", "bcc"):
        data = read(f"{own(folder, one_vs_rest('mel', 'bcc'))}:label={name}", folder)
        assert data.tables["source"]["y"].sum() == ((table["dx"] == name) & (table["site"] == "A")).sum()
        assert data.task.label.names == (f"no {name}", name)


def test_a_task_of_several_findings_is_a_run_of_each(folder):
    file = own(folder)
    assert taskfile.findings_of(file) == ("Effusion", "Edema")
    runs = expand(Settings(f"{file}:epochs=3", methods="swift"))
    assert [one.task for one in runs] == [f"{file}:label={name},epochs=3" for name in ("Effusion", "Edema")]
    assert [taskfile.resolve(one.task).name for one in runs] == [
        f"own:label={name},epochs=3" for name in ("Effusion", "Edema")
    ]
    assert taskfile.resolve(taskfile.vary(runs[1].task, "external", 0.2)).finding == "Edema"
    assert taskfile.each("phantom-cxr-age:epochs=3") == ["phantom-cxr-age:epochs=3"]


def test_a_finding_must_be_named_where_one_is_needed(folder):
    said = []
    for spec in (own(folder), f"{own(folder)}:label=Edma", "phantom-cxr-age:label=Edema"):
        with pytest.raises(BenchError) as error:
            taskfile.resolve(spec)
        said.append(str(error.value).replace(str(folder), "DIR"))
    assert said == snapshot(
        [
            "DIR/own.toml asks about 2 findings (Effusion, Edema): name one, as in --task 'DIR/own.toml:label=Effusion'",
            "unknown finding 'Edma' of DIR/own.toml: did you mean Edema? allowed: Effusion, Edema",
            "phantom-cxr-age:label=Edema: label=Edema: the task has one label; leave it out",
        ]
    )


def test_the_task_of_a_finding_survives_its_toml(folder):
    task = taskfile.resolve(f"{own(folder)}:label=Edema")
    again = from_toml(to_toml(task), "here")
    assert (again, again.finding) == (task, "Edema")


def test_findings_share_one_split_of_patients_and_the_images_whose_label_is_known_are_theirs(folder):
    film = {name: read(f"{own(folder)}:label={name}", folder) for name in ("Effusion", "Edema")}
    tables = {name: one.tables["source"] for name, one in film.items()}
    assert len(tables["Edema"]) < len(tables["Effusion"]) == 180
    assert tables["Edema"].attrs["left_out"] == {"LABEL_MISSING": 180 - len(tables["Edema"])}
    of_patient = [table.groupby("patient")["fold"].agg(["min", "max"]) for table in tables.values()]
    assert (of_patient[0]["min"] == of_patient[0]["max"]).all()
    assert of_patient[0].loc[of_patient[1].index].equals(of_patient[1])
    assert film["Edema"].every["b"]["uid"].tolist() == film["Effusion"].every["b"]["uid"].tolist()
    rates = [table.groupby("fold")["y"].mean() for table in tables.values()]
    assert all(abs(rate[0] - rate[1]) < 0.05 for rate in rates)


def test_the_stratum_of_an_image_is_its_rarest_finding():
    labels = dict.fromkeys(("often", "rare"))
    codes = {"finding_often": [1, 1, 1, 0, 0, -1], "finding_rare": [0, 1, -1, 1, 0, -2]}
    assert with_stratum(pd.DataFrame(codes), labels)["y"].tolist() == [1, 2, 1, 2, 0, 0]


def test_why_a_label_is_not_known_is_counted():
    found = of_finding(pd.DataFrame({"finding_x": [1, 0, -1, -1, -3], "y": 0}), "x")
    assert found["y"].tolist() == [1, 0]
    assert found.attrs["left_out"] == {"LABEL_MISSING": 2, "LABEL_IMPOSSIBLE": 1}


def test_findings_are_counted_by_set_and_group(folder):
    data = read(f"{own(folder)}:label=Edema", folder)
    table = data.tables["b"]
    (line,) = finding_lines(data)
    old, positives = int(((table["a"] == 1) & (table["y"] == 1)).sum()), int(table["y"].sum())
    assert f"b {positives} of {len(table)} ({positives / len(table):.1%}: young {positives - old}, old {old})" in line
    assert line.endswith("a group has fewer than 10 images of a class: b") == (old < 10)


def test_rows_of_one_image_are_joined_finding_by_finding(tmp_path):
    hospital(tmp_path)
    table = pd.read_csv(tmp_path / "films.csv", dtype=str)
    again = table[table["path"] == "011.png"].assign(Effusion="1", Edema="1")
    first = table["path"] == "011.png"
    table.loc[first, ["Effusion", "Edema"]] = "0"
    pd.concat([table, again]).to_csv(tmp_path / "films.csv", index=False)
    with pytest.raises(DataError, match="differ in the label 'Effusion'"):
        read(f"{own(tmp_path)}:label=Edema", tmp_path)
    for combine, y in (("any", 1), ("all", 0)):
        data = read(
            f"{own(tmp_path, LIST, f'[label]{chr(10)}combine = {chr(34)}{combine}{chr(34)}')}:label=Edema", tmp_path
        )
        source = data.tables["source"]
        assert source.loc[source["path"] == "011.png", "y"].tolist() == [y]


def test_the_task_of_a_finding_survives_its_way_through_an_archive():
    for name in TASKS["phantom-cxr-findings"].labels:
        task = taskfile.resolve(f"phantom-cxr-findings:label={name}")
        assert from_toml(to_toml(task), "task.toml") == task
    with pytest.raises(UnknownName, match=r"finding 'nodulus' of task\.toml: did you mean nodule"):
        from_toml(to_toml(task).replace("label=nodule", "label=nodulus"), "task.toml")
