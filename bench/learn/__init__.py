"""What methods are built from. Names are resolved on first use, so that listing methods imports no torch."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Net": "network",
    "blend": "losses",
    "objective": "loss_terms",
    "terms": "loss_terms",
    "equalised_odds_proxy": "losses",
    "joint_rate_gap": "losses",
    "prediction_loss": "losses",
    "soft_true_positive_gap": "losses",
    "finetune": "train",
    "FrozenFeatures": "train",
    "freeze": "train",
    "fitted": "fit",
    "in_parts": "fit",
    "trained_logits": "device",
    "seeded": "train",
    "fisher_importances": "importance",
    "curvature": "importance",
    "importance_ratio": "masks",
    "Scaling": "masks",
    "min_max": "masks",
    "random_mask": "masks",
    "mask_displacement": "masks",
    "soft_mask": "masks",
    "hard_mask": "masks",
    "mask_summary": "masks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"bench.learn has no {name}; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(f"bench.learn.{_HOME[name]}"), name)
