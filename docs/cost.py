"""What the whole comparison of the paper costs in GPU hours, part by part, from two measured rates per network.

    python docs/cost.py --trained 900 --forward 2500

prints the tables of docs/cost.md for a device that trains on 900 images a second and passes 2,500 forward in float32.
The work is counted as in `cost` of a cell's JSON; tests/unit/test_cost.py holds it against what cells count.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

FOLDS, BACKBONES = 5, 2
BATCH = 128
EVALUATED = 4096
"""On so many validation images, or three more, DiffGda and DiffPrune compare states where there are more."""
SKIN, FILMS = ("resnet50", "efficientnet_b3"), ("resnet50", "densenet121")
Rates = Mapping[str, tuple[float, float]]
"""Backbone -> images a second trained on, and forward."""
NONE = "not measured"


@dataclass(frozen=True)
class Work:
    """Images trained on (a forward and a backward pass) and, in float32, images passed forward or as much as that.

    A backward pass counts as two forward ones, one that reaches activations alone as one.
    """

    trained: float = 0
    forward: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.trained + other.trained, self.forward + other.forward)

    def __mul__(self, count: int) -> Work:
        return Work(count * self.trained, count * self.forward)

    def hours(self, trained: float, forward: float) -> float:
        """Hours at so many images a second."""
        return (self.trained / trained + self.forward / forward) / 3600


@dataclass(frozen=True)
class Study:
    """Images of one task in a fold, and its epochs."""

    name: str
    train: int
    val: int
    external: int
    tests: int
    pretraining: int
    epochs: int
    adam: bool
    backbones: tuple[str, ...] = FILMS
    pixels: int = 224


# SWiFT, Section 4.1 and Table 1; external sets where the paper gives a size. Test sets as the suite uses them.
STUDIES = (
    Study("skin-tone", 45_489, 11_374, 3_600, 16_577 + 656, 200, 20, adam=False, backbones=SKIN, pixels=256),
    Study("skin-gender", 45_489, 11_374, 11_000, 1_011 + 1_494, 200, 20, adam=False, backbones=SKIN, pixels=256),
    Study("cxr-gender", 61_502, 15_376, 14_950, 21_011 + 10_814, 100, 10, adam=True),
    Study("cxr-age", 61_502, 15_376, 10_360, 21_011 + 10_814, 100, 10, adam=True),
)


def distinct(epochs: int) -> float:
    """Poses of an image, of eight, that so many epochs draw on average."""
    return 8 * (1 - (7 / 8) ** epochs)


def evaluations(external: int, batch: int = BATCH, epochs: int = 10, wanted: int = 5) -> int:
    """How often DiffGda scores validation images: before the first step, and after every n-th of an epoch."""
    batches = -(-external // batch)
    return 1 + epochs * -(-batches // max(1, batches // wanted))


def methods(s: Study, batch: int = BATCH) -> dict[str, Work]:
    """The work of each method on one fold, without the predictions that every cell makes."""
    e, v, first = s.external, s.val, s.epochs // 2
    second, compared = s.epochs - first, min(v, EVALUATED)
    head = Work(forward=distinct(second) * e)
    masked = Work(trained=first * e) + head
    rows = {
        "Baseline": Work(),
        "FullFT-RW": Work(trained=s.epochs * e),
        "FullFT-Reg": Work(trained=s.epochs * v),
        "FullFT-FDR": Work(trained=s.epochs * e),
        "LLFT": Work(forward=e),
        "DiffGda": Work(trained=10 * e, forward=evaluations(e, batch) * compared),
        "FairPrune": Work(forward=3 * e + v),
        "DiffPrune": Work(forward=11 * 2 * e + 12 * compared),
        "BMFT": masked,
        "SWiFT": masked,
    }
    if s.adam:
        rows["SWiFT, apply=update"] = masked
    return rows


def importances(s: Study) -> Work:
    """One forward pass and two backward ones over the external set, shared by SWiFT and BMFT."""
    return Work(forward=5 * s.external)


def predictions(s: Study) -> Work:
    """What every cell scores."""
    return Work(forward=s.val + s.tests)


def pretraining(s: Study) -> Work:
    """The baseline of a fold."""
    return Work(trained=s.pretraining * s.train)


def parts(s: Study) -> dict[str, Work]:
    """The work of a task on all folds and backbones."""
    cells, each = FOLDS * BACKBONES, methods(s)
    fitted = sum(each.values(), Work())
    return {
        "baselines": pretraining(s) * cells,
        "importances": importances(s) * cells,
        "methods": fitted * cells,
        "predictions": predictions(s) * (cells * len(each)),
    }


def table(trained: float, forward: float) -> str:
    """Millions of images and GPU hours by task and part, then by method over all tasks, as Markdown."""
    lines = [
        f"At {trained:,.0f} images trained and {forward:,.0f} forward a second:", "",
        "| task | part | trained, million | forward, million | GPU hours |", "| --- | --- | ---: | ---: | ---: |",
    ]  # fmt: skip
    total = Work()
    for study in STUDIES:
        for name, work in parts(study).items():
            lines.append(_row(study.name, name, work, trained, forward))
            total += work
    lines += [_row("**all**", "", total, trained, forward), ""]
    lines += ["| method, all tasks | trained, million | forward, million | GPU hours |", "| --- | ---: | ---: | ---: |"]
    by_method: dict[str, Work] = {}
    for study in STUDIES:
        for name, work in methods(study).items():
            by_method[name] = by_method.get(name, Work()) + work * (FOLDS * BACKBONES)
    lines += [_row(name, None, work, trained, forward) for name, work in by_method.items()]
    return "\n".join(lines) + "\n"


def hours_by_part(rates: Rates, cores: int) -> dict[str, float]:
    """Hours of the parts of all tasks on so many cores that compute a cell each.

    The rates are those of one core at 224 pixels; work is taken to grow with the number of pixels.
    """
    hours: dict[str, float] = {}
    for study in STUDIES:
        for name, work in parts(study).items():
            each = [work.hours(*rates[backbone]) / len(study.backbones) for backbone in study.backbones]
            hours[name] = hours.get(name, 0.0) + sum(each) * (study.pixels / 224) ** 2 / cores
    return hours


def measured(rates: Rates, cores: int) -> str:
    """The rates and `hours_by_part` as Markdown; no GPU has been measured."""
    hours = hours_by_part(rates, cores)
    lines = ["| backbone | T, one core | F, one core | T, GPU | F, GPU |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {name} | {t:.1f} | {f:.1f} | {NONE} | {NONE} |" for name, (t, f) in rates.items()]
    lines += ["", f"| part, all tasks | hours on {cores} cores | GPU hours |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {spent:,.0f} | {NONE} |" for name, spent in hours.items()]
    lines.append(f"| **all** | {sum(hours.values()):,.0f} | {NONE} |")
    return "\n".join(lines) + "\n"


def _row(name: str, part: str | None, work: Work, trained: float, forward: float) -> str:
    names = [name] if part is None else [name, part]
    numbers = [f"{work.trained / 1e6:.2f}", f"{work.forward / 1e6:.2f}", f"{work.hours(trained, forward):.1f}"]
    return f"| {' | '.join([*names, *numbers])} |"


def main() -> None:
    """Print the tables for the rates that are given."""
    parser = argparse.ArgumentParser(description="GPU hours of the paper's comparison from two measured rates")
    parser.add_argument("--trained", type=float, required=True, help="images a second, forward and backward")
    parser.add_argument("--forward", type=float, required=True, help="images a second, forward in float32")
    given = parser.parse_args()
    print(table(given.trained, given.forward), end="")


if __name__ == "__main__":
    main()
