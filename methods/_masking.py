"""The importance ratio of SWiFT and BMFT: importance to the bias divided by importance to the prediction.

Paper: Yan et al., SWiFT, MELBA 2025:015, Eqs. 5-9. Code: vios-s/SWiFT and vios-s/BMFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Method, Run, option
from bench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.learn.importance import ImportanceKind
    from bench.learn.losses import Loss, Terms


percentile = partial(option, low=0, high=100, when={"normalise": "percentile"}, source="SWiFT, future work; ours")


@dataclass(frozen=True, kw_only=True)
class Masking(Method):
    """The parameters of the importance ratio."""

    importance: Literal["fisher", "fisher_per_sample", "gradient_sum", "gradient_absolute"] = option(
        "fisher",
        "Importance of a weight: its squared gradient per batch or per image, its gradient, or the absolute gradient.",
        source="Eqs. 5-8; other paths of both public codes",
    )
    normalise: Literal["minmax", "zscore", "percentile"] = option(
        "minmax", "Scaling of importances before the ratio.", source="Eq. 9, Table 7"
    )
    low: float = percentile(5.0, "Percentile that becomes 0.", other=20.0)
    high: float = percentile(95.0, "Percentile that becomes 1.", other=80.0)
    scope: Literal["tensor", "module", "global"] = option(
        "tensor",
        "Unit that is scaled together: a parameter tensor, a layer, or the network.",
        source="the paper scales layers, its code tensors",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            name = type(self).__name__
            raise UsageError(f"{name}.low={self.low:g}, {name}.high={self.high:g}: low must be below high")

    def train_head(self, run: Run, loss: Loss, epochs: int, extractor: Literal["eval", "train"]) -> nn.Module:
        """Train only the head to minimise a loss over the external set: the second step of both methods."""
        net, lr, how = run.model, run.recipe.lr_head, learn.Training(extractor=extractor)
        step = partial(learn.finetune, split="external", stage="step 2", train=("head",))
        return step(run, net, loss=loss, epochs=epochs, lr=lr, how=how)

    def ratio(
        self,
        run: Run,
        net: nn.Module,
        split: str,
        of: Terms | None = None,
        proxy: str = "paper",
        constant: Literal["raw", "zero", "neutral"] = "raw",
    ) -> dict[str, Tensor]:
        """Return the importance ratio r of every parameter; importances are computed once for each fold and split."""

        bias, prediction = importances(run, net, split, self.importance, of, proxy)
        run.keep("bias", {name: learn.min_max(values) for name, values in bias.items()})
        run.keep("prediction", {name: learn.min_max(values) for name, values in prediction.items()})
        return self.divided(bias, prediction, constant)

    def divided(
        self,
        bias: dict[str, Tensor],
        prediction: dict[str, Tensor],
        constant: Literal["raw", "zero", "neutral"] = "raw",
    ) -> dict[str, Tensor]:
        """Return the ratio of two importances, scaled as the parameters say."""
        scaling = learn.Scaling(self.normalise, self.low, self.high, self.scope, constant)
        return learn.importance_ratio(bias, prediction, scaling)


def importances(
    run: Run, net: nn.Module, split: str, kind: ImportanceKind = "fisher", of: Terms | None = None, proxy: str = "paper"
) -> list[dict[str, Tensor]]:
    """Return the importances of every parameter to the bias and to the prediction; methods share them in a fold."""

    def compute() -> dict[str, Tensor]:
        pair = learn.fisher_importances(run, net, split, kind, of)
        return {f"{one}/{name}": v for one, part in zip("bp", pair, strict=True) for name, v in part.items()}

    by = {"importance": kind, "split": split, "proxy": proxy}
    kept = run.shared("importances", by, compute, across_methods=True)
    return [{k[2:]: v for k, v in kept.items() if k.startswith(one)} for one in ("b/", "p/")]
