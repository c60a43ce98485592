"""Ratios of two ways of doing one thing, timed by turns in one run.

Seconds are CPU seconds, which other processes of the machine disturb less than the clock on the wall; on a GPU they
are those of the wall, once the GPU has done what it was given. Each row says which where it differs.
"""

import statistics
import time

import pytest

from tests.perf.rows import row


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """A cell computes on one thread, as recipes say; so does what it is compared with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _gpu_rows_need_a_gpu(request):
    """`make perf-gpu` on a machine without one says so, and measures nothing."""
    if request.config.getoption("markexpr") == "gpu":
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA GPU on this machine")


def busy():
    """Return the CPU seconds of this process, or on a GPU those on the wall until its work is done."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


@pytest.fixture
def compare():
    """Time two callables by turns, print the ratio with its spread and hold it against the bar.

    Without a bar the ratio is printed and no more. `warm=False` leaves out the first call of each that is not timed,
    where both are so long that what is paid once does not count.
    """

    def compare(name, one, other, *, bar, pairs, clock=busy, warm=True):
        def seconds(work):
            start = clock()
            work()
            return clock() - start

        if warm:
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
        low, _, high = statistics.quantiles(ratios, n=4) if pairs > 2 else (min(ratios), ratio, max(ratios))
        mine, plain = (statistics.median(column) for column in zip(*times, strict=True))
        row(
            f"{name}: {ratio:.3f} ({'no bar' if bar is None else f'{bar:.2f}'})"
            f"; middle half of {pairs} pairs {low:.3f} to {high:.3f}; medians {mine:.3f} s and {plain:.3f} s"
        )
        assert bar is None or ratio <= bar, f"{name}: {ratio:.3f}, at most {bar} is allowed"

    return compare
