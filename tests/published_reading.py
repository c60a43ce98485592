"""A second reading of the published tables: by the layout of the paper's text alone, without the transcription."""

from __future__ import annotations

import re
from collections.abc import Iterator

Number = tuple[float, float]

LABELS = {
    "Baseline": "baseline",
    "FullFT-RW": "fullft_rw",
    "FullFT-Reg": "fullft_reg",
    "FullFT-FDR": "fullft_fdr",
    "LLFT": "llft",
    "DiffGda": "diff_gda",
    "FairPrune": "fair_prune",
    "DiffPrune": "diff_prune",
    "BMFT": "bmft",
    "Random": "swift:mask=random",
    "hard-mask": "swift:mask=hard",
    "z-score": "swift:normalise=zscore",
    "SWiFT (w/o 2nd step)": "swift:steps=first",
    "SWiFT (w/o 1st step)": "swift:steps=second",
    "No Reinit": "swift:reinit=none",
    "Full Reinit": "swift:reinit=full",
    "SWiFT (Ours)": "swift",
    "SWiFT (Min–Max)": "swift",
    "SWiFT (Partial)": "swift",
}
"""What the tables call a row -> its spec."""

_LABEL = re.compile("|".join(re.escape(label) for label in sorted(LABELS, key=len, reverse=True)))
_CAPTION = re.compile(r"Table (\d): ")
_MARKUP = re.compile(r"\\boldsymbol|\\scriptstyle|</?u>|[${}_*]")
_NUMBER = re.compile(r"(\d\.\d{3})\s*±\s*(\d\.\d{3})")


def read(text: str) -> Iterator[tuple[int, int, str, list[Number]]]:
    """Yield (table, block of the table, spec, numbers from left to right) for every row of every table.

    A block starts where a line names the metrics. A line that holds two rows has both in each of its columns.
    """
    table = block = 0
    for line in text.splitlines():
        if caption := _CAPTION.match(line):
            table, block = int(caption[1]), 0
        elif line.count("AUC") and not _NUMBER.search(line) and "\t" in line:
            block += 1
        elif table and "\t" in line and (labels := _LABEL.findall(line)):
            plain = _MARKUP.sub("", line.replace(r"\pm", "±"))
            numbers = [(float(mean), float(std)) for mean, std in _NUMBER.findall(plain)]
            for place, label in enumerate(labels):
                yield table, block, LABELS[label], numbers[place :: len(labels)]
