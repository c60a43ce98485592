"""A model in a folder, and the module that it makes.

    model.safetensors   the tensors by name; of several networks, after the number of each: `0.features...`
    config.json         what the model is and is given, and its threshold: `Config`
    README.md           the model card (`bench.models.card`)

Reading a folder runs nothing of it: it holds tensors and JSON. The code of a network that is a plugin comes from the
command line, never from the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from bench import registry
from bench.api import NO_GROUP
from bench.data.augment import normalise, white
from bench.data.decoding import decoded_rows
from bench.data.pixels import Pixels
from bench.decode import LEVELS
from bench.errors import DataInvalid, DataMissing, UsageError
from bench.files import to_json, write_file
from bench.learn.network import build_net
from bench.learn.wrappers import GroupShift, rebuilt
from bench.models.model_config import AGAIN, CONFIG, WEIGHTS, Config, read_config
from bench.weights import load_exactly, read_tensors, written


class StoredModel(nn.Module):
    """A trained classifier with its preprocessing; `config` says what it is."""

    def __init__(self, config: Config, networks: Sequence[nn.Module], plugins: tuple[Path, ...] = ()) -> None:
        super().__init__()
        self.config, self.networks, self._plugins = config, nn.ModuleList(networks), plugins
        self.eval()

    def forward(self, pixels: Tensor, a: Tensor | None = None) -> Tensor:
        """Return the logits (B,) of images (B, C, S, S), as `pixels` reads them.

        `a` (B,) are the groups, 0 to G-1 or -1 where it is not known, of a model that needs the attribute.
        """
        attribute, z = self.config.attribute, []
        if attribute is not None and a is None:
            raise UsageError(f"this model needs '{attribute.column}' of every image: model(pixels, a)")
        for net, member in zip(self.networks, self.config.members, strict=True):
            x = normalise(pixels, member.input, white(np.dtype(LEVELS[member.input.bits])))
            if isinstance(net, GroupShift) and a is not None:
                z.append(net(x, torch.tensor([*member.codes, NO_GROUP], device=a.device)[a]))
            else:  # also of a method that needs the attribute, in a fold where nothing could be fitted
                z.append(net(x))
        return z[0] if len(z) == 1 else torch.stack(z).mean(0)

    def how(self, folder: Path) -> Pixels:
        """Return how image files in a folder become pixels: as in the training of the model."""
        config, given = self.config, self.config.members[0].input
        files = registry.DATASETS.build(f"manifest:bits={config.file_bits}" if config.file_bits else "manifest")
        backbone = registry.backbone(config.backbone, "none", self._plugins)
        preparing = (config.backbone, backbone) if backbone.prepares else None
        size = (config.size, config.channels, config.crop, Path(), {}, given.interpolation, given.bits)
        return Pixels(files, "", folder, *size, preparing)

    def pixels(self, file: str | Path) -> Tensor:
        """Return an image file as it is given to the module, (1, C, S, S); raise DataInvalid if it cannot be read."""
        (found,) = decoded_rows(self.how(Path(file).parent), [Path(file).name], jobs=1)
        if isinstance(found, str):
            raise DataInvalid(f"{file}: {found}")
        return as_tensor([found[0]])


def as_tensor(rows: Sequence[np.ndarray]) -> Tensor:
    """Return decoded images (S, S, C) as (B, C, S, S)."""
    pixels = np.stack(rows)
    return torch.from_numpy(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)).permute(0, 3, 1, 2)


def write_model(folder: Path, model: StoredModel) -> Config:
    """Write the weights and the config of a model, and return the config with the checksum of the weights."""
    content = written(model.networks[0] if len(model.networks) == 1 else model.networks)
    config = msgspec.structs.replace(model.config, sha256=hashlib.sha256(content).hexdigest())
    write_file(folder / WEIGHTS, content)
    write_file(folder / CONFIG, to_json(config))
    return config


def load_model(folder: str | Path, plugins: Sequence[str | Path] = ()) -> StoredModel:
    """Return the model of a folder of `bench model` as a torch module with its preprocessing, on the CPU.

    Nothing of the folder is executed. `plugins` are the files of a network that is not of the suite (`--plugin`).

    Raises:
        DataMissing, DataInvalid: as `read_config`; or the weights are missing, damaged or NaN, or of another network.
    """
    folder, files = Path(folder), tuple(Path(file).absolute() for file in plugins)
    config, file = read_config(folder), folder / WEIGHTS
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataMissing(f"{file} ({error.strerror})", get_it=f"{AGAIN}.") from None
    if hashlib.sha256(content).hexdigest() != config.sha256:
        raise DataInvalid(f"{file} is damaged, or not the one that {CONFIG} was written with: {AGAIN}")
    backbone = registry.backbone(config.backbone, "none", files)
    if (now := (backbone.version, backbone.prepares)) != config.versions:
        raise DataInvalid(
            f"{folder}: network {config.backbone} of version {config.versions}, here it is {now}: {AGAIN}"
        )
    state, networks = read_tensors(file), []
    several = len(config.members) > 1
    for number in range(len(config.members)):
        prefix = f"{number}." if several else ""
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        with torch.random.fork_rng(devices=[]):
            network = rebuilt(build_net(backbone, size=config.size, weights="none"), part)
        load_exactly(network, part, file, f"network {number} of this model, {config.backbone}")
        networks.append(network)
    return StoredModel(config, networks, files)
