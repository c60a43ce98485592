"""Any classifier of timm that pools its features to a vector, by the name that timm gives it: `timm:resnet18`.

Mean, standard deviation and interpolation are those of the model's configuration in timm; the task's `image_size` wins
over its size, and its `crop` over timm's crop. `timm:resnet18.a1_in1k` is a configuration by its tag, which may also
be given as `weights`. The weights `imagenet` are those of the configuration. A local file may hold any number of
classes, or no last layer. timm adapts the first convolution where `channels` differs from the file, and the positions
of a transformer where the size differs. Needs the extra `timm`: pip install "debias-bench[timm]".
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from bench.api import Backbone, Input, option
from bench.backbones import package, shape_of
from bench.errors import DataError, UsageError
from bench.weights import is_file, read_tensors

if TYPE_CHECKING:
    from torch import nn

INTERPOLATIONS = get_args(get_type_hints(Input)["interpolation"])


@dataclass(frozen=True, kw_only=True)
class Timm(Backbone):
    """A model of timm without its last layer."""

    unnamed = "model"

    model: str = option("", "Name of the model in timm, with or without the tag of a configuration.")
    channels: Literal[1, 3] = option(3, "Channels of the images that the network is given.")

    def __post_init__(self) -> None:
        timm, name = _timm(), self.model.partition(".")[0]
        if not timm.is_model(name):
            names = timm.list_models()
            near = difflib.get_close_matches(self.model, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(f'timm:{one}' for one in near)}? " if near else ""
            raise UsageError(
                f"unknown model '{self.model}' of timm {timm.__version__}: {hint}It has {len(names)} models; "
                "`python -c 'import timm; print(*timm.list_models())'` lists them"
            )
        if name != self.model and not _configured(self.model):
            known = " or ".join(_tags(name)) or "none"
            raise UsageError(f"timm:{self.model}: {name} has no configuration of this tag; its tags: {known}")
        super().__post_init__()

    @property
    def tags(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("imagenet", *_tags(self.model.partition(".")[0]))

    @property
    def input(self) -> Input:
        config = self._config
        size, filtered = config.input_size[1], config.interpolation
        return Input(
            size=size,
            channels=self.channels,
            mean=_fitted(config.mean, self.channels),
            std=_fitted(config.std, self.channels),
            interpolation=filtered if filtered in INTERPOLATIONS else "bicubic",
        )

    @property
    def _config(self) -> Any:
        plain = self.weights in ("task", "none", "imagenet") or is_file(self.weights)
        name = self.model if plain else f"{self.model.partition('.')[0]}.{self.weights}"
        return _timm().get_pretrained_cfg(name)

    def weight_file(self, tag: str) -> tuple[str, Path]:
        import torch

        config, name = self._config, self.model.partition(".")[0]
        if not (config.hf_hub_id or config.url):
            raise UsageError(f'timm:{self.model}: timm has no weights of it: set weights = "none", or name a file')
        url = config.url
        if config.hf_hub_id:
            url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
        suffix = Path(url).suffix
        return url, Path(torch.hub.get_dir()) / "checkpoints" / f"timm-{name}.{config.tag or 'default'}{suffix}"

    def build(self, size: int, weights: Path | None) -> tuple[nn.Module, int]:
        timm, config = _timm(), self._config
        how: dict[str, Any] = {"img_size": size} if config.fixed_input_size else {}
        how |= {"in_chans": self.channels, "num_classes": 0}
        try:
            if weights is None:
                model = timm.create_model(self.model, **how)
            else:
                model = _with_weights(self.model, config, weights, how)
            out = shape_of(model, self.channels, size)
        except (AssertionError, ValueError) as error:
            raise UsageError(f"timm:{self.model} cannot be built for images of {size} pixels: {error}") from None
        if out is None or len(out) != 2:
            shape = "no tensor" if out is None else f"shape {tuple(out)}"
            raise UsageError(
                f"timm:{self.model} does not pool its features to a vector: {shape} for two images, (2, D) expected"
            )
        return model, out[1]


def _timm() -> ModuleType:
    return package("timm", 'Install it: pip install "debias-bench[timm]", or pip install timm.')


def _configured(name: str) -> bool:
    """Return whether timm has a configuration of a model with this tag."""
    try:
        return _timm().get_pretrained_cfg(name) is not None
    except RuntimeError:  # "Invalid pretrained tag"
        return False


@cache
def _tags(name: str) -> tuple[str, ...]:
    """Return the tags of the configurations of a model."""
    known = _timm().list_models(f"{name}.*", pretrained=True, include_tags=True)
    return tuple(one.partition(".")[2] for one in known)


def _fitted(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return the statistics of as many channels: of one channel, the mean of three."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),)


def _with_weights(name: str, config: Any, file: Path, how: dict[str, Any]) -> nn.Module:
    """Return the model with the weights of a file: its number of classes first, then without its last layer."""
    import torch

    state = read_tensors(file)
    named = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    last = [state[f"{one}.weight"] for one in named if f"{one}.weight" in state]
    classes = len(last[0]) if last else 0
    # With as many classes as the file, timm loads strictly: no tensor may be missing or left over.
    overlay = {"state_dict": state, "num_classes": classes, "label_offset": 0, "custom_load": False}
    try:
        model = _timm().create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, **{**how, "num_classes": classes}
        )
    except Exception as error:  # each model has a filter of its own, which may raise anything on foreign tensors
        text = "\n".join(line[:200] for line in str(error).splitlines()[:4])
        raise DataError(f"{file} does not hold the weights of timm's {name}: {text}") from None
    if broken := [key for key, value in model.state_dict().items() if not torch.isfinite(value).all()]:
        raise DataError(f"{file}: {broken[0]} is NaN or infinite somewhere")
    if classes:
        model.reset_classifier(0)
    return model
