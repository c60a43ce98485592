"""No step waits for the device: what the host reads does not grow with the number of batches."""

import dataclasses

import pytest
import torch

from bench import registry
from bench.checks.subject import RECIPE
from tests.unit.other_device import other_device
from tests.waits import EVERY, Waits, per_batch

SMALL = dataclasses.replace(RECIPE, batch=8, epochs=2)
METHODS = [EVERY.get(name, name) for name in sorted(registry.METHODS.catalogue())]


@pytest.mark.parametrize("spec", [*METHODS, "fair_prune:curvature=exact", "llft:budget=recipe"])
def test_no_step_of_a_method_waits(spec):
    found = per_batch(spec, SMALL)
    found.pop("optimiser: read", None)  # Adam's number of steps, which is on the host
    assert found == {}


@pytest.mark.parametrize("spec", ["fullft_rw:augment=chest_reference", EVERY["diff_gda"]])
def test_nor_do_copies_to_another_device(spec):
    spec, _, augment = spec.partition(":augment=")
    recipe = dataclasses.replace(SMALL, augment=augment or SMALL.augment)
    with other_device() as device:
        assert per_batch(spec, recipe, device) == {}


def test_negative_control_what_waits_is_counted():
    with other_device() as device, Waits(there=True) as waits:
        values, here = torch.arange(4.0, device=device), torch.arange(4)
        float(values.sum())
        values[values > 1]
        values[here]
        values.cpu()
        here.to(device)
        here.to(device, non_blocking=True)
        here[here > 1]  # on the host
    assert waits.found == {"read": 1, "selection": 1, "copy": 3}
