"""`preset=reference` beside the authors' own functions, run once on the images below: their weights are recorded here.

Recorded with torch 2.13: `Finetune` and `eo_constraint` of yuzhenmao/Fairness-Finetuning at f290e3b (method M1, two
logits that start at plus and minus half of the head), and `Debiasing.finetune`, `Debiasing.bias_tuning` and
`compute_empirical_bias` of vios-s/BMFT at 70c83e4, on all images in one batch.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.image_split import ImageSplit
from bench.methods.bmft import BMFT
from bench.methods.fullft_fdr import FullFTFDR
from bench.methods.fullft_reg import FullFTReg
from bench.methods.llft import LLFT
from bench.net import Net
from tests.unit import whole

N = 20
RECIPE = replace(whole.SGD, batch=N, epochs=12, lr_extractor=0.05, lr_head=0.05, weight_decay=0.02)
WIDE, LINEAR = [[0.3, -0.2, 0.1], [0.1, 0.4, -0.3]], [[0.3, -0.2, 0.1]]


def images():
    i, c = np.arange(N)[:, None], np.arange(3)[None]
    pixels = ((37 * i * i + 91 * (c + 1) * i + 50 * c) % 256).astype(np.uint8)[:, None, None]
    return ImageSplit(
        "formula", pixels, np.arange(N), (np.arange(N) % 5 < 2).astype(int), np.arange(N) % 2, [*range(N)]
    )


def fitted(method, recipe, features, weight, bias):
    start = Net(features, len(weight[0])).eval()
    start.head[0].p = 0.0
    with torch.no_grad():
        start.linear.weight.copy_(torch.tensor(weight))
        start.linear.bias.copy_(torch.tensor(bias))
    return method.fit(whole.run_of(method, recipe, start, splits={"val": images, "external": images}))


def close(found, recorded):
    np.testing.assert_allclose(found.detach().flatten().numpy(), recorded, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("alpha", "epochs", "weight", "bias"),
    [
        (2.0, 60, [-0.21451345, -0.19921212, 0.23716584], -0.18129039),
        (0.5, 1000, [-0.27815410, -0.29768246, 0.32697529], -0.33255395),
    ],
)
def test_llft(alpha, epochs, weight, bias):
    """The original adds 1e-5 to the sizes of the groups, which is seen in the seventh digit."""
    method = LLFT(**LLFT.presets["reference"], initial="keep", alpha=alpha, max_epochs=epochs)
    head = fitted(method, RECIPE, nn.Flatten(), LINEAR, [0.05]).linear
    close(head.weight, weight)
    close(head.bias, [bias])


@pytest.mark.parametrize("cls", [FullFTReg, FullFTFDR])
@pytest.mark.parametrize(
    ("recipe", "weight", "bias"),
    [
        (RECIPE, [-0.18269865, -0.07552940, -0.06368440], 0.03369481),
        (replace(RECIPE, optimiser="adam", lr_extractor=0.02), [0.06340911, 0.03189847, -0.12880740], 0.09551686),
    ],
    ids=["sgd", "adam"],
)
def test_penalised_fine_tuning(cls, recipe, weight, bias):
    head = fitted(cls(**cls.presets["reference"]), recipe, nn.Flatten(), LINEAR, [0.05]).linear
    close(head.weight, weight)
    close(head.bias, [bias])


def test_both_steps_of_bmft_with_a_mask_of_ones():
    extractor = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        extractor[1].weight.copy_(torch.tensor(WIDE))
        extractor[1].bias.copy_(torch.tensor([0.05, -0.1]))
    recipe = replace(RECIPE, epochs=14, weight_decay=5e-4, lr_head=0.2)
    method = BMFT(**BMFT.presets["reference"], rate=1.0)
    net = fitted(method, recipe, extractor, [[0.5, -0.4]], [0.2])
    close(net.features[1].weight, [-0.08577243, -0.10327391, -0.13965252, 0.40842214, 0.32248083, -0.10815121])
    close(net.features[1].bias, [0.04997119, -0.09994239])
    close(net.linear.weight, [-0.02148469, -0.04163555])
    close(net.linear.bias, [-0.00097842])
