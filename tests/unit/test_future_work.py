"""What SWiFT's paper leaves to future work: masks that are computed anew, and a threshold that adapts to the mask."""

import dataclasses

import pytest
import torch

from bench import learn, registry
from bench.checks.subject import RECIPE, random_net, random_run
from bench.errors import UsageError
from bench.methods.swift import SWiFT, otsu, reset
from bench.options import identifying

LONG = dataclasses.replace(RECIPE, epochs=6)
"""Three epochs of the first step."""
STORED = (
    *("importance", "normalise", "low", "high", "scope", "epsilon", "epochs", "mask", "rate", "random", "constant"),
    *("mask_data", "apply", "head_step1", "steps", "reinit", "reinit_scope", "reset_share", "hard_head"),
    "extractor_step2",
)
"""The parameters of the cells that were stored before there were others."""


def fit(net, **changes):
    method = SWiFT(steps="first", **changes)
    run = random_run(method, "swift", net=net, recipe=LONG)
    return run, method.fit(run)


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_stored_results_of_other_settings_keep_their_identity():
    assert tuple(identifying(SWiFT())) == STORED
    assert set(identifying(SWiFT(mask_every=2, gamma="otsu"))) == {*STORED, "mask_every", "gamma"}
    assert SWiFT.version == 1


@pytest.mark.parametrize("mask", [{}, {"mask": "hard", "rate": 0.3}])
def test_a_mask_is_computed_anew_on_the_network_as_it_is_then(mask):
    """By hand: an epoch through the first mask, then the others through the masks of the networks before each."""
    net = random_net()
    _, once = fit(net, **mask)
    run, often = fit(net, mask_every=1, **mask)
    assert not equal(once, often)
    method, by_hand = SWiFT(steps="first", **mask), random_run(SWiFT(), "swift", net=net, recipe=LONG)
    seen, now = [], dict[str, torch.Tensor]()

    def renew(_=0.0):
        copied = by_hand.model
        modes = {name: module.training for name, module in copied.named_modules()}
        graded = {name: p.requires_grad for name, p in copied.named_parameters()}
        ratio = method.divided(*learn.fisher_importances(by_hand, copied, "external", "fisher"))
        for name, module in copied.named_modules():
            module.training = modes[name]
        for name, p in copied.named_parameters():
            p.requires_grad_(graded[name])
            p.grad = None
        now.update(method.moving(ratio))
        seen.append({name: values.clone() for name, values in now.items()})

    renew()
    how = learn.Training(mask=now, after_epoch=renew)
    loss = learn.objective(by_hand, "external", LONG.epsilon)
    options = {"split": "external", "stage": "step 1", "train": ("features",), "lr": LONG.lr_extractor, "how": how}
    learn.finetune(by_hand, by_hand.model, loss=loss, epochs=3, **options)
    assert equal(often, by_hand.model)
    assert any(not torch.equal(seen[0][name], seen[1][name]) for name in seen[0])
    assert run.passes.backward > 0


def test_a_mask_that_is_never_due_is_the_first_one():
    net = random_net()
    assert equal(fit(net)[1], fit(net, mask_every=3)[1]), "no epoch of the step is left after the third"
    assert not equal(fit(net)[1], fit(net, mask_every=2)[1])


def between(values, cut):
    low, high = values[values < cut], values[values >= cut]
    return len(low) * len(high) * (low.mean() - high.mean()) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_otsu_cuts_where_the_variance_between_two_classes_is_largest(seed):
    values = torch.rand(40, generator=torch.Generator().manual_seed(seed)).double() ** (seed + 1)
    best = max((float(between(values, cut)), float(cut)) for cut in values if cut > values.min())
    assert float(otsu(values)) == pytest.approx(best[1])


def test_otsu_of_two_clear_classes_and_of_ties():
    assert float(otsu(torch.tensor([0.1, 0.9, 0.12, 0.95, 0.11]))) == pytest.approx(0.9)
    assert float(otsu(torch.tensor([0.2, 0.2, 0.2, 0.8]))) == pytest.approx(0.8)
    assert float(otsu(torch.tensor([0.0, 1.0]))) == 1


def test_the_head_is_reset_from_the_threshold_on():
    """The mean, .352, resets two of five weights; one of them is the upper class."""
    mask = {"head.1.weight": torch.tensor([[0.05, 0.1, 0.3, 0.36, 0.95]]), "head.1.bias": torch.tensor([0.5])}
    kept = {}
    for threshold in ("mean", "otsu"):
        linear = torch.nn.Linear(5, 1)
        torch.nn.init.ones_(linear.weight)
        facts = reset(linear, "partial", mask, mask, threshold=threshold)
        kept[threshold] = linear.weight.detach().flatten().tolist(), round(facts["gamma"], 3)
    assert kept["mean"] == ([1, 1, 1, 0, 0], 0.352)
    assert kept["otsu"] == ([1, 1, 1, 1, 0], 0.95)
    constant = {name: torch.full_like(values, 0.5) for name, values in mask.items()}
    linear = torch.nn.Linear(5, 1)
    assert reset(linear, "partial", constant, constant, threshold="otsu")["reset_share"] == 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("swift:mask_every=0", "a number from 1"),
        ("swift:mask_every=2,mask=ones", "only read with mask=soft or hard"),
        ("swift:mask_every=2,steps=second", "only read with steps=both or first"),
        ("swift:gamma=otsu,reset_share=0.2", "only read with gamma=mean"),
        ("swift:gamma=otsu,reinit=full", "only read with reinit=partial"),
        ("swift:gamma=learned", "allowed: mean, otsu"),
    ],
)
def test_settings_that_are_not_read_are_refused(spec, says):
    with pytest.raises(UsageError, match=says):
        registry.METHODS.build(spec)
