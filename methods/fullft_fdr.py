"""FullFT-FDR: fine-tune every weight on the balanced external set with a bias penalty.

Paper: Le et al. 2023; row "FullFT-FDR" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, where the same comparison is called "RW + Reg".
Departures:
  1. Le et al. study last-layer retraining and do not define this loss; the suite follows the row of SWiFT.
  2. beta is 0.9, because SWiFT does not give it; the public code has 10/11 (D75). That code weighs the terms by 1 and
     0.1, not by 10/11 and 1/11, so that a step of SGD is 10 % longer; Adam's step is the same (weights=penalty).
  3. The bias term is the proxy of Eqs. 2-4, not the signed half-sum of the public code (D26; proxy).
"""

from __future__ import annotations

from dataclasses import dataclass

from ._full_fine_tuning import Penalised


@dataclass(frozen=True, kw_only=True)
class FullFTFDR(Penalised):
    """Penalised fine-tuning on the balanced external set."""

    title = "FullFT-FDR"
    uses = frozenset({"external"})
    row = 4
