"""What the options of LLFT, DiffGda, DiffPrune and FairPrune read and refuse, and what those of LLFT mean."""

import dataclasses
import itertools

import pytest
import torch

from bench import learn, registry
from bench.checks.subject import RECIPE, logits, random_net, random_run
from bench.errors import UsageError
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.fair_prune import FairPrune
from bench.methods.llft import LLFT
from bench.register import deciding
from bench.spec import describe
from tests.unit.fits import example_b, fit

FOUR = {"llft": LLFT, "diff_gda": DiffGda, "diff_prune": DiffPrune, "fair_prune": FairPrune}


@pytest.mark.parametrize("name", FOUR)
def test_presets_and_grids_are_settings_that_read_what_they_declare(name):
    cls = FOUR[name]
    assert set(cls.presets) == {"suite", "paper", "reference"}
    assert cls(**cls.presets["suite"]) == cls()
    for values in cls.presets.values():
        run, model = fit(cls(**values))
        assert torch.isfinite(logits(model)).all()
        assert set(run._opened) == cls(**values).uses
    for values in itertools.product(*cls.search.values()):
        method = cls(**dict(zip(cls.search, values, strict=True)))
        assert registry.METHODS.build(describe(name, method)) == method


@pytest.mark.parametrize(
    ("cls", "rows"),
    [
        (LLFT, {"D37", "D76", "D77", "D78", "D79"}),
        (DiffGda, {"D32", "D33", "D43", "D44", "D80", "D81"}),
        (DiffPrune, {"D34", "D43", "D80", "D81", "D82", "D83", "D84"}),
        (FairPrune, {"D36", "D85", "D87", "D88", "D89"}),
    ],
)
def test_options_name_the_rows_of_the_register_that_they_decide(cls, rows):
    name = cls.__module__.rpartition(".")[2]
    assert {row for field in dataclasses.fields(cls) for row in deciding(name, field.name)} == rows


@pytest.mark.parametrize(
    ("cls", "given", "says"),
    [
        (LLFT, {"constraint": "eq10", "alpha": 5.0}, ["LLFT.alpha=5.0", "constraint=joint_rates"]),
        (LLFT, {"beta": 0.5}, ["LLFT.beta=0.5", "constraint=eq10"]),
        (LLFT, {"budget": "recipe", "lr": 0.1}, ["LLFT.lr=0.1", "budget=converge"]),
        (LLFT, {"budget": "recipe", "batch": 32}, ["LLFT.batch=32", "budget=converge"]),
        (LLFT, {"initial": "zeros"}, ["LLFT.initial", "zeros", "did you mean zero"]),
        (DiffGda, {"budget": "recipe", "lr": 0.1}, ["DiffGda.lr=0.1", "budget=original"]),
        (DiffGda, {"budget": "recipe", "epochs": 3}, ["DiffGda.epochs=3", "budget=original"]),
        (DiffGda, {"data": "train"}, ["DiffGda.data", "train", "external, val"]),
        (DiffPrune, {"site": "stem_active"}, ["DiffPrune.site", "did you mean stem_activated"]),
        (FairPrune, {"ratio": 1.5}, ["FairPrune.ratio=1.5", "0 to 1"]),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_what_is_allowed(cls, given, says):
    with pytest.raises(UsageError) as caught:
        cls(**given)
    assert all(words in str(caught.value) for words in says)


def test_llft_losses_by_hand():
    z, y, a = example_b()
    # Joint rates: |.2 - .4| / 3 of false positives and |.7 - .6| / 3 of false negatives, .1 in all.
    base = learn.prediction_loss(z, y).item()
    assert LLFT(alpha=2).loss(z, y, a).item() == pytest.approx(base + 0.2, abs=1e-12)
    assert LLFT(constraint="eq10", beta=0).loss(z, y, a).item() == pytest.approx(0.601986, abs=5e-7)
    half = LLFT(constraint="eq10", beta=0.5).loss(z, y, a).item()
    assert half == pytest.approx(0.5 * base + 0.5 * 0.601986, abs=5e-7)
    p, y = torch.tensor([0.8, 0.4, 0.2, 0.1]), torch.tensor([1.0, 0, 0, 0])
    z, a = torch.log(p / (1 - p)), torch.tensor([0, 1, 0, 1])
    assert LLFT(alpha=0).loss(z, y, a).item() == pytest.approx(0.0942975, abs=5e-7)
    assert LLFT(alpha=0, prediction="plain").loss(z, y, a).item() == pytest.approx(1.062475 / 4, abs=5e-7)


def test_llft_starts_where_it_says():
    net = random_net()
    heads = {start: fit(LLFT(initial=start, max_epochs=0), net=net)[1].linear for start in ("default", "zero", "keep")}
    assert torch.equal(heads["keep"].weight, net.linear.weight)
    assert torch.equal(heads["keep"].bias, net.linear.bias)
    assert not heads["zero"].weight.any()
    assert not heads["zero"].bias.any()
    weight = heads["default"].weight
    assert 0.8 * 128**-0.5 < weight.abs().max() <= 128**-0.5
    assert not torch.equal(weight, net.linear.weight)


def test_llft_without_dropout_and_from_zero_has_nothing_random_left():
    def weight(dropout, seed):
        method = LLFT(initial="zero", head_dropout=dropout, max_epochs=5)
        return fit(method, seed=seed)[1].linear.weight

    assert torch.equal(weight(0.0, 0), weight(0.0, 1))
    assert not torch.equal(weight(0.5, 0), weight(0.5, 1))


@pytest.mark.parametrize("beta", [0.3, 0.9])
def test_llft_with_the_recipes_budget_is_fine_tuning_of_the_head(beta):
    run, model = fit(LLFT(constraint="eq10", beta=beta, budget="recipe", initial="keep"))
    other = random_run(LLFT(), "x")
    learn.finetune(
        other,
        other.model,
        train=("head",),
        loss=learn.blend(beta),
        split="external",
        epochs=RECIPE.epochs,
        lr=RECIPE.lr_head,
        stage="head",
    )
    assert torch.equal(logits(model), logits(other.model))
    assert run.facts["head"]["steps"] == RECIPE.epochs * 96 // RECIPE.batch


@pytest.mark.parametrize("budget", ["converge", "recipe"])
def test_llft_changes_the_head_alone(budget):
    net = random_net()
    _, model = fit(LLFT(budget=budget), net=net)
    before, after = net.state_dict(), model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.1.weight", "head.1.bias"}
