"""The paper's claims: which verdict follows from which values over folds, and that its own numbers are the printed ones."""

import io
from dataclasses import replace
from math import inf, isnan, nan

import pandas as pd
import pytest
from inline_snapshot import snapshot
from scipy import stats

from bench.reporting import artefacts
from bench.reporting.numbers.claim_tests import OTHERS, WEIGHTED, Claim, Place
from bench.reporting.numbers.claims import CLAIMS, RULES, as_claimed, findings, theirs
from bench.reporting.numbers.paper_layout import FIGURES, ITSELF, TWINS, layouts
from bench.reporting.numbers.published import everything
from bench.reporting.numbers.ranking import Row
from bench.scoring.statistics import interval_over_folds
from tests.factory import changed
from tests.latex import compile_tables, needs_latex
from tests.prose import sentences_with
from tests.unit.test_paper import TEN, cells, table, task_results, twins

PLACE = ["task", "backbone", "test_set", "metric"]
BY_KEY = {claim.key: claim for claim in CLAIMS}
PRINTED = list(everything()[["task", "backbone"]].drop_duplicates().itertuples(index=False, name=None))
LOWER = Claim("k", "1", "s", ("table-1",), "contrast", ("spd",), ("one",), ("other",))


def row(values, metric="spd", name="one", **more):
    by_fold = dict(enumerate(values))
    mean = sum(values) / len(values)
    return Row("small", name, name.title(), name, 0, "far", metric, by_fold, mean, n=len(values), **more)


def place(metric="spd", at="far", **rows):
    made = {(metric, name): one if isinstance(one, Row) else row(one, metric, name) for name, one in rows.items()}
    return Place("demo", "small", at, made, 5)


def verdict(claim, *places):
    (item,) = findings(claim, places)
    return item


def test_an_interval_is_the_one_whose_test_it_is():
    differences = [-0.02, -0.03, -0.01, -0.02, -0.02]
    # std .00707, se .00707 sqrt(1/5 + 1/4) = .00474, t of 4 degrees of freedom 2.776
    assert interval_over_folds(differences, 5) == pytest.approx((-0.03317, -0.00683), abs=1e-5)
    level = 2 * stats.t.sf(0.02 / (0.0070711 * 0.45**0.5), 4)
    assert interval_over_folds(differences, 5, level) == pytest.approx((-0.04, 0), abs=1e-5)
    for none in ([0.1], [0.1, 0.1, 0.1], [nan, 0.1]):
        assert all(map(isnan, interval_over_folds(none, 5)))


@pytest.mark.parametrize(
    ("one", "said", "why"),
    [
        ([0.10, 0.11, 0.09, 0.10, 0.10], "holds", ""),
        ([0.30, 0.31, 0.29, 0.30, 0.30], "does not hold", ""),
        ([0.10, 0.31, 0.09, 0.25, 0.10], "cannot be told", ""),  # the mean is .17, lower than .2
        ([0.10], "cannot be told", "no spread over folds"),
        ([0.10] * 5, "cannot be told", "no spread over folds"),
        ([nan] * 5, "cannot be told", "One: undefined"),
        (row([0.1, 0.11, 0.09, 0.1, 0.1], excluded="degenerate"), "cannot be told", "One: degenerate"),
        (row([0.1, 0.11, 0.09, 0.1, 0.1], excluded="suppressed"), "cannot be told", "One: suppressed"),
        (None, "not run", ""),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side(one, said, why):
    rows = {"other": [0.2] * 5} | ({} if one is None else {"one": one})
    item = verdict(LOWER, place(**rows))
    assert (item.verdict, item.why) == (said, why)
    if said == "holds":
        assert (item.estimate, item.relative, item.n) == pytest.approx((-0.1, -0.5, 5))


def test_only_folds_that_both_have_are_compared():
    item = verdict(LOWER, place(one=[0.1, 0.11, nan, 0.1], other=[0.2, 0.2, 0.9, 0.2, 0.9]))
    assert (item.n, item.estimate) == (3, pytest.approx((-0.1 - 0.09 - 0.1) / 3))


def test_directions_and_margins():
    higher = replace(LOWER, metrics=("auc",))
    assert verdict(higher, place("auc", one=[0.9, 0.91, 0.9, 0.9], other=[0.8] * 4)).verdict == "holds"
    lower = replace(higher, expects="lower")
    assert verdict(lower, place("auc", one=[0.9, 0.91, 0.9, 0.9], other=[0.8] * 4)).verdict == "does not hold"
    same = replace(higher, expects="same", margin=0.02)
    for by, said in ((0.001, "holds"), (0.04, "does not hold"), (-0.04, "does not hold"), (0.02, "cannot be told")):
        made = place("auc", one=[0.8 + by, 0.801 + by, 0.799 + by, 0.8 + by], other=[0.8] * 4)
        assert verdict(same, made).verdict == said
    assert LOWER.allows("spd") == (-inf, 0)
    assert replace(LOWER, margin=0.02).allows("auc") == (-0.02, inf)


def test_it_must_be_better_than_each_and_the_closest_is_named():
    claim = replace(LOWER, test="each", second=("two", "three"))
    low, near, noisy = [0.10, 0.11, 0.09, 0.10, 0.10], [0.12, 0.13, 0.11, 0.12, 0.121], [0.1, 0.3, 0.1, 0.4, 0.1]
    item = verdict(claim, place(one=low, two=[0.2] * 5, three=near))
    assert (item.verdict, item.why, item.reference) == ("holds", "One against Three", pytest.approx(0.1202))
    assert verdict(claim, place(one=low, two=[0.2] * 5, three=noisy)).verdict == "cannot be told"
    assert (
        verdict(claim, place(one=low, two=[0.2] * 5, three=[0.05, 0.06, 0.05, 0.05, 0.05])).verdict == "does not hold"
    )
    degenerate = row([0.0] * 5, name="three", excluded="degenerate")
    assert verdict(claim, place(one=low, two=[0.2] * 5, three=degenerate)).verdict == "holds"
    # Ahead at the level .05, but not at half of it: among two, one may be ahead by chance.
    ahead = [0.094, 0.089, 0.096, 0.089, 0.095]
    differences = [0.1 - value for value in ahead]
    assert interval_over_folds(differences, 5, 0.025)[0] < 0 < interval_over_folds(differences, 5, 0.05)[0]
    assert verdict(claim, place(one=[0.1] * 5, two=[0.2] * 5, three=ahead)).verdict == "cannot be told"
    assert verdict(replace(claim, second=("three",)), place(one=[0.1] * 5, three=ahead)).verdict == "does not hold"


def test_spread_trend_line_and_share():
    spread = replace(LOWER, test="spread", expects="higher")
    # Deviations of .08, .10, .10, .08 from .30, less deviations of .01.
    item = verdict(spread, place(one=[0.22, 0.40, 0.20, 0.38], other=[0.2, 0.22, 0.2, 0.22]))
    assert (item.verdict, item.estimate) == ("holds", pytest.approx(0.08))
    trend = replace(LOWER, test="trend", first=("external*0.2", "external*0.6", "swift"), second=())
    curve = {"external*0.2": [0.5, 0.51, 0.5], "external*0.6": [0.4, 0.42, 0.4], "swift": [0.3, 0.3, 0.31]}
    item = verdict(trend, place(**curve))
    assert (item.verdict, item.estimate) == ("holds", pytest.approx((-0.25 - 0.2625 - 0.2375) / 3))
    line = replace(
        LOWER, test="line", metrics=("cost",), first=("epochs*0.5", "swift", "epochs*2"), second=(), limit=0.05
    )
    straight = {"epochs*0.5": [5, 5], "swift": [10, 10.1], "epochs*2": [20, 20]}
    item = verdict(line, place("cost", "", **straight))
    assert (item.verdict, item.low, item.high) == ("holds", pytest.approx(0), pytest.approx(0.1 / 15))
    bent = straight | {"swift": [12, 11]}  # departures of 2/15 and 1/15
    assert verdict(line, place("cost", "", **bent)).verdict == "does not hold"
    assert verdict(line, place("cost", "", **straight | {"swift": [10, 11]})).verdict == "cannot be told"
    share = replace(line, test="share", metrics=("cost_share",), first=("swift",), limit=0.1)
    assert verdict(share, place("cost_share", "", swift=[0.09, 0.08])).verdict == "holds"
    assert verdict(share, place("cost_share", "", swift=[0.3, 0.3])).verdict == "does not hold"


def test_a_fold_does_not_choose_its_own_block():
    claim = replace(LOWER, test="peak", metrics=("mask",), first=(), second=(), expects="higher")
    item = verdict(claim, place("mask", "", head=[0.1, 0.1, 0.12], middle=[0.5, 0.6, 0.5]))
    assert (item.verdict, item.why) == ("holds", "middle in 3 of 3 folds")
    assert item.estimate == pytest.approx((0.2 + 0.25 + 0.19) / 3)
    # Each fold peaks elsewhere: with its own choice every lead would be positive.
    noise = place("mask", "", a=[0.9, 0.1, 0.1], b=[0.1, 0.91, 0.1], c=[0.1, 0.1, 0.9])
    assert verdict(claim, noise).estimate < 0
    assert verdict(claim, place("mask", "")).verdict == "not run"


def test_more_is_removed_where_more_is():
    claim = replace(LOWER, test="halves", expects="higher")
    made = [
        place(one=[0.05, 0.051, 0.049], other=[0.10, 0.10, 0.10]),  # a half is removed
        place(one=[0.06, 0.06, 0.06], other=[0.12, 0.12, 0.12]),
        place(one=[0.08, 0.08, 0.081], other=[0.40, 0.40, 0.40]),  # 80 %
        place(one=[0.10, 0.10, 0.10], other=[0.50, 0.50, 0.50]),
    ]
    item = verdict(claim, *made)
    assert (item.verdict, item.why, item.estimate) == ("holds", "4 places", pytest.approx(0.3, abs=1e-3))
    assert (verdict(claim, *made[:3]).verdict, verdict(claim, *made[:3]).why) == (
        "cannot be told",
        "fewer than 4 places",
    )
    assert verdict(claim, *(place() for _ in range(4))).verdict == "not run"


def test_the_claims_name_what_exists():
    known = {layout.name for layout in layouts()} | {*FIGURES}
    specs = {"baseline", *(spec for layout in layouts() for spec in layout.rows)}
    for claim in CLAIMS:
        assert set(claim.needs) <= known
        assert claim.test in {*WEIGHTED, *OTHERS}
        for name in (*claim.first, *claim.second):
            assert name in specs or name.split("*")[0] in ("epochs", "external") or "reset_share" in name, name
    assert set(RULES) == {claim.test for claim in CLAIMS} == {*WEIGHTED, *OTHERS}
    assert len(BY_KEY) == len(CLAIMS)


def test_the_papers_numbers_are_the_published_ones():
    """Every difference is made again from the CSV, by a way of its own."""
    numbers = everything().drop_duplicates([*PLACE, "key"])
    means = {here: part.set_index("key")["mean"] for here, part in numbers.groupby(PLACE)}
    checked = 0
    for claim in CLAIMS:
        if claim.test != "contrast":
            continue
        for item in theirs(claim, PRINTED):
            here = means[item.task, item.backbone, item.set, item.metric]
            first, second = (
                here[list({name.partition(",")[0] for name in names})].mean() for names in (claim.first, claim.second)
            )
            assert item.estimate == pytest.approx(first - second)
            assert item.relative == pytest.approx((first - second) / second)
            checked += 1
    assert checked == 11 * 16 + 2 + (16 + 3 * 2) + 4 * 3 * 2  # AUC of both kinds of tasks is in two claims
    # What the text says, where a table bears it out: 36.1 and 37.6 %, and 15.1 and 27.3 % against the best.
    spd = {item.set: item for item in theirs(BY_KEY["less-bias"], [("skin-tone", "resnet50")]) if item.metric == "spd"}
    assert [round(100 * spd[name].relative, 1) for name in ("fitzpatrick17k", "ddi")] == [-36.1, -37.6]
    best = [item for item in theirs(BY_KEY["best"], [("skin-tone", "resnet50")]) if item.metric == "eodds"]
    assert [(round(100 * one.relative, 1), one.why.partition(":")[0]) for one in best] == [
        (-15.0, "SWiFT against LLFT"),
        (-27.3, "SWiFT against LLFT"),
    ]
    assert all(map(as_claimed, best))
    assert {item.verdict for item in best} == {"cannot be told"}  # it prints no folds, and so no interval


def test_the_table_of_the_twins():
    found = cells("phantom-cxr-age", *TEN, folds=3)
    root = twins(phantom_cxr_age=found)["phantom-cxr-age"]
    made = table("claims", root, artefacts.of_paper(root, TWINS))
    read = pd.read_csv(io.StringIO(made["csv"]), keep_default_na=False)
    assert set(read["claim"]) == set(BY_KEY)
    assert set(read[read["task"] == "phantom-skin-sex"]["verdict"]) == {"not run"}
    # Fabricated folds are all alike: no spread, so nothing is told of them.
    assert set(read[(read["task"] == "phantom-cxr-age") & (read["claim"] == "best")]["verdict"]) == {"cannot be told"}
    assert all("SYNTHETIC" in made[kind] for kind in ("md", "tex"))
    assert set(read["paper"]) == {""}  # patients are not beside phantoms
    lines = sentences_with(made["md"], "| less-bias |")
    assert [line.split(" | ", 2)[-1] for line in lines[1::2]] == snapshot(
        [
            "EOdds | as claimed in 15 of 16, median −0.011 (−41 %) | cannot be told in 2, not run in 6 of 8, median +0.090 (+90 %) |",
            "phantom-cxr-age, small, ood\\_reversed | cannot be told (no spread over folds) | +0.090 | – | – | – | – | 3 |",
            "phantom-cxr-age, small, ood\\_reversed | cannot be told (no spread over folds) | +0.090 | – | – | – | – | 3 |",
        ]
    )


@needs_latex
def test_the_table_compiles_without_a_line_that_is_too_long(tmp_path):
    root = twins(phantom_cxr_age=cells("phantom-cxr-age", *TEN))["phantom-cxr-age"]
    (tmp_path / "claims.tex").write_text(table("claims", root, artefacts.of_paper(root, TWINS))["tex"])
    compile_tables([tmp_path / "claims.tex"], tmp_path)
    log = (tmp_path / "page.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "too large" not in log


def test_the_papers_number_of_a_place_is_beside_that_of_real_data():
    found = cells("cxr-age", *TEN, folds=2, backbone="resnet50")
    known: dict = {}
    for name in ITSELF:
        task_results(name, found if name == "cxr-age" else [], known)
    root = known["cxr-age"]
    for every in (artefacts.of_paper(root, ITSELF), artefacts.artefacts(root)):
        read = pd.read_csv(io.StringIO(table("claims", root, every)["csv"]))
        line = read[(read["claim"] == "less-bias") & (read["set"] == "chexpert") & (read["metric"] == "eodds")]
        line = line[(line["task"] == "cxr-age") & (line["backbone"] == "resnet50")]
        assert line["paper"].tolist() == pytest.approx([0.025 - 0.051])
        assert line["estimate"].tolist() == pytest.approx([0.09])  # SWiFT is the tenth method of `cells`


@pytest.mark.parametrize(
    ("cost", "data", "said"),
    [
        # (300 forward + 2 * 150 backward) / 3 are 200 images of training; six epochs of 100 images are 600.
        ({}, {"train": (100, "t")}, "does not hold"),
        ({"pretraining_images": 4000}, {"train": (100, "t")}, "holds"),
        ({}, {}, "cannot be told"),
    ],
)
def test_pre_training_is_that_of_the_baseline_of_a_fold(cost, data, said):
    given = {"baseline": cost, "swift": {"images_forward": 300, "images_backward": 150}}
    found = [
        changed(item, cost=given[item.cell.spec], data=data) for item in cells("phantom-cxr-age", "baseline", "swift")
    ]
    root = task_results("phantom-cxr-age", found)
    read = pd.read_csv(io.StringIO(table("claims", root)["csv"])).set_index("claim")
    assert read.loc["tenth", "verdict"] == said
    if said != "cannot be told":
        assert read.loc["tenth", "high"] == pytest.approx(200 / cost.get("pretraining_images", 600))
        assert read.loc["small-set", "high"] == pytest.approx(1)  # 100 external images


def test_few_images_of_a_group_withhold_what_tells_their_number():
    few = {"up to 65": (75, 3), "over 65": (75, 25)}
    found = [
        changed(item, data={"train": (100, "t")}) for item in cells("phantom-cxr-age", "baseline", "swift", groups=few)
    ]
    made = table("claims", task_results("phantom-cxr-age", found, min_cell=10))
    read = pd.read_csv(io.StringIO(made["csv"]))
    hidden = read[read["metric"].isin(["cost_share", "external_share", "spd", "eodds"])]
    assert hidden["estimate"].isna().all()
    assert "swift: suppressed" in made["md"]
