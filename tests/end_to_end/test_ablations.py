"""`--ablate` as a user runs it, and variants of a task on disk."""

import json
from itertools import pairwise

import pandas as pd
import pytest
from inline_snapshot import snapshot


@pytest.mark.slow
def test_less_and_less_of_the_external_set(place):
    """One command, six variants: one baseline, and with nothing left to fit on the methods return it."""
    run = ("run", "--task", "tiny.toml", "--methods", "fullft_rw,fullft_reg", "--folds", "0", "--ablate", "external")
    plan = place.bench(*run, "--dry-run")
    assert plan.stdout.count("pending") == 18
    assert not (place.folder / "results").exists()
    done = place.bench(*run, "--jobs", "1")
    assert place.ended(done.stdout) == {"done": 18, "cells": 18, "computed": 18, "recomputed": 0}
    assert "`bench report --task tiny.toml` makes the tables." in done.stdout
    assert len(list((place.folder / ".cache/baselines").glob("*.pt"))) == 1

    cells = place.folder / "results/cells"
    shares = {
        0.0: "tiny+external-0.0",
        0.2: "tiny+external-0.2",
        0.4: "tiny+external-0.4",
        0.6: "tiny+external-0.6",
        0.8: "tiny+external-0.8",
        1.0: "tiny",
    }
    assert {folder.name for folder in cells.iterdir()} == set(shares.values())
    logits, sizes = {}, []
    for share, name in shares.items():
        for method in ("baseline", "fullft_rw", "fullft_reg"):
            file = cells / name / "small" / method / "f0-s0.json"
            logits[share, method] = pd.read_parquet(file.with_suffix(".parquet"))["logit"]
        record = json.loads(file.read_text())
        assert record["cell"]["task"] == name.replace("+", ":", 1).replace("-", "=")
        sizes.append(record["data"]["external"]["n"])
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 0
    for share in shares:
        assert logits[share, "baseline"].equals(logits[1.0, "baseline"])
        assert logits[share, "fullft_rw"].equals(logits[share, "baseline"]) == (share == 0)
        # It reads the validation part alone, and draws what it draws in the base task.
        assert logits[share, "fullft_reg"].equals(logits[1.0, "fullft_reg"])

    again = place.bench(*run)
    assert place.ended(again.stdout) == {"done": 18, "cells": 18, "computed": 0, "recomputed": 0}
    place.bench("report", "--task", "tiny.toml:external=0.20", "--only", "main")
    assert "tiny:external=0.2" in (place.folder / "reports/tiny+external-0.2/main.md").read_text()


@pytest.mark.slow
@pytest.mark.long
def test_a_figure_of_an_ablation_is_made_by_the_line_that_it_asks_for(place):
    """Lines of `--list`, run as they stand, are all that the figures need."""
    place.bench("run", "--task", "tiny.toml", "--methods", "swift", "--folds", "0", "--jobs", "1")
    listed = place.bench("report", "--task", "tiny.toml", "--list").stdout.splitlines()
    for name in ("figure-4", "figure-6"):
        (line,) = [below.strip() for above, below in pairwise(listed) if above.startswith(f"{name} ")]
        assert line.startswith("bench run --task tiny.toml --methods swift --ablate ")
        place.bench(*line.split()[1:], "--folds", "0", "--jobs", "1")
    place.bench("report", "--task", "tiny.toml")
    made = {file.name for file in (place.folder / "reports/tiny").iterdir()}
    assert {
        "figure-4.pdf",
        "figure-4.png",
        "figure-6.pdf",
        "figure-6.png",
        "cost-gain.pdf",
        "roc-ood_neutral.png",
    } <= made
    assert not any(name.startswith("figure-7") for name in made)


def test_mistakes_are_told_before_anything_is_computed(place):
    for words, says in (
        (
            ("--task", "tiny.toml:externl=0.2"),
            snapshot(
                "bench: unknown field 'externl' of tiny.toml: did you mean external or deterministic? allowed: image_size, channels, crop, unit, unit_logit, weights, folds, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, pretrain_lr, pretrain_epochs, optimiser, lr_extractor, lr_head, epochs, epsilon, pretrain_decay, pretrain_momentum, pretrain_weight_decay, pretrain_checkpoint, pretrain_clip, pretrain_plateau, pretrain_statistics, momentum, weight_decay, batch, augment, weight_counts, reduction, epochs_mode, schedule, precision, threads, deterministic, compile, odds, draw, untied, preset, label\n"
            ),
        ),
        (
            ("--task", "tiny.toml:external=2"),
            snapshot("bench: tiny.toml:external=2: Task.external=2.0: a number from 0 to 1 expected\n"),
        ),
        (
            ("--task", "tiny.toml", "--ablate", "aply", "--methods", "swift"),
            snapshot(
                "bench: unknown ablation 'aply' of swift on tiny.toml: did you mean apply or polarity? allowed: importance, normalise, scope, mask, random, constant, mask_data, apply, head_step1, steps, reinit, reinit_scope, gamma, reset_share, hard_head, extractor_step2, channels, crop, weights, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, optimiser, epochs, pretrain_decay, pretrain_checkpoint, pretrain_plateau, pretrain_statistics, augment, weight_counts, reduction, epochs_mode, schedule, precision, deterministic, compile\n"
            ),
        ),
        (
            ("--task", "tiny.toml", "--ablate", "epsilon", "--methods", "swift"),
            snapshot(
                "bench: unknown ablation 'epsilon' of swift on tiny.toml: did you mean precision or steps or reduction? allowed: importance, normalise, scope, mask, random, constant, mask_data, apply, head_step1, steps, reinit, reinit_scope, gamma, reset_share, hard_head, extractor_step2, channels, crop, weights, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, optimiser, epochs, pretrain_decay, pretrain_checkpoint, pretrain_plateau, pretrain_statistics, augment, weight_counts, reduction, epochs_mode, schedule, precision, deterministic, compile\n"
            ),
        ),
    ):
        done = place.bench("run", *words, code=2)
        assert place.told(done.stderr) == says
    assert not (place.folder / "results").exists()
