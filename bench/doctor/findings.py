"""Findings: a code, how grave it is, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Check:
    """What a code stands for, and the cure."""

    says: str
    do: str


CHECKS: dict[str, Check] = {
    "D001": Check("the folder is there", "pass --data DIR with one folder per source in it"),
    "D002": Check("the tables of the release are there", "get the release where `bench ls datasets NAME` says"),
    "D003": Check("--data points at the folder above the source", "pass the folder that holds the source's"),
    "D004": Check("a table is a table: no login page, no Git LFS pointer, not cut off", "download the file again"),
    "D010": Check("the columns of the release are there", "take the official file, or name the column as it does"),
    "D011": Check("values are those that the release has", "look at the row; a spreadsheet may have changed it"),
    "D012": Check("the table has as many rows as the release", "compare the release; an extract is fine if meant"),
    "D013": Check("keys are unique and tables join as they should", "remove the second row"),
    "D014": Check("rows find their partner in the other tables", "get the missing table or release"),
    "D020": Check("the image files of the table are there", "complete the download"),
    "D021": Check("image files that the table does not name", "nothing, or look whether a table is missing"),
    "D022": Check("image files can be read", "download them again, or delete their rows"),
    "D023": Check("images are of the usual kind: 8 bits, grey or RGB, not constant, not tiny", "look at them"),
    "D030": Check("no two images have the same pixels", "give them one patient, or delete one"),
    "D031": Check("images that look alike (hash of 64 bits, 4 at most differ)", "look whether they are one"),
    "D032": Check("no image of a test set is in the training set", "leave it out of one of them"),
    "D040": Check("ages are usable", "nothing: impossible ones count as not known"),
    "D041": Check("every cell of label and attribute has enough images", "take other groups, or fewer folds"),
    "D042": Check("skin types are known", "nothing: such images are left out of tasks on tone"),
    "D043": Check("the attribute has a source", "get the file that is named"),
    "D044": Check("the label does not follow the source of an image", "test on other sites than those trained on"),
    "D050": Check("counts against those of the paper", "nothing: the difference and its reason are printed"),
    "D060": Check(
        "folds: no patient on two sides, balanced, an external set in each", "take fewer folds or other groups"
    ),
    "D070": Check("generated images", "nothing: results say nothing about patients"),
    "D071": Check("no task mixes generated and real images", "use the releases alone, or phantoms alone"),
    "D080": Check("credentialed data are closed to others", "chmod 700 the folder"),
    "D081": Check("the disk has room for the image caches", "choose another disk by --cache or BENCH_CACHE"),
    "D099": Check("the source can be read at all", "read the message; it may be a plugin's own error"),
}
"""Every check. The texts are those of `docs/doctor.md`."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `ids` are images or patients of it; they are shown as salted hashes to machines."""

    code: str
    level: Level
    where: str
    """The dataset or set."""
    text: str
    ids: tuple[str, ...] = ()
