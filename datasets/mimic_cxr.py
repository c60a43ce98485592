"""MIMIC-CXR-JPG: 377,110 chest films of Boston; pneumothorax against no finding.

input:        grey JPEG, histogram-equalised, about 2,500 x 3,000 pixels
label:        pneumothorax by CheXpert's labeller, per study (option `rule`)
metadata:     sex and age (option `age_rule`) from MIMIC-IV, view AP or PA (`source`), support devices
website:      https://physionet.org/content/mimic-cxr-jpg and https://physionet.org/content/mimiciv
publication:  Johnson et al., arXiv:1901.07042 (2019) and Scientific Data 10, 1 (2023)
licence:      PhysioNet Credentialed Health Data License 1.5.0: nothing, caches included, may be passed on

A study has several frontal films, and a patient has 3.5 studies on average. 5.2 % of the films have no patient in
MIMIC-IV 2.2 (NO_DEMOGRAPHICS_ROW). Ages over 89 are given as 91. Dates are shifted, so that only their distance to
`anchor_year` has a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from bench.api import Counts, option
from bench.data.release_files import Files

from ._chest import FINDINGS, ChestRelease, labelled
from ._tables import SEX, coded, joined, numbers, reasons

TABLES = (
    (
        ("mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.1.0-metadata.csv"),
        ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate"),
    ),
    (("mimic-cxr-2.0.0-chexpert.csv", "mimic-cxr-2.1.0-chexpert.csv"), ("subject_id", "study_id", *FINDINGS)),
    (("patients.csv",), ("subject_id", "gender", "anchor_age", "anchor_year")),
)
"""File names and columns of the tables of films, labels and patients."""


@dataclass(frozen=True, kw_only=True)
class MimicCxr(ChestRelease):
    """MIMIC-CXR-JPG: 377,110 chest films of Boston; pneumothorax against no finding."""

    access = (
        "Credentialed account, course and two agreements: https://physionet.org/content/mimic-cxr-jpg (files/, "
        "mimic-cxr-2.0.0-metadata.csv.gz, mimic-cxr-2.0.0-chexpert.csv.gz) and https://physionet.org/content/mimiciv "
        "(hosp/patients.csv.gz), in one folder."
    )
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Johnson et al., MIMIC-CXR-JPG, a large publicly available database of chest radiographs, 2019."
    counts = Counts(
        release="MIMIC-CXR-JPG 2.0.0",
        rows=377_110,
        used=None,
        paper=76_878,
        why="the rule is the one that fits CheXpert and NIH; the paper names only the two classes",
    )
    closed = r"[pP]\d{8}"

    age_rule: Literal["at_study", "anchor"] = option(
        "at_study", says="Age at the study, or MIMIC-IV's anchor_age as in the public code.", other="anchor"
    )

    def read(self, files: Files) -> pd.DataFrame:
        """Return films joined with labels and patients; `labelled` and `there` say whether a film has them."""
        films, labels, patients = (files.table(names, columns, get_it=self.access) for names, columns in TABLES)
        rows = joined(films, labels, ["subject_id", "study_id"]).rename(columns={"there": "labelled"})
        return joined(rows, patients, ["subject_id"])

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and pneumothorax, female, age (years) and support_devices."""
        columns, unlabelled = labelled(official, self.rule)
        age = anchor = numbers(official, "anchor_age")
        if self.age_rule == "at_study":
            year = numbers(official, "StudyDate").astype("Float64") // 10000
            age = anchor + (year - numbers(official, "anchor_year"))
        rules = [
            ("NOT_FRONTAL", ~official["ViewPosition"].isin(["AP", "PA"])),
            ("LABEL_NONE", ~official["labelled"]),
            ("NO_DEMOGRAPHICS_ROW", ~official["there"]),
            *unlabelled,
        ]
        return {
            "uid": official["dicom_id"],
            "image": "p" + official["subject_id"] + "/s" + official["study_id"] + "/" + official["dicom_id"],
            "patient": official["subject_id"],
            "source": official["ViewPosition"].fillna("unknown"),
            "female": coded(official, "gender", SEX),
            "age": age.mask((anchor == 0).fillna(False).astype(bool)).astype("Float32"),
            **columns,
            "drop": reasons(official.index, rules),
        }
