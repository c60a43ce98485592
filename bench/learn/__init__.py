"""Building blocks of methods. A name is imported on first use, so that listing methods does not import torch."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "chunks": ("in_chunks", "run_in_chunks"),
    "device": ("trained_logits",),
    "frozen_features": ("FrozenFeatures",),
    "importance": ("curvature", "fisher_importances"),
    "losses": (
        *("blend", "equalised_odds_proxy", "gradient_by_logits", "joint_rate_gap", "objective", "prediction_loss"),
        *("score_gap", "soft_true_positive_gap", "terms"),
    ),
    "masks": (
        *("Scaling", "hard_mask", "importance_ratio", "mask_displacement", "mask_summary", "min_max", "random_mask"),
        "soft_mask",
    ),
    "network": ("Net",),
    "train": ("Training", "finetune", "freeze", "make_optimiser", "seeded"),
    "wrappers": ("GroupShift", "MaskedLayer"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"bench.learn has no {name}; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(f"bench.learn.{_HOME[name]}"), name)
