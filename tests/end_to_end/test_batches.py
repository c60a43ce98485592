"""A run refuses a model whose logits depend on more than their own image; the other cells are computed."""

import json

from inline_snapshot import snapshot

from tests.conformance.mutants import write

LEAKY = ("standardises_over_batch", "no_running_statistics", "counts_calls", "adapts_while_it_predicts")


def test_a_run_refuses_models_whose_logits_depend_on_the_batch_or_on_earlier_calls(place):
    plugins = [word for name in LEAKY for word in ("--plugin", str(write(name, place.folder)))]
    methods = ",".join((*LEAKY, "fullft_rw"))
    done = place.bench("run", "--task", "tiny.toml", "--methods", methods, "--folds", "0", *plugins, code=1)
    ended = {"done": 2, "cells": 6, "failed": 4, "computed": 2, "recomputed": 0}
    assert place.ended(done.stdout) == ended
    folder = place.folder / "results/cells/tiny/small"
    assert not [name for name in LEAKY if (folder / name / "f0-s0.json").exists()]
    errors = {name: json.loads((folder / name / "f0-s0.failed.json").read_text())["error"] for name in LEAKY}
    assert {error["class"] for error in errors.values()} == {"PluginBroken"}
    found = {
        name: error["message"].partition("they depend on ")[2].partition(". Return")[0]
        for name, error in errors.items()
    }
    assert found == snapshot(
        {
            "standardises_over_batch": "the other images of their batch",
            "no_running_statistics": "the other images of their batch",
            "counts_calls": "earlier calls, or on random numbers: a second call with the same images gives other logits",
            "adapts_while_it_predicts": "earlier calls: predicting changes the buffer centre",
        }
    )
