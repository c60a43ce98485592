"""HAM10000: 10,015 dermatoscopic images of pigmented skin lesions from Vienna and Queensland.

input:        RGB JPEG, 600 x 450 pixels (smaller copies will do)
label:        malignant = melanoma, basal cell carcinoma or actinic keratosis (mel, bcc, akiec), 19.5 % of images
metadata:     sex (57 unknown), age in steps of 5 years (57 empty; 39 say 0, which means not known), lesion, site
website:      https://doi.org/10.7910/DVN/DBW86T
publication:  Tschandl, Rosendahl and Kittler, Scientific Data 5, 180161 (2018)
licence:      CC BY-NC 4.0

Several images show one lesion (7,470 in all), so the lesion is the group. The site is the `source`: vidir_modern,
vidir_molemax and vienna_dias in Vienna, rosendahl in Queensland. It predicts the label (0.7 % malignant at
vidir_molemax, 41.3 % at rosendahl), and nine lesions occur at two sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import Dataset
from bench.data.columns import require_columns
from bench.errors import DataInvalid, DataMissing

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata")
FOLDERS = ("images", "HAM10000_images_part_1", "HAM10000_images_part_2")
MALIGNANT = {"mel": 1, "bcc": 1, "akiec": 1, "nv": 0, "bkl": 0, "df": 0, "vasc": 0}


@dataclass(frozen=True, kw_only=True)
class Ham10000(Dataset):
    """HAM10000: 10,015 dermatoscopic images of pigmented skin lesions from Vienna and Queensland."""

    access = "Open download, no account: https://doi.org/10.7910/DVN/DBW86T (metadata and two archives of images)."
    licence = "CC BY-NC 4.0"
    citation = "Tschandl et al., The HAM10000 dataset, Scientific Data 5, 180161, 2018. doi:10.1038/sdata.2018.161"
    labels = ("malignant",)
    attributes = ("female", "age")

    def table(self, root: Path) -> pd.DataFrame:
        """Columns of the contract and lesion, dx, malignant, female, age (years) and localization.

        Raises:
            DataMissing: no metadata or no images.
            DataInvalid: a diagnosis or a sex that the release does not have.
        """
        import pandas as pd

        file = next((root / name for name in TABLES if (root / name).is_file()), None)
        if file is None:
            raise DataMissing(f"{root / TABLES[0]}", get_it=self.access)
        rows = pd.read_csv(file)
        require_columns(rows, ("lesion_id", "image_id", "dx", "age", "sex", "localization", "dataset"), str(file))
        for name, allowed in (("dx", [*MALIGNANT]), ("sex", ["female", "male", "unknown"])):
            bad = ~rows[name].isin(allowed) & (rows[name].notna() | (name == "dx"))
            if bad.any():
                at = int(bad.to_numpy().argmax())
                given = f"row {at + 2}, column {name!r}: {rows[name][at]!r}"
                raise DataInvalid(f"{file}: {given}, allowed: {', '.join(allowed)}")
        images = self._images(root)
        if not images:
            raise DataMissing(f"images ISIC_*.jpg in {root}/{{{','.join(FOLDERS)}}}", get_it=self.access)
        path = rows["image_id"].str.lower().map(images)
        table = pd.DataFrame(
            {
                "uid": "ham10000:" + rows["image_id"],
                "path": path.fillna(""),
                "lesion": rows["lesion_id"],
                "group": rows["lesion_id"].fillna(rows["image_id"]),
                "source": rows["dataset"],
                "dx": rows["dx"],
                "malignant": rows["dx"].map(MALIGNANT).astype("Int8"),
                "female": rows["sex"].map({"female": 1, "male": 0}).astype("Int8"),
                "age": rows["age"].mask(rows["age"] == 0).astype("Float32"),
                "localization": rows["localization"],
                "drop": path.isna().map({True: "FILE_MISSING", False: ""}),
            }
        )
        table.attrs["file"] = str(file)
        return table

    def _images(self, root: Path) -> dict[str, str]:
        """Map image ids in lower case to paths relative to `root`."""
        folders = [root / name for name in FOLDERS if (root / name).is_dir()]
        files = (file for folder in folders for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg"))
        return {file.stem.lower(): file.relative_to(root).as_posix() for file in files}
