"""Images that cannot be read: the list beside the cache, what is tried again, and the tables without them."""

import json
import os
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench.cli import main
from bench.data import decoding
from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.data.task_data import task_data
from bench.data.unreadable import list_file, listed
from bench.datasets.manifest import Manifest
from bench.errors import DataError
from tests.prose import lines_with, plain
from tests.unit.films import TASK
from tests.unit.images import save

HOW = {"size": 16, "channels": 3, "crop": "none"}


@pytest.fixture
def films(tmp_path):
    """Forty random images of twenty patients, the folder of caches, and their table."""
    table = save(tmp_path / "images", 40, width=16, digits=2)[::-1]
    return tmp_path / "images", tmp_path / "cache", table


def build(root, cache_dir, table, **options):
    return image_cache(Pixels(Manifest(), "manifest", root, **HOW, cache_dir=cache_dir), table, **options)


def known(root, cache_dir, table):
    return listed(Pixels(Manifest(), "manifest", root, **HOW, cache_dir=cache_dir).place(table)[0], root)


def damage(root, *names):
    kept = {name: (root / name).read_bytes() for name in names}
    for name in names:
        # The size stays: a disk that goes bad shortens nothing.
        (root / name).write_bytes(kept[name][:60] + b"\0" * (len(kept[name]) - 60))
    return kept


def test_the_cache_is_that_of_the_readable_images(films):
    root, cache_dir, table = films
    whole = build(*films)
    damage(root, "07.png")
    (root / "03.png").unlink()
    shutil.rmtree(cache_dir)
    seen = []
    cache = build(*films, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (40, 40)
    assert [(image.uid, image.path) for image in known(*films)] == [
        (f"manifest:m:{name}", name) for name in ("03.png", "07.png")
    ]
    assert "03.png not found" not in known(*films)[1].why
    left = table[~table["path"].isin(["03.png", "07.png"])]
    np.testing.assert_array_equal(
        cache.array[cache.rows(left["uid"])], whole.array[[i for i in range(40) if i not in (3, 7)]]
    )
    assert build(root, cache_dir, left).folder == cache.folder, "the table without the two rows is the same cache"
    clean = build(root, cache_dir.with_name("clean"), left)
    for name in ("images.npy", "index.parquet", "cache.json"):
        assert (clean.folder / name).read_bytes() == (cache.folder / name).read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_again_decodes_nothing_until_the_file_changes(films, monkeypatch, jobs):
    root, _, table = films
    kept = damage(root, "07.png", "11.png")
    monkeypatch.setattr(decoding, "ALONE", 0.0)
    first = build(*films, jobs=jobs)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "image", lambda *_: pytest.fail("an image was decoded again"))
        assert build(*films).folder == first.folder
    before = (root / "07.png").stat()
    (root / "07.png").write_bytes(kept["07.png"])
    os.utime(root / "07.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` from a good copy does
    assert [image.path for image in known(*films)] == ["11.png"]
    assert len(build(*films).array) == 39
    assert [image.path for image in known(*films)] == ["11.png"]
    (root / "11.png").write_bytes(kept["11.png"])
    assert len(build(*films).array) == 40
    assert not list_file(Pixels(Manifest(), "manifest", root, **HOW, cache_dir=films[1]).place(table)[0]).exists()


def test_of_two_builders_at_once_both_end_with_the_same_cache_and_list(films):
    root, cache_dir, _ = films
    damage(root, "07.png")
    inner = []
    other = threading.Thread(target=lambda: inner.append(build(*films)))
    outer = build(*films, progress=lambda done, total: other.start() if done == total // 2 else None)
    other.join()
    assert outer.folder == inner[0].folder
    assert len(list(cache_dir.rglob("cache.json"))) == len(list(cache_dir.rglob("*.unreadable.json"))) == 1
    assert not [path for path in cache_dir.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("written", [b"", b'[{"uid": "manifest:m:07.png"'])
def test_a_list_that_is_lost_is_made_again(films, written):
    root, cache_dir, _ = films
    damage(root, "07.png")
    first = build(*films)
    (file,) = cache_dir.rglob("*.unreadable.json")
    text = file.read_text()
    file.write_bytes(written)
    assert build(*films).folder == first.folder
    assert file.read_text() == text
    assert [entry["path"] for entry in json.loads(text)] == ["07.png"]


def test_more_than_a_tenth_stops_also_when_they_come_one_after_another(films, tmp_path):
    root, cache_dir, _ = films
    damage(root, *(f"{i:02d}.png" for i in range(4)))
    assert len(build(*films).array) == 36, "a tenth is not more than a tenth"
    for folder in list(cache_dir.rglob("cache.json")):
        shutil.rmtree(folder.parent)
    damage(root, "09.png")
    with pytest.raises(DataError) as error:
        build(*films)
    assert plain(lines_with(error.value, "5 of 40")[0], tmp_path) == snapshot(
        "5 of 40 images cannot be read, more than one in 10: is <tmp>/images the right folder?"
    )
    assert error.value.exit_code == 3
    assert str(error.value).count(".png (manifest:m:") == 5
    assert len(known(*films)) == 4, "what stops is not remembered"


def test_a_long_list_is_cut(films, tmp_path):
    root, _, table = films
    for path in table["path"]:
        (root / path).write_bytes(b"")
    with pytest.raises(DataError) as error:
        build(*films)
    first, *listed, last = plain(error.value, tmp_path).splitlines()
    assert [line.split()[0] for line in listed] == [f"{i:02d}.png" for i in range(10)]
    assert (first, last) == snapshot(
        ("40 of 40 images cannot be read, more than one in 10: is <tmp>/images the right folder?", "  and 30 more")
    )


def test_want_of_memory_is_not_the_fault_of_a_file(films, monkeypatch):
    def want(*_):
        raise MemoryError

    monkeypatch.setattr(Manifest, "image", want)
    with pytest.raises(MemoryError):
        build(*films)


def test_folds_are_cut_before_images_are_left_out(films, tmp_path):
    root, cache_dir, table = films
    rows = table.assign(
        path=table["path"],
        patient=[f"p{i // 2}" for i in range(40)],
        site=["A"] * 30 + ["B"] * 10,
        ill=[i // 2 % 2 for i in range(40)],
        old=[i // 4 % 2 for i in range(40)],
    )
    rows.drop(columns="uid").to_csv(root / "films.csv", index=False)
    damage(root, "07.png", "33.png")
    whole = task_data(TASK, root)
    assert whole.readable(cache_dir).unreadable == {"source": (), "b": ()}, "nothing is known before it is decoded"
    whole.caches(cache_dir)
    data = whole.readable(cache_dir)
    assert {name: [image.path for image in images] for name, images in data.unreadable.items()} == {
        "source": ["07.png"],
        "b": ["33.png"],
    }
    for name, path in (("source", "07.png"), ("b", "33.png")):
        kept = whole.tables[name][whole.tables[name]["path"] != path].reset_index(drop=True)
        pd.testing.assert_frame_equal(data.tables[name], kept)
        assert data.tables[name].attrs["left_out"] == {"FILE_CORRUPT": 1}
        assert whole.tables[name].attrs["left_out"] == {}
    caches = data.caches(cache_dir)
    for name in caches:
        assert len(caches[name].rows(data.tables[name]["uid"])) == len(data.tables[name])
    assert data.fingerprint("b", 0) != whole.fingerprint("b", 0)
    fold = int(whole.tables["source"].set_index("path")["fold"]["07.png"])
    assert data.fingerprint("val", fold) != whole.fingerprint("val", fold)
    assert data.fingerprint("train", fold) == whole.fingerprint("train", fold)
    (said, other) = data.left_out(cache_dir)
    assert plain(lines_with(said, "30", "source")[0], tmp_path) == snapshot(
        "1 of 30 images of source cannot be read; all cells are computed without them. <tmp>/images/films.csv, column 'path':"
    )
    assert "07.png (manifest:07.png): " in said
    assert plain(lines_with(other, "10", " b")[0], tmp_path) == snapshot(
        "1 of 10 images of b cannot be read; all cells are computed without them. <tmp>/images/films.csv, column 'path':"
    )


def test_prepare_warns_of_sixteen_bits_that_hold_twelve(tmp_path, capsys):
    rows = ["path,y,a,site"]
    for i in range(32):
        Image.fromarray(np.full((16, 16), 4095 - i, np.uint16)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},{i // 2 % 2},{'ab'[i >= 16]}")
    (tmp_path / "films.csv").write_text("\n".join(rows) + "\n")
    spec = "manifest:csv=films.csv"
    task = (
        'image_size = 16\nchannels = 1\nfolds = 2\nweights = "none"\nbackbones = ["small"]\n'
        f'[source]\ndataset = "{spec}"\nwhere = {{ site = ["a"] }}\n[ood.b]\ndataset = "{spec}"\n'
        'where = { site = ["b"] }\n[label]\ncolumn = "y"\nnames = ["no", "yes"]\nzero = [0]\none = [1]\n'
        '[attribute]\ncolumn = "a"\nnames = ["one", "other"]\nzero = [0]\none = [1]\n'
    )
    (tmp_path / "task.toml").write_text(task)
    command = ["prepare", str(tmp_path / "task.toml"), "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(command) == 0
    assert lines_with(capsys.readouterr().err, "warning") == snapshot(
        [
            "warning: source: 16 images of 16 bits come out at grey levels 16 to 16 of 255: they seem to hold 12 bits. Then write bits=12 into the spec of the dataset, as in manifest:csv=...,bits=12; bits=16 says that all is right",
            "warning: b: 16 images of 16 bits come out at grey levels 16 to 16 of 255: they seem to hold 12 bits. Then write bits=12 into the spec of the dataset, as in manifest:csv=...,bits=12; bits=16 says that all is right",
        ]
    )
    (tmp_path / "task.toml").write_text(task.replace(spec, f"{spec},bits=12"))
    assert main(command) == 0
    assert "warning" not in capsys.readouterr().err
