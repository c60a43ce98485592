"""Which rows differ from Baseline over folds and over patients, in words, computed from the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan, nan

from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.grouping import grouped
from bench.report.numbers.patient_intervals import lost, sizes
from bench.report.numbers.ranking import DECIMALS, Row, leading
from bench.report.render.text import listed
from bench.report.words.notes import SIGNS
from bench.score.bootstrap import DRAWS
from bench.score.statistics import LEVEL, paired, significant

NO_GAIN = "No method's gain over Baseline is supported by the fold spread."


def findings(results: Results) -> list[str]:
    """Return how the differences were tested, then a paragraph per backbone and test set on the gap and the AUC.

    A difference is reported if its Holm-adjusted p is below the level; all others are listed as not significant.
    """
    methods = {row.method for row in results.rows if row.excluded != "undefined"}
    if BASELINE not in methods:
        return ["There are no results of Baseline: nothing is compared."]
    if methods == {BASELINE}:
        return ["There are results of Baseline only: nothing is compared."]
    claims = [row for row in results.rows if row.significant and row.metric in (results.info.gap, "auc")]
    gain = any((row.difference < 0) == (row.direction == "down") for row in claims)
    return [
        _tested(results),
        *_bootstrapped(results),
        *([] if gain else [NO_GAIN]),
        *(_place(results, backbone, name) for backbone, name in results.places),
    ]


def not_significant(column: Sequence[Row]) -> list[str]:
    """Return the labels of the rows of a column that were compared with Baseline and do not differ over folds."""
    return [row.label for row in column if row.compared and not row.significant]


def _tested(results: Results) -> str:
    share = (results.folds - 2) / (results.folds - 1) if results.folds > 2 else 0
    overlap = f"training sets overlap by {share:.0%}, and " if share else ""
    return (
        f"Differences to Baseline are paired over {results.found} folds, which are not independent: {overlap}all are"
        " scored on the same images. The spread is that of retraining, not of other patients. Test: corrected"
        f" resampled t (Nadeau & Bengio 2003), p adjusted by Holm within each column of the table, level {LEVEL}."
        " The best of a column is tested against the next in a single test, which is not adjusted although the pair"
        " was selected by its numbers."
    )


def _bootstrapped(results: Results) -> list[str]:
    if not results.patients:
        return []
    text = (
        f"Over patients: {DRAWS} bootstrap samples of the patients of a set, each with all images ({sizes(results)}), "
        "the same for every method and fold; 95 % percentile intervals of the mean difference to Baseline over folds, "
        f"not adjusted; p two-sided, adjusted by Holm within each column, level {LEVEL}. The intervals cover other "
        "patients of the same hospital with the trained models as they are. They do not cover another training, which "
        "the folds test, or another hospital. Gaps have no sign: near 0 the bootstrap enlarges them, and intervals "
        "are biased upwards."
    )
    return [" ".join([text, *lost(results)])]


def _place(results: Results, backbone: str, name: str) -> str:
    info, sentences = results.info, []
    for metric in (info.gap, "auc"):
        column, title = results.column(backbone, name, metric), info.title(metric)
        sentences += _over_folds(column, title, metric == info.gap)
        sentences += _over_patients(column, title)
        sentences += _lead(column, title, results)
    return f"{results.named(name, backbone)}: {' '.join(sentences)}"


def _over_folds(column: Sequence[Row], title: str, gap: bool) -> list[str]:
    sides = _sides(row for row in column if row.significant)
    sentences = [
        f"{title} is {word} than Baseline's with {listed(map(_change, rows))}." for word, rows in sides.items()
    ]
    if gap and "lower" not in sides and any(row.compared for row in column):
        sentences.append(f"No method's reduction of {title} is supported by the fold spread.")
    if rest := not_significant(column):
        sentences.append(f"No significant difference from Baseline on {title}: {', '.join(rest)}.")
    return sentences + _untested(column, title)


def _sides(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows that are lower than Baseline, then those that are higher."""
    ordered = sorted(rows, key=lambda row: not row.difference < 0)
    return grouped(("lower" if row.difference < 0 else "higher", row) for row in ordered)


def _change(row: Row) -> str:
    p = f"{row.p_holm:.3f}" if row.p_holm >= 0.001 else "< 0.001"
    return f"{row.label} ({row.difference:+.3f}, p {p})"


def _untested(column: Sequence[Row], title: str) -> list[str]:
    reason = next((row.excluded for row in column if row.method == BASELINE), "")
    rows = [row for row in column if row.method != BASELINE and not row.compared and row.excluded != "undefined"]
    if reason and rows:
        return [f"Baseline is {reason} there: nothing is compared on {title}."]
    names = ", ".join(f"{row.label} {SIGNS[row.excluded]}".strip() for row in rows)
    return [f"Not compared on {title}: {names}."] if rows else []


def _over_patients(column: Sequence[Row], title: str) -> list[str]:
    tested = [row for row in column if not isnan(row.p_patients_holm)]
    if not tested:
        return []
    sides = _sides(row for row in tested if row.significant_patients).items()
    said = ", ".join(f"{word} with {listed(row.label for row in rows)}" for word, rows in sides)
    return [f"Over patients, {title} is {said or 'not significantly different'}."]


def _lead(column: Sequence[Row], title: str, results: Results) -> list[str]:
    """Return the sentence on the best of a column: does it differ significantly from Baseline and from the next?"""
    pair = leading(column)
    if pair is None:
        return []
    first, second = pair
    against = {f"the next best, {second.label} ({second.mean:.{DECIMALS}f})": _pair(first, second, results)}
    if first.compared:
        baseline = {"Baseline": (first.p_holm, first.p_patients_holm)}
        against = baseline if second.method == BASELINE else baseline | against
    said = [f"{words} from {other}" for other, p in against.items() if (words := _significance(*p))]
    return [f"The best {title}, {first.label} ({first.mean:.{DECIMALS}f}), is {', and '.join(said)}."] if said else []


def _pair(first: Row, second: Row, results: Results) -> tuple[float, float]:
    """Return p of the first of a column against the second, over folds and over patients."""
    folds = sorted({*first.values} | {*second.values})
    one, other = ([row.values.get(fold, nan) for fold in folds] for row in (first, second))
    return paired(one, other, results.folds).p, results.seconds.get((first.backbone, first.set, first.metric), nan)


def _significance(folds: float, patients: float) -> str:
    """Return `significantly different over folds, not over patients`, without tests that were not made."""
    tested = {f"over {kind}": significant(p) for kind, p in (("folds", folds), ("patients", patients)) if not isnan(p)}
    yes, no = ([kind for kind, differs in tested.items() if differs is wanted] for wanted in (True, False))
    if not yes:
        return f"not significantly different {' or '.join(no)}" if no else ""
    return f"significantly different {' and '.join(yes)}{''.join(f', not {kind},' for kind in no)}"
