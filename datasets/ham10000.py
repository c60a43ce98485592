"""HAM10000: 10,015 dermatoscopic images of pigmented skin lesions from Vienna and Queensland.

input:        RGB JPEG, 600 x 450 pixels (smaller copies will do)
label:        malignant = melanoma, basal cell carcinoma or actinic keratosis (mel, bcc, akiec), 19.5 % of images
metadata:     sex (57 unknown), age in steps of 5 years (57 empty; 39 are 0, which means unknown), lesion, site
website:      https://doi.org/10.7910/DVN/DBW86T
publication:  Tschandl, Rosendahl and Kittler, Scientific Data 5, 180161 (2018)
licence:      CC BY-NC 4.0

Several images show the same lesion (7,470 lesions in all), so the lesion is used as the patient. The site is the
`source`: vidir_modern, vidir_molemax and vienna_dias in Vienna, rosendahl in Queensland. It predicts the label (0.7 %
malignant at vidir_molemax, 41.3 % at rosendahl), and nine lesions occur at two sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.api import Dataset

from ._release import Release
from ._tables import SEX, coded, known_age, refuse

MALIGNANT = {"mel": 1, "bcc": 1, "akiec": 1, "nv": 0, "bkl": 0, "df": 0, "vasc": 0}


@dataclass(frozen=True, kw_only=True)
class Ham10000(Release):
    """HAM10000: 10,015 dermatoscopic images of pigmented skin lesions from Vienna and Queensland."""

    access = "Open download, no account: https://doi.org/10.7910/DVN/DBW86T (metadata and two archives of images)."
    licence = "CC BY-NC 4.0"
    citation = "Tschandl et al., The HAM10000 dataset, Scientific Data 5, 180161, 2018. doi:10.1038/sdata.2018.161"
    labels = ("malignant",)
    attributes = ("female", "age")
    independent = "lesions"

    tables = ("HAM10000_metadata.csv", "HAM10000_metadata")
    columns = ("lesion_id", "image_id", "dx", "age", "sex", "localization", "dataset")
    phantom = Dataset.phantom

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and lesion, dx, malignant, female, age (years) and localization."""
        refuse(official, "dx", official["dx"].isna(), f"allowed: {', '.join(MALIGNANT)}")
        return {
            "uid": official["image_id"],
            "lesion": official["lesion_id"],
            "patient": official["lesion_id"].fillna(official["image_id"]),
            "source": official["dataset"],
            "dx": official["dx"],
            "malignant": coded(official, "dx", MALIGNANT),
            "female": coded(official, "sex", SEX),
            "age": known_age(official, "age"),
            "localization": official["localization"],
        }
