"""Print the tables of `docs/statistics.md`: `python -m tests.simulate [DATA_SETS]`; by default 300 in each row."""

import sys

from tests.simulate import gap_claims, levels, other_training
from tests.simulate.world import World


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    head("Levelling down", "patients: method", "marked")
    for patients in (100, 300):
        for case in levels.CASES:
            show(f"{patients}: {case}", levels.share(case, World(patients), runs))
    head("Another training", "", "over patients covers", "over both covers", "width", "width over both")
    for says, found in other_training.table(runs).items():
        show(says, found.patients, found.both, found.width_patients, found.width_both)
    for title, settings in gap_claims.tables().items():
        columns = ("truth", "lower", "larger", "false", "covers", "width", "Baseline's covers", "refused")
        head(title, "patients: Baseline → method", *columns)
        for setting in settings:
            found = gap_claims.simulate(setting, runs)
            shares = (found.lower, found.higher, found.false, found.covers, found.width, found.own, found.refused)
            show(setting.says.replace("->", "→"), f"{found.truth:+.2f}", *shares)


def head(title: str, *columns: str) -> None:
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n| --- |{' ---: |' * (len(columns) - 1)}", flush=True)


def show(says: str, *values: float | str) -> None:
    cells = [value if isinstance(value, str) else f"{value:.2f}" for value in values]
    print(f"| {says.replace('->', '→')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
