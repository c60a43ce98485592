"""SWiFT, BMFT and FullFT: what each option does, told from the default by hand-computed values or by identities."""

import dataclasses
from itertools import pairwise

import pytest
import torch
from inline_snapshot import snapshot

from bench import learn, registry
from bench.checks.subject import RECIPE, logits, random_net, random_run, random_split
from bench.errors import UnknownName, UsageError
from bench.methods.bmft import BMFT
from bench.methods.fullft_fdr import FullFTFDR
from bench.methods.fullft_reg import FullFTReg
from bench.methods.fullft_rw import FullFTRW
from bench.methods.swift import SWiFT
from bench.running.context import SharedCache
from bench.spec import describe

ADAM = dataclasses.replace(RECIPE, optimiser="adam")
NO_DECAY = dataclasses.replace(RECIPE, weight_decay=0.0)


def fit(method, name="swift", **changes):
    run = random_run(method, name, **changes)
    return run, method.fit(run)


def same(one, other, part=""):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a if name.startswith(part))


def statistics(net):
    return {name: b.clone() for name, b in net.named_buffers() if "running" in name}


def test_step_1_alone_leaves_the_head_and_step_2_alone_the_extractor():
    net = random_net()
    _, first = fit(SWiFT(steps="first"), net=net)
    assert same(first, net, "head.")
    assert not same(first, net, "features.")
    _, second = fit(SWiFT(steps="second"), net=net)
    assert same(second, net, "features.")
    assert not same(second, net, "head.")


def test_both_steps_are_step_1_then_step_2():
    """What the whole method returns has the extractor of the first step alone."""
    _, both = fit(SWiFT())
    _, first = fit(SWiFT(steps="first"))
    assert same(both, first, "features.")


def test_no_epochs_give_the_baseline_and_an_odd_number_loses_none():
    net = random_net()
    assert same(fit(SWiFT(epochs=0), net=net)[1], net)
    for method in (SWiFT(), BMFT()):
        assert same(fit(method, net=net, recipe=dataclasses.replace(RECIPE, epochs=0))[1], net)
    run, _ = fit(SWiFT(epochs=3))
    assert [run.facts[step]["steps"] for step in ("step 1", "step 2")] == [6, 12]
    per_stage = dataclasses.replace(RECIPE, epochs_mode="per_stage")
    run, _ = fit(SWiFT(epochs=3), recipe=per_stage)
    assert [run.facts[step]["steps"] for step in ("step 1", "step 2")] == [18, 18]


def test_a_hard_mask_moves_the_largest_ratios_and_nothing_else():
    net = random_net()
    run, model = fit(SWiFT(mask="hard", rate=0.3, steps="first"), net=net, recipe=NO_DECAY)
    ratio = SWiFT().ratio(run, random_run(SWiFT(), "swift", net=net).model, "external")
    names = [name for name in ratio if name.startswith("features.")]
    allowed = learn.hard_mask(ratio, 0.3, names)
    before, after = dict(net.named_parameters()), dict(model.named_parameters())
    moved = {name: before[name] != after[name] for name in names}
    assert all(not moved[name][allowed[name] == 0].any() for name in names)
    assert sum(int(m.sum()) for m in moved.values()) > 0.2 * sum(m.numel() for m in moved.values())


def test_a_mask_of_ones_is_no_mask():
    _, model = fit(SWiFT(mask="ones", steps="first"))
    run = random_run(SWiFT(), "swift")
    loss = learn.blend(RECIPE.epsilon)
    plain = learn.finetune(
        run,
        run.model,
        train=("features",),
        loss=loss,
        split="external",
        epochs=1,
        lr=RECIPE.lr_extractor,
        stage="step 1",
    )
    assert same(model, plain)


def test_a_random_mask_makes_no_importances_and_resets_by_itself():
    run, _ = fit(SWiFT(mask="random", steps="second"))
    default, _ = fit(SWiFT(steps="second"))
    images = len(random_split("external"))
    assert default.passes.forward - run.passes.forward == images
    assert default.passes.backward - run.passes.backward == 2 * images
    mask = learn.random_mask(run.model, run.rng("mask"))["head.1.weight"]
    assert run.facts["gamma"] == pytest.approx(float(mask.mean()))
    assert run.facts["reset_share"] == pytest.approx(float((mask >= mask.mean()).float().mean()))


@pytest.mark.parametrize(("reinit", "share"), [("none", 0.0), ("full", 1.0)])
def test_reset_of_nothing_and_of_everything(reinit, share):
    method = SWiFT(reinit=reinit, steps="second", epochs=1)
    frozen = dataclasses.replace(RECIPE, lr_head=0.0)
    net = random_net()
    run, model = fit(method, net=net, recipe=frozen)
    assert run.facts["reset_share"] == share
    head = model.head.state_dict()
    assert all((v == 0).all() for v in head.values()) if share else same(model, net, "head.")


def test_a_hard_mask_may_reset_the_whole_head_as_bmft():
    frozen = dataclasses.replace(RECIPE, lr_head=0.0)
    run, model = fit(SWiFT(mask="hard", rate=0.5, hard_head="full"), recipe=frozen)
    assert run.facts["reset_share"] == 1
    assert all((v == 0).all() for v in model.head.state_dict().values())
    soft, _ = fit(SWiFT(mask="hard", rate=0.5), recipe=frozen)
    assert 0 < soft.facts["reset_share"] < 1


def test_ratios_come_from_the_data_named():
    net = random_net()
    for split in ("external", "val"):
        run, _ = fit(SWiFT(mask_data=split), net=net)
        other = random_run(SWiFT(mask_data=split), "swift", net=net)
        mask = learn.soft_mask(learn.importance_ratio(*learn.fisher_importances(other, other.model, split)))
        assert run.facts["gamma"] == pytest.approx(float(mask["head.1.weight"].mean()), rel=1e-6)
    assert SWiFT(mask_data="val").uses == {"val", "external"}


@pytest.mark.parametrize("method", [SWiFT, BMFT])
def test_the_statistics_of_a_frozen_extractor_move_only_as_in_the_public_code(method):
    """After step 2 weights are those of step 1 either way; buffers only in evaluation mode (D13)."""
    states = {}
    for mode in ("eval", "train"):
        _, states[mode] = fit(method(extractor_step2=mode))
    weights = [dict(model.features.named_parameters()) for model in states.values()]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    buffers = [statistics(model.features) for model in states.values()]
    assert not any(torch.equal(buffers[0][name], buffers[1][name]) for name in buffers[0])


def test_the_dropout_of_the_frozen_head_can_be_off_in_step_1():
    """Without dropout the step does not depend on the seed of the dropout (D14)."""
    results = {}
    for mode in ("train", "eval"):
        results[mode] = []
        for p in (0.5, 0.0):
            net = random_net()
            net.head[0].p = p
            results[mode].append(fit(SWiFT(steps="first", head_step1=mode), net=net)[1])
    assert same(*results["eval"])
    assert not same(*results["train"])


def test_adam_cancels_a_mask_on_gradients_and_not_one_on_updates():
    """Displacements under a gradient mask are those without one; a mask on updates scales them entry by entry."""
    net = random_net()
    displacement = {}
    for name, method in {
        "none": SWiFT(mask="ones", steps="first"),
        "gradient": SWiFT(mask="random", steps="first"),
        "update": SWiFT(mask="random", steps="first", apply="update"),
    }.items():
        run, model = fit(method, net=net, recipe=dataclasses.replace(ADAM, batch=96))
        before = net.features[0].weight.detach()
        displacement[name] = (model.features[0].weight.detach() - before).flatten()
        if name == "none":
            assert "mask_displacement" not in run.facts
            assert not run.warnings
            continue
        correlation = run.facts["mask_displacement"]["features.0.weight"]
        assert correlation < 0.3 if name == "gradient" else correlation > 0.8
        assert any("Adam" in text for text in run.warnings) == (name == "gradient")
    mask = learn.random_mask(net, run.rng("mask"))["features.0.weight"].flatten()
    torch.testing.assert_close(displacement["gradient"], displacement["none"], rtol=0.02, atol=1e-5)
    torch.testing.assert_close(displacement["update"], mask * displacement["none"], rtol=1e-4, atol=1e-7)


def test_swift_brings_its_update_row_where_the_optimiser_is_adaptive():
    assert SWiFT().companions(ADAM) == ("apply=update",)
    assert SWiFT().companions(RECIPE) == ()


def test_a_cosine_schedule_ends_at_zero_and_a_constant_one_does_not():
    """Of one stage of two steps the second has half the rate: the cosine at half the way (D40)."""
    recipe = dataclasses.replace(RECIPE, momentum=0.0, weight_decay=0.0, batch=48)
    moved = {}
    for schedule in ("constant", "cosine"):
        run = random_run(FullFTRW(), "x", recipe=dataclasses.replace(recipe, schedule=schedule))
        run.model.features.requires_grad_(False)
        path = []

        def loss(z, y, a, path=path, net=run.model):
            path.append(net.head[1].bias.detach().clone())
            return z.sum() * 0 + net.head[1].bias.sum()  # a gradient of 1

        learn.finetune(run, run.model, train=("head",), loss=loss, split="external", epochs=1, lr=1.0)
        path.append(run.model.head[1].bias.detach())
        moved[schedule] = [float(after - before) for before, after in pairwise(path)]
    assert moved["constant"] == pytest.approx([-1, -1])
    assert moved["cosine"] == pytest.approx([-1, -0.5])


def test_bmft_takes_mask_and_first_step_from_validation_as_its_code():
    """data=reference: not augmented, so that with one batch per epoch the first step sees the upright images (D24)."""
    recipe = dataclasses.replace(RECIPE, batch=96)
    method = BMFT(data="reference")
    assert method.uses == {"val", "external"}
    run = random_run(method, "bmft", recipe=recipe)
    seen = []
    data = run.split("val")
    data.images = lambda index, augmentation=None, images=data.images: (
        seen.append(augmentation) or images(index, augmentation)
    )
    method.fit(run)
    assert len(seen) == 2, "one batch for the importances, one for the epoch of the first step"
    assert all(v is None or not v.any() for v in seen)


def test_weight_decay_of_sgd_reaches_the_frozen_head_where_it_is_in_the_optimiser():
    """Six steps at rate 0.1 and decay 0.1 leave a weight without gradient at (1 - 0.01)^6 of itself."""
    recipe = dataclasses.replace(
        RECIPE, momentum=0.0, weight_decay=0.1, lr_extractor=0.1, epochs=1, epochs_mode="per_stage"
    )
    net, heads = random_net(), {}
    for decay in (False, True):
        method = BMFT(head_decay=decay)
        run = random_run(method, "bmft", net=net, recipe=recipe)
        original = learn.finetune

        def record(run, model, *, stage, original=original, heads=heads, decay=decay, **rest):
            result = original(run, model, stage=stage, **rest)
            heads.setdefault(decay, model.head[1].weight.detach().clone())
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(learn.__dict__, "finetune", record)
            method.fit(run)
    before = net.head[1].weight.detach()
    assert torch.equal(heads[False], before)
    torch.testing.assert_close(heads[True], before * (1 - 0.1 * 0.1) ** 6, rtol=1e-5, atol=1e-8)


def test_full_fine_tuning_of_the_head_alone_is_the_head_alone():
    net = random_net()
    for method in (FullFTRW(params="head"), FullFTFDR(params="head"), FullFTReg(params="head")):
        _, model = fit(method, net=net)
        assert same(model, net, "features.")
        assert not same(model, net, "head.")
        assert method.changes == {"head"}


def test_a_cell_that_finds_shared_values_says_what_one_that_makes_them_says(tmp_path):
    """Importances and step 1 are made once for all thresholds; numbers, facts and costs are those of a run alone."""
    alone, shared = [], []
    for share in (0.1, 0.5, 0.9):
        method = SWiFT(reset_share=share)
        run = random_run(method, f"swift:reset_share={share}")
        alone.append((logits(method.fit(run)), dict(run.facts), dataclasses.asdict(run.passes)))
    made = []
    for share in (0.1, 0.5, 0.9):
        method = SWiFT(reset_share=share)
        run = random_run(method, f"swift:reset_share={share}")
        run._shared_cache = SharedCache(tmp_path / "shared", {"baseline": "x"})
        shared.append((logits(method.fit(run)), dict(run.facts), dataclasses.asdict(run.passes)))
        made.append(len(list((tmp_path / "shared").iterdir())))
    assert made == [2, 2, 2]
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one[0], other[0])
        assert one[2] == other[2]
        assert repr(one[1]) == repr(other[1])
    for file in (tmp_path / "shared").iterdir():
        file.write_bytes(file.read_bytes()[:100])  # damaged: made anew
    run = random_run(SWiFT(reset_share=0.9), "swift:reset_share=0.9")
    run._shared_cache = SharedCache(tmp_path / "shared", {"baseline": "x"})
    assert torch.equal(logits(SWiFT(reset_share=0.9).fit(run)), alone[-1][0])
    other = random_run(SWiFT(epsilon=0.3), "swift:epsilon=0.3")
    other._shared_cache = run._shared_cache
    SWiFT(epsilon=0.3).fit(other)
    assert len(list((tmp_path / "shared").iterdir())) == 3  # another first step, the same importances
    bmft = random_run(BMFT(), "bmft")
    bmft._shared_cache = run._shared_cache
    BMFT().fit(bmft)
    assert len(list((tmp_path / "shared").iterdir())) == 3  # the importances of SWiFT


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("swift:mask=hard", ["rate is missing", "mask=hard", "0 to 1"]),
        ("swift:rate=0.3", ["rate=0.3", "mask=hard", "mask=soft"]),
        ("swift:normalise=percentile,low=90,high=10", ["low=90", "high=10", "low must be below high"]),
        ("swift:low=10", ["low=10", "normalise=percentile"]),
        ("swift:epochs=-1", ["epochs=-1", "0 to inf"]),
        ("swift:reset_share=nan", ["reset_share=nan", "0 to 1"]),
        ("swift:steps=first,reinit=full", ["reinit=full", "steps=both or second"]),
        ("swift:reinit=full,reset_share=0.2", ["reset_share=0.2", "reinit=partial"]),
        ("bmft:empty_cell=zero_mean", ["empty_cell=zero_mean", "proxy=signed_half_logit"]),
        ("bmft:rate=1.5", ["rate=1.5", "0 to 1"]),
    ],
)
def test_impossible_combinations_are_refused(spec, words):
    with pytest.raises(UsageError) as caught:
        registry.METHODS.build(spec)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.exit_code == 2


def test_presets_stand_for_their_parameters():
    assert registry.METHODS.build("swift:preset=suite") == SWiFT()
    assert registry.METHODS.build("swift:preset=paper") == SWiFT(scope="module", reinit_scope="head_all")
    given = registry.METHODS.build("swift:preset=reference,extractor_step2=eval")
    assert given == SWiFT(mask_data="val", reinit_scope="reference")
    assert describe("swift", given) == "swift:mask_data=val,reinit_scope=reference"
    with pytest.raises(UnknownName) as error:
        registry.METHODS.build("swift:preset=referense")
    assert str(error.value) == snapshot(
        "unknown preset 'referense' of swift: did you mean reference? allowed: suite, paper, reference"
    )
