"""The image cache: what it costs over decoding alone, and the memory it takes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.cache import image_cache
from bench.data.decode import fit, read_image
from bench.datasets.manifest import Manifest

SIZE = 224


def film(rng, size, file, **how):
    """Write a grey film: smooth shadows with grain."""
    coarse = Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int)
    grain = rng.integers(-3, 4, smooth.shape)
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, **how)


@pytest.mark.parametrize(
    ("kind", "size", "n"),
    [("png", (1024, 1024), 150), ("jpg", (2544, 3056), 24)],
    ids=["PNG as NIH's", "JPEG as MIMIC's"],
)
def test_building_takes_hardly_longer_than_decoding(compare, tmp_path, kind, size, n):
    rng, folder = np.random.default_rng(0), tmp_path / "films"
    folder.mkdir()
    for i in range(n):
        film(rng, size, folder / f"{i:03d}.{kind}", **({"quality": 95} if kind == "jpg" else {}))
    paths = sorted(file.name for file in folder.iterdir())
    table = pd.DataFrame({"uid": paths, "path": paths})
    built = iter(range(10_000))

    def build():
        options = {"size": SIZE, "channels": 1, "crop": "none", "cache_dir": tmp_path / str(next(built))}
        image_cache(Manifest(), "manifest", folder, table, **options)

    def decode():
        for path in table["path"]:
            fit(read_image(folder / path), size=SIZE, channels=1, crop="none")

    compare(f"image cache / the decoder alone, {kind} {size[0]} x {size[1]}", build, decode, bar=1 / 0.9, pairs=5)


MANY = """
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from bench.data.cache import image_cache
from bench.datasets.manifest import Manifest

class Made(Manifest):
    def image(self, root, path):
        return np.full((64, 64), int(path) % 251, dtype=np.uint8)

n = range(int(sys.argv[2]))
table = pd.DataFrame({"uid": [f"m:{i:06d}" for i in n], "path": [str(i) for i in n]})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cache = image_cache(Made(), "m", Path("."), table, size=64, channels=1, crop="none", cache_dir=Path(sys.argv[1]))
rng = np.random.default_rng(0)
for _ in range(50):
    rows = cache.rows([f"m:{i:06d}" for i in rng.integers(0, len(table), 64)])
    assert (cache.array[np.sort(rows)].reshape(64, -1).max(axis=1) < 251).all()
print(before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_112_000_images_are_built_and_read_below_one_gigabyte(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), "112000"], capture_output=True, text=True, check=True
    )
    before, peak = map(float, done.stdout.split())
    print(f"\n112,000 images: peak {peak:.0f} MB of the preparing process, {before:.0f} MB before (1000)")
    assert peak < 1000
