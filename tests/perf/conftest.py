"""Ratios of two ways of doing one thing, timed by turns in one run.

Seconds are CPU seconds: other processes of the machine disturb them less than the clock on the wall.
"""

import statistics
import time

import pytest


@pytest.fixture
def compare():
    """Time two callables by turns, print the ratio with its spread and hold it against the bar."""

    def compare(name, one, other, *, bar, pairs, clock=time.process_time):
        def seconds(work):
            start = clock()
            work()
            return clock() - start

        # What only the first call pays: imports, allocations, bytecode.
        one()
        other()
        times = []
        for pair in range(pairs):
            # The order alternates, so that a load that rises or falls favours neither.
            forward = pair % 2 == 0
            first, second = (seconds(work) for work in ((one, other) if forward else (other, one)))
            times.append((first, second) if forward else (second, first))
        ratios = [mine / plain for mine, plain in times]
        ratio = statistics.median(ratios)
        low, _, high = statistics.quantiles(ratios, n=4)
        mine, plain = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"\n{name}: {ratio:.3f} ({bar:.2f})"
            f"; middle half of {pairs} pairs {low:.3f} to {high:.3f}; medians {mine:.3f} s and {plain:.3f} s"
        )
        assert ratio <= bar, f"{name}: {ratio:.3f}, at most {bar} is allowed"

    return compare
