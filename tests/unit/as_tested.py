"""Tables of fabricated scores as if patients had been drawn: words and marks are tested apart from the test itself."""

from dataclasses import replace

from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.patient_intervals import claimed, planned
from bench.reporting.numbers.support import Family


def as_tested(results: Results, least: float = 0.1) -> Results:
    """Return a table as if the test over patients had found all differences above `least`, and no others."""
    rows = [
        replace(
            row,
            p=1e-6 if abs(row.difference) > least else 0.5,
            ci_low=row.difference - least,
            ci_high=row.difference + least,
            draws=2000,
        )
        if row.compared and row.set in results.info.ood and row.metric in results.info.columns
        else row
        for row in results.rows
    ]
    family = {(row.backbone, row.set, row.metric, row.spec) for row in planned(results)}
    draws = dict.fromkeys(results.info.ood, 2000)
    patients = dict.fromkeys(results.info.ood, (200, 100))
    return replace(results, rows=tuple(claimed(rows, family)), family=Family(len(family), draws), patients=patients)
