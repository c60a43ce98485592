"""FullFT-Reg: fine-tune every weight on the unbalanced validation set with a bias penalty.

Paper: Cherepanova et al. 2021 (penalised training); row "FullFT-Reg" of SWiFT, MELBA 2025:015, loss of Eq. 10.
Code: vios-s/BMFT, the driver of its comparison (prediction loss plus 0.1 times a signed half-sum).
Departures:
  1. The bias term is the proxy of Eqs. 2-4, shared by all methods of the suite, not the signed half-sum, in
     which opposite gaps cancel (D26; proxy).
  2. beta is 0.9; SWiFT does not give it.
  3. An epoch is longer than the others' by the ratio of the validation to the external set; the cost says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._full_fine_tuning import Penalised


@dataclass(frozen=True, kw_only=True)
class FullFTReg(Penalised):
    """Penalised fine-tuning on the validation set as it comes."""

    title = "FullFT-Reg"
    uses = frozenset({"val"})
    row = 3
