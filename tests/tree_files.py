"""Random images and tables in a tree of files."""

import csv
import gzip
import zlib

import numpy as np
from PIL import Image


def write_image(file, mode="RGB"):
    """Write 40 x 32 random pixels that depend on the file's name alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(file.name.encode()))
    grey = rng.integers(0, 256, (32, 40), dtype=np.uint8)
    if mode == "RGBA":
        pixels = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    else:
        pixels = grey if mode == "L" else rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def write_table(file, header, rows):
    """Write a CSV table, gzipped where its name says so; `header` and `rows` are lists of cells."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wt", newline="") if file.suffix == ".gz" else file.open("w", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows([header, *rows])
