"""The common parts of MIMIC-CXR and CheXpert: the label from fourteen findings, and one folder per patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench.api import option
from bench.data.release_files import Files

from ._release import Release
from ._tables import FINDINGS, numbers, refuse


def labelled(rows: pd.DataFrame, rule: str) -> tuple[dict[str, pd.Series], list[tuple[str, pd.Series]]]:
    """Return the columns pneumothorax and support_devices, and the rules by which rows without a label are dropped.

    `pneumothorax` (Int8) is 0 for No Finding, 1 for a certain pneumothorax and NA otherwise. With `rule="exclusive"`, a
    film with any of the other eleven findings, certain or not, has no label; support devices do not count.
    `support_devices` (Int8) is 1 where a tube, line or pacemaker is certain: a treated pneumothorax has a chest tube.

    Raises:
        DataInvalid: a finding is not 1, 0, -1 or empty.
    """
    found = pd.DataFrame({name: numbers(rows, name) for name in FINDINGS})
    for name in FINDINGS:
        refuse(rows, name, found[name].notna() & ~found[name].isin([-1, 0, 1]), "1, 0, -1 or nothing expected")
    found = found.fillna(0).astype("int8")
    positive = found["Pneumothorax"] == 1
    if rule == "exclusive":
        positive &= (found.drop(columns=["No Finding", "Pneumothorax", "Support Devices"]) == 0).all(axis=1)
    label = positive.astype("Int8").where(positive | (found["No Finding"] == 1))
    uncertain = label.isna() & (found["Pneumothorax"] == -1)
    columns = {"pneumothorax": label, "support_devices": (found["Support Devices"] == 1).astype("Int8")}
    return columns, [("LABEL_UNCERTAIN", uncertain), ("LABEL_OTHER_FINDING", label.isna())]


def _listed(patient: Path, study: str) -> list[Path]:
    folder = patient / study
    if not folder.is_dir():
        folder = next((entry for entry in patient.iterdir() if entry.name.lower() == study), folder)
    return sorted(folder.iterdir()) if folder.is_dir() else []


@dataclass(frozen=True, kw_only=True)
class ChestRelease(Release):
    """A release of films with fourteen findings, in one folder per patient, under an agreement."""

    credentialed = True
    labels = ("pneumothorax",)
    attributes = ("female", "age")

    rule: Literal["exclusive", "inclusive"] = option(
        "exclusive", says="A pneumothorax without other findings, or any pneumothorax.", other="inclusive"
    )

    def images(self, files: Files, rows: pd.DataFrame, official: Any) -> Mapping[str, str]:
        """Map patient/study/film, in lower case, to the path of the film, for the rows in use.

        `files` has only the folders of the patients: listing some 200,000 folders of studies takes minutes on a network
        drive, and those of dropped rows are not needed.
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
