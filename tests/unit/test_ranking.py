"""Marks of a column: the best and the second best by the direction of the metric."""

from bench.reporting.numbers.ranking import Row, marking


def marks(metric: str, *means: float) -> list[str]:
    rows = [Row("small", f"m{at}", f"M{at}", f"m{at}", at, "near", metric, mean=mean) for at, mean in enumerate(means)]
    return [row.mark for row in marking(rows)]


def test_the_highest_auc_and_the_smallest_gap_are_best() -> None:
    assert marks("auc", 0.8, 0.9, 0.7) == ["second", "best", ""]
    assert marks("eodds", 0.2, 0.3, 0.1) == ["second", "", "best"]
    assert marks("auc", 0.8, 0.8, 0.7) == ["best", "best", "second"]
