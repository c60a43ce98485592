"""MIMIC-CXR-JPG: 377,110 chest films of Boston; pneumothorax against no finding.

input:        grey JPEG, histogram-equalised, about 2,500 x 3,000 pixels
label:        pneumothorax by CheXpert's labeller, per study (option `rule`)
metadata:     sex and age (option `age_rule`) from MIMIC-IV, view AP or PA (`source`), support devices
website:      https://physionet.org/content/mimic-cxr-jpg and https://physionet.org/content/mimiciv
publication:  Johnson et al., arXiv:1901.07042 (2019) and Scientific Data 10, 1 (2023)
licence:      PhysioNet Credentialed Health Data License 1.5.0: nothing of it, caches included, may be passed on

The patient is the group: several frontal films a study and 3.5 studies a patient. In MIMIC-IV 2.2, 5.2 % of the films
have no row (NO_DEMOGRAPHICS_ROW). Ages over 89 are written 91. Dates are shifted, so that only their distance to
`anchor_year` means anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.api import Counts, Dataset, option

from ._chest import FINDINGS, films, pneumothorax, support_devices
from ._files import Files, files_below
from ._tables import SEX, coded, joined, numbers, placed, reasons

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "films": ("metadata", ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate")),
    "labels": ("chexpert", ("subject_id", "study_id", *FINDINGS)),
    "patients": ("", ("subject_id", "gender", "anchor_age", "anchor_year")),
}


@dataclass(frozen=True, kw_only=True)
class MimicCxr(Dataset):
    """MIMIC-CXR-JPG: 377,110 chest films of Boston; pneumothorax against no finding."""

    access = (
        "Credentialed account, course and two agreements: https://physionet.org/content/mimic-cxr-jpg (files/, "
        "mimic-cxr-2.0.0-metadata.csv.gz, mimic-cxr-2.0.0-chexpert.csv.gz) and https://physionet.org/content/mimiciv "
        "(hosp/patients.csv.gz), in one folder."
    )
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Johnson et al., MIMIC-CXR-JPG, a large publicly available database of chest radiographs, 2019."
    credentialed = True
    counts = Counts(
        release="MIMIC-CXR-JPG 2.0.0",
        rows=377_110,
        used=None,
        paper=76_878,
        why="the rule is that which fits CheXpert and NIH; the paper names only the two classes",
    )
    labels = ("pneumothorax",)
    attributes = ("female", "age")

    rule: Literal["exclusive", "inclusive"] = option(
        "exclusive", says="A pneumothorax without any other finding, or whatever else is found.", other="inclusive"
    )
    age_rule: Literal["at_study", "anchor"] = option(
        "at_study", says="Age at the study, or MIMIC-IV's anchor_age as the public code takes it.", other="anchor"
    )

    def table(self, root: Path) -> pd.DataFrame:
        """Columns of the contract and pneumothorax, female, age (years) and support_devices.

        Raises:
            DataMissing: a table of the two releases, or the films.
            DataInvalid: a value that the release does not have.
        """
        files = files_below(root, closed=r"[pP]\d{8}")
        table = self.rows(self.read(files))
        return placed(table, films(table, files), files, get_it=self.access)

    def read(self, files: Files) -> dict[str, pd.DataFrame]:
        """Return the official tables by the keys of TABLES."""
        tables = {}
        for key, (kind, columns) in TABLES.items():
            names = [f"mimic-cxr-{release}-{kind}.csv" for release in ("2.0.0", "2.1.0")] if kind else ["patients.csv"]
            tables[key] = files.table(names, columns, get_it=self.access)
        return tables

    def rows(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Join the official tables; `image` is patient, study and film."""
        import pandas as pd

        rows = joined(tables["films"], tables["labels"], ["subject_id", "study_id"]).rename(
            columns={"there": "labelled"}
        )
        rows = joined(rows, tables["patients"], ["subject_id"])
        label, unlabelled = pneumothorax(rows, self.rule)
        anchor = numbers(rows, "anchor_age")
        age = anchor
        if self.age_rule == "at_study":
            age = anchor + (numbers(rows, "StudyDate").astype("Float64") // 10000 - numbers(rows, "anchor_year"))
        rules = [
            ("NOT_FRONTAL", ~rows["ViewPosition"].isin(["AP", "PA"])),
            ("LABEL_NONE", ~rows["labelled"]),
            ("NO_DEMOGRAPHICS_ROW", ~rows["there"]),
            *unlabelled,
        ]
        table = pd.DataFrame(
            {
                "uid": "mimic_cxr:" + rows["dicom_id"],
                "image": "p" + rows["subject_id"] + "/s" + rows["study_id"] + "/" + rows["dicom_id"],
                "group": rows["subject_id"],
                "source": rows["ViewPosition"].fillna("unknown"),
                "pneumothorax": label,
                "female": coded(rows, "gender", SEX),
                "age": age.mask((anchor == 0).fillna(False).astype(bool)).astype("Float32"),
                "support_devices": support_devices(rows),
                "drop": reasons(rows.index, rules),
            }
        )
        table.attrs["file"] = tables["films"].attrs["file"]
        return table

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` says what is planted in it."""
        from . import _chest_trees

        return _chest_trees.mimic_cxr(root, images=images, seed=seed, progress=progress)
