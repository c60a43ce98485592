"""Interactive Atlas of Dermoscopy (derm7pt): 1,011 cases, each a dermatoscopic and a clinical image.

input:        RGB JPEG, about 770 x 512 pixels
label:        melanoma, 252 cases: in situ, of any thickness, or metastasis
metadata:     sex (none missing)
website:      https://derm.cs.sfu.ca
publication:  Kawahara et al., IEEE Journal of Biomedical and Health Informatics 23, 538 (2019)
licence:      research only, no commercial use

Patients are not named, so each case is its own patient. Names differ in case between table and folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from bench.api import Counts, option
from bench.data.release_files import Files

from ._release import Release
from ._tables import SEX, coded, refuse

THICKNESS = ("in situ", "less than 0.76 mm", "0.76 to 1.5 mm", "more than 1.5 mm")
MELANOMA = ("melanoma", "melanoma metastasis", *(f"melanoma ({thickness})" for thickness in THICKNESS))


@dataclass(frozen=True, kw_only=True)
class Atlas(Release):
    """Interactive Atlas of Dermoscopy (derm7pt): 1,011 cases, each a dermatoscopic and a clinical image."""

    access = "Free account: https://derm.cs.sfu.ca (release_v0.zip: meta/meta.csv and images/)."
    licence = "research only, no commercial use"
    citation = "Kawahara et al., Seven-point checklist and skin lesion classification, IEEE JBHI 23, 538-546, 2019."
    counts = Counts(release="meta.csv", rows=1_011, used=1_011, paper=1_011, why="one of two images of each case")
    labels = ("melanoma",)
    attributes = ("female",)
    tables = ("meta.csv",)
    columns = ("case_num", "diagnosis", "sex", "clinic", "derm")

    view: Literal["derm", "clinic"] = option(
        "derm", says="The image of each case: dermatoscopic, as in training, or clinical.", other="clinic"
    )

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and diagnosis, melanoma and female; `image` is folder and name of the file."""
        diagnosis = official["diagnosis"].str.lower()
        other = diagnosis.isna() | (diagnosis.str.contains("melanoma") & ~diagnosis.isin(MELANOMA))
        refuse(official, "diagnosis", other, f"melanoma is one of {', '.join(MELANOMA)}")
        return {
            "uid": official["case_num"],
            "image": official[self.view].str.rsplit(".", n=1).str[0],
            "diagnosis": official["diagnosis"],
            "melanoma": diagnosis.isin(MELANOMA).astype("Int8"),
            "female": coded(official, "sex", SEX),
        }

    def images(self, files: Files, rows: pd.DataFrame, official: pd.DataFrame) -> Mapping[str, str]:
        """Map folder and name of each file to its path: names alone are not unique."""
        return files.images(parts=2)
