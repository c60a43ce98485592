"""Import torchvision's models beside a torch for which its compiled operators were not built.

A CPU-only torch with torchvision's CUDA wheel (what a package index may give on a machine without a GPU)
cannot load torchvision's compiled library, and `import torchvision` then fails on a missing operator
schema. The two schemas it asks for are declared here, without implementation: models and transforms need
neither. Where the operators load, nothing is declared.
"""

from __future__ import annotations

import torch

_library = None
try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

models = torchvision.models
