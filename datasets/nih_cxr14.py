"""NIH ChestX-ray14: 112,120 chest films of 30,805 patients; pneumothorax against no finding.

input:        grey PNG, 1024 x 1024 pixels; some hundreds are RGBA with equal channels
label:        pneumothorax, mined from reports (options `split`, `rule`): 953 + 9,861 in the official test list
metadata:     sex and age; ages over 120 (2017 file) mean unknown; view AP or PA (`source`)
website:      https://nihcc.app.box.com/v/ChestXray-NIHCC
publication:  Wang et al., CVPR (2017)
licence:      free use with attribution

Some ages of the files of 2017 and of v2020 differ by a year. Ages with units, such as `058Y`, are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from bench.api import Counts, option
from bench.data.release_files import Files, read_lines
from bench.errors import DataInvalid, DataMissing

from ._release import Release
from ._tables import SEX, coded, reasons, years


@dataclass(frozen=True, kw_only=True)
class NihCxr14(Release):
    """NIH ChestX-ray14: 112,120 chest films of 30,805 patients; pneumothorax against no finding."""

    access = (
        "Open download: https://nihcc.app.box.com/v/ChestXray-NIHCC or Kaggle's nih-chest-xrays/data "
        "(images, Data_Entry_2017_v2020.csv and test_list.txt)."
    )
    licence = "free use with attribution to the NIH Clinical Center"
    citation = "Wang et al., ChestX-ray8: hospital-scale chest X-ray database and benchmarks, CVPR 2017."
    counts = Counts(
        release="Data_Entry_2017_v2020.csv",
        rows=112_120,
        used=10_814,
        paper=10_815,
        why="official test list, exclusive labels; the one film more is not known",
    )
    labels = ("pneumothorax",)
    attributes = ("female", "age")
    tables = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    other_names: ClassVar[Mapping[str, str]] = {"Patient Sex": "Patient Gender"}

    split: Literal["test", "all"] = option("test", says="The films of the official test list, or all.", other="all")
    rule: Literal["exclusive", "inclusive"] = option(
        "exclusive", says="A pneumothorax without other findings, or any pneumothorax.", other="inclusive"
    )

    def read(self, files: Files) -> pd.DataFrame:
        """Return the official table with a column `asked`, which says whether `split` includes the film."""
        official = super().read(files)
        if self.split == "all":
            return official.assign(asked=True)
        listed = files.find(["test_list.txt", "test_list_NIH.txt"])
        if listed is None:
            raise DataMissing(
                f"test_list.txt in {files.root}", get_it=f"{self.access} Or use all films: nih_cxr14:split=all."
            )
        return official.assign(asked=official["Image Index"].isin(read_lines(listed)))

    def values(self, official: pd.DataFrame) -> dict[str, Any]:
        """Columns of the contract and diagnosis, pneumothorax, female, age (years) and age_note."""
        film, findings = official["Image Index"], official["Finding Labels"].fillna("")
        positive = findings == "Pneumothorax"
        if self.rule == "inclusive":
            positive = findings.str.contains(r"(?:^|\|)Pneumothorax(?:\||$)").astype(bool)
        label = positive.astype("Int8").where(positive | (findings == "No Finding"))
        age, impossible = years(official, "Patient Age")
        rules = [
            ("NOT_IN_TEST_LIST", ~official["asked"]),
            ("LABEL_NONE", findings == ""),
            ("LABEL_OTHER_FINDING", label.isna()),
        ]
        return {
            "uid": film,
            "image": film.str.rsplit(".", n=1).str[0],
            "patient": official["Patient ID"],
            "source": official["View Position"].fillna("unknown"),
            "diagnosis": findings,
            "pneumothorax": label,
            "female": coded(official, "Patient Gender", SEX),
            "age": age,
            "age_note": impossible.map({True: "AGE_IMPOSSIBLE", False: ""}),
            "drop": reasons(official.index, rules),
        }

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one film: uint8 (H, W); raise DataInvalid where the channels of a colour file differ."""
        return _grey(super().image(root, path), root / path)

    def deep_image(self, root: Path, path: str) -> np.ndarray:
        """Decode one film with all its grey levels, as `image`: uint16, or uint8 of a file of 8 bits."""
        return _grey(super().deep_image(root, path), root / path)


def _grey(pixels: np.ndarray, file: Path) -> np.ndarray:
    if pixels.ndim == 3:
        if not (pixels == pixels[:, :, :1]).all():
            raise DataInvalid(f"{file}: the film is in colour; grey or equal channels expected")
        pixels = pixels[:, :, 0]
    return pixels
