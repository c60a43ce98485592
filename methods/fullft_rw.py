"""FullFT-RW: fine-tune every weight on the balanced external set with the prediction loss alone.

Paper: Zhang et al. 2022 (balanced empirical risk minimisation); row "FullFT-RW" of SWiFT, MELBA 2025:015.
Code: vios-s/SWiFT, TwoStageFinetune.py.
Departures:
  1. All weights are trained, also on skin images, as the paper says. The routine in the public code of SWiFT trains
     only the head on these (D21; params=head).
  2. Zhang et al. draw equal minibatches of each group. Here, as in SWiFT, the external set is balanced.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._full_fine_tuning import FullFineTuning


@dataclass(frozen=True, kw_only=True)
class FullFTRW(FullFineTuning):
    """Balanced fine-tuning without a bias term."""

    title = "FullFT-RW"
    uses = frozenset({"external"})
    row = 2
    presets = {"suite": {}, "paper": {}, "reference": {}}
