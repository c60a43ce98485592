"""DenseNet-121 of torchxrayvision (Cohen et al. 2022), trained on chest films: one channel, values from -1024 to 1024.

    bench run --task my-films.toml --plugin docs/examples/torchxrayvision_backbone.py

with `backbones = ["torchxrayvision_backbone:finding=Pneumothorax"]` in the task. The network has 18 outputs; that of
`finding` is where the head starts, and the others are left out. The package keeps its weights as whole models, which
can run code, so the suite does not open them. Save them once, where you trust them, and name the file as `weights`:

    import torch, torchxrayvision as xrv
    torch.save(xrv.models.DenseNet(weights="densenet121-res224-all").state_dict(), "xrv-all.pth")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.api import Backbone, Input, option
from bench.backbones import package
from bench.weights import load_exactly, read_tensors

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class TorchXRayVision(Backbone):
    """Its features are those that the package calls `features2`: after the last ReLU, averaged over the image."""

    lacks = {}

    finding: Literal[
        *("Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis", "Effusion"),
        *("Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia", "Lung Lesion", "Fracture"),
        *("Lung Opacity", "Enlarged Cardiomediastinum"),
    ] = option("Pneumothorax", "Output of the network from which the head starts; random weights have none.")

    @property
    def input(self) -> Input:
        # Black is -1024 and white 1024, as in the package's `normalize(image, maxval)`; no mean is subtracted. Films
        # of 10 to 16 bits keep their grey levels. Set image_size = 224 in the task: the weights were trained at it.
        return Input(size=224, channels=1, low=-1024, high=1024, mean=(0.0,), std=(1.0,), bits=16)

    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int | nn.Linear]:
        from torch import nn

        xrv = package("torchxrayvision", "Install it: pip install torchxrayvision.")
        targets = xrv.datasets.default_pathologies
        model = xrv.models.DenseNet(num_classes=len(targets), in_channels=1)
        if weights is not None:
            state = {name: value for name, value in read_tensors(weights).items() if name != "op_threshs"}
            load_exactly(model, state, weights, "torchxrayvision's DenseNet")
        head, row = nn.Linear(model.classifier.in_features, 1), targets.index(self.finding)
        if weights is not None:
            head.load_state_dict({name: value[row : row + 1] for name, value in model.classifier.state_dict().items()})
        features = nn.Sequential(model.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return features, head if weights is not None else head.in_features
