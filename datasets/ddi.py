"""Diverse Dermatology Images: 656 clinical photographs with skin types in three groups.

input:        RGB PNG of varying size
label:        malignant, proven by biopsy (171), or melanoma alone (option `label`)
metadata:     Fitzpatrick types I-II, III-IV or V-VI, written 12, 34, 56
website:      https://ddi-dataset.github.io
publication:  Daneshjou et al., Science Advances 8, eabq6147 (2022)
licence:      Stanford's research use agreement: no commercial use, no redistribution

Patients are not named, so each image is its own patient. Types 3 and 4 form one group, and the paper's boundary between
light and dark divides it (option `tone`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pandas as pd

from bench.api import Counts, option

from ._release import Release
from ._tables import coded

TRUTH = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
TONES: dict[str, dict[str, int | None]] = {
    "1234_vs_56": {"12": 0, "34": 0, "56": 1},
    "12_vs_56": {"12": 0, "34": None, "56": 1},
    "12_vs_3456": {"12": 0, "34": 1, "56": 1},
}


@dataclass(frozen=True, kw_only=True)
class Ddi(Release):
    """Diverse Dermatology Images: 656 clinical photographs with skin types in three groups."""

    access = "Account and research use agreement: https://ddi-dataset.github.io (Stanford AIMI): table and PNG files."
    licence = "Stanford research use agreement: no commercial use, no redistribution"
    citation = "Daneshjou et al., Disparities in dermatology AI performance, Science Advances 8, eabq6147, 2022."
    counts = Counts(
        release="ddi_metadata.csv", rows=656, used=656, paper=656, why="types III and IV are one class there"
    )
    labels = ("melanoma", "malignant")
    attributes = ("dark",)
    tables = ("ddi_metadata.csv",)
    columns = ("DDI_file", "skin_tone", "malignant", "disease")
    other_names: ClassVar[Mapping[str, str]] = {"malignancy(malig=1)": "malignant"}

    tone: Literal["1234_vs_56", "12_vs_56", "12_vs_3456"] = option(
        "1234_vs_56",
        says="The types that are compared, the dark ones last; 12_vs_56 leaves types 3 and 4 out.",
        other="12_vs_56",
    )
    label: Literal["malignant", "melanoma"] = option(
        "malignant",
        says="The images that count as melanoma: all malignant ones, or diseases that begin with the word (few).",
        other="melanoma",
    )

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and diagnosis, melanoma (by `label`), malignant, skin_tone and dark (by `tone`)."""
        name = official["DDI_file"].str.rsplit(".", n=1).str[0]
        malignant = coded(official, "malignant", TRUTH)
        melanoma = official["disease"].str.lower().str.startswith("melanoma").astype("Int8")
        return {
            "uid": name,
            "diagnosis": official["disease"],
            "melanoma": malignant if self.label == "malignant" else melanoma,
            "malignant": malignant,
            "skin_tone": official["skin_tone"],
            "dark": coded(official, "skin_tone", TONES[self.tone]),
        }
