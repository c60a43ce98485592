"""Builds of the image cache that are killed, raced and gone on with."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.datasets.manifest import Manifest
from tests.unit.images import SIZE, build, leftovers, save

SLOW = """
    import os, sys, time
    from pathlib import Path
    import pandas as pd
    from bench.data import decoding
    from bench.data.cache import image_cache
    from bench.data.pixels import Pixels
    from bench.datasets.manifest import Manifest

    class Slow(Manifest):
        def image(self, root, path):
            time.sleep(0.05)
            print("decoded", path, flush=True)
            return super().image(root, path)

    def main():
        root, cache_dir, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
        decoding.ALONE = 0.0
        how = Pixels(Slow(), "manifest", root, 16, 3, "centre", cache_dir)
        image_cache(how, pd.read_csv(root / "table.csv"), jobs=jobs,
                    progress=lambda done, total: print(done, flush=True))
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def slow_build(tmp_path, table, jobs):
    """Start a build that prints what it decodes, and after each twentieth of a second how far it is."""
    images, caches = tmp_path / "images", tmp_path / "cache"
    table.to_csv(images / "table.csv", index=False)
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    command = [sys.executable, "-c", "import slow; slow.main()", str(images), str(caches), str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)


def killed_build(tmp_path, table, jobs):
    """Kill a build in the middle and return the file of its lines; none of its processes is left."""
    caches = tmp_path / "cache"
    with slow_build(tmp_path, table, jobs) as builder:
        assert builder.stdout is not None
        for line in builder.stdout:
            if line.strip().isdigit() and int(line) >= 5:
                break
        children = Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()
        assert (len(children) >= jobs) == (jobs > 1)
        builder.send_signal(signal.SIGKILL)
    assert builder.returncode == -signal.SIGKILL
    assert leftovers(caches), "killed in the middle of a build"
    assert not list(caches.rglob("cache.json"))
    patience = time.monotonic() + 10
    while any(alive(child) for child in children) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)
    return next(iter(caches.rglob("rows.jsonl")))


def same_as_clean(tmp_path, cache, table):
    clean = build(tmp_path / "images", table, tmp_path / "clean")
    for name in ("images.npy", "index.parquet", "cache.json"):
        assert (cache.folder / name).read_bytes() == (clean.folder / name).read_bytes()
    assert not leftovers(tmp_path / "cache")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_build_leaves_no_process_and_is_gone_on_with(tmp_path, jobs, monkeypatch):
    table = save(tmp_path / "images", 60)
    lines = killed_build(tmp_path, table, jobs)
    before = len(lines.read_text().splitlines())
    assert before >= 5
    read, original = [], Manifest.image
    monkeypatch.setattr(Manifest, "image", lambda *given: read.append(given[2]) or original(*given))
    rebuilt = build(tmp_path / "images", table, tmp_path / "cache")
    assert len(read) == 60 - before, "what was decoded is not decoded again"
    same_as_clean(tmp_path, rebuilt, table)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc")
@pytest.mark.parametrize("damage", ["a row", "half a row", "half a line", "no line"])
def test_what_a_kill_left_half_is_done_again(tmp_path, damage):
    table = save(tmp_path / "images", 60)
    lines = killed_build(tmp_path, table, 1)
    pixels = lines.with_name("images.npy")
    if damage == "a row":
        content = bytearray(pixels.read_bytes())
        content[128 + 2 * SIZE * SIZE * 3] ^= 1
        pixels.write_bytes(content)
    elif damage == "half a row":
        pixels.write_bytes(pixels.read_bytes()[: 128 + 3 * SIZE * SIZE * 3 // 2])
    elif damage == "half a line":
        lines.write_text(lines.read_text()[:-20])
    else:
        lines.unlink()
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)


def test_a_file_that_is_mended_before_the_build_goes_on_is_read_again(tmp_path):
    table = save(tmp_path / "images", 60)
    good = (tmp_path / "images/003.png").read_bytes()
    # Of the same size: another size is another cache.
    (tmp_path / "images/003.png").write_bytes(good[:50] + bytes(len(good) - 50))

    def stop(done, total):
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "images", table, tmp_path / "cache", progress=stop)
    assert len(leftovers(tmp_path / "cache")) == 1
    (tmp_path / "images/003.png").write_bytes(good)
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)


@pytest.mark.parametrize("kill", [False, True])
def test_of_two_builders_at_once_one_decodes_and_the_other_waits_or_takes_over(tmp_path, kill):
    table = save(tmp_path / "images", 60)
    first, second = (slow_build(tmp_path, table, 1) for _ in range(2))
    counts = [first.stdout.readline() for _ in range(6)]
    assert counts
    if kill:
        first.send_signal(signal.SIGKILL)
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert second.returncode == 0
    assert first.returncode == (-signal.SIGKILL if kill else 0)
    decoded = sum(text.count("decoded ") for text in ("".join(counts), *said))
    # A killed decoder may have decoded one more than it wrote down.
    assert decoded <= 60 + kill * 2
    same_as_clean(tmp_path, build(tmp_path / "images", table, tmp_path / "cache"), table)
