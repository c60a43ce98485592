"""Sentences of a report about differences: none is claimed that the folds do not support."""

from __future__ import annotations

from inline_snapshot import snapshot

from bench.reporting.numbers.aggregate import collect
from bench.reporting.words.conclusions import NO_GAIN, findings
from tests.factory import changed
from tests.prose import sentences_with
from tests.unit.as_tested import as_tested
from tests.unit.report_cells import INFO, cell, noise, scores


def test_a_large_gain_and_a_large_loss_are_both_said() -> None:
    cells = noise(0, M1=(-0.25, 0.0), M2=(0.25, 0.0), M3=(0.0, -0.2), M4=(0.0, 0.15))
    text = findings(as_tested(collect(cells, [], INFO)))
    assert NO_GAIN not in text
    for paragraph in text[-2:]:
        for found in ("M1 (−0.", "M2 (+0.", "M3 (−0.", "M4 (+0."):
            assert found in paragraph
    assert text[-2:] == snapshot(
        [
            "near: Supported: EOdds is lower than Baseline's with M1 (−0.233; 5 of 5 models). Supported: EOdds is higher than Baseline's with M2 (+0.256; 5 of 5 models). Not supported: M0, M3, M4, M5, M6, M7 and M8. Supported: AUC is lower than Baseline's with M3 (−0.198; 5 of 5 models). Supported: AUC is higher than Baseline's with M4 (+0.156; 5 of 5 models). Not supported: M0, M1, M2, M5, M6, M7 and M8.",
            "far: Supported: EOdds is lower than Baseline's with M1 (−0.260; 5 of 5 models). Supported: EOdds is higher than Baseline's with M2 (+0.237; 5 of 5 models). Not supported: M0, M3, M4, M5, M6, M7 and M8. Supported: AUC is lower than Baseline's with M3 (−0.196; 5 of 5 models). Supported: AUC is higher than Baseline's with M4 (+0.116; 5 of 5 models). Not supported: M0, M1, M2, M5, M6, M7 and M8.",
        ]
    )


def test_a_loss_alone_is_no_gain() -> None:
    text = findings(as_tested(collect(noise(0, M2=(0.25, -0.2)), [], INFO)))
    assert NO_GAIN in text
    assert sentences_with(text[-1], "EOdds") == snapshot(
        ["far: Supported: EOdds is higher than Baseline's with M2 (+0.237; 5 of 5 models)."]
    )
    assert sentences_with(text[-1], "AUC", "M2") == snapshot(
        ["Supported: AUC is lower than Baseline's with M2 (−0.214; 5 of 5 models)."]
    )


def test_a_row_out_of_the_ranking_is_never_claimed() -> None:
    cells = [
        changed(item, scores={"near": {"degenerate": True}}) if (item.cell.title, item.cell.fold) == ("M1", 2) else item
        for item in noise(0, M1=(-0.25, -0.2), M2=(-0.25, 0.0))
    ]
    near, far = findings(as_tested(collect(cells, [], INFO)))[-2:]
    assert sentences_with(near, "EOdds", "Baseline's") == snapshot(
        ["near: Supported: EOdds is lower than Baseline's with M2 (−0.244; 5 of 5 models)."]
    )
    assert sentences_with(near, "EOdds", "M1") == snapshot(["Not tested on EOdds: M1 †."])
    assert sentences_with(near, "AUC", "M1") == snapshot(
        ["Supported: AUC is lower than Baseline's with M1 (−0.191; 5 of 5 models)."]
    )
    assert sentences_with(far, "EOdds", "Baseline's") == snapshot(
        [
            "far: Supported: EOdds is lower than Baseline's with M1 (−0.260; 5 of 5 models) and M2 (−0.263; 5 of 5 models)."
        ]
    )


def test_a_degenerate_baseline_is_compared_with_nothing() -> None:
    cells = [cell("Baseline", fold, near=scores(True, eodds=0.0)) for fold in range(5)]
    cells += [cell("A", fold, near=scores(eodds=0.2 + 0.01 * fold)) for fold in range(5)]
    assert findings(as_tested(collect(cells, [], INFO)))[-2] == snapshot(
        "near: Baseline is degenerate there: nothing is compared on EOdds. No difference in AUC is supported."
    )


def test_without_baseline_nothing_is_compared() -> None:
    assert findings(collect([cell("A", 0)], [], INFO)) == snapshot(
        ["There are no results of Baseline: nothing is compared."]
    )
    assert "Baseline only" in findings(collect([cell("Baseline", 0)], [], INFO))[0]


def test_what_is_not_supported_is_never_claimed() -> None:
    for seed in range(10):
        results = as_tested(collect(noise(seed, M1=(-0.06, 0.02)), [], INFO), 0.05)
        for name, paragraph in zip(INFO.ood, findings(results)[-2:], strict=True):
            claims = paragraph.partition("AUC")[0]
            supported = {row.label: row.supported for row in results.column("small", name, "eodds")}
            assert all((f"{label} (" in claims) is supported[label] for label in supported), paragraph


def test_without_predictions_nothing_is_tested() -> None:
    assert findings(collect(noise(0), [], INFO)) == snapshot(
        [
            "A difference to Baseline is one between these trained models, in the mean over 5 folds, on patients like those of the test set. It says nothing on another hospital, and by itself nothing on models that are trained again.",
            "Nothing is tested: there are no predictions to draw patients from.",
        ]
    )
