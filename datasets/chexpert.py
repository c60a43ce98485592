"""CheXpert: 223,648 chest films of Stanford, of 64,740 patients; pneumothorax against no finding.

input:        grey JPEG, shorter side 320 pixels (small release) or full size
label:        pneumothorax by CheXpert's labeller (option `rule`): 4,037 + 16,974 of the frontal films of train.csv
metadata:     sex (one unknown), age (0 means unknown, 90 means 90 or more), view (`source`), support devices
website:      https://stanfordmlgroup.github.io/competitions/chexpert
publication:  Irvin et al., AAAI (2019)
licence:      Stanford's research use agreement: no commercial use, no redistribution

Both train.csv and valid.csv are read (`split`); the 668 films of the test set come without sex and age. 44 % of the
films without a finding and 48 % of those with pneumothorax show support devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.api import Counts
from bench.data.release_files import Files

from ._chest import FINDINGS, ChestRelease, labelled
from ._tables import SEX, coded, known_age, reasons, refuse


@dataclass(frozen=True, kw_only=True)
class Chexpert(ChestRelease):
    """CheXpert: 223,648 chest films of Stanford, of 64,740 patients; pneumothorax against no finding."""

    access = (
        "Registration and research use agreement: https://stanfordmlgroup.github.io/competitions/chexpert "
        "(CheXpert-v1.0-small, CheXpert-v1.0 or its four batches, with train.csv and valid.csv)."
    )
    licence = "Stanford research use agreement: no commercial use, no redistribution"
    citation = "Irvin et al., CheXpert: a large chest radiograph dataset with uncertainty labels, AAAI 2019."
    counts = Counts(
        release="train.csv and valid.csv",
        rows=None,
        used=21_011,
        paper=21_040,
        why="21,011 of train.csv; the other 29 can be from valid.csv",
    )
    columns = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
    closed = r"[pP]atient\d+"

    def read(self, files: Files) -> pd.DataFrame:
        """Return the rows of train.csv and valid.csv, with a column `split`."""
        parts = {name: files.table([f"{name}.csv"], self.columns, get_it=self.access) for name in ("train", "valid")}
        official = pd.concat([part.assign(split=name) for name, part in parts.items()], ignore_index=True)
        official.attrs["file"] = parts["train"].attrs["file"]
        return official

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and pneumothorax, female, age (years), split and support_devices."""
        # The folders above the patient differ: a release, a batch of it, or what the user made of them.
        image = official["Path"].str.extract(r"(patient\d+/[^/]+/[^/]+)\.\w+$", flags=2)[0]
        refuse(official, "Path", image.isna(), "RELEASE/SPLIT/patientN/studyN/FILM.jpg expected")
        columns, unlabelled = labelled(official, self.rule)
        lateral = official["Frontal/Lateral"].str.lower() != "frontal"
        return {
            "uid": image,
            "patient": image.str.partition("/")[0],
            "source": official["AP/PA"].fillna("unknown"),
            "split": official["split"],
            "female": coded(official, "Sex", SEX),
            "age": known_age(official, "Age"),
            **columns,
            "drop": reasons(official.index, [("NOT_FRONTAL", lateral), *unlabelled]),
        }
