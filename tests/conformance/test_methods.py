"""The public checks of `bench check`, over all methods of the suite."""

import pytest

from bench import registry
from bench.checks import CHECKS, Subject, run_check


@pytest.mark.parametrize("name", sorted(registry.METHODS.catalogue()))
def test_method(name):
    """One test per method, as its checks share what is fitted."""
    found = {check.__name__: run_check(check, Subject(name)) for check in CHECKS}
    assert {check: why for check, why in found.items() if why} == {}


def test_all_ten_are_there():
    methods = [registry.METHODS.load(name) for name in registry.METHODS.catalogue()]
    titles = [method.title for method in methods if not method.comparator]
    assert [method.title for method in methods if method.needs_attribute] == ["GroupThresholds"]
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
