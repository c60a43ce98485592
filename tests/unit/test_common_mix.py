"""The table of gaps at a common mix: its numbers from the predictions, what it leaves out, and what it says."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.api import Attribute
from bench.cells.predictions import Scored
from bench.reporting.artefacts import artefacts
from bench.reporting.numbers.aggregate import collect
from bench.reporting.numbers.common_mix import COLUMNS, common_mix
from bench.reporting.numbers.further import questions, with_groups
from bench.reporting.tables import common_mix_table
from bench.scoring.bootstrap import Sample, redrawn
from bench.scoring.gaps import behind_rates, gap_difference, gap_of, gap_rates, own_gap
from bench.scoring.standardised import Mix, point, reader
from bench.seeds import seed_of
from tests.factory import record, scores, task_info
from tests.latex import compile_tables, needs_latex
from tests.unit.fabricated import task_results

N = 1200
DRAWN = np.random.default_rng(0)
Y, A = DRAWN.integers(0, 2, N), DRAWN.integers(0, 2, N)
VIEW = np.where(DRAWN.random(N) < np.where(A == 1, 0.7, 0.3), 1, 0)
"""The older have more of view 1, in which TPR is lower; 8 images are of view 2, and of 20 the view is not known."""
VIEW[:8], VIEW[-20:] = 2, -1
IMAGES = pd.DataFrame(
    {"image_id": [f"i{n:04d}" for n in range(N)], "set": "near", "cluster": np.arange(N) // 2, "y": Y, "a": A}
)
LOGITS = {
    (method, fold): DRAWN.normal(size=N) + 2 * Y - 1 - 1.5 * Y * (VIEW == 1) - own * Y * A
    for method, own in (("baseline", 0.8), ("swift", 0.0))
    for fold in range(2)
}
INFO = task_info("phantom-cxr-age", ood=("near",), group_names=("up to 65", "over 65"))
COUNTS = {
    name: (int((Y[code == A] == 0).sum()), int((Y[code == A] == 1).sum())) for code, name in enumerate(INFO.group_names)
}
CELLS = [record(m, f, task="phantom-cxr-age", scores={"near": scores(COUNTS, auc=0.8)}) for m, f in LOGITS]
VIEWS = Attribute(column="view", names=("front", "side", "oblique"), cuts=(1, 2))
TASK = dataclasses.replace(taskfile.resolve("phantom-cxr-age"), also={"view": VIEWS})
READ = with_groups(
    lambda item: Scored(IMAGES, LOGITS[item.cell.spec, item.cell.fold]),
    pd.DataFrame({"a_view": VIEW}, index=pd.Index(IMAGES["image_id"])).query("a_view >= 0"),
)


def found(cells=CELLS, info=INFO, read=READ, task=TASK):
    return common_mix(collect(cells, [], info), task, cells, read)


def row(numbers, spec):
    (one,) = numbers[numbers["spec"] == spec].to_dict("records")
    return one


def test_numbers_are_means_over_folds_with_intervals_from_the_draws_of_the_main_table():
    made, mix = found(), Mix.of(Y, A, VIEW, 2, 3)
    cell = mix.cells(Y, A, VIEW)
    sample, seed = Sample(Y, cell, np.arange(N) // 2, 6), seed_of("bootstrap", INFO.name, "near")
    gaps = {}
    for spec in ("baseline", "swift"):
        logits = [LOGITS[spec, fold] for fold in range(2)]
        values = redrawn(sample, logits, reader(mix), seed).mean(axis=0)
        behind = [mix.behind(Y, cell, sample.patient, common=one) for one in (False, True)]
        crude, common = (gap_of(half, "eodds", one) for half, one in zip(np.split(values, 2), behind, strict=True))
        gaps[spec] = common
        one, sizes = row(made.numbers, spec), np.mean([point(mix, logit, Y, cell) for logit in logits], axis=0)
        assert (one["gap"], one["common"], one["change"]) == pytest.approx((*sizes, sizes[1] - sizes[0]))
        for name, ends in (
            ("gap", own_gap(crude)),
            ("common", own_gap(common)),
            ("change", gap_difference(common, crude)),
        ):
            assert (one[f"{name}_low"], one[f"{name}_high"]) == pytest.approx(ends[:2]), name
        assert (one["folds"], one["column"], one["metric"], one["why"]) == (2, "view", "eodds", "")
    swift, base = row(made.numbers, "swift"), row(made.numbers, "baseline")
    assert swift["difference"] == pytest.approx(swift["common"] - base["common"])
    ends = gap_difference(gaps["swift"], gaps["baseline"])[:2]
    assert (swift["difference_low"], swift["difference_high"]) == pytest.approx(ends)
    assert np.isnan(base["difference"])
    assert list(made.numbers) == COLUMNS


def test_the_gap_as_it_is_is_that_of_the_images_that_enter():
    kept = (VIEW == 0) | (VIEW == 1)
    sample = Sample(Y, np.where(kept, A, -1), np.arange(N) // 2, 2)
    logits = [LOGITS["baseline", fold] for fold in range(2)]
    values = redrawn(sample, logits, gap_rates("eodds"), seed_of("bootstrap", INFO.name, "near")).mean(axis=0)
    one = row(found().numbers, "baseline")
    assert (one["gap_low"], one["gap_high"]) == pytest.approx(
        own_gap(gap_of(values, "eodds", behind_rates(sample, "eodds")))[:2]
    )


def test_a_gap_that_is_mix_goes_and_one_that_is_not_stays():
    """SWiFT's gap is that of views alone."""
    numbers = found().numbers
    swift, base = row(numbers, "swift"), row(numbers, "baseline")
    assert swift["gap_low"] > 0
    assert swift["common_low"] == 0
    assert swift["change_high"] < 0
    assert base["common_low"] > 0
    assert swift["difference_high"] < 0


def test_what_is_left_out_is_counted():
    (one,) = found().mixed
    known = VIEW == 2
    assert one.left_out(0) == {"oblique": int((known & (Y == 0)).sum())}
    assert one.left_out(1) == {"oblique": int((known & (Y == 1)).sum())}
    assert one.unknown == 20


def lacking(item):
    if (item.cell.spec, item.cell.fold) == ("swift", 1):
        raise FileNotFoundError
    return READ(item)


def test_models_of_other_folds_are_not_compared_and_those_excluded_have_no_interval():
    one = row(found(read=lacking).numbers, "swift")
    assert one["folds"] == 1
    assert np.isfinite(one["common_low"])
    assert np.isnan(one["difference"])
    nearly = [
        record(
            item.cell.spec,
            item.cell.fold,
            task=INFO.name,
            scores={"near": scores(COUNTS, auc=0.8, degenerate=item.cell.spec == "swift", selection_rate=0.0)},
        )
        for item in CELLS
    ]
    for item in nearly[2:]:
        for group in item.scores["near"].groups.values():
            group.metrics["selection_rate"] = 0.0
    excluded = row(found(nearly).numbers, "swift")
    assert excluded["why"] == "degenerate"
    assert np.isfinite(excluded["common"])
    assert np.isnan([excluded[name] for name in ("common_low", "change_low", "difference", "difference_low")]).all()


@pytest.mark.parametrize(("least", "shown"), [(1, True), (3, False), (1000, False)])
def test_with_few_images_of_a_group_stratum_and_label_nothing_is_shown(least, shown):
    made = found(info=dataclasses.replace(INFO, min_cell=least))
    (one,) = made.mixed
    assert (one.why, one.mix is None, made.numbers.empty) == (
        ("", False, False) if shown else ("suppressed", True, True)
    )


@pytest.mark.parametrize("few", ["unknown", "empty"])
def test_what_the_table_of_attributes_suppresses_is_not_shown_here(few):
    """Three images of an unknown view, and a view that one group has none of, are counts below the limit."""
    view = np.where(VIEW == 1, 1, 0)
    view[slice(3) if few == "unknown" else (A == 0) & (np.arange(N) < 100)] = -1 if few == "unknown" else 2
    frame = pd.DataFrame({"a_view": view}, index=pd.Index(IMAGES["image_id"]))
    read = with_groups(lambda item: Scored(IMAGES, LOGITS[item.cell.spec, item.cell.fold]), frame)
    info = dataclasses.replace(INFO, min_cell=10)
    made = found(info=info, read=read)
    asked = [one.asked.why for one in questions(TASK, info, CELLS, read, {})]
    assert [one.why for one in made.mixed] == ["suppressed"]
    assert "suppressed" in asked
    assert not [line for line in common_mix_table.reading(made_table(), made) if "3 images" in line]


def test_strata_that_no_two_groups_share_have_no_numbers():
    apart = with_groups(
        lambda item: Scored(IMAGES, LOGITS[item.cell.spec, item.cell.fold]),
        pd.DataFrame({"a_view": A}, index=pd.Index(IMAGES["image_id"])),
    )
    made = found(read=apart)
    assert made.numbers.empty
    assert made.mixed[0].why == "no stratum that all groups have"
    assert made.mixed[0].left_out(0) == {"front": COUNTS["up to 65"][0], "side": COUNTS["over 65"][0]}


def made_table(**changes):
    results = dataclasses.replace(task_results(CELLS, [], INFO), task=TASK, **changes)
    object.__setattr__(results, "groups", pd.DataFrame({"a_view": VIEW}))
    results.__dict__["scored"] = READ
    return results


def test_the_table_says_what_it_shows():
    files = common_mix_table.files(made_table())
    assert set(files) == {"md", "html", "tex", "csv"}
    assert files["md"] == snapshot("""\
# phantom-cxr-age: gaps at a common mix of other attributes

**SYNTHETIC PHANTOM DATA: these numbers say nothing about patients.**

## near

| method | EOdds, view as it is | EOdds, view common view | EOdds, view change | EOdds, view against Baseline |
| --- | ---: | ---: | ---: | ---: |
| Baseline | 0.264 \\[0.207, 0.298\\] | 0.160 \\[0.097, 0.196\\] | −0.105 \\[−0.172, −0.040\\] | – |
| SWiFT | 0.141 \\[0.103, 0.180\\] | 0.038 \\[0.000, 0.076\\] | −0.103 \\[−0.180, −0.046\\] | −0.122 \\[−0.196, −0.035\\] |

## How to read this

- A gap may come from the mix of images: one group may have more images of a view, a site or a diagnosis that is hard for every model. At a common mix, TPR and FPR of each group are means of those within the strata, weighted by the mix of all groups together among images of that label. What is left is a gap within strata.
- EOdds as it is: of the same images. Change: the gap at the common mix less the gap as it is. Against Baseline: both at the common mix.
- In brackets: 95 % intervals over patients, from the same bootstrap samples as in the main table, with the mix of the test set. They are not adjusted for their number, and nothing here is claimed. The interval of a gap that cannot be told from 0 begins at 0.
- A stratum enters for a label if every group has at least 10 images of it. A common mix takes away what the strata differ in, and nothing else.
- view on near: healthy: front and side, without oblique (5 images); ill: front and side, without oblique (3 images); group or stratum not known of 20 images.
""")


@needs_latex
def test_the_latex_compiles_and_fits(tmp_path):
    file = tmp_path / "common-mix.tex"
    file.write_text(common_mix_table.files(made_table())["tex"], encoding="utf-8")
    compile_tables([file], tmp_path)


def test_it_is_an_artefact_of_tasks_with_further_attributes():
    assert "common-mix" in [item.name for item in artefacts(made_table())]
    assert "common-mix" not in [
        item.name for item in artefacts(dataclasses.replace(made_table(), task=dataclasses.replace(TASK, also={})))
    ]
    bare = made_table()
    bare.__dict__["scored"] = lambda item: Scored(IMAGES, LOGITS[item.cell.spec, item.cell.fold])
    assert common_mix_table.files(bare) == {}
