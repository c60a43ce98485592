"""SWiFT: fine-tune the extractor through a soft mask, then a partly reset head.

Paper: Yan et al., SWiFT: Soft-Mask Weight Fine-tuning for Bias Mitigation, MELBA 2025:015, Eqs. 1-12.
Code: vios-s/SWiFT, TwoStageFinetune.py (its losses and metrics are in files that are missing there).
Departures:
  1. Prediction loss averaged, counts per batch, as the code; the paper writes a sum and does not say (D03).
  2. Importances on the external set, as the paper; the code takes the unbalanced validation set (D01).
  3. Importances scaled per parameter tensor, as the code; the paper says per layer (D04). A constant tensor
     keeps its raw values, as the code (D05). The absolute value of Eq. 9 is kept; it matters to z-scores only (D06).
  4. The head's bias is never reset, as in effect in the code; the paper counts it among the entries (D07, D08).
  5. The epochs of the recipe are split over the two steps, which agrees with the code's defaults (D09).
  6. The extractor is in evaluation mode in the second step; in the code its BatchNorm statistics move (D13).
     The frozen head of the first step keeps its dropout, as the code (D14).
  7. Adam cancels a constant mask on gradients (its step does not depend on their scale). The default stays
     literal; `apply=update` masks the update instead (D16). SGD's weight decay passes the mask likewise (D15).
  8. With more than two groups, the best and the worst by validation AUC are recoded to 0 and 1, as the code (D23).
  9. Losses are logged as numbers; the code keeps their graphs, and its memory grows (D42).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Recipe, Run, option
from bench.options import fraction

from ._masking import Masking
from ._reset import reset

if TYPE_CHECKING:
    from torch import Tensor, nn

LATER = frozenset({"steps", "reinit", "reinit_scope", "reset_share", "hard_head", "extractor_step2"})
"""Parameters that the first step does not depend on: settings that differ in them share it."""


@dataclass(frozen=True, kw_only=True)
class SWiFT(Masking):
    """Two steps whose losses swap their weights; the mask says how far each weight may move."""

    title = "SWiFT"
    row = 10
    presets = {
        "suite": {},
        "paper": {"reinit_scope": "head_all"},
        "reference": {"mask_data": "val", "reinit_scope": "reference", "extractor_step2": "train"},
    }
    ablations = {
        "mask": ("mask=random", *(f"mask=hard,rate={rate}" for rate in (0.1, 0.3, 0.5, 0.7, 0.9)), "mask=soft"),
        "reset_share": tuple(f"reset_share={share / 10}" for share in range(1, 10)),
    }
    search = {"epsilon": (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)}

    epsilon: float | None = fraction(
        None,
        "Weight of the prediction loss in step 1, of the bias proxy in step 2; none: the recipe's.",
        source="Section 3.4; `beta` of the code",
        other=0.5,
    )
    epochs: int | None = option(
        None,
        "Epochs of both steps in all; none: the recipe's. 0 gives the baseline.",
        low=0,
        source="Figure 4",
        other=4,
    )
    mask: Literal["soft", "hard", "random", "ones"] = option(
        "soft",
        "Mask of step 1: tanh of the ratio, its largest entries, uniform noise, or none.",
        source="Eq. 9, Table 6",
        other="ones",
    )
    rate: float | None = fraction(
        None,
        "Share of the extractor's weights that a hard mask lets move.",
        when={"mask": "hard"},
        needed=True,
        source="Table 6",
        other=0.3,
    )
    random: Literal["uniform", "reference"] = option(
        "uniform",
        "Noise of a random mask: U(0, 1), or Gaussians put through ratio and tanh.",
        when={"mask": "random"},
        source="Table 6; TwoStageFinetune.py",
        other="reference",
    )
    constant: Literal["raw", "zero", "neutral"] = option(
        "raw",
        "The ratio where all importances are equal, as in the head's bias: of the raw values, 0, or 1.",
        source="utils of SWiFT's code; BMFT's divides 0 by 0",
        other="neutral",
    )
    mask_data: Literal["external", "val"] = option(
        "external",
        "Images on which importances are taken.",
        source="Section 3.3; TwoStageFinetune.py",
        other="val",
    )
    apply: Literal["gradient", "update"] = option(
        "gradient",
        "What the mask multiplies: the gradient, or the optimiser's update.",
        source="Eq. 11",
        other="update",
    )
    head_step1: Literal["train", "eval"] = option(
        "train",
        "Mode of the frozen head in step 1: its dropout is on, or off.",
        source="TwoStageFinetune.py",
        other="eval",
    )
    steps: Literal["both", "first", "second"] = option(
        "both", "Which steps are made; without the second the head is not reset.", source="Table 8", other="first"
    )
    reinit: Literal["partial", "full", "none"] = option(
        "partial",
        "What of the head is set to 0 before step 2.",
        source="Eq. 12, Table 9",
        other="none",
        when={"steps": ("both", "second")},
    )
    reinit_scope: Literal["weight", "head_all", "reference"] = option(
        "weight",
        "Entries at or above the mean mask: of the weight; of weight and bias; above it, tensor by tensor.",
        when={"reinit": "partial"},
        source="Eq. 12; TwoStageFinetune.py",
        other="head_all",
    )
    reset_share: float | None = fraction(
        None,
        "Reset this share of the head's weights, the largest ratios; none: those at or above the mean mask.",
        when={"reinit": "partial", "reinit_scope": "weight"},
        source="Figure 6",
        other=0.2,
    )
    hard_head: Literal["soft", "full"] = option(
        "soft",
        "Under a hard mask the head is reset by its soft mask, or wholly as in BMFT.",
        when={"mask": "hard"},
        source="Table 6",
        other="full",
    )
    extractor_step2: Literal["eval", "train"] = option(
        "eval",
        "Mode of the frozen extractor in step 2; train lets its BatchNorm statistics move.",
        when={"steps": ("both", "second")},
        source="TwoStageFinetune.py",
        other="train",
    )

    @property
    def uses(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"external", self.mask_data})

    @property
    def changes(self) -> frozenset[str]:  # type: ignore[override]
        first, second = {"extractor", "statistics"}, {"head"}
        moves = {"statistics"} if self.extractor_step2 == "train" else set()
        return frozenset({"both": first | second, "first": first, "second": second | moves}[self.steps])

    def companions(self, recipe: Recipe) -> tuple[str, ...]:
        return ("apply=update",) if recipe.optimiser == "adam" else ()

    def fit(self, run: Run) -> nn.Module:
        net, recipe = run.model, run.recipe
        if self.epochs == 0 or (self.epochs is None and not recipe.epochs):
            return net
        epsilon = recipe.epsilon if self.epsilon is None else self.epsilon
        first, second = recipe.stages(self.epochs)
        if self.mask == "random":
            ranked = mask = learn.random_mask(net, run.rng("mask"), self.random)
        else:
            ranked = self.ratio(run, net, self.mask_data, constant=self.constant)
            mask = learn.soft_mask(ranked)
        run.log(mask=learn.mask_summary(mask))
        if self.steps != "second":
            moving = mask if self.rate is None else learn.hard_mask(ranked, self.rate, extractor(ranked))
            if self.mask == "ones":
                moving = None
            else:
                run.keep("mask", moving)
            self.step_1(run, net, moving, epsilon, first)
        if self.steps == "first":
            return net
        kind = "full" if self.mask == "hard" and self.hard_head == "full" else self.reinit
        run.log(**reset(net.linear, kind, mask, ranked, self.reinit_scope, self.reset_share))
        return self.train_head(run, learn.objective(run, "external", 1 - epsilon), second, self.extractor_step2)

    def step_1(self, run: Run, net: nn.Module, mask: dict[str, Tensor] | None, epsilon: float, epochs: int) -> None:
        """Move the extractor through the mask; settings that differ only in what follows take one result."""
        masked = mask is not None and self.apply == "gradient"
        if masked and run.recipe.optimiser == "adam":
            run.warn("SWiFT masks gradients, which Adam's step all but cancels; swift:apply=update masks the update")

        def compute() -> dict[str, Tensor]:
            before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            learn.finetune(
                run,
                net,
                train=("features",),
                loss=learn.objective(run, "external", epsilon),
                split="external",
                epochs=epochs,
                lr=run.recipe.lr_extractor,
                stage="step 1",
                how=learn.Training(mask=mask, apply=self.apply, head=self.head_step1),
            )
            if mask is not None:
                moved = {name: mask[name] for name in extractor(mask)}
                run.log(mask_displacement=learn.mask_displacement(moved, before, net.state_dict()))
            return net.state_dict()

        fields = {name: value for name, value in dataclasses.asdict(self).items() if name not in LATER}
        net.load_state_dict(run.shared("step 1", {**fields, "epsilon": epsilon, "epochs": epochs}, compute))


def extractor(names: dict[str, Tensor]) -> list[str]:
    """The names of the extractor's parameters."""
    return [name for name in names if name.startswith("features.")]
