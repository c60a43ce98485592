"""FullFT-Reg: fine-tune every weight on the unbalanced validation set with a bias penalty.

Paper: Cherepanova et al. 2021 (penalised training); row "FullFT-Reg" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, the driver of its comparison (prediction loss plus 0.1 times a signed half-sum).
Departures:
  1. The bias term is the proxy of Eqs. 2-4, as in all methods of the suite, not the signed half-sum, in which opposite
     gaps cancel (D26; proxy).
  2. beta is 0.9, because SWiFT does not give it; the public code has 10/11 (D75). That code weighs the terms by 1 and
     0.1, not by 10/11 and 1/11, so that a step of SGD is 10 % longer; Adam's step is the same (weights=penalty).
  3. An epoch costs more than in other methods, because the validation set is larger than the external set; the cost
     includes this.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._full_fine_tuning import Penalised


@dataclass(frozen=True, kw_only=True)
class FullFTReg(Penalised):
    """Penalised fine-tuning on the unbalanced validation set."""

    title = "FullFT-Reg"
    uses = frozenset({"val"})
    row = 3
