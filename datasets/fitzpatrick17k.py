"""Fitzpatrick 17k: 16,577 clinical photographs of 114 skin conditions with Fitzpatrick types.

input:        RGB JPEG of two web atlases, from the addresses in the table or the authors' archive
label:        melanoma, by one of three rules (option `label`): 573, 490 or 2,263 images
metadata:     Fitzpatrick type 1 to 6; 565 unknown (-1)
website:      https://github.com/mattgroh/fitzpatrick17k
publication:  Groh et al., Evaluating Deep Neural Networks Trained on Clinical Images, CVPR Workshops (2021)
licence:      CC BY-NC-SA 3.0

Patients are not named, so each image is its own patient. The atlas is the `source`; skin type and disease depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pandas as pd

from bench.api import Counts, option
from bench.data.release_files import Files

from ._release import Release
from ._tables import coded, dark, reasons, skin_type

THREE = {"malignant": 1, "benign": 0, "non-neoplastic": 0}
ATLASES = ("dermaamin", "atlasdermatologico")


@dataclass(frozen=True, kw_only=True)
class Fitzpatrick17k(Release):
    """Fitzpatrick 17k: 16,577 clinical photographs of 114 skin conditions with Fitzpatrick types."""

    access = (
        "Table: https://github.com/mattgroh/fitzpatrick17k. Images: from its column `url` or by the request form "
        "there, as images/<md5hash>.jpg."
    )
    licence = "CC BY-NC-SA 3.0"
    citation = "Groh et al., Evaluating deep neural networks trained on clinical images in dermatology, CVPRW 2021."
    counts = Counts(
        release="fitzpatrick17k.csv",
        rows=16_577,
        used=16_577,
        paper=16_577,
        why="565 are of unknown skin type and in no group of tone; the public code takes them for light",
    )
    labels = ("melanoma", "malignant")
    attributes = ("fst", "dark")
    tables = ("fitzpatrick17k.csv",)
    columns = (
        *("md5hash", "fitzpatrick_scale", "label", "nine_partition_label", "three_partition_label"),
        *("qc", "url", "url_alphanum"),
    )
    other_names: ClassVar[Mapping[str, str]] = {"fitzpatrick": "fitzpatrick_scale"}

    label: Literal["melanoma9", "melanoma_name", "malignant"] = option(
        "melanoma9",
        says="The images that count as melanoma: the nine-way class, a name with the word, or all malignant ones.",
        other="malignant",
    )
    unknown: Literal["drop", "light"] = option(
        "drop",
        says="Images of unknown type: no group, or light as in the public code.",
        other="light",
    )
    wrongly_labelled: Literal["keep", "drop"] = option(
        "keep", says="Images that the authors' quality check found wrongly labelled.", other="drop"
    )

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and diagnosis, melanoma (by `label`), malignant, fst and dark."""
        malignant = coded(official, "three_partition_label", THREE)
        positive = {
            "melanoma9": official["nine_partition_label"] == "malignant melanoma",
            "melanoma_name": official["label"].str.contains("melanoma"),
            "malignant": malignant == 1,
        }
        fst = skin_type(official, "fitzpatrick_scale")
        wrong = official["qc"].str.contains("Wrongly labelled") & (self.wrongly_labelled == "drop")
        return {
            "uid": official["md5hash"],
            "source": official["url"].str.extract(f"({'|'.join(ATLASES)})")[0].fillna("unknown"),
            "diagnosis": official["label"],
            "melanoma": positive[self.label].astype("Int8"),
            "malignant": malignant,
            "fst": fst,
            "dark": dark(fst).fillna(0) if self.unknown == "light" else dark(fst),
            "drop": reasons(official.index, [("QC_WRONG_LABEL", wrong)]),
        }

    def images(self, files: Files, rows: pd.DataFrame, official: pd.DataFrame) -> Mapping[str, str]:
        """Map the hash to the path; images downloaded by `url` are named by that address without punctuation."""
        images = files.images()
        for name, address in zip(official["md5hash"], official["url_alphanum"].fillna(""), strict=True):
            by_address = images.get(address.lower().rpartition(".")[0])
            if by_address is not None:
                images.setdefault(name.lower(), by_address)
        return images
