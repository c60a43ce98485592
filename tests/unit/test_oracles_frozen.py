"""What a method holds fixed is bit-identical, weights and buffers, on networks like those that are published."""

import copy
import dataclasses

import pytest
import torch

from bench import learn
from bench.checks.subject import RECIPE, random_run, random_split
from bench.methods.bmft import BMFT
from bench.methods.llft import LLFT
from bench.methods.swift import SWiFT
from tests.unit import nets

NETS = ("resnet18", "efficientnet block", "densenet block")
# With weight decay and momentum: a weight that is frozen must not shrink either.
ONE_EPOCH_A_STEP = dataclasses.replace(RECIPE, epochs=2, momentum=0.9, weight_decay=0.1, lr_extractor=1e-2)


def run_of(method, net):
    run = random_run(method, "x", recipe=ONE_EPOCH_A_STEP, net=net)
    run._opened["external"] = random_split("external", images=32)
    return run


def changed(before, after):
    """Names of the tensors of one state that are not bit-identical in the other."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def parts(names):
    """Of `extractor` (its weights), `statistics` (its buffers) and `head`, those to which the names belong."""
    found = set()
    for name in names:
        statistic = name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        found.add("head" if name.startswith("head.") else "statistics" if statistic else "extractor")
    return found


@pytest.mark.parametrize("name", NETS)
def test_llft_moves_the_head_alone(name):
    net = nets.settled(nets.NETS[name])
    fitted = LLFT(max_epochs=3).fit(run_of(LLFT(), net))
    assert changed(net.state_dict(), fitted.state_dict()) == {"head.1.weight", "head.1.bias"}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [SWiFT(), BMFT()], ids=["swift", "bmft"])
def test_each_step_moves_its_part_alone(name, method, monkeypatch):
    net, states = nets.settled(nets.NETS[name]), []
    finetune = learn.finetune

    def watched(run, net, **given):
        states.append(copy.deepcopy(net.state_dict()))
        result = finetune(run, net, **given)
        states.append(copy.deepcopy(net.state_dict()))
        return result

    monkeypatch.setitem(vars(learn), "finetune", watched)
    fitted = method.fit(run_of(method, net))
    first, moved, reset, second = states
    assert not changed(net.state_dict(), first)
    # That the statistics move in the first step shows that they would move in the second, were they not held.
    assert parts(changed(first, moved)) == {"extractor", "statistics"}
    assert parts(changed(moved, reset)) == {"head"}
    assert parts(changed(reset, second)) == {"head"}
    assert not changed(second, fitted.state_dict())
