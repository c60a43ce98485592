"""The checksums of image files: what they cost beside the decoding of the files, and what a later run pays."""

import numpy as np
import pytest

from bench.data.checksums import checksums
from bench.decode import fit, read_image
from tests.perf.perf_cache import SIZE, film

FILES, DECODED, FILMS = 5000, 500, 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """5,000 PNG films of about 200 kB, no two alike: 25 films, each with another number behind its last chunk."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for i in range(FILMS):
        film(rng, (576, 576), folder / "film.png")
        content = (folder / "film.png").read_bytes()
        for number in range(i, FILES, FILMS):
            (folder / f"{number:04}.png").write_bytes(content + number.to_bytes(4, "little"))
    (folder / "film.png").unlink()
    return folder


@pytest.fixture
def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_hashing_is_little_beside_decoding(compare, folder, names, tmp_path):
    megabytes = sum((folder / name).stat().st_size for name in names) / 1e6
    print(f"\n{len(names)} files of {megabytes / len(names) * 1000:.0f} kB")
    few, places = names[:DECODED], iter(range(100))

    def hashed():
        assert len(checksums(folder, few, tmp_path / str(next(places)))) == DECODED

    def decoded():
        for name in few:
            fit(read_image(folder / name), size=SIZE, channels=1, crop="none")

    compare("checksums / the decoder alone, PNG of 200 kB", hashed, decoded, bar=0.10, pairs=3)


def test_a_later_run_reads_no_file_again(compare, folder, names, tmp_path):
    checksums(folder, names, tmp_path / "known")
    places = iter(range(100))

    def later():
        assert len(checksums(folder, names, tmp_path / "known")) == FILES

    def first():
        assert len(checksums(folder, names, tmp_path / str(next(places)))) == FILES

    compare("checksums of 5,000 files of 200 kB, known / read for the first time", later, first, bar=0.35, pairs=3)
