"""FairPrune's curvature, and the evaluations of DiffPrune and DiffGda."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from bench import learn
from bench.data.split import ImageSplit
from bench.learn.device import device
from bench.methods.diff_gda import DiffGda
from bench.methods.diff_prune import DiffPrune
from bench.methods.fair_prune import FairPrune, saliency, smallest
from tests.perf import plain
from tests.perf.sizes import SIZE, a_run, cached, coded, network, sizes, wall

pytestmark = pytest.mark.gpu


def test_curvature_in_one_pass_against_gradients_image_by_image(compare, tmp_path):
    """The small backbone on a CPU, where gradients by vmap of a ResNet-50 take minutes."""
    on_cpu = device().type == "cpu"
    backbone, images, pixels = ("small", 512, 64) if on_cpu else ("resnet50", sizes().images, SIZE)
    net, batch = network(backbone), 128
    run = a_run(net, {"external": lambda: cached(tmp_path, "external", images, size=pixels)}, batch=batch)
    data, method = run.split("external"), FairPrune()

    def curvatures(kind):
        rng = run.rng("signs")
        return [learn.curvature(run, run.model, data.where(data.a == g), rng, kind) for g in (0, 1)]

    def pruned(kind):
        one, other = curvatures(kind)
        weights = method.prunable(run.model)
        scores = [saliency(w, one[name], other[name], method.beta).detach().flatten() for name, w in weights.items()]
        flat = torch.cat(scores)
        return flat.cpu().numpy(), smallest(flat, method.pruned(run.model))

    (mine, chosen), (exact, wanted) = pruned("rademacher"), pruned("exact")
    correlation = spearmanr(mine, exact).statistic
    shared = float((chosen & wanted).sum() / wanted.sum())
    print(f"\nsaliencies of one pass and exact: rank correlation {correlation:.3f}, {shared:.1%} of the pruned alike")
    assert np.isfinite(correlation)
    compare(
        "FairPrune's curvature: one pass / image by image (vmap)", lambda: curvatures("rademacher"),
        lambda: curvatures("exact"), bar=0.5, pairs=sizes().pairs,
    )  # fmt: skip


class FromFiles(ImageSplit):
    """A split whose images are decoded from files by the workers of a DataLoader whenever they are asked for."""

    files = ()

    def batches(self, *, size, shuffle=False, augment=False, rng=None):
        assert not shuffle
        return plain.batches(plain.Jpegs(self.files, self.y, self.a, SIZE, augment=False), size, shuffle=False)


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    """Images of noise in files without loss, and the same pixels in a cache."""
    folder, n = tmp_path_factory.mktemp("validation"), sizes().images
    split = cached(folder, "val", n)
    for i in range(n):
        Image.fromarray(np.asarray(split.array[i])).save(folder / f"{i:05d}.png")
    return folder, split


@pytest.mark.parametrize(
    "method",
    [DiffPrune(max_steps=2, accuracy_stop=0.0), DiffGda(epochs=1, evaluations=2, accuracy_stop=0.0)],
    ids=["DiffPrune", "DiffGda"],
)
def test_evaluations_against_those_from_files(compare, tmp_path, validation, method):
    """Every evaluation reads the whole validation set; the same candidate must be kept."""
    folder, val = validation
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first one imports a compiler
    size, chosen = sizes(), {}
    external = partial(cached, tmp_path, "external", size.images // 2)

    def from_files():
        y, a = coded(len(val))
        split = FromFiles("val", val.array, val.rows, y, a, val.uids, device=device())
        split.files = sorted(folder.glob("*.png"))
        return split

    def fit(kind, net, read):
        run = a_run(net, {"external": external, "val": read}, batch=size.batch)
        run.model.load_state_dict(copy.deepcopy(net.state_dict()))
        method.fit(run)
        chosen[kind] = run.facts["kept_step"]

    def plainly():
        with plain.as_torch_comes():
            fit("plain", plain.nchw(network()), from_files)

    compare(
        f"{method.title}: evaluations from the cache / from files, NCHW", lambda: fit("suite", network(), lambda: val),
        plainly, bar=0.5, pairs=2, clock=wall, warm=False,
    )  # fmt: skip
    assert chosen["suite"] == chosen["plain"]
