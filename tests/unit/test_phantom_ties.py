"""The ties of the built-in phantoms: their seeds are those of the rule, and the doctor prints planted beside found."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from scipy.stats.contingency import odds_ratio

from bench import cli, registry
from bench.data.phantom_tree import write_trees
from bench.doctor.ties import log_odds_ratio, planted_ties, ties
from bench.tasks import TASKS
from tests.prose import plain

NOWHERE = Path("/nowhere")
PHANTOMS = sorted(
    {
        rows.dataset
        for task in TASKS.values()
        for rows in (task.source, *task.ood.values())
        if "phantom:" in rows.dataset
    }
)


def found_ties(spec):
    dataset = registry.DATASETS.build(spec)
    return ties(dataset, dataset.table(NOWHERE), dataset.planted())


def within_one_error(spec):
    return all(abs(tie["found"] - tie["planted"]) <= tie["error"] for tie in found_ties(spec))


def smallest_seed(spec):
    """Return the smallest seed with which every tie lies within one standard error of what is planted."""
    return next(seed for seed in itertools.count() if within_one_error(re.sub(r"seed=\d+", f"seed={seed}", spec)))


@pytest.mark.parametrize("spec", PHANTOMS)
def test_the_seed_of_a_built_in_phantom_is_the_smallest_one_of_the_rule(spec):
    assert int(re.search(r"seed=(\d+)", spec)[1]) == smallest_seed(spec)


def test_the_rule_looks_at_every_pair_of_the_label_and_the_attributes():
    pairs = [tie["tie"] for tie in found_ties("phantom:family=skin,tied=sex")]
    assert pairs == [
        "melanoma x age>65",
        "melanoma x female",
        "melanoma x dark",
        "age>65 x female",
        "age>65 x dark",
        "female x dark",
    ]
    planted = {tie["tie"]: tie["planted"] for tie in found_ties("phantom:family=skin,tied=sex")}
    assert planted.pop("melanoma x female") == 2.0
    assert set(planted.values()) == {0.0}
    assert {tie["planted"] for tie in found_ties("phantom:tied=age,log_odds=-1.0")} == {-1.0, 0.0}


def test_the_rule_refuses_the_seed_whose_label_is_tied_to_sex_by_chance():
    assert not within_one_error("phantom:family=skin,hospital=source,images=2400,tied=tone,seed=0")


def test_log_odds_ratio_is_that_of_scipy_and_undefined_without_one_of_the_four():
    x, y = np.random.default_rng(0).integers(2, size=(2, 300)).astype(float)
    x[:20] = np.nan
    table = pd.crosstab(x[20:], y[20:]).to_numpy()
    ratio, error = log_odds_ratio(pd.Series(x), pd.Series(y))
    assert ratio == pytest.approx(math.log(odds_ratio(table, kind="sample").statistic))
    assert error == pytest.approx(math.sqrt(sum(1 / n for n in table.flatten())))
    assert log_odds_ratio(pd.Series([0, 1.0]), pd.Series([0, 1.0])) == (None, None)


def test_pairs_of_attributes_are_counted_in_patients():
    table = pd.DataFrame({"patient": list("aaaabcd"), "female": [0, 0, 0, 0, 0, 1, 1], "dark": [0, 0, 0, 0, 1, 0, 1]})
    dataset = registry.DATASETS.build("phantom:family=skin")
    (tie,) = ties(dataset, table, {})
    assert (tie["tie"], tie["found"], tie["error"]) == ("female x dark", 0.0, 2.0)


def test_the_doctor_prints_planted_and_found_ties(capsys):
    assert cli.main(["doctor", "phantom:images=400,seed=3"]) == 0
    out = plain(capsys.readouterr().out)
    assert out[out.index("ties") : out.index("licence")] == snapshot("""\
ties (log odds ratios) of the generated images, planted and found:
                        planted  found  standard error \n\
 pneumothorax x age>65    +1.50  +1.28            0.22 \n\
 pneumothorax x female    +0.00  -0.07            0.21 \n\
 age>65 x female          +0.00  -0.03            0.32 \n\
""")
    assert cli.main(["doctor", "phantom:images=8", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["counts"]["phantom"]["ties"]
    assert [tie["planted"] for tie in told] == [1.5, 0.0, 0.0]
    assert any(tie["found"] is None for tie in told), "a combination that does not occur among eight images"


def test_the_doctor_prints_the_ties_of_a_phantom_tree(tmp_path, capsys):
    write_trees(["chexpert"], tmp_path, images=120, seed=0, progress=lambda *_: None)
    dataset = registry.DATASETS.build("chexpert")
    assert planted_ties(dataset, tmp_path / "chexpert") == {("pneumothorax", "age>65"): 0.0}
    assert planted_ties(dataset, tmp_path) == {}, "real data have no planted tie"
    cli.main(["doctor", "chexpert", "--data", str(tmp_path)])
    assert "pneumothorax x age>65" in capsys.readouterr().out.partition("ties")[2]
