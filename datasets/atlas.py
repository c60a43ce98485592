"""Interactive Atlas of Dermoscopy (derm7pt): 1,011 cases, each a dermatoscopic and a clinical image.

input:        RGB JPEG, about 770 x 512 pixels
label:        melanoma, 252 cases: in situ, of any thickness, or metastasis
metadata:     sex (none missing)
website:      https://derm.cs.sfu.ca
publication:  Kawahara et al., IEEE Journal of Biomedical and Health Informatics 23, 538 (2019)
licence:      research alone, no commercial use

No patient is named, so the case is the group. Extensions and names vary in case between table and folders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.api import Counts, Dataset, option

from ._files import files_below
from ._tables import SEX, coded, placed, refuse

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("meta.csv",)
COLUMNS = ("case_num", "diagnosis", "sex", "clinic", "derm")
THICKNESS = ("in situ", "less than 0.76 mm", "0.76 to 1.5 mm", "more than 1.5 mm")
MELANOMA = ("melanoma", "melanoma metastasis", *(f"melanoma ({thickness})" for thickness in THICKNESS))


@dataclass(frozen=True, kw_only=True)
class Atlas(Dataset):
    """Interactive Atlas of Dermoscopy (derm7pt): 1,011 cases, each a dermatoscopic and a clinical image."""

    access = "Free account: https://derm.cs.sfu.ca (release_v0.zip: meta/meta.csv and images/)."
    licence = "research alone, no commercial use"
    citation = "Kawahara et al., Seven-point checklist and skin lesion classification, IEEE JBHI 23, 538-546, 2019."
    counts = Counts(release="meta.csv", rows=1_011, used=1_011, paper=1_011, why="one of two images of each case")
    labels = ("melanoma",)
    attributes = ("female",)

    view: Literal["derm", "clinic"] = option(
        "derm", says="The image of each case: dermatoscopic, as in training, or clinical.", other="clinic"
    )

    def table(self, root: Path) -> pd.DataFrame:
        """Columns of the contract and diagnosis, melanoma and female.

        Raises:
            DataMissing: no table or no images.
            DataInvalid: a value that the release does not have.
        """
        files = files_below(root)
        official = files.table(TABLES, COLUMNS, get_it=self.access)
        return placed(self.rows(official), files.images(parts=2), files, get_it=self.access)

    def rows(self, official: pd.DataFrame) -> pd.DataFrame:
        """Turn the official table into the suite's; `image` is folder and name of the file."""
        import pandas as pd

        diagnosis = official["diagnosis"].str.lower()
        other = diagnosis.isna() | (diagnosis.str.contains("melanoma") & ~diagnosis.isin(MELANOMA))
        refuse(official, "diagnosis", other, f"melanoma is one of {', '.join(MELANOMA)}")
        table = pd.DataFrame(
            {
                "uid": "atlas:" + official["case_num"],
                "image": official[self.view].str.rsplit(".", n=1).str[0],
                "group": official["case_num"],
                "source": "atlas",
                "diagnosis": official["diagnosis"],
                "melanoma": diagnosis.isin(MELANOMA).astype("Int8"),
                "female": coded(official, "sex", SEX),
                "drop": "",
            }
        )
        table.attrs["file"] = official.attrs["file"]
        return table

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` says what is planted in it."""
        from . import _skin_trees

        return _skin_trees.atlas(root, images=images, seed=seed, progress=progress)
