"""No step waits for the device: reads, selections and copies for each further batch, of every method."""

import dataclasses

import pytest

from bench import registry
from bench.checks.subject import RECIPE
from tests.unit.other_device import other_device
from tests.waits import EVERY, per_batch

MORE = (
    "llft:budget=recipe",
    "llft:patience=0,max_epochs=2,batch=8,constraint=eq10",
    "diff_gda:evaluations=1,epochs=1,accuracy_stop=0,proxy=equalised_odds",
    "fair_prune:curvature=exact",
    "fair_prune:curvature=batch",
    "bmft:data=reference,proxy=signed_half_logit,empty_cell=zero_mean",
    "swift:mask=hard,rate=0.3,importance=fisher_per_sample",
    "swift:apply=update,extractor_step2=train",
)
METHODS = [EVERY.get(name, name) for name in sorted(registry.METHODS.catalogue())]


CASES = [(spec, "dihedral") for spec in (*METHODS, *MORE)] + [("fullft_rw", "chest_reference")]


@pytest.mark.parametrize(("spec", "augment"), CASES)
def test_no_step_waits(spec, augment):
    """On the CPU, where every tensor counts, and on a second device, where copies do."""
    recipe = dataclasses.replace(RECIPE, batch=8, epochs=2, augment=augment)
    here = per_batch(spec, recipe)
    with other_device() as device:
        there = per_batch(spec, recipe, device)
    own = here.pop("optimiser: read", 0)
    print(
        f"\n{spec}, {augment}: {here or 0} on the CPU, {there or 0} on another device (0); Adam's own counter {own:g}"
    )
    assert not here
    assert not there
