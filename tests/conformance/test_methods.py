"""The public checks of `bench check`, over all methods of the suite."""

import pytest

from bench import registry
from bench.checks import CHECKS, Subject, run_check


@pytest.mark.parametrize("name", sorted(registry.catalogue("method")))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_check(check, name):
    assert run_check(check, Subject(name)) is None


def test_all_ten_are_there():
    titles = [registry.load("method", name).title for name in registry.catalogue("method")]
    assert sorted(titles) == sorted(
        [
            "Baseline",
            "FullFT-RW",
            "FullFT-Reg",
            "FullFT-FDR",
            "LLFT",
            "DiffGda",
            "FairPrune",
            "DiffPrune",
            "BMFT",
            "SWiFT",
        ]
    )
