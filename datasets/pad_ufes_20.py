"""PAD-UFES-20: 2,298 smartphone photographs of skin lesions from Brazil, 52 of them melanoma.

input:        RGB PNG of varying size
label:        melanoma (MEL, 52), malignant (with BCC and SCC, 1,089)
metadata:     sex, Fitzpatrick type (1,494 images have them, 804 do not), age
website:      https://data.mendeley.com/datasets/zr7vgbcyr2/1
publication:  Pacheco et al., Data in Brief 32, 106221 (2020)
licence:      CC BY 4.0

With 52 melanomas in all, one image moves a rate of one sex by about four points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api import Counts, Dataset

from ._files import files_below
from ._tables import SEX, coded, dark, placed, skin_type, years

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("metadata.csv", "PAD-UFES-20_metadata.csv")
COLUMNS = ("patient_id", "lesion_id", "age", "gender", "fitspatrick", "diagnostic", "img_id")
MALIGNANT = {"bcc": 1, "scc": 1, "mel": 1, "ack": 0, "nev": 0, "sek": 0}


@dataclass(frozen=True, kw_only=True)
class PadUfes20(Dataset):
    """PAD-UFES-20: 2,298 smartphone photographs of skin lesions from Brazil, 52 of them melanoma."""

    access = "Open download: https://data.mendeley.com/datasets/zr7vgbcyr2/1 (metadata.csv and three zips of images)."
    licence = "CC BY 4.0"
    citation = "Pacheco et al., PAD-UFES-20: a skin lesion dataset, Data in Brief 32, 106221, 2020."
    counts = Counts(
        release="metadata.csv",
        rows=2_298,
        used=2_298,
        paper=2_298,
        why="sex is known for 1,494 images alone",
    )
    labels = ("melanoma", "malignant")
    attributes = ("female", "age", "fst", "dark")

    def table(self, root: Path) -> pd.DataFrame:
        """Columns of the contract and lesion, diagnosis, melanoma, malignant, female, age (years), fst and dark.

        Raises:
            DataMissing: no table or no images.
            DataInvalid: a value that the release does not have.
        """
        files = files_below(root)
        official = files.table(TABLES, COLUMNS, get_it=self.access)
        return placed(self.rows(official), files.images(), files, get_it=self.access)

    def rows(self, official: pd.DataFrame) -> pd.DataFrame:
        """Turn the official table into the suite's; `image` is the name of the file."""
        import pandas as pd

        name = official["img_id"].str.rsplit(".", n=1).str[0]
        malignant = coded(official, "diagnostic", MALIGNANT)
        fst = skin_type(official, "fitspatrick")
        table = pd.DataFrame(
            {
                "uid": "pad_ufes_20:" + name,
                "image": name,
                "lesion": official["lesion_id"],
                "group": official["patient_id"],
                "source": "pad_ufes_20",
                "diagnosis": official["diagnostic"],
                "melanoma": (official["diagnostic"].str.upper() == "MEL").astype("Int8"),
                "malignant": malignant,
                "female": coded(official, "gender", SEX),
                "age": years(official, "age")[0],
                "fst": fst,
                "dark": dark(fst),
                "drop": "",
            }
        )
        table.attrs["file"] = official.attrs["file"]
        return table

    def phantom(self, root: Path, *, images: int, seed: int, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """Write a tree of generated images; `docs/phantoms.md` says what is planted in it."""
        from . import _skin_trees

        return _skin_trees.pad_ufes_20(root, images=images, seed=seed, progress=progress)
