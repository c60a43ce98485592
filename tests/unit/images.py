"""Random images in a folder, and their cache."""

import numpy as np
import pandas as pd
from PIL import Image

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest

SIZE = 16


def write_image(file, value=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, dtype=np.uint8)).save(file)


def save(folder, n=12, seed=0, width=20, height=16, digits=3):
    """Write n random colour images and return their table, in an order unlike that of the uids."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [f"{i:0{digits}d}.png" for i in range(n)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return pd.DataFrame({"uid": [f"manifest:m:{name}" for name in names], "path": names})[::-1]


def build(root, table, cache_dir, **changes):
    how = {"size": SIZE, "channels": 3, "crop": "centre", "cache_dir": cache_dir} | changes
    options = {name: how.pop(name) for name in ("jobs", "progress") if name in how}
    return image_cache(Pixels(Manifest(), "manifest", root, **how), table, **options)


def leftovers(cache_dir):
    return [path for path in cache_dir.rglob("*") if path.name.startswith(".")]
