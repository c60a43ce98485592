"""DiffPrune: set the stem activations that drive the true-positive-rate gap to zero.

Paper: Marcinkevics et al. 2022, Debiasing Deep Chest X-Ray Classifiers using Intra- and Post-processing Methods.
Code: i6092467/diff-bias-proxies, algorithms/pruning.py, pruning by bias gradients.
Departures:
  1. Saliencies are computed on the external set and states are evaluated on the validation set. The original uses the
     validation set for both (data=val).
  2. The layer is the first convolution, before BatchNorm, as the original chooses for a ResNet-18; SWiFT does not name
     a layer for its backbones (D34; site=convolutions is the choice of the original for a VGG-16).
  3. The unpruned network is a candidate, so that the result is never worse than the baseline by this measure. In the
     original it is not, and if no state is found, the mask is not an array (D35).
  4. The required balanced accuracy is relative to that of the baseline. The original has an absolute bound
     (accuracy_drop=1 leaves only accuracy_least).
  5. A step is a share of the units, at least one. In the original it is 1,500 units, 0.19 % of the stem of a ResNet-18.
  6. If there are more than 4,096 validation images, states are evaluated on about 4,096 of them, with the same share of
     each label and group. The original uses all (D43; evaluation_images=0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Recipe, Run, Sizes, option
from bench.options import fraction

from ._selection import CONFIG, Selecting, comparable, evaluated, measure, soft_gap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._masked_layers import MaskedLayer

CODE = "pruning.py, eval_saliency_dataloaders"


@dataclass(frozen=True, kw_only=True)
class DiffPrune(Selecting):
    """A unit is one entry of the output map of a layer, at one position of one channel, or a whole channel."""

    title = "DiffPrune"
    changes = frozenset({"extractor"})
    row = 8
    presets = {
        "suite": {},
        "paper": {},  # it only says that the data are the external set
        "reference": {"data": "val", "evaluation_images": 0, "accuracy_drop": 1.0, "accuracy_least": 0.65},
    }

    site: Literal["stem", "stem_activated", "convolutions"] = option(
        "stem",
        "Outputs that are pruned: of the first convolution, of the activation after it, or of all convolutions.",
        source="models/networks_ChestXRay.py: ResNet-18 the first, VGG-16 the third",
    )
    unit: Literal["position", "channel"] = option(
        "position", "Unit that is set to zero: a position of a channel, or a channel (ours).", source=CODE
    )
    saliency: Literal["gradient", "taylor"] = option(
        "gradient", "Rank of a unit: the gradient of the gap, or gradient times activation (ours).", source=CODE
    )
    data: Literal["external", "val"] = option(
        "external", "Images on which saliencies are computed.", source="SWiFT; main_ChestXRay.py"
    )
    step: float = fraction(0.002, "Share of the units set to zero in each step.", source="1,500 of 802,816", other=0.05)
    max_steps: int = option(10, "Steps after the first.", low=0, source=CONFIG, other=2)
    dynamic: bool = option(True, "Compute saliencies again on the pruned network before each step.", source=CONFIG)
    accuracy_stop: float = fraction(0.55, "Balanced accuracy at which the search ends.", source="pruning.py", other=1.0)

    @property
    def uses(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({self.data, "val"})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({"stem", "stem activation"} if self.site == "stem_activated" else {"stem"})

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        return 0, 22 * getattr(sizes, self.data) + 12 * self.compared(sizes)

    def fit(self, run: Run) -> nn.Module:
        import torch

        from ._masked_layers import mask_layers, set_masks

        net, val = run.model.eval().requires_grad_(False), evaluated(run, self.evaluation_images)
        first = measure(run.score(net, val), val.y, val.a, self.proxy)
        floor = self.floor(first)
        layers = mask_layers(net, next(iter(run.split(self.data).batches(size=1))).x, self.site, self.unit)
        mask = torch.cat([layer.mask.flatten() for layer in layers])
        best, smallest, kept = mask.clone(), float("inf"), 0
        if first.balanced_accuracy >= floor:
            smallest = abs(first.gap)
        count = max(1, round(self.step * len(mask))) if self.step else 0
        path, influence, order = [vars(first)], torch.empty(0), torch.empty(0)
        for step in range(self.max_steps + 1):
            run.progress(f"step {step + 1}/{self.max_steps + 1}")
            if step == 0 or self.dynamic:
                influence = self.influence(run, net, layers)
                order = torch.argsort(influence if first.gap < 0 else -influence, stable=True)
            taken = order[mask[order] > 0][:count]
            mask[taken] = 0
            set_masks(layers, mask)
            measured = measure(run.score(net, val), val.y, val.a, self.proxy)
            saliency = float(influence[taken].sum())
            path.append({**vars(measured), "pruned": int((mask == 0).sum()), "saliency": saliency})
            if abs(measured.gap) < smallest and measured.balanced_accuracy >= floor:
                smallest, kept, best = abs(measured.gap), step + 1, mask.clone()
            if measured.balanced_accuracy <= self.accuracy_stop:
                break
        set_masks(layers, best)
        run.log(path=path, floor=floor, kept_step=kept, pruned=int((best == 0).sum()), units=len(mask))
        return net.requires_grad_(True)

    def influence(self, run: Run, net: nn.Module, layers: Sequence[MaskedLayer]) -> Tensor:
        """Return, for all units (units,), the sum over batches of the mean saliency of the signed soft gap."""
        import torch

        data, gap = run.split(self.data), partial(soft_gap, self.proxy)
        total, outputs = {layer: torch.zeros_like(layer.mask) for layer in layers}, {}

        def watch(layer: MaskedLayer, inputs: object, output: Tensor) -> Tensor:
            outputs[layer] = output if output.requires_grad else output.detach().requires_grad_(True)
            return outputs[layer].clone()  # the next layer may work in place

        def saliencies(x: Tensor, index: Tensor, size: int) -> list[Tensor]:
            (y, a), defined = data.labels(index), comparable(self.proxy, *data.known(index))
            z, means = None, [torch.zeros_like(layer.mask) for layer in layers]
            if size < len(x):
                with torch.no_grad():
                    z = learn.in_chunks(net, x, size)
            for start in range(0, len(x), size):
                part = net(x[start : start + size])
                z = part.detach() if z is None else z  # the gap is that of the whole batch
                if not defined:
                    return []
                u = learn.gradient_by_logits(gap, z, y, a)[start : start + size]
                gradients = torch.autograd.grad(part, [outputs[layer] for layer in layers], u)
                for layer, mean, gradient in zip(layers, means, gradients, strict=True):
                    by_image = gradient * outputs[layer].detach() if self.saliency == "taylor" else gradient
                    mean += by_image.mean(0).sum_to_size(layer.mask.shape) * (len(part) / len(x))
            return means

        handles = [layer.register_forward_hook(watch) for layer in layers]
        try:
            for index, upright in data.read_ahead(data.index_batches(size=run.recipe.batch)):
                work = partial(saliencies, data.images(index, upright), index)
                means = learn.run_in_chunks(net, len(index), work, what="saliencies", log=run.log)
                for layer, mean in zip(layers, means, strict=False):  # `means` is empty if the gap is undefined
                    total[layer] += mean
        finally:
            for handle in handles:
                handle.remove()
        return torch.cat([part.flatten() for part in total.values()])
