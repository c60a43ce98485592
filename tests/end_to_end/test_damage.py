"""Damaged files: status sees them, run computes them again, and a report goes on without them."""

import hashlib

from inline_snapshot import snapshot

from bench.cells.bounds import identity_of
from tests.prose import lines_with

WORDS = ("--task", "tiny.toml", "--methods", "llft")


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(bytes(content))


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_damage_is_seen_computed_again_and_stops_no_report(place):
    run = ("run", *WORDS, "--jobs", "1")
    place.bench(*run)
    before = place.shown()
    folder = place.folder / "results/cells/tiny/small"
    flip(folder / "llft/f0-s0.parquet")  # of the same size
    cut(folder / "llft/f1-s0.pictures.npz")
    record = folder / "baseline/f1-s0.json"
    record.write_bytes(record.read_bytes().replace(b'"fold": 1', b'"fold": 0', 1))

    assert "its pictures.npz is damaged" in place.bench("status").stdout
    told = place.bench("status", "--verify").stdout
    for what in ("parquet", "pictures.npz", "record"):
        assert lines_with(told, f"stale     1 cell: its {what} is damaged")
    report = place.bench("report", "--task", "tiny.toml", "--only", "main", code=None)
    assert "damaged" in report.stdout + report.stderr
    assert "Traceback" not in report.stderr
    assert "main.csv" in place.reported()

    assert place.ended(place.bench(*run).stdout)["recomputed"] == 3
    assert "stale" not in place.bench("status", "--verify").stdout
    assert place.shown() == before
    assert place.ended(place.bench(*run).stdout) == {"done": 4, "cells": 4, "computed": 0, "recomputed": 0}


def test_a_damaged_baseline_is_trained_again_and_damaged_scores_are_made_again(place):
    run = ("run", *WORDS, "--jobs", "1")
    place.bench(*run)
    before, first = place.shown(), place.records()
    weights = sorted((place.folder / ".cache/baselines").glob("*.pt"))
    whole = [file.read_bytes() for file in weights]
    flip(weights[0])
    weights[1].write_bytes(whole[0])  # a whole file of another fold
    folder = place.folder / "results/cells/tiny/small"
    for fold in (0, 1):
        (folder / f"llft/f{fold}-s0.parquet").unlink()
    scores = folder / "baseline/f0-s0.scores.json"
    scores.write_bytes(scores.read_bytes().replace(b'"auc": 0.', b'"auc": 0.1', 1))
    assert lines_with(place.bench("status", "--verify").stdout, "stale     1 cell: its scores are damaged")
    report = place.bench("report", "--task", "tiny.toml", "--only", "main", code=None)
    assert lines_with(report.stderr, "left out", "its scores are damaged")

    done = place.bench(*run)
    assert lines_with(done.stderr, "made again from the predictions")
    assert place.ended(done.stdout)["recomputed"] == 4
    assert [file.read_bytes() for file in weights] == whole
    assert place.shown() == before
    assert {n: r["baseline_sha256"] for n, r in place.records().items()} == {
        n: r["baseline_sha256"] for n, r in first.items()
    }


def test_methods_that_started_from_other_weights_are_named(place):
    run = ("run", *WORDS, "--jobs", "1")
    place.bench(*run)
    record = place.folder / "results/cells/tiny/small/llft/f1-s0.json"
    content = record.read_bytes()
    found = identity_of(content)
    other = content.replace(found.baseline_sha256.encode(), b"1" * 64).replace(found.checksum.encode(), b"0" * 64)
    record.write_bytes(other.replace(b"0" * 64, hashlib.sha256(other).hexdigest().encode()))
    said = lines_with(place.bench(*run).stderr, "other weights")
    assert said == snapshot(
        [
            "warning: Fold 1, seed 0, small: llft started from other weights than the rest, because the baseline was trained again in between. Compute this fold again with --force"
        ]
    )
    place.bench("report", "--task", "tiny.toml", "--only", "main")
    assert (
        "Fold 1, seed 0, small: llft started from other weights" in (place.folder / "reports/tiny/main.md").read_text()
    )
