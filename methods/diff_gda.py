"""DiffGda: gradient descent or ascent on the soft true-positive-rate gap; the best state is kept.

Paper: Marcinkevics et al. 2022, Debiasing Deep Chest X-Ray Classifiers using Intra- and Post-processing Methods.
Code: i6092467/diff-bias-proxies, algorithms/biasGrad.py, bias_gda_dataloaders: bias gradient descent/ascent.
Departures:
  1. Gradients are computed on the external set, as SWiFT says. The original uses the validation set (D32; data=val).
  2. States are evaluated in evaluation mode. Evaluations of the original change the statistics of BatchNorm (D33;
     evaluation=train).
  3. A batch on which the gap is undefined, such as one without positives of both groups, is skipped. In the original
     its loss is NaN, but its gradient is finite, because an empty mean passes none on: a step is made on the group that
     is there.
  4. The required balanced accuracy is relative to that of the baseline. The original has an absolute bound
     (accuracy_drop=1 leaves only accuracy_least).
  5. The batch size is that of the recipe. The original uses 32 images.
  6. If there are more than 4,096 validation images, states are evaluated on about 4,096 of them, with the same share of
     each label and group. The original uses all (D43; evaluation_images=0).
  7. Optimiser, learning rate and number of epochs are those of the original. SWiFT says that all methods fine-tune on
     its own budget (D44; budget=recipe).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from bench import learn
from bench.api import Recipe, Run, Sizes, Split, option
from bench.options import fraction

from ._selection import CONFIG, Measured, Selecting, comparable, evaluated, measure, soft_gap

if TYPE_CHECKING:
    from torch import Tensor, nn

CODE = "biasGrad.py, bias_gda_dataloaders"
of_adam = partial(option, when={"budget": "original"}, source=CONFIG)


@dataclass(frozen=True, kw_only=True)
class DiffGda(Selecting):
    """The loss has no prediction term; the state with the smallest gap and sufficient accuracy is kept."""

    title = "DiffGda"
    row = 6
    presets = {
        "suite": {},
        "paper": {"budget": "recipe"},
        "reference": {
            "data": "val",
            "evaluation": "train",
            "evaluation_images": 0,
            "accuracy_drop": 1.0,
            "accuracy_least": 0.75,
        },
    }
    search = {"lr": (1e-5, 7.5e-6)}  # of the two tasks of the code; the method selects all else by state

    data: Literal["external", "val"] = option("external", "Images for the gradients.", source=f"SWiFT; {CODE}")
    evaluation: Literal["eval", "train"] = option(
        "eval",
        "Mode of the network in evaluations; train is the defect of the original: dropout is on, BatchNorm moves.",
        source=CODE,
    )
    budget: Literal["original", "recipe"] = option(
        "original",
        "Adam with the parameters below, or the optimiser, the epochs and the constant learning rate of the recipe.",
        source=f"{CONFIG}; SWiFT, Section 4.2",
    )
    lr: float = of_adam(1e-5, "Learning rate of Adam.", low=0, other=1e-3)
    epochs: int = of_adam(10, "Epochs over the data.", low=0, other=1)
    evaluations: int = option(5, "Evaluations on the validation set in each epoch.", low=1, source=CONFIG, other=2)
    accuracy_stop: float = fraction(0.52, "Balanced accuracy at which the search ends.", source=CODE, other=1.0)

    @property
    def uses(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({self.data, "val"})

    def work(self, sizes: Sizes, recipe: Recipe) -> tuple[float, float]:
        epochs = self.epochs if self.budget == "original" else recipe.epochs
        return epochs * getattr(sizes, self.data), (epochs * (self.evaluations + 1) + 1) * self.compared(sizes)

    def fit(self, run: Run) -> nn.Module:
        import torch

        net, data, size = run.model, run.split(self.data), run.recipe.batch
        val = evaluated(run, self.evaluation_images)

        def descended(sign: float, x: Tensor, index: Tensor, size: int) -> Tensor | None:
            z = learn.in_chunks(partial(learn.trained_logits, run, net), x, size)
            if not comparable(self.proxy, *data.known(index)):
                return None
            gap = soft_gap(self.proxy, z, *data.labels(index))
            optimiser.zero_grad()
            (sign * gap).backward()
            return gap

        epochs = self.epochs if self.budget == "original" else run.recipe.epochs
        every = max(1, -(-len(data) // size) // self.evaluations)
        best, kept, smallest = copy.deepcopy(net), 0, float("inf")
        with learn.seeded(run.rng("dropout")):
            first = self.measured(run, net, val)
            floor = self.floor(first)
            if first.balanced_accuracy >= floor:
                # Copied again, because an evaluation in training mode has changed the statistics.
                smallest, best = abs(first.gap), copy.deepcopy(net)
            sign = -1.0 if first.gap < 0 else 1.0
            if self.budget == "original":
                optimiser = torch.optim.Adam(net.parameters(), lr=self.lr)
            else:
                optimiser = learn.make_optimiser(run.recipe, list(net.parameters()), run.recipe.lr_extractor)
            draws, step, skipped, path = run.rng("batches"), 0, 0, []
            epoch_of = partial(data.index_batches, size=size, shuffle=True, augment=True, rng=draws)
            batches = (
                (epoch, number, batch)
                for epoch in range(epochs)
                for number, batch in enumerate(data.read_ahead(epoch_of()))
            )
            for step, (epoch, number, (index, augmentation)) in enumerate(batches, 1):
                run.progress(f"epoch {epoch + 1}/{epochs}")
                work = partial(descended, sign, data.images(index, augmentation), index)
                gap = learn.run_in_chunks(net.train(), len(index), work, what="gradients", log=run.log)
                if gap is None:
                    skipped += 1
                else:
                    optimiser.step()
                if number % every:
                    continue
                measured = self.measured(run, net, val)
                soft = None if gap is None else float(gap.detach())
                path.append({"step": step, "soft_gap": soft, **vars(measured)})
                if abs(measured.gap) < smallest and measured.balanced_accuracy >= floor:
                    smallest, kept, best = abs(measured.gap), step, copy.deepcopy(net)
                if measured.balanced_accuracy <= self.accuracy_stop:
                    break
        run.log(first=vars(first), floor=floor, path=path)
        run.log(kept_step=kept, kept_gap=smallest, steps=step, skipped_batches=skipped)
        return best.eval()

    def measured(self, run: Run, net: nn.Module, val: Split) -> Measured:
        """Measure the network on validation images, in the mode `evaluation`."""
        from bench.learn.predict import predict

        train = self.evaluation == "train"
        z = predict(net, val, size=run.recipe.batch, training=True) if train else run.score(net, val)
        return measure(z, val.y, val.a, self.proxy)
