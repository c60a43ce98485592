"""Which rows differ from Baseline beyond the spread over folds, in words: computed from the tests, never written."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.aggregate import BASELINE, Results
from bench.report.notes import SIGNS, listed
from bench.report.ranking import Row
from bench.score.statistics import LEVEL

NO_GAIN = "No method's gain over Baseline is supported by the fold spread."


def findings(results: Results) -> list[str]:
    """How it was tested, then one paragraph per backbone and test set on the gap and AUC, in either direction.

    A difference is named only if its Holm-adjusted p is below the level; the rest is listed as not separable.
    """
    methods = {row.method for row in results.rows if row.excluded != "undefined"}
    if BASELINE not in methods:
        return ["There are no results of Baseline: nothing is compared."]
    if methods == {BASELINE}:
        return ["There are results of Baseline only: nothing is compared."]
    none = [] if any(_gain(row) for row in results.rows if row.metric in _claimed(results)) else [NO_GAIN]
    places = [(backbone, name) for backbone in results.backbones for name in results.info.ood]
    return [_tested(results), *none, *(_place(results, backbone, name) for backbone, name in places)]


def not_separable(column: Sequence[Row]) -> list[str]:
    """Labels of the rows of a column that were compared with Baseline and do not differ beyond the fold spread."""
    return [row.label for row in column if row.compared and not row.separable]


def _claimed(results: Results) -> tuple[str, str]:
    """Metrics on which something is said in words."""
    return results.info.gap, "auc"


def _gain(row: Row) -> bool:
    return row.separable and (row.difference < 0) == (row.direction == "down")


def _tested(results: Results) -> str:
    share = (results.folds - 2) / (results.folds - 1) if results.folds > 2 else 0
    overlap = f"training sets overlap by {share:.0%}, and " if share else ""
    return (
        f"Differences to Baseline are paired over {results.found} folds, which are not independent: {overlap}all are"
        " scored on the same images. The spread is that of retraining, not of other patients. Test: corrected"
        f" resampled t (Nadeau & Bengio 2003), p adjusted by Holm within each column of the table, level {LEVEL}."
    )


def _place(results: Results, backbone: str, name: str) -> str:
    where = f"{name}, {backbone}" if len(results.backbones) > 1 else name
    info, sentences = results.info, []
    for metric in _claimed(results):
        sentences += _sentences(results.column(backbone, name, metric), info.title(metric), metric == info.gap)
    return f"{where}: {' '.join(sentences)}"


def _sentences(column: Sequence[Row], title: str, gap: bool) -> list[str]:
    lower = [row for row in column if row.separable and row.difference < 0]
    higher = [row for row in column if row.separable and row.difference > 0]
    sentences = [
        f"{title} is {word} than Baseline's with {listed(map(_change, rows))}."
        for word, rows in (("lower", lower), ("higher", higher))
        if rows
    ]
    if gap and not lower and any(row.compared for row in column):
        sentences.append(f"No method's reduction of {title} is supported by the fold spread.")
    if rest := not_separable(column):
        sentences.append(f"Not separable from Baseline on {title}: {', '.join(rest)}.")
    return sentences + _untested(column, title)


def _change(row: Row) -> str:
    p = f"{row.p_holm:.3f}" if row.p_holm >= 0.001 else "< 0.001"
    return f"{row.label} ({row.difference:+.3f}, p {p})"


def _untested(column: Sequence[Row], title: str) -> list[str]:
    reason = next((row.excluded for row in column if row.method == BASELINE), "")
    rows = [row for row in column if row.method != BASELINE and not row.compared and row.excluded != "undefined"]
    if reason and rows:
        return [f"Baseline is {reason} there: nothing is compared on {title}."]
    return (
        [f"Not compared on {title}: {', '.join(f'{row.label} {SIGNS[row.excluded]}'.strip() for row in rows)}."]
        if rows
        else []
    )
