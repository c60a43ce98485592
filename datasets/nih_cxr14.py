"""NIH ChestX-ray14: 112,120 chest films of 30,805 patients; pneumothorax against no finding.

input:        grey PNG, 1024 x 1024 pixels; some hundreds are RGBA with equal channels
label:        pneumothorax, mined from reports (options `split`, `rule`): 953 + 9,861 in the official test list
metadata:     sex and age; ages over 120 (2017 file) mean not known; view AP or PA (`source`)
website:      https://nihcc.app.box.com/v/ChestXray-NIHCC
publication:  Wang et al., CVPR (2017)
licence:      free use with attribution

The patient is the group. The files of 2017 and of v2020 differ in ages, by a year for some; units such as `058Y`
are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.api import Counts, Dataset, option
from bench.errors import DataInvalid, DataMissing

from ._files import files_below, read_lines
from ._tables import SEX, coded, placed, reasons, years

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
OTHER_NAMES = {"Patient Sex": "Patient Gender"}


@dataclass(frozen=True, kw_only=True)
class NihCxr14(Dataset):
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

    split: Literal["test", "all"] = option("test", says="The films of the official test list, or all.", other="all")
    rule: Literal["exclusive", "inclusive"] = option(
        "exclusive", says="A pneumothorax without any other finding, or whatever else is found.", other="inclusive"
    )

    def table(self, root: Path) -> pd.DataFrame:
        """Columns of the contract and diagnosis, pneumothorax, female, age (years) and age_note.

        Raises:
            DataMissing: no table, no test list (with `split="test"`) or no films.
            DataInvalid: a value that the release does not have.
        """
        files = files_below(root)
        official = files.table(TABLES, COLUMNS, get_it=self.access, other_names=OTHER_NAMES)
        listed = files.find(["test_list.txt", "test_list_NIH.txt"]) if self.split == "test" else None
        if self.split == "test" and listed is None:
            raise DataMissing(
                f"test_list.txt in {root}", get_it=f"{self.access} Or take all films: nih_cxr14:split=all."
            )
        rows = self.rows(official, read_lines(listed) if listed else ())
        return placed(rows, files.images(), files, get_it=self.access)

    def rows(self, official: pd.DataFrame, test_list: Collection[str] = ()) -> pd.DataFrame:
        """Turn the official table into the suite's; `image` is the name of the film."""
        import pandas as pd

        film, findings = official["Image Index"], official["Finding Labels"].fillna("")
        positive = findings == "Pneumothorax"
        if self.rule == "inclusive":
            positive = findings.str.contains(r"(?:^|\|)Pneumothorax(?:\||$)").astype(bool)
        label = positive.astype("Int8").where(positive | (findings == "No Finding"))
        age, impossible = years(official, "Patient Age")
        rules = [
            ("NOT_IN_TEST_LIST", ~film.isin(test_list) & (self.split == "test")),
            ("LABEL_NONE", findings == ""),
            ("LABEL_OTHER_FINDING", label.isna()),
        ]
        table = pd.DataFrame(
            {
                "uid": "nih_cxr14:" + film,
                "image": film.str.rsplit(".", n=1).str[0],
                "group": official["Patient ID"],
                "source": official["View Position"].fillna("unknown"),
                "diagnosis": findings,
                "pneumothorax": label,
                "female": coded(official, "Patient Gender", SEX),
                "age": age,
                "age_note": impossible.map({True: "AGE_IMPOSSIBLE", False: ""}),
                "drop": reasons(official.index, rules),
            }
        )
        table.attrs["file"] = official.attrs["file"]
        return table

    def image(self, root: Path, path: str) -> np.ndarray:
        """Decode one film: uint8 (H, W); raises DataInvalid where the channels of a colour file differ."""
        pixels = super().image(root, path)
        if pixels.ndim == 3:
            if not (pixels == pixels[:, :, :1]).all():
                raise DataInvalid(f"{root / path}: a film in colour; grey, or equal channels, expected")
            pixels = pixels[:, :, 0]
        return pixels

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` says what is planted in it."""
        from . import _chest_trees

        return _chest_trees.nih_cxr14(root, images=images, seed=seed, progress=progress)
