"""Folders of models: what is damaged or of another version is refused by name, and loading runs no code."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from inline_snapshot import snapshot
from PIL import Image
from safetensors.torch import load_file, save_file

from bench import load_model, predict_images
from bench.api import Attribute, Input
from bench.checks.subject import random_net
from bench.cli import main
from bench.errors import DataError, DataInvalid, UsageError
from bench.learn.wrappers import GroupShift
from bench.models.model_config import Config, Member
from bench.models.model_folder import StoredModel, write_model

SEX = Attribute(column="sex", names=("male", "female"), zero=("M",), one=("F",))
FACTS = {
    "bench": "0.2.0",
    "task": "t",
    "method": "swift",
    "title": "SWiFT",
    "backbone": "small",
    "versions": (1, 0),
    "size": 32,
    "channels": 1,
    "crop": "none",
    "file_bits": None,
    "label": "ill",
    "label_names": ("well", "ill"),
    "attribute": None,
    "threshold": 0.5,
    "threshold_from": "a test",
    "network": True,
    "synthetic": True,
    "credentialed": False,
    "cells": ("",),
}


def members(*codes):
    return tuple(Member(fold=k, input=Input(size=32), codes=code) for k, code in enumerate(codes))


@pytest.fixture
def folder(tmp_path):
    config = Config(**FACTS, members=members((0, 1)))
    write_model(tmp_path / "model", StoredModel(config, [random_net()]))
    return tmp_path / "model"


def film(folder, name="film.png", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    "fault", ["config", "schema", "value", "size", "field", "version", "weights", "nan", "gone", "names"]
)
def test_a_damaged_folder_is_refused(folder, fault):
    file, weights = folder / "config.json", folder / "model.safetensors"
    config, state = json.loads(file.read_text()), load_file(weights)
    if fault in ("nan", "names"):
        if fault == "nan":
            state["head.1.bias"] *= float("nan")
        else:
            state["head.2.bias"] = state.pop("head.1.bias")
        save_file(state, weights)
        config["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    changes = {
        "schema": {"schema": 2},
        "value": {"threshold": 1.5},
        "size": {"size": 10**9},
        "field": {"code": "x"},
        "version": {"versions": [2, 0]},
    }
    file.write_text(json.dumps(config | changes.get(fault, {}))[: 100 if fault == "config" else None])
    if fault == "weights":
        weights.write_bytes(weights.read_bytes()[:-4] + b"four")
    if fault == "gone":
        weights.unlink()
    with pytest.raises(DataError) as error:
        load_model(folder)
    assert str(error.value).replace(str(folder), "<model>") == WRONG[fault]


WRONG = snapshot(
    {
        "config": "<model>/config.json is missing, damaged, or not of a model of this suite: `bench model` writes it again",
        "schema": "<model>/config.json: schema 2, written by bench 0.2.0; this is bench 0.2.0, which reads schema 1: `bench model` writes it again",
        "value": "<model>/config.json is damaged (one network or more and a threshold from 0 to 1 expected): `bench model` writes it again",
        "field": "<model>/config.json is damaged (Object contains unknown field `code`): `bench model` writes it again",
        "version": "<model>: network small of version (2, 0), here it is (1, 0): `bench model` writes it again",
        "weights": "<model>/model.safetensors is damaged, or not the one that config.json was written with: `bench model` writes it again",
        "nan": "<model>/model.safetensors: head.1.bias is NaN or infinite somewhere",
        "gone": "<model>/model.safetensors (No such file or directory) not found. `bench model` writes it again.",
        "names": """\
<model>/model.safetensors does not hold the weights of network 0 of this model, small:
  missing: head.1.bias (is it head.2.bias?)
  not used: head.2.bias (1,)
  in all 1 missing, 1 not used, 0 of another shape\
""",
        "size": "<model>/config.json is damaged (Expected `int` <= 32768 - at `$.size`): `bench model` writes it again",
    }
)


def test_loading_runs_no_code_of_the_folder(folder, tmp_path):
    proof = tmp_path / "proof"

    class Evil:
        def __reduce__(self):
            return Path.touch, (proof,)

    torch.save({"head": Evil()}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    config["backbone"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(proof)!r}, 'w')")
    with pytest.raises(UsageError, match="unknown backbone 'evil'"):
        load_model(folder)
    config["backbone"] = "small"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="cannot be read as a state dict"):
        load_model(folder)
    assert not proof.exists()


def test_an_image_file_and_its_pixels_give_one_logit(folder, tmp_path):
    model = load_model(folder)
    (row,) = predict_images(model, [film(tmp_path)]).itertuples()
    with torch.no_grad():
        assert row.logit == pytest.approx(float(model(model.pixels(tmp_path / "film.png"))))
    with pytest.raises(DataInvalid, match=r"none\.png"):
        model.pixels(tmp_path / "none.png")
    (row,) = predict_images(model, [tmp_path / "none.png"]).itertuples()
    assert np.isnan(row.logit)
    assert "No such file" in row.why


def test_each_network_is_given_the_codes_that_its_method_saw(tmp_path):
    """In the second fold the groups were coded the other way round."""
    nets = [GroupShift(random_net(seed), torch.tensor([1.0, 2.0, 4.0])) for seed in (1, 2)]
    config = Config(**{**FACTS, "attribute": SEX, "network": False}, members=members((0, 1), (1, 0)))
    write_model(tmp_path / "both", StoredModel(config, nets))
    model, x = load_model(tmp_path / "both"), load_model(tmp_path / "both").pixels(film(tmp_path))
    with torch.no_grad():
        plain = model(x, torch.tensor([-1])) + 4
        assert [float(plain - model(x, torch.tensor([a]))) for a in (0, 1, -1)] == pytest.approx([1.5, 1.5, 4])
        one = StoredModel(config, [nets[0], nets[0]])
        first = one(x, torch.tensor([-1])) + 4
        assert float(first - one(x, torch.tensor([0]))) == pytest.approx(1.5)
    with pytest.raises(UsageError, match="needs 'sex'"):
        model(x)


def test_a_model_that_needs_the_attribute_reads_it_from_the_table_or_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = GroupShift(random_net(), torch.tensor([1.0, -1.0, 0.0]))
    config = Config(
        **{**FACTS, "attribute": SEX, "network": False, "title": "GroupThresholds"}, members=members((0, 1))
    )
    write_model(tmp_path / "model", StoredModel(config, [net]))
    film(tmp_path)
    (tmp_path / "a.csv").write_text("path,sex\nfilm.png,M\nfilm.png,F\nfilm.png,\nfilm.png,M\n")
    assert main(["predict", "model", "--csv", "a.csv", "--out", "p.csv"]) == 0
    rows = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    logits = [float(row[2]) for row in rows]
    assert [row[1] for row in rows] == ["0", "1", "-1", "0"]
    assert logits == pytest.approx([logits[2] - 1, logits[2] + 1, logits[2], logits[2] - 1])
    told = capsys.readouterr().err
    (tmp_path / "b.csv").write_text("path\nfilm.png\n")
    assert main(["predict", "model", "--csv", "b.csv", "--out", "q.csv"]) == 3
    assert [told, capsys.readouterr().err] == snapshot(
        [
            """\
1 images without a known 'sex' get the threshold of all groups
predicting: a.csv, 3 images
""",
            "bench: b.csv: no column 'sex': this model (GroupThresholds) decides by the group of each patient (male, female), so it cannot be used without it\n",
        ]
    )
    assert not (tmp_path / "q.csv").exists()
    # A corrected group is predicted anew, all else is kept.
    (tmp_path / "a.csv").write_text("path,sex\nfilm.png,F\nfilm.png,F\n")
    assert main(["predict", "model", "--csv", "a.csv", "--out", "p.csv"]) == 0
    assert [line.split(",")[1] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]] == ["1", "1"]


def test_images_of_any_name_are_predicted_and_continued_and_no_name_is_a_formula(folder, tmp_path, capsys):
    names = ["=1+1.png", "'=1+1.png", "''=1+1.png", "-1.png", "@x.png", "a\u2028b.png", "a\x85b.png", "a\u202eb.png"]
    names += ['a,"b".png', "a\nb.png", "a;b .png", "\N{GRINNING FACE}.png", f"{'x' * 200}.png", "a\\b$c&d.png"]
    for number, name in enumerate(names):
        film(tmp_path, name, number)
    table, out = tmp_path / "any.csv", tmp_path / "p.csv"
    pd.DataFrame({"path": [*names, *2 * ["gone\u202e.png"]]}).to_csv(table, index=False)
    words = ["predict", str(folder), "--csv", str(table), "--out", str(out)]
    assert main(words) == 3
    told = capsys.readouterr().err.splitlines()
    assert f"2 of {len(names) + 2} images cannot be read:" in told, "rows are counted, as in what was predicted"
    assert "  gone .png: No such file or directory" in told
    found, whole = pd.read_csv(out, dtype={"image_id": str}), out.read_bytes()
    expected = predict_images(load_model(folder), [tmp_path / name for name in names])
    np.testing.assert_allclose(found["logit"][: len(names)], expected["logit"], rtol=1e-6)
    assert expected["logit"].nunique() == len(names)
    ids = found["image_id"].tolist()
    assert ids[:5] == ["'=1+1.png", "''=1+1.png", "'''=1+1.png", "'-1.png", "'@x.png"]
    assert ids[5 : len(names)] == names[5:]
    assert main(words) == 3
    assert f"{len(names)} of them before" in capsys.readouterr().out
    assert out.read_bytes() == whole
