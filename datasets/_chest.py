"""What MIMIC-CXR and CheXpert share: the rule that makes fourteen findings a label, and one folder per patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench.api import option

from ._files import Files
from ._release import Release
from ._tables import FINDINGS, numbers, refuse


def pneumothorax(rows: pd.DataFrame, rule: str) -> tuple[pd.Series, list[tuple[str, pd.Series]]]:
    """Return the label, Int8 in {0, 1, NA}, and the rules by which rows without one are dropped.

    0 is No Finding; 1 is a certain pneumothorax, under `rule="exclusive"` with none of the other eleven findings, not
    even an uncertain one. Support devices do not count.

    Raises:
        DataInvalid: a finding that is not 1, 0, -1 or empty.
    """
    found = pd.DataFrame({name: numbers(rows, name) for name in FINDINGS})
    for name in FINDINGS:
        refuse(rows, name, found[name].notna() & ~found[name].isin([-1, 0, 1]), "1, 0, -1 or nothing expected")
    found = found.fillna(0).astype("int8")
    positive = found["Pneumothorax"] == 1
    if rule == "exclusive":
        positive &= (found.drop(columns=["No Finding", "Pneumothorax", "Support Devices"]) == 0).all(axis=1)
    label = positive.astype("Int8").where(positive | (found["No Finding"] == 1))
    return label, [
        ("LABEL_UNCERTAIN", label.isna() & (found["Pneumothorax"] == -1)),
        ("LABEL_OTHER_FINDING", label.isna()),
    ]


def support_devices(rows: pd.DataFrame) -> pd.Series:
    """Return 1 where a tube, line or pacemaker is certain (Int8): chest tubes go with a treated pneumothorax."""
    return (numbers(rows, "Support Devices") == 1).fillna(False).astype("Int8")


def _listed(patient: Path, study: str) -> list[Path]:
    folder = patient / study
    if not folder.is_dir():
        folder = next((entry for entry in patient.iterdir() if entry.name.lower() == study), folder)
    return sorted(folder.iterdir()) if folder.is_dir() else []


@dataclass(frozen=True, kw_only=True)
class ChestRelease(Release):
    """A release of films with fourteen findings, below one folder per patient, under an agreement."""

    credentialed = True
    labels = ("pneumothorax",)
    attributes = ("female", "age")

    rule: Literal["exclusive", "inclusive"] = option(
        "exclusive", says="A pneumothorax without any other finding, or whatever else is found.", other="inclusive"
    )

    def images(self, files: Files, rows: pd.DataFrame, official: Any) -> Mapping[str, str]:
        """Map patient/study/film, in lower case, of the rows in use to the path of the film.

        `files` holds the patients' folders, which were not entered: to list some 200,000 folders of studies takes
        minutes on a network drive, and of rows that are dropped none is needed.
        """
        patients = files.by_name()
        studies = rows["image"][rows["drop"] == ""].str.lower().str.rpartition("/")[0].unique()
        found: dict[str, str] = {}
        for study in studies:
            patient, _, name = study.partition("/")
            if patient in patients:
                for path in _listed(files.root / patients[patient], name):
                    found[f"{study}/{path.stem.lower()}"] = path.relative_to(files.root).as_posix()
        return found
