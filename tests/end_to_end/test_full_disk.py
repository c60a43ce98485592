"""A disk without room and a disk that turns read-only, on small ones made for it: only root may mount them."""

import shutil
import subprocess

import pytest

from bench.cells.predictions import read_predictions
from bench.cells.store import read_cell


@pytest.fixture
def mount():
    """Mount a disk of so many KiB on a folder, or remount it; skipped where that is not permitted."""
    mounted = []

    def mount(folder, options):
        new = folder not in mounted
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", options if new else f"remount,{options}", "tmpfs", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False) if shutil.which("mount") else None
        if done is None or done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip() if done else 'there is no mount'}")
        mounted.append(folder)

    yield mount
    for folder in set(mounted):
        subprocess.run(["umount", str(folder)], check=True)


def whole_cells(place):
    """Names of the cells that are done; each is whole, with its predictions."""
    names = [name for name in place.cells() if not name.endswith(".failed.json")]
    for name in names:
        file = place.folder / "results/cells" / name
        assert len(read_predictions(file, read_cell(file), ["logit"]))
    return names


@pytest.mark.slow
def test_results_on_a_disk_that_is_full_then_read_only(finished, place, mount):
    results, run = place.folder / "results", ("run", "--task", "tiny.toml", "--methods", "all")
    shutil.copytree(finished.folder / ".cache", place.folder / ".cache")
    whole = sum(file.stat().st_blocks // 2 for file in (finished.folder / "results").rglob("*"))
    mount(results, f"size={whole // 3}k")
    full = place.bench(*run, code=1)
    assert "cannot be written: No space left on device. Finished cells are kept" in full.stderr
    assert "Traceback" not in full.stderr
    done = whole_cells(place)
    assert len(done) < 20
    assert len([name for name in done if "baseline" in name]) == 2, "the rest of this test asks for both"
    assert not list(results.rglob(".*")), "no half-written file takes the room"

    # Not a byte is left, so that neither a lease nor a line of a log can be written.
    subprocess.run(["dd", "if=/dev/zero", f"of={results / 'filler'}"], capture_output=True, check=False)
    fuller = place.bench(*run, code=1)
    assert "cannot be written: No space left on device. Finished cells are kept" in fuller.stderr
    assert "Traceback" not in fuller.stderr
    assert whole_cells(place) == done
    (results / "filler").unlink()
    assert not list(results.rglob(".*"))

    mount(results, "ro,size=10m")
    closed = place.bench(*run, code=1)
    assert "cannot be written: Read-only file system" in closed.stderr
    assert f"{len(done)} done" in closed.stderr
    assert "[1/" not in closed.stderr, "nothing is computed that cannot be kept"
    place.bench("report", "--task", "tiny.toml", "--only", "main")
    again = place.bench("run", "--task", "tiny.toml", "--methods", "baseline")
    assert "2 of 2 cells done, 0 computed, 0 recomputed" in again.stdout

    mount(results, "rw,size=10m")
    last = place.bench(*run)
    assert f"22 of 22 cells done, {22 - len(done)} computed, 0 recomputed" in last.stdout
    assert place.shown() == finished.shown()


@pytest.mark.slow
def test_a_cache_on_a_disk_that_is_full_then_read_only(finished, place, mount):
    cache, run = place.folder / ".cache", ("run", "--task", "tiny.toml", "--methods", "llft")
    mount(cache, "size=300k")
    images = place.bench(*run, code=1)
    assert "cannot be written (no space left" in images.stderr
    assert "--cache or BENCH_CACHE" in images.stderr

    mount(cache, "size=700k")  # enough for the images, not for a baseline
    baselines = place.bench(*run, code=1, BENCH_CHECKPOINT_EVERY="0")
    assert "baselines cannot be written: No space left on device" in baselines.stderr
    assert not [file for pattern in ("*.pt", "*.checkpoint", ".*") for file in cache.rglob(pattern)]
    # Of two baselines at once the first that has no room ends the run.
    logs = [file.read_text() for file in (place.folder / "results/cells/tiny/small/baseline").glob("*.log")]
    assert any("warning: no checkpoint: " in log for log in logs)
    assert "NotWritten" not in baselines.stderr

    mount(cache, "ro,size=20m")
    closed = place.bench(*run, code=1)
    assert "baselines cannot be written: Read-only file system" in closed.stderr
    assert "[1/" not in closed.stderr
    for text in (images.stderr, baselines.stderr, closed.stderr):
        assert "Traceback" not in text
    assert whole_cells(place) == []

    mount(cache, "rw,size=20m")
    assert "4 of 4 cells done, 4 computed, 0 recomputed" in place.bench(*run).stdout
    cells, whole = place.records(), finished.records()
    for name, one in cells.items():
        other = whole[name]
        for key in ("hash", "scores", "predictions_sha256", "baseline_sha256", "data"):
            assert one[key] == other[key], (name, key)


def test_where_the_weights_fit_and_no_checkpoint_does_pre_training_goes_on(finished, place, mount):
    cache, run = place.folder / ".cache", ("run", "--task", "tiny.toml", "--methods", "baseline", "--folds", "0")
    mount(cache, "size=20m")
    shutil.copytree(finished.folder / ".cache" / "images", cache / "images")
    weights = next((finished.folder / ".cache/baselines").glob("*.pt")).stat().st_size
    (cache / "baselines").mkdir()
    (cache / "filler").write_bytes(bytes(shutil.disk_usage(cache).free - weights - 8192))
    assert "1 of 1 cell done" in place.bench(*run, BENCH_CHECKPOINT_EVERY="0").stdout
    log = (place.folder / "results/cells/tiny/small/baseline/f0-s0.log").read_text()
    assert "warning: no checkpoint: " in log
    assert "cannot be written: No space left on device" in log
    assert [file.suffix for file in (cache / "baselines").iterdir()] == [".pt"]
