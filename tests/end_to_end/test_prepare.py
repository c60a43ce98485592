"""`bench prepare`: images and weights before the run."""

import numpy as np


def test_prepared_images_are_not_decoded_again(place):
    done = place.bench("prepare", "tiny.toml", "--verify")
    assert "source: 240 images, 0.000 GB in" in done.stdout
    assert "ood_reversed: all checksums match" in done.stdout
    again = place.bench("run", "--task", "tiny.toml", "--methods", "baseline", "--folds", "0")
    assert "images: " not in again.stderr
    file = next((place.folder / ".cache/images").rglob("images.npy"))
    pixels = np.load(file, mmap_mode="r+")
    pixels[3, 0, 0, 0] ^= 1
    pixels.flush()
    wrong = place.bench("prepare", "tiny.toml", "--verify", code=3)
    assert "1 of " in wrong.stderr
    assert "do not match their checksum" in wrong.stderr


def test_weights_that_cannot_be_fetched_are_said_with_their_address(place):
    place.bench("phantom", "mimic_cxr", "chexpert", "nih_cxr14", "--out", "data", "--images", "80")
    environment = {"TORCH_HOME": str(place.folder / "torch"), "https_proxy": "http://127.0.0.1:9"}
    done = place.bench("prepare", "cxr-age", "--data", "data", code=3, **environment)
    assert "https://download.pytorch.org/models/resnet50" in done.stderr
    assert "All images are prepared" in done.stderr
    assert "chexpert:" in done.stdout
    # Some of the films are cut off: told of, and exit 1.
    images = place.bench("prepare", "cxr-age:weights=none", "--data", "data", code=1)
    assert "images of source cannot be read" in images.stderr
    private = place.folder / ".cache/images/mimic_cxr"
    assert private.stat().st_mode & 0o777 == 0o700
