"""Which rows differ from Baseline over folds and over patients, in words: computed from the tests, never written."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

from bench.report.numbers.aggregate import BASELINE, Results
from bench.report.numbers.patient_intervals import lost, sizes
from bench.report.numbers.ranking import DECIMALS, Row, leading
from bench.report.render.text import listed
from bench.report.words.notes import SIGNS
from bench.score.bootstrap import DRAWS
from bench.score.statistics import LEVEL, paired, separable

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
    return [
        _tested(results),
        *_bootstrapped(results),
        *none,
        *(_place(results, backbone, name) for backbone, name in places),
    ]


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
        " The best of a column against the next is one test, not adjusted, of a pair that the numbers chose."
    )


def _bootstrapped(results: Results) -> list[str]:
    if not results.patients:
        return []
    text = (
        f"Over patients: {DRAWS} bootstrap samples of the patients of a set, each with all images ({sizes(results)}), "
        "the same for every method and fold; 95 % percentile intervals of the mean difference to Baseline over folds, "
        f"not adjusted; p two-sided, adjusted by Holm within each column, level {LEVEL}. This covers other patients "
        "of the same hospital, with the models as they are: not another training, which the folds test, nor another "
        "hospital. Gaps have no sign: near 0 the bootstrap enlarges them, and intervals lean upwards."
    )
    return [" ".join([text, *lost(results)])]


def _place(results: Results, backbone: str, name: str) -> str:
    where = f"{name}, {backbone}" if len(results.backbones) > 1 else name
    info, sentences = results.info, []
    for metric in _claimed(results):
        column = results.column(backbone, name, metric)
        sentences += _sentences(column, info.title(metric), metric == info.gap)
        sentences += _over_patients(column, info.title(metric))
        sentences += _lead(column, info.title(metric), results)
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


def _over_patients(column: Sequence[Row], title: str) -> list[str]:
    drawn = [row for row in column if not isnan(row.p_patients_holm)]
    if not drawn:
        return []
    found = [row for row in drawn if row.separable_patients]
    sides = {"lower": [row.label for row in found if row.difference < 0]}
    sides["higher"] = [row.label for row in found if row.label not in sides["lower"]]
    said = ", ".join(f"{word} with {listed(labels)}" for word, labels in sides.items() if labels)
    return [f"Over patients, {title} is {said}." if said else f"Over patients, none is separable on {title}."]


def _lead(column: Sequence[Row], title: str, results: Results) -> list[str]:
    """The sentence that names the first of a column and says whether it can be told from Baseline and the next."""
    pair = leading(column)
    if pair is None:
        return []
    first, second = pair
    pairs = {f"the next best, {second.label} ({second.mean:.{DECIMALS}f})": _pair(first, second, results)}
    if first.compared:
        against = {"Baseline": (first.p_holm, first.p_patients_holm)}
        pairs = against if second.method == BASELINE else against | pairs
    told = [f"{words} from {other}" for other, p in pairs.items() if (words := _separable(*p))]
    return [f"The best {title}, {first.label} ({first.mean:.{DECIMALS}f}), is {', and '.join(told)}."] if told else []


def _pair(first: Row, second: Row, results: Results) -> tuple[float, float]:
    """p of the first of a column against the second, over folds and over patients."""
    folds = sorted({*first.values} | {*second.values})
    one, other = ([row.values.get(fold, nan) for fold in folds] for row in (first, second))
    return paired(one, other, results.folds).p, results.seconds.get((first.backbone, first.set, first.metric), nan)


def _separable(folds: float, patients: float) -> str:
    """`separable over folds, not over patients`; what was not tested is not named."""
    tested = {"folds": folds, "patients": patients}
    tested = {over: separable(p) for over, p in tested.items() if not isnan(p)}
    yes, no = ([f"over {over}" for over, found in tested.items() if found is told] for told in (True, False))
    if not yes:
        return f"not separable {' or '.join(no)}" if no else ""
    return f"separable {' and '.join(yes)}{''.join(f', not {over},' for over in no)}"


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
