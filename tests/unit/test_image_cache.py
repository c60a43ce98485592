"""The image cache on disk: what it holds, that a pool builds the same, and how damage is found."""

import errno
import json
import os
import pickle
import shutil
import sys
import time

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench.data import building, decoding
from bench.data.cache import image_cache, open_cache, verify
from bench.data.decoding import few_levels, perceptual_hash
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import read_image
from bench.errors import DataInvalid, NotWritten
from tests.prose import plain
from tests.unit.images import SIZE, build, leftovers, save


def test_rows_hold_the_images_of_their_uids(tmp_path):
    table = save(tmp_path / "images")
    seen = []
    cache = build(tmp_path / "images", table, tmp_path / "cache", progress=lambda *counts: seen.append(counts))
    assert cache.array.shape == (12, SIZE, SIZE, 3)
    assert cache.array.dtype == np.uint8
    assert isinstance(cache.array, np.memmap)
    assert seen[-1] == (12, 12)
    for uid, path, row in zip(table["uid"], table["path"], cache.rows(table["uid"]), strict=True):
        pixels = read_image(tmp_path / "images" / path)[:, 2:18]
        np.testing.assert_array_equal(cache.array[row], pixels, err_msg=uid)
    with pytest.raises(DataInvalid) as error:
        cache.rows(["manifest:m:001.png", "elsewhere"])
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/cache/manifest/16x16x3-centre-dbb07745e24a: 1 images are not in this cache, first 'elsewhere'"
    )
    with pytest.raises(ValueError, match="read-only"):
        cache.array[0] = 0


def test_a_second_call_reads_no_image(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    first = build(tmp_path / "images", table, tmp_path / "cache")
    monkeypatch.setattr(Manifest, "image", lambda *_: pytest.fail("an image was decoded again"))
    again = build(tmp_path / "images", table.sample(frac=1, random_state=1), tmp_path / "cache")
    assert again.folder == first.folder


def test_index_and_description(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    index = pd.read_parquet(cache.folder / "index.parquet")
    facts = ["sha256", "mean", "sd", "phash", "width", "height", "mode", "darkest", "brightest"]
    assert list(index.columns) == ["uid", "row", *facts]
    assert set(zip(index["width"], index["height"], index["mode"], strict=True)) == {(20, 16, "RGB")}
    for row, mean, sd in zip(index["row"], index["mean"], index["sd"], strict=True):
        assert (mean, sd) == pytest.approx((cache.array[row].mean(), cache.array[row].std()), abs=1e-3)
    assert index["sha256"].nunique() == 12
    spec = json.loads((cache.folder / "cache.json").read_text())
    assert (spec["size"], spec["channels"], spec["crop"], spec["n"]) == (SIZE, 3, "centre", 12)


@pytest.mark.parametrize(
    ("largest", "bits"), [(255, 8), (500, 10), (1023, 10), (4095, 12), (9000, 14), (16383, 14), (17000, 0), (65535, 0)]
)
def test_bits_that_a_set_does_not_use_are_told(tmp_path, largest, bits):
    (tmp_path / "images").mkdir()
    for i in range(3):
        levels = np.full((20, 20), largest // (i + 1), np.uint16)
        levels[0, 0] = 0
        Image.fromarray(levels).save(tmp_path / "images" / f"{i}.png")
    table = pd.DataFrame({"uid": ["0", "1", "2"], "path": ["0.png", "1.png", "2.png"]})

    def told(dataset):
        how = Pixels(dataset, str(dataset), tmp_path / "images", SIZE, 1, "none", tmp_path / "cache")
        text, few = few_levels(pd.read_parquet(image_cache(how, table).folder / "index.parquet"), dataset)
        assert len(few) in (0, 3)
        return text if len(few) else ""

    assert (f"they seem to hold {bits} bits. Then write bits={bits} into the spec" in told(Manifest())) == bool(bits)
    assert told(Manifest()).startswith("3 images of 16 bits come out at grey levels 0 to") == bool(bits)
    assert told(Manifest(bits=bits or 16)) == told(Manifest(bits=16)) == ""
    brightest = Manifest(bits=bits or 16).image(tmp_path / "images", "0.png").max()
    assert brightest == pytest.approx(255 * largest / (2 ** (bits or 16) - 1), abs=0.5)


def test_files_of_eight_bits_may_be_dark():
    index = pd.DataFrame({"uid": ["a", "b"], "mode": ["L", "RGB"], "darkest": [0, 3], "brightest": [9, 12]})
    assert few_levels(index, Manifest())[1].empty


def test_levels_far_from_zero_are_told_of_too():
    index = pd.DataFrame({"uid": ["a", "b"], "mode": ["I;16"] * 2, "darkest": [120, 125], "brightest": [130, 140]})
    assert few_levels(index, Manifest())[0] == snapshot(
        "2 images of 16 bits come out at grey levels 120 to 140 of 255: stretch them, unless they hold 12 bits. Then write bits=12 into the spec of the dataset, as in manifest:csv=...,bits=12; bits=16 says that all is right"
    )


def test_files_of_twelve_bits_among_files_of_sixteen_are_counted(tmp_path):
    """Of 12 bits, 4095 comes out as 16; of a dark file of 16 bits, 4400 as 17."""
    (tmp_path / "images").mkdir()
    for i, largest in enumerate([65535, 4095, 4400, 30000, 1023]):
        Image.fromarray(np.array([[0, largest]], np.uint16)).save(tmp_path / f"images/{i}.png")
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "images/5.png")
    table = pd.DataFrame({"uid": list("012345"), "path": [f"{i}.png" for i in range(6)]})
    how = Pixels(Manifest(), "manifest", tmp_path / "images", SIZE, 1, "none", tmp_path / "cache")
    index = pd.read_parquet(image_cache(how, table).folder / "index.parquet")
    text, few = few_levels(index, Manifest())
    assert text == snapshot(
        "2 of 5 images of 16 bits come out with at most 17 of 256 grey levels, first 1: if they hold 12 bits or fewer, save them with 16 like the others; if they are dark or blank, write bits=16 into the spec of the dataset"
    )
    assert list(few) == ["1", "4"]
    assert few_levels(index, Manifest(bits=16))[1].empty
    assert few_levels(index[~index["uid"].isin(few)], Manifest())[1].empty


def test_anything_else_is_another_folder(tmp_path):
    images, caches = tmp_path / "images", tmp_path / "cache"
    table = save(images)
    folders = [build(images, table, caches).folder]
    folders += [build(images, table, caches, size=8).folder, build(images, table, caches, channels=1).folder]
    folders += [build(images, table, caches, crop="none").folder, build(images, table[:5], caches).folder]
    folders += [build(images, table, caches, contents={"000.png": content}).folder for content in ("0", "1")]
    assert len(set(folders)) == len(folders) == 7
    assert build(images, table, caches, channels=1).array.shape == (12, SIZE, SIZE, 1)


def test_a_cache_travels_to_other_processes_as_its_folder(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    sent = pickle.dumps(cache)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).array, cache.array)


def count_pools(monkeypatch):
    """Let the next builds start a pool after one image, and count those that do."""
    started = []
    pool = decoding.ProcessPoolExecutor
    monkeypatch.setattr(decoding, "ALONE", 0.0)
    monkeypatch.setattr(decoding, "ProcessPoolExecutor", lambda *a, **k: started.append(pool(*a, **k)) or started[-1])
    return started


def test_a_pool_gives_the_same_pixels(tmp_path, monkeypatch):
    table = save(tmp_path / "images", 60)
    alone = build(tmp_path / "images", table, tmp_path / "alone", jobs=2)
    pools = count_pools(monkeypatch)
    pooled = build(tmp_path / "images", table, tmp_path / "pooled", jobs=2)
    assert len(pools) == 1, "and none for the first, which took no time"
    np.testing.assert_array_equal(pooled.array, alone.array)


def test_a_dataset_that_others_cannot_import_is_decoded_here(tmp_path, monkeypatch):
    class Local(Manifest):
        pass

    class Plugin(Manifest):
        """As the registry loads it from a file given by path."""

        __module__, __qualname__ = "file_elsewhere", "Plugin"

    monkeypatch.setitem(sys.modules, "file_elsewhere", type(sys)("file_elsewhere"))
    table = save(tmp_path / "images")
    pools = count_pools(monkeypatch)
    for kind in (Local, Plugin):
        how = Pixels(kind(), "manifest", tmp_path / "images", SIZE, 1, "none", tmp_path / kind.__name__)
        assert len(image_cache(how, table, jobs=2).array) == 12
    assert not pools


def test_a_pool_that_breaks_loses_and_repeats_nothing(tmp_path, monkeypatch):
    def breaking(decode, paths, jobs):
        yield from map(decode, paths[:7])
        raise decoding.BrokenProcessPool

    table = save(tmp_path / "images")
    alone = build(tmp_path / "images", table, tmp_path / "alone")
    monkeypatch.setattr(decoding, "ALONE", 0.0)
    monkeypatch.setattr(decoding, "_pooled", breaking)
    broken = build(tmp_path / "images", table, tmp_path / "broken", jobs=2)
    np.testing.assert_array_equal(broken.array, alone.array)


def test_a_flipped_bit_is_found(tmp_path):
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    assert verify(cache) == []
    content = bytearray((cache.folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (cache.folder / "images.npy").write_bytes(content)
    assert verify(open_cache(cache.folder)) == ["manifest:m:011.png"]


def test_caches_of_credentialed_sources_are_closed_to_others(tmp_path):
    class Credentialed(Manifest):
        credentialed = True

    table = save(tmp_path / "images")
    options = {"size": SIZE, "channels": 3, "crop": "none", "cache_dir": tmp_path / "cache"}
    cache = image_cache(Pixels(Credentialed(), "theirs", tmp_path / "images", **options), table)
    assert cache.folder.parent.stat().st_mode & 0o777 == 0o700
    other = image_cache(Pixels(Manifest(), "manifest", tmp_path / "images", **options), table)
    assert other.folder.parent.stat().st_mode & 0o077 != 0


def test_a_copied_cache_is_found_on_another_machine(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    cache = build(tmp_path / "images", table, tmp_path / "cache")
    shutil.copytree(tmp_path / "images", tmp_path / "there/images", copy_function=shutil.copyfile)
    shutil.copytree(tmp_path / "cache", tmp_path / "there/cache", copy_function=shutil.copyfile)
    monkeypatch.setattr(Manifest, "image", lambda *_: pytest.fail("an image was decoded again"))
    copied = build(tmp_path / "there/images", table, tmp_path / "there/cache")
    np.testing.assert_array_equal(copied.array, cache.array)


def test_perceptual_hashes_are_near_for_like_images_and_far_for_others():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(12, 9, 9))
    pictures = [np.asarray(Image.fromarray(n).resize((64, 64), Image.Resampling.BICUBIC)) for n in noise]
    pictures = [np.clip(128 + 50 * p, 0, 255).astype(np.uint8)[:, :, None] for p in pictures]

    def apart(one, other):
        return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(other), 16)).bit_count()

    for picture in pictures:
        assert apart(picture, np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)) <= 4
        small = Image.fromarray(picture[:, :, 0]).resize((50, 50), Image.Resampling.LANCZOS)
        assert apart(picture, np.asarray(small)[:, :, None]) <= 4
        assert apart(picture, np.repeat(picture, 3, axis=2)) == 0
    assert min(apart(a, b) for i, a in enumerate(pictures) for b in pictures[:i]) > 10


def test_abandoned_folders_go_and_those_of_running_builds_stay(tmp_path):
    table = save(tmp_path / "images")
    place = build(tmp_path / "images", table, tmp_path / "cache").folder.parent
    folders = [place / f".{name}.part" for name in ("old", "young")]
    for folder in folders:
        folder.mkdir()
        (folder / "images.npy").write_bytes(b"half")
    long_ago = time.time() - 2 * building.ABANDONED_AFTER
    for path in (folders[0] / "images.npy", folders[0]):
        os.utime(path, (long_ago, long_ago))
    build(tmp_path / "images", table[:5], tmp_path / "cache")
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_full_disk_and_a_closed_folder_are_said(tmp_path, monkeypatch):
    table = save(tmp_path / "images")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten) as error:
        build(tmp_path / "images", table, tmp_path / "file")
    assert plain(error.value, tmp_path) == snapshot(
        "image cache <tmp>/file/manifest/16x16x3-centre-dbb07745e24a cannot be written (Not a directory): choose a folder by --cache or BENCH_CACHE"
    )

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array_header_1_0", full)
        with pytest.raises(NotWritten, match="no space left"):
            build(tmp_path / "images", table, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(building.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
        with pytest.raises(NotWritten) as error:
            build(tmp_path / "images", table, tmp_path / "cache")
        assert plain(error.value, tmp_path) == snapshot(
            "image cache <tmp>/cache/manifest/16x16x3-centre-dbb07745e24a cannot be written (no space left: 0.00 GB needed, 0.00 GB free): choose a folder by --cache or BENCH_CACHE"
        )
    build(tmp_path / "images", table, tmp_path / "cache")
    assert not leftovers(tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"PK\x03\x04", b"\x80\x04N."])
def test_a_file_in_place_of_the_pixels_that_is_no_array_is_not_read(tmp_path, content):
    """Nothing, an archive of nothing, half an archive, and a pickle."""
    cache = build(tmp_path / "images", save(tmp_path / "images"), tmp_path / "cache")
    (cache.folder / "images.npy").write_bytes(content)
    with pytest.raises(DataInvalid, match="not a complete image cache"):
        open_cache(cache.folder)


def test_a_damaged_cache_is_not_read(tmp_path):
    table = save(tmp_path / "images")
    cache = build(tmp_path / "images", table, tmp_path / "cache")
    pixels = (cache.folder / "images.npy").read_bytes()
    (cache.folder / "images.npy").write_bytes(pixels[:-100])
    with pytest.raises(DataInvalid, match="delete it"):
        open_cache(cache.folder)
    with pytest.raises(DataInvalid) as error:
        open_cache(tmp_path / "nowhere")
    assert plain(error.value, tmp_path) == snapshot(
        "<tmp>/nowhere is not a complete image cache ([Errno 2] No such file or directory: '<tmp>/nowhere/cache.json'): delete it, it is built again"
    )
