"""SWiFT: fine-tune the extractor through a soft mask, then a partly reset head.

Paper: Yan et al., SWiFT: Soft-Mask Weight Fine-tuning for Bias Mitigation, MELBA 2025:015, Eqs. 1-12.
Code: vios-s/SWiFT, TwoStageFinetune.py (the files with its losses and metrics are missing).
Departures:
  1. The prediction loss is a mean and classes are counted in each batch, as in the code. The paper writes a sum and
     does not say over which images classes are counted (D03).
  2. Importances are computed on the external set, as in the paper. The code uses the unbalanced validation set (D01).
  3. Importances are scaled for each parameter tensor, as in the code; the paper says for each layer (D04). A constant
     tensor keeps its raw values, as in the code (D05). The absolute value of Eq. 9 is kept; it only affects z-scores
     (D06).
  4. The bias of the head is never reset, as in effect in the code. The paper includes it in the entries (D07, D08).
  5. The epochs of the recipe are split between the two steps, which agrees with the defaults of the code (D09).
  6. The extractor is in evaluation mode in the second step. In the code its BatchNorm statistics move (D13). The frozen
     head keeps its dropout in the first step, as in the code (D14).
  7. Adam cancels a constant mask on gradients, because its step does not depend on their scale. The default still masks
     gradients; `apply=update` masks the update instead (D16). Weight decay of SGD also bypasses the mask (D15).
  8. With more than two groups, the best and the worst by validation AUC are recoded to 0 and 1, as in the code (D23).
  9. Two parameters are the future work of the paper (Section 6) and ours in detail; at their defaults nothing changes.
     `mask_every` computes the mask of the first step anew on the network as it is then. The optimiser goes on, and the
     head is still reset by the mask of the baseline. `gamma=otsu` adapts the threshold of the reset to the mask: its
     mean depends on how skewed it is. Otsu's threshold (IEEE Trans. SMC 9, 1979) is the cut between two classes of
     entries with the largest variance between them, and has no parameter.
  10. Losses are logged as numbers. The code keeps their graphs, so that its memory grows (D42).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench import learn
from bench.api import Recipe, Run, Sizes, option
from bench.options import fraction

from ._masking import Masking

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT, BIAS = "head.1.weight", "head.1.bias"
LATER = frozenset({"steps", "reinit", "reinit_scope", "reset_share", "gamma", "hard_head", "extractor_step2"})
"""Parameters that do not affect the first step; settings that differ only in these share its result."""


@dataclass(frozen=True, kw_only=True)
class SWiFT(Masking):
    """Two steps whose losses swap their weights; the mask limits how far each weight of the extractor moves."""

    title = "SWiFT"
    row = 10
    presets = {
        "suite": {},
        "paper": {"scope": "module", "reinit_scope": "head_all"},
        "reference": {"mask_data": "val", "reinit_scope": "reference", "extractor_step2": "train"},
    }
    ablations = {
        "mask": ("mask=random", *(f"mask=hard,rate={rate}" for rate in (0.1, 0.3, 0.5, 0.7, 0.9)), "mask=soft"),
        "reset_share": tuple(f"reset_share={share / 10}" for share in range(1, 10)),
    }
    search = {"epsilon": (0.01, 0.05, 0.1, 0.2, 0.3, 0.5), "rate": (0.1, 0.3, 0.5, 0.7, 0.9)}

    epsilon: float | None = fraction(
        None,
        "Weight of the prediction loss in step 1 and of the bias proxy in step 2; none: the recipe's.",
        source="Section 3.4; `beta` of the code",
        other=0.5,
    )
    epochs: int | None = option(
        None, "Total epochs of both steps; none: the recipe's; 0: the baseline.", low=0, source="Figure 4", other=4
    )
    mask: Literal["soft", "hard", "random", "ones"] = option(
        "soft", "Mask of step 1: tanh of the ratio, its largest entries, noise, or none.", source="Eq. 9, Table 6"
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
    )
    constant: Literal["raw", "zero", "neutral"] = option(
        "raw",
        "Ratio if all importances are equal, as in the head's bias: that of the raw values, 0, or 1.",
        source="utils of SWiFT's code; BMFT's divides 0 by 0",
    )
    mask_data: Literal["external", "val"] = option(
        "external", "Images on which importances are computed.", source="Section 3.3; TwoStageFinetune.py"
    )
    mask_every: int | None = option(
        None,
        "Epochs of step 1 after which the mask is computed anew; none: it is computed once.",
        low=1,
        when={"mask": ("soft", "hard"), "steps": ("both", "first")},
        source="future work; ours",
        other=1,
        added=True,
    )
    apply: Literal["gradient", "update"] = option(
        "gradient", "Quantity that the mask multiplies: the gradient, or the update of the optimiser.", source="Eq. 11"
    )
    head_step1: Literal["train", "eval"] = option(
        "train", "Mode of the frozen head in step 1, with or without dropout.", source="TwoStageFinetune.py"
    )
    steps: Literal["both", "first", "second"] = option(
        "both", "Steps that are run; without the second, the head is not reset.", source="Table 8"
    )
    reinit: Literal["partial", "full", "none"] = option(
        "partial", "Head entries set to 0 before step 2.", source="Eq. 12, Table 9", when={"steps": ("both", "second")}
    )
    reinit_scope: Literal["weight", "head_all", "reference"] = option(
        "weight",
        "Entries at or above the mean mask of the weight, or of weight and bias, or above that of each tensor.",
        when={"reinit": "partial"},
        source="Eq. 12; TwoStageFinetune.py",
    )
    gamma: Literal["mean", "otsu"] = option(
        "mean",
        "Threshold of the mask from which on entries are reset: its mean, or the cut that separates two classes best.",
        source="Eq. 12; otsu: future work, ours",
        when={"reinit": "partial", "reinit_scope": ("weight", "head_all")},
        added=True,
    )
    reset_share: float | None = fraction(
        None,
        "Share of the head's weights to reset, by largest ratio; none: those at or above the mean mask.",
        when={"reinit": "partial", "reinit_scope": "weight", "gamma": "mean"},
        source="Figure 6",
        other=0.2,
    )
    hard_head: Literal["soft", "full"] = option(
        "soft", "With a hard mask, reset the head by its soft mask, or fully.", when={"mask": "hard"}, source="Table 6"
    )
    extractor_step2: Literal["eval", "train"] = option(
        "eval",
        "Mode of the frozen extractor in step 2; train lets its BatchNorm statistics move.",
        when={"steps": ("both", "second")},
        source="TwoStageFinetune.py",
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

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        first, second = recipe.stages(self.epochs)
        trained = 0 if self.steps == "second" else first * sizes.external
        head = 0 if self.steps == "first" else recipe.drawn(second) * sizes.external
        masks = 1 + (max(0, (first - 1) // self.mask_every) if self.mask_every else 0)
        return trained, head + (0 if self.mask == "random" else 5 * masks * getattr(sizes, self.mask_data))

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
            # Of a random mask, `ranked` is the mask itself.
            moving = dict(mask) if self.mask == "random" else self.moving(ranked)
            if self.mask != "ones":
                run.keep("mask", moving)
            self.step_1(run, net, None if self.mask == "ones" else moving, epsilon, first)
        if self.steps == "first":
            return net
        kind = "full" if self.mask == "hard" and self.hard_head == "full" else self.reinit
        run.log(**reset(net.linear, kind, mask, ranked, self.reinit_scope, self.reset_share, self.gamma))
        return self.train_head(run, learn.objective(run, "external", 1 - epsilon), second, self.extractor_step2)

    def step_1(self, run: Run, net: nn.Module, mask: dict[str, Tensor] | None, epsilon: float, epochs: int) -> None:
        """Train the extractor through the mask; settings that differ only in later steps share the result."""
        masked = mask is not None and self.apply == "gradient"
        if masked and run.recipe.optimiser == "adam":
            run.warn("SWiFT masks gradients, which Adam's step all but cancels; swift:apply=update masks the update")

        def compute() -> dict[str, Tensor]:
            before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            loss, lr = learn.objective(run, "external", epsilon), run.recipe.lr_extractor
            again = self.renewing(run, net, mask, epochs) if mask is not None and self.mask_every else None
            how = learn.Training(mask=mask, apply=self.apply, head=self.head_step1, after_epoch=again)
            step = partial(learn.finetune, split="external", stage="step 1", train=("features",))
            step(run, net, loss=loss, epochs=epochs, lr=lr, how=how)
            if mask is not None:
                moved = {name: mask[name] for name in extractor(mask)}
                run.log(mask_displacement=learn.mask_displacement(moved, before, net.state_dict()))
            return net.state_dict()

        by = {name: value for name, value in asdict(self).items() if name not in LATER}
        net.load_state_dict(run.shared("step 1", by, compute))

    def renewing(self, run: Run, net: nn.Module, mask: dict[str, Tensor], epochs: int) -> Callable[[float], None]:
        """Return what replaces the mask of step 1, in place, after every `mask_every` epochs but the last."""
        done = itertools.count(1)

        def after_epoch(_: float) -> None:
            epoch = next(done)
            if epoch < epochs and epoch % (self.mask_every or epochs) == 0:
                # A copy, because importances are computed in evaluation mode and by all weights.
                bias, prediction = learn.fisher_importances(run, copy.deepcopy(net), self.mask_data, self.importance)
                mask.update(self.moving(self.divided(bias, prediction, self.constant)))

        return after_epoch

    def moving(self, ratio: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mask of step 1: soft, or hard with the rate."""
        return learn.soft_mask(ratio) if self.rate is None else learn.hard_mask(ratio, self.rate, extractor(ratio))


def otsu(values: Tensor) -> Tensor:
    """Return the smallest of the upper class of values (n,), n >= 2, cut where the variance between classes is largest.

    Equal values are in one class; the lowest of several best cuts is taken.
    """
    import torch

    v = values.flatten().double().sort().values
    n, below = len(v), v.cumsum(0)[:-1]
    lower = torch.arange(1, n, device=v.device, dtype=v.dtype)
    upper = n - lower
    between = lower * upper * (below / lower - (v.sum() - below) / upper) ** 2
    between[v[1:] == v[:-1]] = -1
    return v[1:][between.argmax()].to(values.dtype)


def extractor(names: dict[str, Tensor]) -> list[str]:
    """Return the names of the extractor's parameters."""
    return [name for name in names if name.startswith("features.")]


def reset(
    linear: nn.Linear,
    kind: Literal["partial", "full", "none"],
    mask: dict[str, Tensor],
    ranked: dict[str, Tensor],
    scope: Literal["weight", "head_all", "reference"] = "weight",
    share: float | None = None,
    threshold: Literal["mean", "otsu"] = "mean",
) -> dict[str, Any]:
    """Set entries of a head's weight (1, D) and bias (1,) to 0 in place; return gamma and the share of reset weights.

    `partial` resets the entries whose mask is at least gamma: the mean, or Otsu's threshold, of the mask over the
    weight or, with scope `head_all`, over weight and bias. Scope `reference` resets the entries above the mean of their
    tensor, which never includes the bias. With `share`, the round(share * D) weights with the largest `ranked` are
    reset, ties by position. If the mask is constant, nothing is reset.
    """
    import torch

    m, b = mask[WEIGHT], mask[BIAS]
    of = torch.cat([m.flatten(), b]) if scope == "head_all" else m
    gamma = otsu(of) if threshold == "otsu" else of.mean()
    weight, bias = torch.zeros_like(m, dtype=torch.bool), torch.zeros_like(b, dtype=torch.bool)
    if kind == "full":
        weight[:], bias[:] = True, True
    elif kind == "partial" and share is not None:
        order = torch.argsort(ranked[WEIGHT].flatten(), descending=True, stable=True)
        weight.view(-1)[order[: round(share * len(order))]] = True
    elif kind == "partial" and m.max() != m.min():
        weight = m > gamma if scope == "reference" else m >= gamma
        if scope == "head_all":
            bias = b >= gamma
    with torch.no_grad():
        linear.weight.masked_fill_(weight, 0.0)
        linear.bias.masked_fill_(bias, 0.0)
    return {"gamma": float(gamma), "reset_share": float(weight.float().mean()), "reset_bias": bool(bias.any())}
