"""ISIC 2017 to 2020, merged: 58,457 dermatoscopic images by name, 8.8 % melanoma.

input:        RGB JPEG, 600 to 6,000 pixels (the 256-pixel copies on Kaggle will do)
label:        melanoma (2019: MEL; 2020: target), 5,103 of 58,032 images after listed duplicates
metadata:     sex (425 unknown), age in steps of 5 years (0 means unknown), patient or lesion, sub-source
website:      https://challenge.isic-archive.com/data
publication:  Rotemberg et al., Scientific Data 8, 34 (2021); Combalia et al., arXiv:1908.02288 (2019)
licence:      CC BY-NC 4.0 (2018 to 2020), CC0 (2017)

The challenge of 2019 contains all images of 2017 and 2018, some under a name with `_downsampled`. The tables of 2017
and 2018 are optional; their rows are dropped as DUP_NAME. The `patient` is that of 2020, else the lesion, else the
image. In a random split by image, 82 % of the validation images share a patient with training images. Sub-sources
(`source`) are HAM, BCN, MSK (with 2,084 images of no stated source) and ISIC2020. Melanoma is 17.9 % of 2019 and 1.8 %
of 2020.

Skin types are not in the official tables. They are read, where it exists, from the table of Bevan and
Atapour-Abarghouei (Detecting Melanoma Fairly, 2022; `data/csv` of its repository). They are estimated from pixels, not
seen by a person: on 4,311 images of Fitzpatrick 17k that have both, light and dark agree for 74.7 %, and 14 % of the
dark are estimated dark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from bench.api import Counts, option
from bench.data.release_files import Files

from ._release import Release
from ._tables import CLASSES, SEX, TONES, coded, dark, joined, known_age, numbers, reasons, skin_type

NEEDED = {
    "2019": (("ISIC_2019_Training_GroundTruth.csv",), ("image", *CLASSES)),
    "2019 metadata": (("ISIC_2019_Training_Metadata.csv",), ("image", "age_approx", "lesion_id", "sex")),
    "2020": (
        ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv"),
        ("image_name", "patient_id", "sex", "age_approx", "diagnosis", "target"),
    ),
    "duplicates": (("ISIC_2020_Training_Duplicates.csv",), ("image_name_1", "image_name_2")),
}
OPTIONAL = {
    "2017": (("ISIC-2017_Training_Part3_GroundTruth.csv",), ("image_id", "melanoma")),
    "2018": (("ISIC2018_Task3_Training_GroundTruth.csv",), ("image", "MEL")),
    "tone": ((TONES,), ("image_name", "fitzpatrick")),
}
GET_TONES = "It is in data/csv of https://github.com/pbevan1/Detecting-Melanoma-Fairly."


@dataclass(frozen=True, kw_only=True)
class Isic(Release):
    """ISIC 2017 to 2020, merged: 58,457 dermatoscopic images by name, 8.8 % melanoma."""

    access = (
        "Open download, no account: https://challenge.isic-archive.com/data (training images, ground truth and "
        "metadata of 2019 and 2020, and the list of duplicates of 2020)."
    )
    licence = "CC BY-NC 4.0 (2018 to 2020), CC0 (2017)"
    citation = "Rotemberg et al., A patient-centric dataset of images and metadata, Scientific Data 8, 34, 2021."
    counts = Counts(
        release="2019 and 2020",
        rows=None,
        used=58_032,
        paper=56_863,
        why="one of each of 425 listed pairs is left out; what else the paper left out is unknown",
    )
    other_names: ClassVar[Mapping[str, str]] = {"gender": "sex"}
    labels = ("melanoma",)
    attributes = ("female", "age", "fst", "dark")
    independent = "patients or lesions"

    duplicates: Literal["drop", "keep"] = option(
        "drop", says="The second image of each pair in the official list of duplicates of 2020.", other="keep"
    )

    def table(self, root: Path) -> pd.DataFrame:
        """Return the columns of the contract and lesion, diagnosis, melanoma, female, age (years), fst and dark.

        Raises:
            DataMissing: a table of 2019 or 2020, the list of duplicates, or all images are missing.
            DataInvalid: a value is not one of the release.
        """
        table = super().table(root)
        if table["fst"].isna().all():
            looked_for = f"skin types: table {TONES} (columns image_name, fitzpatrick) in {root} or a folder in it"
            table.attrs["lacks"] = dict.fromkeys(("fst", "dark"), (looked_for, GET_TONES))
        return table

    def read(self, files: Files) -> dict[str, pd.DataFrame]:
        """Return the official tables that exist, by the keys of NEEDED and OPTIONAL."""
        tables = {}
        for key, (names, columns) in {**NEEDED, **OPTIONAL}.items():
            unread = key == "duplicates" and self.duplicates == "keep"
            if not unread and (key in NEEDED or files.find(names) is not None):
                tables[key] = files.table(names, columns, get_it=self.access, other_names=self.other_names)
        return tables

    def images(self, files: Files, rows: pd.DataFrame, official: Mapping[str, pd.DataFrame]) -> Mapping[str, str]:
        """Map names to paths. Images of 2017 are in 2019 in another size; the files of 2019 are preferred."""
        return files.images(prefer="2019")

    def rows(self, official: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Merge the official tables; `image` is the name of the file."""
        parts = [self._from_2019(official), self._from_2020(official["2020"])]
        parts += [_from_earlier(official[year], year) for year in ("2017", "2018") if year in official]
        table = pd.concat(parts, ignore_index=True)
        name = table["image"].str.removesuffix("_downsampled")
        listed = official["duplicates"]["image_name_2"] if "duplicates" in official else ()
        rules = [("DUP_NAME", name.duplicated()), ("DUP_LISTED", table["image"].isin(listed))]
        table["drop"] = reasons(table.index, rules)
        repeated = table["drop"] == "DUP_NAME"
        table["uid"] = "isic:" + table["image"].where(~repeated, table["source"] + "/" + table["image"])
        table["patient"] = table["patient"].fillna(table["lesion"]).fillna(name)
        table["fst"] = pd.Series(pd.NA, index=table.index, dtype="Int8")
        if "tone" in official:
            fst = skin_type(official["tone"], "fitzpatrick")
            fst.index = official["tone"]["image_name"].str.removesuffix("_downsampled")
            table["fst"] = name.map(fst[~fst.index.duplicated()]).astype("Int8")
        table["dark"] = dark(table["fst"])
        table.attrs["file"] = official["2019"].attrs["file"]
        return table

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Return the columns that have the same names in the tables of 2019 and 2020."""
        return {"female": coded(official, "sex", SEX), "age": known_age(official, "age_approx")}

    def _from_2019(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        truth = joined(tables["2019"], tables["2019 metadata"], ["image"])
        classes = pd.DataFrame({name: numbers(truth, name) for name in CLASSES})
        prefix = truth["lesion_id"].str.partition("_")[0]
        return pd.DataFrame(
            {
                "image": truth["image"],
                "source": prefix.where(prefix.isin(["HAM", "BCN"]), "MSK"),
                "patient": pd.Series(pd.NA, index=truth.index, dtype="string"),
                "lesion": truth["lesion_id"],
                "diagnosis": classes.astype("float32").idxmax(axis=1).astype("string"),
                "melanoma": (classes["MEL"] == 1).astype("Int8"),
            }
            | self.values(truth)
        )

    def _from_2020(self, truth: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "image": truth["image_name"],
                "source": "ISIC2020",
                "patient": truth["patient_id"],
                "diagnosis": truth["diagnosis"],
                "melanoma": coded(truth, "target", {"0": 0, "1": 1}),
            }
            | self.values(truth)
        )


def _from_earlier(truth: pd.DataFrame, year: str) -> pd.DataFrame:
    name, label = truth.columns
    return pd.DataFrame(
        {"image": truth[name], "source": f"ISIC{year}", "melanoma": numbers(truth, label).astype("Int8")}
    )
