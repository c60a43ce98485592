"""The image cache: what it costs over decoding alone."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import fit, read_image

SIZE = 224


def film(rng, size, file, **how):
    """Write a grey film: smooth shadows with grain."""
    coarse = Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int)
    grain = rng.integers(-3, 4, smooth.shape)
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, **how)


@pytest.mark.parametrize(
    ("kind", "size", "n"),
    [("png", (1024, 1024), 60), ("jpg", (2544, 3056), 16)],
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
        image_cache(Pixels(Manifest(), "manifest", folder, **options), table)

    def decode():
        for path in table["path"]:
            fit(read_image(folder / path), size=SIZE, channels=1, crop="none")

    compare(f"image cache / the decoder alone, {kind} {size[0]} x {size[1]}", build, decode, bar=1 / 0.9, pairs=3)
