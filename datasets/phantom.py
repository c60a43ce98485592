"""Phantoms: synthetic chest films and skin lesions whose bias is planted and therefore known.

They test the suite and are no evidence about medicine. Label y and attribute a of a hospital follow a 2x2 table with
given marginals and log odds ratio (Plackett's form). The finding depends only on y and the cues depend only on a. So
the log odds ratio is the only link between attribute and label, and each link to the pixels has its own strength
(`core`, `cue`, `faint`).

The cue of `cue` is easy: from 256 pixels, a linear model tells the groups with an AUC above .97. That of `faint` is as
weak as a real one can be: every image has grain, whose strength varies from image to image and is larger for the tied
attribute. With `faint=1`, the strength itself tells the groups with an AUC of .76, the highest that is possible.

The phantoms are made for 2,400 source images and a small network, so findings, age cue and log odds ratios are stronger
than a larger phantom would need. Measured at that size (chest, age; 1,920 training images, Adam 3e-4, batch 32, 6
epochs; mean of 3 seeds, `ood_neutral`, n = 2,000): AUC .87, EOdds .16; after fine-tuning on the balanced held-out
patients .89 and .06. With `log_odds=0` a small network still has an EOdds of .06 (chest, sex) and .09 (skin, tone).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bench.api import Dataset, option
from bench.errors import DataInvalid, UsageError

from . import _phantom_chest, _phantom_skin

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = ("chest", "skin")
HOSPITALS = ("source", "ood_neutral", "ood_reversed")
TIES = {"chest": ("age", "sex"), "skin": ("tone", "sex")}
"""The attributes that the label can be tied to; `auto` takes the first of the family."""
LOG_ODDS = {"age": (1.5, 0.0, -0.8), "sex": (2.0, 0.0, -0.8), "tone": (-2.0, 0.0, 0.6)}
"""The log odds ratio of each hospital, between a = 1 (older, female, dark) and pneumothorax or melanoma."""
POSITIVE = {"chest": (0.35, 0.25, 0.25), "skin": (0.40, 0.35, 0.30)}
"""The share of images with pneumothorax or melanoma, by hospital."""
SHARE = {"age": 0.40, "sex": 0.45, "tone": 0.40}
"""The share of a = 1, which is the same in all hospitals."""
TYPES = ((0.35, 0.75), (0.55, 0.85))
"""Cumulative shares of the first two Fitzpatrick types among light (1, 2, 3) and dark (4, 5, 6) skin."""
GRAIN, GRAIN_SPREAD = 8.0, 0.4
"""Of the faint cue: the median over images of the standard deviation of the noise, in grey values, and the standard
deviation of its logarithm."""
MORE = {"effusion": (2.0, 0.30), "nodule": (-1.5, 0.30)}
"""Further findings of a chest: the log odds ratio with `female` in the source hospital, and the share of images."""
PATH = re.compile(r"(99\d{7})/(\d+)-y([01])-age(\d+\.\d)-female([01])-type([1-6])(?:-effusion([01])-nodule([01]))?")


@dataclass(frozen=True, kw_only=True)
class Phantom(Dataset):
    """Images drawn from a seed; no file is read."""

    synthetic: ClassVar[bool] = True
    access: ClassVar[str] = "Nothing to fetch: the images are drawn from a seed."
    licence: ClassVar[str] = "that of this program"
    citation: ClassVar[str] = "none: synthetic images, drawn by this program"
    labels: ClassVar[tuple[str, ...]] = ("pneumothorax", "melanoma", "non_melanoma")
    attributes: ClassVar[tuple[str, ...]] = ("age", "female", "fst", "dark")

    family: Literal["chest", "skin"] = option("chest", "chest films with pneumothorax, or melanoma on skin")
    hospital: Literal["source", "ood_neutral", "ood_reversed"] = option("source", "whose bias and camera are used")
    tied: Literal["auto", "age", "sex", "tone"] = option(
        "auto", "attribute that the label is tied to: age or sex (chest), tone or sex (skin); auto: the first"
    )
    images: int = option(2000, "number of images; a smaller phantom has the first images of a larger one", low=1)
    size: int = option(64, "height and width in pixels", low=16, high=1024)
    seed: int = option(0, "seed; another one draws other people", low=0)
    log_odds: float | None = option(
        None, "log odds ratio of attribute and label; none: that of the hospital", low=-6, high=6
    )
    cue: float = option(1.0, "strength with which the attributes show; 0: not at all", low=0, high=1)
    faint: float = option(0.0, "strength of a faint cue of the tied attribute, grain; 0: no grain", low=0, high=1)
    core: float = option(1.0, "strength with which the finding shows; 0: not at all", low=0, high=1.5)
    findings: bool = option(
        False, "chest: two further findings, effusion and nodule, tied to sex in the source and to nothing elsewhere"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tied not in ("auto", *TIES[self.family]):
            raise UsageError(f"Phantom.tied={self.tied}: {self.family} allows auto, {', '.join(TIES[self.family])}")
        if self.findings and self.family != "chest":
            raise UsageError("Phantom.findings=True: only the family chest has further findings")

    def table(self, root: Path) -> pd.DataFrame:
        """Return one row per image; `root` is not read. Columns of the other family are missing."""
        import pandas as pd

        people = self._people()
        row, image = people.pop("row"), people.pop("image")
        patient = 990000000 + 1000000 * HOSPITALS.index(self.hospital) + row
        old, female, dark = (people[name][row] for name in ("old", "female", "dark"))
        age, skin_type = people["age"][row], people["fst"][row]
        tied = {"age": old, "sex": female, "tone": dark}[self._tied]
        positive = (self._uniform(5, len(row)) < np.where(tied, *reversed(self.chances()))).astype(np.int8)
        codes = {"pneumothorax": positive}
        if self.family == "skin":
            codes = {"melanoma": positive, "non_melanoma": 1 - positive, "fst": skin_type, "dark": dark}
        codes["female"] = female
        names, missing = (*self.labels, "female", "fst", "dark"), [None] * len(row)
        values = zip(patient, image, positive, age, female, skin_type, strict=True)
        further = self._further(female)
        ends = [""] * len(row)
        for name, code in further.items():
            ends = [f"{end}-{name}{one}" for end, one in zip(ends, code, strict=True)]
        paths = [f"{p}/{i}-y{y}-age{years:.1f}-female{f}-type{t}" for p, i, y, years, f, t in values]
        return pd.DataFrame(
            {
                "uid": [f"phantom-{self.family}-{self.hospital}:{p}-{i}" for p, i in zip(patient, image, strict=True)],
                "path": [path + end for path, end in zip(paths, ends, strict=True)],
                "patient": [f"{self.seed}-{p}" for p in patient],  # another seed gives other people
                "source": self.hospital,
                "drop": "",
                "age": age,
                **{name: pd.array(codes.get(name, missing), dtype="Int8") for name in names},
                **{name: pd.array(code, dtype="Int8") for name, code in further.items()},
            }
        )

    def image(self, root: Path, path: str) -> np.ndarray:
        """Draw one image: uint8 (size, size) of a chest, (size, size, 3) of skin. It depends only on `path`."""
        patient, image, positive, age, female, skin_type = read_path(path)
        drawn = self._draw(patient, image, positive, age, female, skin_type)
        if further := further_of(path):
            drawn = _phantom_chest.with_findings(drawn, self._rng(5, patient, 0), **further)
        tied = {"age": age > 65, "sex": female == 1, "tone": skin_type >= 4}[self._tied]
        return with_grain(drawn, self._rng(4, patient, image), self.faint * tied) if self.faint else drawn

    def _draw(self, patient: int, image: int, positive: int, age: float, female: int, skin_type: int) -> np.ndarray:
        camera = (self.size, self.hospital, self._rng(1, patient, 0), self._rng(2, patient, image))
        if self.family == "chest":
            old = self.cue / (1 + math.exp((65.5 - age) / 4))
            return _phantom_chest.render(*camera, air=self.core * positive, old=old, female=self.cue * female)
        malignant, male = 1.2 * self.core * (2 * positive - 1), self.cue * (1 - female)
        return _phantom_skin.render(*camera, malignant=malignant, skin_type=skin_type, tone=self.cue, male=male)

    def planted(self) -> dict[tuple[str, str], float]:
        """Return the log odds ratio of label and tied attribute; no other two are tied."""
        label = "pneumothorax" if self.family == "chest" else "melanoma"
        further = {(name, "female"): self._of_sex(odds) for name, (odds, _) in MORE.items() if self.findings}
        return {(label, {"age": "age>65", "sex": "female", "tone": "dark"}[self._tied]): self._log_odds, **further}

    def _of_sex(self, log_odds: float) -> float:
        """Return the log odds ratio of a further finding and sex in this hospital, which is 0 but in the source."""
        return log_odds if self.hospital == "source" else 0.0

    def _further(self, female: np.ndarray) -> dict[str, np.ndarray]:
        """Return the further findings of each image by name, 0 or 1; none unless they are asked for."""
        found = {}
        for column, (name, (odds, share)) in enumerate(MORE.items() if self.findings else (), 7):
            chances = rates(share, SHARE["sex"], self._of_sex(odds))
            found[name] = (self._uniform(column, len(female)) < np.where(female, *reversed(chances))).astype(np.int8)
        return found

    @property
    def _log_odds(self) -> float:
        return LOG_ODDS[self._tied][HOSPITALS.index(self.hospital)] if self.log_odds is None else self.log_odds

    @property
    def _tied(self) -> str:
        return TIES[self.family][0] if self.tied == "auto" else self.tied

    def _rng(self, kind: int, first: int, second: int) -> np.random.Generator:
        place = FAMILIES.index(self.family), HOSPITALS.index(self.hospital)
        return np.random.default_rng(np.random.SeedSequence([self.seed, *place, kind, first, second]))

    def _uniform(self, column: int, number: int) -> np.ndarray:
        # Each column has its own stream, so that the first rows of a larger phantom are those of a smaller one.
        return self._rng(3, column, 0).random(number)

    def _people(self) -> dict[str, np.ndarray]:
        """Return the attributes of each person, and for each image its person (`row`) and its number (`image`)."""
        number = self.images
        films = 1 + (4 * self._uniform(0, number)).astype(int)
        row = np.repeat(np.arange(number), films)[:number]
        image = np.arange(number) - np.concatenate([[0], np.cumsum(films)])[row]
        people = row[-1] + 1
        old = (self._uniform(1, people) < SHARE["age"]).astype(int)
        female = (self._uniform(2, people) < SHARE["sex"]).astype(int)
        dark = (self._uniform(3, people) < SHARE["tone"]).astype(int)
        share = self._uniform(4, people)
        age = np.round(np.where(old, 66 + 24 * share, 18 + 47 * share), 1)
        cuts = np.array(TYPES)[dark]
        fst = 1 + 3 * dark + (self._uniform(6, people)[:, None] >= cuts).sum(axis=1)
        return {"row": row, "image": image, "old": old, "female": female, "dark": dark, "age": age, "fst": fst}

    def chances(self) -> tuple[float, float]:
        """Return P(y=1 | a=0) and P(y=1 | a=1) of the tied attribute."""
        place = HOSPITALS.index(self.hospital)
        return rates(POSITIVE[self.family][place], SHARE[self._tied], self._log_odds)


def with_grain(image: np.ndarray, rng: np.random.Generator, shift: float) -> np.ndarray:
    """Return an image, uint8 (H, W, ...), with the noise of a lower dose, which differs from image to image.

    The logarithm of its standard deviation is normal; `shift` moves its mean, in standard deviations. Apart from
    values that are cut off at black and white, no region becomes lighter or darker on average.
    """
    spread = GRAIN * math.exp(GRAIN_SPREAD * (rng.standard_normal() + shift))
    noise = spread * rng.standard_normal(image.shape[:2])
    noisy = image + noise.reshape(*image.shape[:2], *[1] * (image.ndim - 2))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def read_path(path: str) -> tuple[int, int, int, float, int, int]:
    """Return patient, number of the image, label, age, female and skin type from the path of an image.

    Raises:
        DataInvalid: it is not a path of the table of a phantom.
    """
    match = PATH.fullmatch(path)
    if match is None:
        raise DataInvalid(f"phantom image '{path}': a path of the table of this phantom is expected")
    patient, image, positive, female, skin_type = (int(match[group]) for group in (1, 2, 3, 5, 6))
    return patient, image, positive, float(match[4]), female, skin_type


def further_of(path: str) -> dict[str, bool]:
    """Return the further findings in the path of an image, by name; none where it has none."""
    match = PATH.fullmatch(path)
    return {} if match is None or match[7] is None else {"effusion": match[7] == "1", "nodule": match[8] == "1"}


def rates(positive: float, attribute: float, log_odds: float) -> tuple[float, float]:
    """Return P(y=1 | a=0) and P(y=1 | a=1) from both marginals and the log odds ratio (Plackett, 1965)."""
    excess = np.exp(log_odds) - 1
    both = positive * attribute
    if abs(excess) > 1e-9:
        linear = 1 + excess * (positive + attribute)
        both = (linear - np.sqrt(linear**2 - 4 * excess * (excess + 1) * both)) / (2 * excess)
    return float((positive - both) / (1 - attribute)), float(both / attribute)
