"""Further attributes and crossings: what they read, what they compare, what they leave out, and that no cell moves."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Attribute
from bench.cells.further_groups import groups_of, read_groups, write_groups
from bench.cells.predictions import Scored
from bench.data.attributes import crossed
from bench.data.task_data import task_data
from bench.errors import BenchError
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.further import LEAST, claims_of, hidden, measured, questions, with_groups
from bench.reporting.numbers.patient_intervals import over_patients
from bench.reporting.numbers.redraws import bootstrap_patients
from bench.reporting.tables import further_table
from bench.running.plan import plan
from bench.settings import Settings
from bench.share.read_export import _attributes_in
from tests.factory import record, scores, task_info
from tests.unit.fabricated import task_results
from tests.unit.group_task import TOML

AGE = '[attribute]\ncolumn = "age"\nnames = ["up to 65", "over 65"]\nabove = 65\n'
SEX = '[also.sex]\ncolumn = "female"\nnames = ["male", "female"]\n'
OLD = '[also.old]\ncolumn = "age"\nnames = ["young", "old"]\nabove = 65\n'


def read_task(folder, text):
    top, tables = ("", text) if text.startswith("[") else text.split("\n", 1)
    (folder / "own.toml").write_text(top + "\n" + TOML.removesuffix("[attribute]\n") + tables)
    return taskfile.resolve(str(folder / "own.toml"))


def task(sex=True, **changes):
    one = Attribute(column="female", names=("male", "female"), **changes)
    return dataclasses.replace(taskfile.resolve("phantom-cxr-age"), also={"sex": one} if sex else {})


# --- what a task file may say -------------------------------------------------------------------


def refusal(folder, text):
    try:
        task_data(read_task(folder, text), None)
    except BenchError as error:
        return f"{error.exit_code}: {str(error).replace(str(folder), 'DIR')}"
    return "accepted"


BAD = {
    "coded alike": AGE + SEX + OLD,
    "coincide": AGE + SEX + OLD.replace("65", "65.5"),
    "coincide, both further": AGE + OLD.replace("65", "40") + OLD.replace("65", "40.5").replace("also.old", "also.o2"),
    "named as the attribute": AGE + SEX.replace("also.sex", "also.age"),
    "bad name": AGE + SEX.replace("also.sex", 'also."a/b"'),
    "no column": AGE + SEX.replace("female", "femal", 1),
    "misspelt value": AGE + SEX + 'one = ["1"]\nzero = ["7"]\n',
    "unknown key": AGE + SEX + "colum = 1\n",
    "not a table": 'also = "sex"\n' + AGE,
    "crossing of an unknown one": '[attribute]\ncross = ["sex", "tone"]\n' + SEX,
    "crossing of one": '[attribute]\ncross = ["sex"]\n' + SEX,
    "crossing with another coding": '[attribute]\ncross = ["sex", "old"]\nabove = 3\n' + SEX + OLD,
    "crossing with an empty group": '[attribute]\ncross = ["old", "o2"]\n'
    + OLD
    + OLD.replace("also.old", "also.o2").replace("65", "40"),
    "measured crossing": AGE + SEX + '[also.both]\ncross = ["sex", "sex"]\n',
    "primary attribute": AGE + "primary = true\n",
    "no attribute": "[attribute]\nabove = 3\n",
}


def test_attributes_that_cannot_be_are_named_and_nothing_is_computed(tmp_path):
    assert {name: refusal(tmp_path, text) for name, text in BAD.items()} == snapshot(
        {
            "coded alike": "2: DIR/own.toml: [also.old]: it is coded as the mitigated attribute: they coincide; delete one",
            "coincide": "2: [also.old] and [attribute] coincide: they divide the images in the same way; delete one",
            "coincide, both further": "2: [also.old] and [also.o2] coincide: they divide the images in the same way; delete one",
            "named as the attribute": "2: DIR/own.toml: [also.age]: the mitigated attribute is called 'age': choose another name",
            "bad name": "2: DIR/own.toml: [also.a/b]: a name of at most 30 letters, digits, '-' and '_' expected, that begins with a letter and is not 'x'",
            "no column": "3: [also.sex]: the table of Phantom: no column 'femal': did you mean 'female'? it has: uid, path, patient, source, drop, age, pneumothorax, melanoma, non_melanoma, female, fst, dark",
            "misspelt value": "2: unknown value '7' of column 'female' in [also.sex]: allowed: 0, 1",
            "unknown key": "2: unknown key 'colum' in DIR/own.toml [also.sex]: did you mean column? allowed: column, names, one, zero, rest, unknown, above, cross, primary, cuts, values",
            "not a table": "2: DIR/own.toml: also: a table for each attribute expected, [also.NAME]",
            "crossing of an unknown one": "2: DIR/own.toml: unknown attribute 'tone' in `cross`; describe it in a table [also.NAME]: allowed: sex",
            "crossing of one": "2: DIR/own.toml: cross = ['sex']: two or more different attributes of [also.NAME] expected",
            "crossing with another coding": "2: DIR/own.toml [attribute]: cross: its groups are those of the attributes that it names; give no other coding",
            "crossing with an empty group": "2: cross = ['old', 'o2']: no image of the source is in 'old / young': join groups of the attributes, or cross fewer",
            "measured crossing": "2: DIR/own.toml: [also.both]: crossings of two attributes are measured anyway; leave out `cross`",
            "primary attribute": "2: DIR/own.toml: primary: the mitigated attribute is primary anyway; it is a key of [also.NAME]",
            "no attribute": "2: DIR/own.toml [attribute]: column, names missing",
        }
    )


def test_a_crossing_is_the_attribute_that_is_mitigated(tmp_path):
    found = read_task(tmp_path, '[attribute]\ncross = ["sex", "old"]\n' + SEX + OLD)
    assert found.attribute.names == ("male / young", "male / old", "female / young", "female / old")
    assert found.attribute.grouped
    assert found.attribute.column == "sex x old"
    table = task_data(found, None).tables["source"]
    assert (table["a"] == 2 * table["also_sex"] + table["also_old"]).all()
    assert table["a"].nunique() == 4


def test_crossed_codes_count_the_last_attribute_fastest_and_know_what_is_not_known():
    codes = [np.array([0, 0, 1, 1, -1, 0]), np.array([0, 2, 0, 2, 1, -1])]
    assert crossed(codes, (2, 3)).tolist() == [0, 2, 3, 5, -1, -1]


def test_further_attributes_change_no_cell(tmp_path):
    settings = Settings(
        str(tmp_path / "own.toml"), tmp_path / "results", tmp_path / "cache", None, methods="swift,llft"
    )
    hashes = []
    for text in (AGE, AGE + SEX, AGE + SEX + OLD.replace("65", "40")):
        data = task_data(read_task(tmp_path, text), None)
        hashes.append([(one.cell, one.hash, one.origin) for one in plan(data, settings)])
    assert len(hashes[0]) == 15
    assert hashes[0] == hashes[1] == hashes[2]


def test_groups_beside_the_cells_are_read_as_they_were_written(tmp_path):
    also = read_task(tmp_path, AGE + SEX)
    groups = groups_of(task_data(also, None).tables, also)
    write_groups(tmp_path / "groups.parquet", groups, also)
    found = read_groups(tmp_path / "groups.parquet", also)
    assert found is not None
    pd.testing.assert_frame_equal(found, groups)
    other = dataclasses.replace(also, also={"sex": dataclasses.replace(also.also["sex"], column="dark")})
    assert list(read_groups(tmp_path / "groups.parquet", other)) == [], "another coding is not that of the file"
    assert read_groups(tmp_path / "none.parquet", also) is None
    (tmp_path / "groups.parquet").write_bytes(b"PAR1")
    with pytest.raises(BenchError, match="damaged"):
        read_groups(tmp_path / "groups.parquet", also)


# --- what is measured ---------------------------------------------------------------------------

N = 480
DRAWN = np.random.default_rng(0)
IMAGES = pd.DataFrame(
    {
        "image_id": [f"phantom:{n}" for n in range(N)],
        "set": "near",
        "cluster": np.arange(N) // 2,
        "y": DRAWN.integers(0, 2, N),
        "a": DRAWN.integers(0, 2, N),
    }
)
SEXES = pd.Series(DRAWN.integers(0, 2, N), IMAGES["image_id"])
LOGITS = {
    (method, fold): DRAWN.normal(size=N) + 2.2 * IMAGES["y"].to_numpy() - 1.1 + tied * (SEXES.to_numpy() - 0.5)
    for method, tied in (("baseline", 1.5), ("swift", 0.3))
    for fold in range(3)
}
INFO = task_info("phantom-cxr-age", ood=("near",), group_names=("up to 65", "over 65"))


def counts(column):
    return {
        name: (int(((column == code) & (IMAGES["y"] == 0)).sum()), int(((column == code) & (IMAGES["y"] == 1)).sum()))
        for code, name in enumerate(INFO.group_names)
    }


CELLS = [record(m, f, task="phantom-cxr-age", scores={"near": scores(counts(IMAGES["a"]), auc=0.8)}) for m, f in LOGITS]


def predicted(sexes):
    groups = pd.DataFrame({"a_sex": sexes}).rename_axis("image_id")
    return with_groups(lambda item: Scored(IMAGES, LOGITS[item.cell.spec, item.cell.fold]), groups)


def ask(sexes=SEXES, info=INFO, gone=None, **changes):
    asked = questions(task(**changes), info, CELLS, predicted(sexes), gone or {})
    return {one.asked.attribute: one for one in asked}


def eodds_by_hand(logit, group, number):
    """Mean of the ranges of TPR and FPR over the groups, counted image by image."""
    ranges = []
    for label in (0, 1):
        rates = [
            np.mean([z > 0 for z, y, g in zip(logit, IMAGES["y"], group, strict=True) if (y, g) == (label, k)])
            for k in range(number)
        ]
        ranges.append(max(rates) - min(rates))
    return sum(ranges) / 2


def test_the_gap_of_a_further_attribute_and_of_the_crossing_are_those_counted_by_hand():
    found = ask()
    assert list(found) == ["sex", "age x sex"]
    both = 2 * IMAGES["a"].to_numpy() + SEXES.to_numpy()
    assert found["age x sex"].asked.groups[1:3] == ("up to 65 / female", "over 65 / male")
    for name, group, number in (("sex", SEXES.to_numpy(), 2), ("age x sex", both, 4)):
        results = found[name].results
        for row in results.column("small", "near", "eodds"):
            by_hand = [eodds_by_hand(LOGITS[row.spec, fold], group, number) for fold in range(3)]
            assert list(row.values.values()) == pytest.approx(by_hand)


def test_its_differences_are_those_of_a_task_that_mitigates_it():
    """The same estimand and the same bootstrap samples as for the attribute of a task."""
    found = ask()["sex"].tested(0)
    images = IMAGES.assign(a=SEXES.to_numpy())
    info = dataclasses.replace(INFO, group_names=("male", "female"), columns=("auc", "eodds"), part="other")
    drawn = bootstrap_patients(CELLS, info, lambda item: Scored(images, LOGITS[item.cell.spec, item.cell.fold]))
    sexes = {name: counts(SEXES.to_numpy())[old] for name, old in zip(info.group_names, INFO.group_names, strict=True)}
    values = {key: eodds_by_hand(logit, SEXES.to_numpy(), 2) for key, logit in LOGITS.items()}
    cells = [
        record(m, f, task="phantom-cxr-age", scores={"near": scores(sexes, auc=0.8, eodds=value)})
        for (m, f), value in values.items()
    ]
    direct = over_patients(collect(cells, [], info), drawn)
    for ours, theirs in zip(
        found.column("small", "near", "eodds"), direct.column("small", "near", "eodds"), strict=True
    ):
        assert (ours.difference, ours.ci_low, ours.ci_high, ours.p) == pytest.approx(
            (theirs.difference, theirs.ci_low, theirs.ci_high, theirs.p), nan_ok=True
        )
    swift = found.column("small", "near", "eodds")[1]
    assert swift.ci_high < 0, "what ties predictions to sex is weaker in SWiFT"
    assert not swift.supported, "exploratory"


def test_small_groups_are_left_out_of_a_crossing_and_named():
    few = SEXES.copy()
    positions = np.flatnonzero((IMAGES["a"] == 1) & (SEXES.to_numpy() == 1) & (IMAGES["y"] == 1))
    few.iloc[positions[LEAST - 1 :]] = 0  # so that 9 positives are left
    both = ask(few)["age x sex"].asked
    assert both.left_out == ("over 65 / female",)
    assert both.fewest == LEAST - 1
    few.iloc[positions[LEAST - 2]] = few.iloc[positions[LEAST - 1]] = 1
    assert ask(few)["age x sex"].asked.left_out == ()


def test_images_of_no_known_group_are_counted_and_compared_in_no_gap():
    some = SEXES.copy()
    some.iloc[:30] = -1
    one = ask(some)["sex"]
    assert one.asked.unknown == 30
    known = some.to_numpy() >= 0
    row = one.results.column("small", "near", "eodds")[0]
    assert row.values[0] == pytest.approx(eodds_by_hand(LOGITS["baseline", 0], np.where(known, some, 9), 2))
    assert ask(pd.Series(-1, SEXES.index))["sex"].asked.why == "not known of any image"


@pytest.mark.parametrize(("unknown", "why"), [(0, ""), (3, "suppressed")])
def test_a_limit_suppresses_an_attribute_with_few_images_of_a_stratum(unknown, why):
    """Those without a group are a stratum, and so are those of a known sex without a known age."""
    some = SEXES.copy()
    some.iloc[:unknown] = -1
    found = ask(some, dataclasses.replace(INFO, min_cell=5))
    assert {one.asked.why for one in found.values()} == {why}
    assert all(one.asked.fewest == 0 for one in found.values() if why), "no count is told"
    assert ask(gone={"near": frozenset({"eodds"})})["sex"].asked.why == "suppressed"


def test_a_reader_of_an_export_can_suppress_more():
    one = ask()["sex"].asked
    assert hidden(one, {}, one.fewest) == one
    assert hidden(one, {}, one.fewest + 1).why == "suppressed"
    assert not hidden(one, {}, one.fewest + 1).groups
    assert hidden(one, {"near": frozenset()}, 0).why == "suppressed"


def test_an_export_that_names_an_attribute_twice_is_refused():
    one = {"set": "near", "attribute": "sex", "kind": "measured"}
    assert len(_attributes_in(json.dumps([one, one | {"attribute": "tone"}]).encode())) == 2
    for wrong in ([one, one], [one, one | {"set": "far", "attribute": "tone"}], [one | {"unknown": "x"}], {}):
        with pytest.raises(BenchError, match=r"attributes\.json"):
            _attributes_in(json.dumps(wrong).encode())


def test_a_primary_attribute_joins_the_one_family_of_claims():
    one = ask(primary=True)["sex"]
    assert {place[3] for place in one.family} == {"swift"}
    tested = one.tested(3)
    (p,) = claims_of(one, tested).values()
    main = collect(CELLS, [], INFO)
    line = measured(main, task(primary=True), [(one, tested)], [0.9, 0.8])[1].lines[1]
    assert line.p == p
    assert line.p_holm == pytest.approx(3 * p)
    assert line.supported
    assert ask()["sex"].family == set()


def test_the_table_says_what_it_compares():
    results = task_results(CELLS, [], INFO)
    object.__setattr__(results, "groups", pd.DataFrame({"a_sex": SEXES}))
    results.__dict__["scored"] = predicted(SEXES)
    files = further_table.files(results)
    assert files["md"] == snapshot("""\
# phantom-cxr-age: what mitigating age did to other attributes

**SYNTHETIC PHANTOM DATA: these numbers say nothing about patients.**

## near

| method | age EOdds ↓ | age change | age 95 % interval | sex EOdds ↓ | sex change | sex 95 % interval | age x sex EOdds ↓ | age x sex change | age x sex 95 % interval |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| Baseline | 0.500 ± 0.000 | – | – | 0.321 ± 0.026 | – | – | 0.364 ± 0.028 | – | – |
| SWiFT | 0.500 ± 0.000 | +0.000 | −0.088 to +0.078 | 0.067 ± 0.024 | −0.254 | −0.325 to −0.200 | 0.112 ± 0.029 | −0.251 | −0.381 to −0.138 |

## How to read this

- Methods mitigate age and nothing else: no model was trained for this table.
- EOdds: mean ± std over 3 folds (ddof 1). Change: difference to Baseline; 95 % intervals over patients, from the same bootstrap samples as in the main table.
- Gaps of age belong to the claims of the task (\\*: supported). All others are exploratory: their intervals are not adjusted for the number of attributes.
- § Levelled down: a smaller gap, because a group lost and none gained.
- age: on near up to 65 and over 65.
- sex: on near male and female.
- age x sex: on near up to 65 / male, up to 65 / female, over 65 / male and over 65 / female.
""")
    assert len(files["csv"].splitlines()) == 1 + 3 * 2
    assert r"\caption{\textbf{SYNTHETIC" in files["tex"]
