"""Networks of timm as backbones: what their configuration asks for, their weights, and all ten methods on them."""

import dataclasses
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from inline_snapshot import snapshot
from PIL import Image
from safetensors.torch import load_file

from bench import registry
from bench.api import Input, Question
from bench.backbones import lacking, package
from bench.checks import BACKBONE_CHECKS, run_check
from bench.checks.backbone_checks import Network
from bench.checks.subject import RECIPE, random_run, random_split
from bench.data.augment import normalise
from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.learn.network import build_net
from bench.learn.predict import predict
from bench.running.build_methods import build_method
from bench.running.plan import method_specs
from tests.prose import plain
from tests.real import shared

if find_spec("timm") is None:
    pytest.skip("timm is not installed: pip install timm", allow_module_level=True)
timm = package("timm", "")

TINY = {
    "ResNet": "test_resnet",
    "ConvNeXt": "test_convnext",
    "ViT": "test_vit",
    "Swin": "swin_tiny_patch4_window7_224",
    "EfficientNet": "test_efficientnet",
}
PATCHES = ("ViT", "Swin")


def made(name, **options):
    return registry.backbone(f"timm:{name}", **options)


@cache
def network(kind, size=32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_net(made(TINY[kind]), size=size)


def test_statistics_and_filter_are_those_of_the_configuration():
    config = timm.get_pretrained_cfg("test_resnet")
    given = made("test_resnet").input
    assert (given.mean, given.std) == (config.mean, config.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (given.interpolation, given.size) == (config.interpolation, 160) == ("bilinear", 160)
    assert made("test_resnet,channels=1").input == Input(
        size=160, channels=1, mean=(0.5,), std=(0.5,), interpolation="bilinear"
    )
    # The weights of another tag were trained with another filter.
    tags = {tag: made(f"resnet50,weights={tag}").input.interpolation for tag in ("a1_in1k", "tv_in1k")}
    assert tags == {"a1_in1k": "bicubic", "tv_in1k": "bilinear"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in TINY if kind != "Swin"])
def test_tiny_networks_pass_the_checks_of_backbones(kind):
    subject = Network(f"timm:{TINY[kind]}")
    assert {check.__name__: says for check in BACKBONE_CHECKS if (says := run_check(check, subject))} == {}


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 48)])
@pytest.mark.parametrize("kind", [kind for kind in TINY if kind != "Swin"])
def test_channels_and_size_reach_the_network(kind, channels, size):
    net = build_net(made(f"{TINY[kind]},channels={channels}"), size=size)
    assert net(torch.zeros(2, channels, size, size)).shape == (2,)


@pytest.mark.parametrize("classes", [0, 1, 7])
@pytest.mark.parametrize("kind", ["ResNet", "ViT", "ConvNeXt"])
def test_weights_of_a_file_are_loaded_whatever_its_last_layer(tmp_path, kind, classes):
    from safetensors.torch import save_file

    theirs = timm.create_model(TINY[kind], num_classes=classes).eval()
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    net = build_net(made(TINY[kind], weights=str(tmp_path / "w.safetensors")))
    x = torch.randn(2, 3, 160, 160)
    theirs.reset_classifier(0)
    with torch.no_grad():
        torch.testing.assert_close(net.features(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_weights_are_adapted_to_one_channel_and_to_another_size(tmp_path):
    theirs = timm.create_model("test_vit").eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    net = build_net(made("test_vit,channels=1", weights=str(tmp_path / "w.pth")))
    x = torch.randn(2, 1, 160, 160)
    theirs.reset_classifier(0)
    with torch.no_grad():
        torch.testing.assert_close(net.features(x), theirs(x.expand(2, 3, 160, 160)), rtol=1e-3, atol=1e-4)
    assert build_net(made("test_vit", weights=str(tmp_path / "w.pth")), size=64)(torch.zeros(1, 3, 64, 64)).shape == (
        1,
    )


def test_a_real_file_of_imagenet_gives_the_features_of_timm():
    """Real weights on real photographs: what the suite makes of the file is what timm makes of it."""
    file, photographs = shared("weights") / "tf_efficientnet_lite0.safetensors", shared("ham10000")
    backbone = made("tf_efficientnet_lite0", weights=str(file))
    images = [Image.open(image) for image in sorted(photographs.rglob("*.jpg"))[:4]]
    pixels = [np.asarray(image.convert("RGB").resize((128, 128))) for image in images]
    x = normalise(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), backbone.input, 255)
    torch.testing.assert_close(x[0, 0, 0, 0], torch.tensor(pixels[0][0, 0, 0] / 127.5 - 1).float())
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    theirs.load_state_dict(load_file(file), strict=False)
    with torch.no_grad():
        found, expected = build_net(backbone, size=128).eval().features(x), theirs(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert expected.std(0).mean() > 0.05, "photographs differ"


def test_weights_that_do_not_fit_are_refused(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w.pth does not hold the weights of timm's test_vit"):
        build_net(made("test_vit", weights=str(tmp_path / "w.pth")))
    state["conv1.0.weight"][0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w.pth: conv1.0.weight is NaN or infinite"):
        build_net(made("test_resnet", weights=str(tmp_path / "w.pth")))


def test_weights_of_a_tag_are_never_downloaded_by_a_run(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataMissing) as told:
        build_net(made("resnet18", weights="imagenet"), prepare="bench prepare mine.toml")
    assert plain(told.value, tmp_path) == snapshot(
        'weights <tmp>/hub/checkpoints/timm-resnet18.a1_in1k.safetensors not found. On a machine with a network, `bench prepare mine.toml` downloads https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors; otherwise copy it into that folder (or set TORCH_HOME), or set weights = "none" in the task to train from scratch.'
    )


def test_names_that_timm_does_not_have_are_refused_with_the_nearest():
    known = len(timm.list_models())
    with pytest.raises(UsageError) as told:
        made("resnet19")
    text = str(told.value).replace(timm.__version__, "<version>").replace(str(known), "<many>")
    assert text == snapshot(
        "unknown model 'resnet19' of timm <version>: did you mean timm:resnet18 or timm:resnet61q or timm:resnet51q? It has <many> models; `python -c 'import timm; print(*timm.list_models())'` lists them"
    )
    with pytest.raises(UsageError) as told:
        made("test_vit.nope")
    assert str(told.value) == snapshot(
        "timm:test_vit.nope: test_vit has no configuration of this tag; its tags: r160_in1k"
    )
    with pytest.raises(UnknownName, match="unknown weights 'r16_in1k': did you mean r160_in1k"):
        made("test_vit", weights="r16_in1k")


def test_a_network_without_a_vector_is_refused(monkeypatch):
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **how: real(name, **how, global_pool=""))
    with pytest.raises(UsageError, match=r"test_resnet does not pool its features to a vector: shape \(2, 96, 2, 2\)"):
        build_net(made("test_resnet"), size=64)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(DataMissing, match=r"package no_such_package .* not found. Get it there"):
        package("no_such_package", "Get it there.")


@pytest.mark.parametrize("kind", TINY)
def test_what_is_not_defined_on_a_network_says_why(kind):
    lacks = lacking(made(TINY[kind]))
    undefined = [name for name in method_specs("all") if build_method(name).undefined(Question(2, lacks))]
    assert undefined == (["diff_prune"] if kind in PATCHES else [])


def fitted(kind, spec):
    """The logits of a method on a network, before and after it was fitted on random images."""
    method, net = build_method(spec), network(kind)
    recipe = dataclasses.replace(RECIPE, batch=16, lr_head=0.05)
    run = random_run(method, spec, recipe=recipe, net=net, images=32, gap=True)
    before = predict(net, test := random_split("test", images=16))
    return before, predict(method.fit(run), test)


@pytest.mark.slow
@pytest.mark.parametrize("spec", method_specs("all"))
@pytest.mark.parametrize("kind", TINY)
def test_all_methods_run_on_all_kinds_of_network(kind, spec):
    if build_method(spec).undefined(Question(2, lacking(made(TINY[kind])))):
        pytest.skip("not defined on this network, see above")
    before, after = fitted(kind, spec)
    assert after.shape == (16,)
    assert after.isfinite().all()
    kept = spec in ("baseline", "diff_gda", "diff_prune")  # these may keep the baseline
    assert kept or not torch.equal(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["swift:importance=fisher_per_sample", "fair_prune:curvature=exact"])
@pytest.mark.parametrize("kind", [kind for kind in TINY if kind != "Swin"])
def test_gradients_image_by_image_on_all_kinds_of_network(kind, spec):
    before, after = fitted(kind, spec)
    assert not torch.equal(before, after)
    assert after.isfinite().all()


def test_a_size_that_a_network_cannot_take_is_refused():
    with pytest.raises(UsageError, match=r"timm:test_vit cannot be built for images of 30 pixels: Input height"):
        build_net(made("test_vit"), size=30)
