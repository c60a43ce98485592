"""PAD-UFES-20: 2,298 smartphone photographs of skin lesions from Brazil, 52 of them melanoma.

input:        RGB PNG of varying size
label:        melanoma (MEL, 52), malignant (with BCC and SCC, 1,089)
metadata:     sex, Fitzpatrick type (1,494 images have them, 804 do not), age
website:      https://data.mendeley.com/datasets/zr7vgbcyr2/1
publication:  Pacheco et al., Data in Brief 32, 106221 (2020)
licence:      CC BY 4.0

With 52 melanomas in all, one image changes a rate of one sex by about four points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.api import Counts

from ._release import Release
from ._tables import SEX, coded, dark, skin_type, years

MALIGNANT = {"bcc": 1, "scc": 1, "mel": 1, "ack": 0, "nev": 0, "sek": 0}


@dataclass(frozen=True, kw_only=True)
class PadUfes20(Release):
    """PAD-UFES-20: 2,298 smartphone photographs of skin lesions from Brazil, 52 of them melanoma."""

    access = "Open download: https://data.mendeley.com/datasets/zr7vgbcyr2/1 (metadata.csv and three zips of images)."
    licence = "CC BY 4.0"
    citation = "Pacheco et al., PAD-UFES-20: a skin lesion dataset, Data in Brief 32, 106221, 2020."
    counts = Counts(
        release="metadata.csv", rows=2_298, used=2_298, paper=2_298, why="sex is known for only 1,494 images"
    )
    labels = ("melanoma", "malignant")
    attributes = ("female", "age", "fst", "dark")
    tables = ("metadata.csv", "PAD-UFES-20_metadata.csv")
    columns = ("patient_id", "lesion_id", "age", "gender", "fitspatrick", "diagnostic", "img_id")

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and lesion, diagnosis, melanoma, malignant, female, age (years), fst and dark."""
        name = official["img_id"].str.rsplit(".", n=1).str[0]
        fst = skin_type(official, "fitspatrick")
        return {
            "uid": name,
            "lesion": official["lesion_id"],
            "patient": official["patient_id"],
            "diagnosis": official["diagnostic"],
            "melanoma": (official["diagnostic"].str.upper() == "MEL").astype("Int8"),
            "malignant": coded(official, "diagnostic", MALIGNANT),
            "female": coded(official, "gender", SEX),
            "age": years(official, "age")[0],
            "fst": fst,
            "dark": dark(fst),
        }
