"""FullFT-RW, FullFT-Reg, FullFT-FDR and the baseline as wholes: weights after `fit` against the equations."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bench.methods.baseline import Baseline
from bench.methods.fullft_fdr import FullFTFDR
from bench.methods.fullft_reg import FullFTReg
from bench.methods.fullft_rw import FullFTRW
from tests.unit import whole

BOTH = pytest.mark.parametrize("recipe", [whole.SGD, whole.ADAM], ids=["sgd", "adam"])


def check(method, recipe, split, loss, names=whole.FEATURES + whole.LAST, lr=None, **training):
    run = whole.run_of(method, recipe)
    data = whole.split(split)
    batches = whole.orders(run, data, "finetune", recipe.epochs)
    by = whole.optimiser(recipe, lr or recipe.lr_extractor)
    expected = whole.descended(whole.weights(whole.net()), data, batches, loss, by, names, **training)
    whole.assert_equal(method.fit(run), expected)


def test_the_baseline_is_the_network_that_it_was_given():
    found, start = whole.weights(Baseline().fit(whole.run_of(Baseline()))), whole.weights(whole.net())
    assert all(np.array_equal(found[name], start[name]) for name in start)


@BOTH
def test_fullft_rw(recipe):
    check(FullFTRW(), recipe, "external", whole.prediction)


@BOTH
def test_the_head_alone(recipe):
    check(FullFTRW(params="head"), recipe, "external", whole.prediction, whole.LAST, recipe.lr_head)


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("counts", ["batch", "dataset"])
def test_the_prediction_loss_of_the_recipe(counts, total):
    recipe = replace(whole.SGD, weight_counts=counts, reduction="sum" if total else "mean", lr_extractor=0.01)
    share = whole.split("external").y.mean().item() if counts == "dataset" else None
    check(FullFTRW(), recipe, "external", partial(whole.prediction, share=share, total=total))


def test_a_cosine_lowers_the_rate():
    check(FullFTRW(), replace(whole.SGD, schedule="cosine"), "external", whole.prediction, cosine=True)


@BOTH
@pytest.mark.parametrize(("method", "split"), [(FullFTReg, "val"), (FullFTFDR, "external")])
def test_the_penalised_ones(method, split, recipe):
    check(method(), recipe, split, whole.blended(0.9))
    check(method(beta=0.3), recipe, split, whole.blended(0.3))


@pytest.mark.parametrize("weights", ["convex", "penalty"])
@pytest.mark.parametrize("empty", ["skip", "zero_mean"])
@pytest.mark.parametrize("scores", [False, True])
def test_the_bias_terms_of_the_public_code(scores, empty, weights):
    method = FullFTReg(
        beta=0.6, proxy="signed_half_score" if scores else "signed_half_logit", empty_cell=empty, weights=weights
    )
    both = whole.blended(0.6, partial(whole.half_signed, scores=scores, empty=empty))
    check(method, whole.SGD, "val", lambda z, y, a: both(z, y, a) / (0.6 if weights == "penalty" else 1))


def test_a_batch_without_a_bias_term_moves_nothing_if_there_is_no_other():
    recipe, data = replace(whole.SGD, batch=2), whole.split("external")
    batches = whole.orders(whole.run_of(FullFTFDR(), recipe), data, "finetune", recipe.epochs)
    y, a = whole.labels(data)
    defined = [whole.proxy(np.zeros(len(rows)), y[rows], a[rows]) is not None for epoch in batches for rows in epoch]
    assert 5 < sum(defined) < len(defined) - 5
    check(FullFTFDR(beta=0.0), recipe, "external", whole.blended(0.0))


@BOTH
def test_a_smaller_beta_ends_with_a_smaller_bias_and_a_larger_prediction_loss(recipe):
    recipe, data, ends = replace(recipe, epochs=20, batch=32), whole.split("external"), []
    for beta in (0.95, 0.05):
        method = FullFTFDR(beta=beta)
        z = whole.logits(whole.weights(method.fit(whole.run_of(method, recipe))), whole.pixels(data))
        ends.append((whole.proxy(z, *whole.labels(data)), whole.prediction(z, *whole.labels(data))))
    assert ends[1][0] < ends[0][0]
    assert ends[1][1] > ends[0][1]


def test_the_largest_logit_and_the_losses_are_those_of_the_batches_before_their_steps():
    """In one epoch of one batch, those of the network as it was given."""
    recipe, data = replace(whole.SGD, epochs=1, batch=100), whole.split("external")
    run = whole.run_of(FullFTRW(), recipe)
    FullFTRW().fit(run)
    z = whole.logits(whole.weights(whole.net()), whole.pixels(data))
    facts = run.facts["finetune"]
    assert facts["largest_logit"] == pytest.approx(np.abs(z).max(), rel=1e-5)
    assert facts["loss"] == [pytest.approx(whole.prediction(z, *whole.labels(data)), rel=1e-5)]
