"""Where paper and public code disagree, or one of them is silent: what the suite does, and how to get the other.

`bench ls register` prints it. An option is a spec as on the command line: of a method or dataset, such as
`swift:scope=module`, or of any task, `TASK:balance=reference`; without `=` every value of it is meant. A row without
options says why in its default, and is documented in the module that it names. Paper, unless another is named: SWiFT
(MELBA 2025:015). Code: vios-s/SWiFT and vios-s/BMFT; for LLFT, DiffGda and DiffPrune that of their own papers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.errors import UnknownName


@dataclass(frozen=True)
class Row:
    """One disagreement; `methods` are those that it concerns, none where it is about tasks and all methods."""

    id: str
    topic: str
    paper: str
    code: str
    default: str
    options: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    documented: str = ""
    """The module whose docstring names the row, where there is no option."""


MASKING = ("bmft", "swift")
PENALISED = ("fullft_fdr", "fullft_reg")
FULLFT = (*PENALISED, "fullft_rw")


def _each(methods: Iterable[str], *settings: str) -> tuple[str, ...]:
    return tuple(f"{method}:{setting}" for method in methods for setting in settings)


# fmt: off
REGISTER: dict[str, Row] = {row.id: row for row in (
    Row("D01", "images of SWiFT's mask", "the balanced external set", "the unbalanced validation set, upright",
        "external", ("swift:mask_data=val",), ("swift",)),
    Row("D02", "balancing", "the larger group cut to the size and label ratio of the smaller",
        "drawn with replacement: some images twice, some lost", "cut, without replacement",
        ("TASK:balance=reference",)),
    Row("D03", "prediction loss", "a sum; where classes are counted is not said", "a mean, counted per batch",
        "a mean, counted per batch", ("TASK:reduction=sum", "TASK:weight_counts=dataset")),
    Row("D04", "what is scaled together", "a layer", "a parameter tensor", "a parameter tensor",
        _each(MASKING, "scope=module", "scope=global"), MASKING),
    Row("D05", "importances all equal", "not said", "raw values (SWiFT); 0/0 (BMFT)", "raw values",
        ("swift:constant=zero", "swift:constant=neutral"), MASKING),
    Row("D06", "absolute value in Eq. 9", "there", "not there",
        "there; without effect on min-max scaling, whose ratios are not negative", (), ("swift",),
        "bench.methods.swift"),
    Row("D07", "which head entries are reset", "mask at or above its mean over the head",
        "mask above its mean, tensor by tensor", "at or above the mean over the weight",
        ("swift:reinit_scope=head_all", "swift:reinit_scope=reference"), ("swift",)),
    Row("D08", "reset of the head's bias", "possible", "never: one entry is not above its own mean", "never",
        ("swift:reinit_scope=head_all",), ("swift",)),
    Row("D09", "epochs of two steps", "20 or 10, the same for both steps", "10 and 10 by default",
        "the total, halved", ("TASK:epochs_mode=per_stage",), MASKING),
    Row("D10", "learning rates", "not said", "1e-4 and 1e-3 by default (skin), 1e-6 in the README (chest)",
        "the recipe's", ("TASK:lr_extractor", "TASK:lr_head")),
    Row("D11", "momentum, weight decay", "not said", "0.9 and 5e-4 for SGD, none for Adam",
        "as the code, unless the recipe says otherwise",
        ("TASK:momentum", "TASK:weight_decay")),
    Row("D12", "batch", "128", "64 by default, 128 in the README", "the recipe's", ("TASK:batch=64",)),
    Row("D13", "frozen extractor in step 2", "frozen", "weights frozen; BatchNorm and dropout in training mode",
        "evaluation mode", _each(MASKING, "extractor_step2=train"), MASKING),
    Row("D14", "frozen head in step 1", "frozen", "weights frozen, dropout on", "weights frozen, dropout on",
        ("swift:head_step1=eval",), ("swift",)),
    Row("D15", "mask and weight decay", "not said", "decay passes the mask", "gradients are masked, decay is not",
        ("swift:apply=update",), ("swift",)),
    Row("D16", "mask and Adam", "not said", "masks gradients, which Adam's step all but cancels",
        "gradients are masked, with a warning under Adam", ("swift:apply=update",), ("swift",)),
    Row("D17", "poses of chest films", "flips and transpose", "mirror image, rotation within 15 degrees",
        "flips and transpose", ("TASK:augment=chest_reference",)),
    Row("D18", "crop of skin images", "central crop, then 256 pixels", "resized only", "central crop, then resized",
        ("TASK:crop=none",)),
    Row("D19", "polarity of skin labels", "melanoma is the negative class", "melanoma is 1 in the public tables",
        "melanoma is the negative class", ("TASK:polarity=clinical",)),
    Row("D20", "random mask", "uniform in [0, 1]", "Gaussians put through ratio and tanh", "uniform in [0, 1]",
        ("swift:mask=random,random=reference",), ("swift",)),
    Row("D21", "what FullFT trains on skin", "all layers", "the head alone, in the routine that survives",
        "all layers", _each(FULLFT, "params=head"), FULLFT),
    Row("D22", "equalised odds as a metric", "no formula", "half the absolute signed sum of both gaps",
        "half the sum of both absolute gaps; the signed, the larger and the sum are stored beside it", (), (),
        "bench.score.definitions"),
    Row("D23", "more than two groups", "the best and the worst AUC",
        "likewise, on the unbalanced validation set, the worst is 1; the routine for AUCs is missing",
        "the best and the worst by validation AUC, the worst is 1", (), ("swift",), "bench.methods.swift"),
    Row("D24", "images of BMFT's mask and step 1", "the external set (SWiFT)",
        "the unbalanced validation set, upright; step 2 balanced and augmented", "external",
        ("bmft:data=reference",), ("bmft",)),
    Row("D25", "BMFT's rate", "a threshold to be tuned", "the 50th percentile; on other paths the mean, or 95.4",
        "0.5", ("bmft:rate=0.046",), ("bmft",)),
    Row("D26", "BMFT's bias term", "the proxy of Eqs. 2-4 (SWiFT)",
        "half the signed sum of gaps of the network's output; 0 for an empty cell", "the proxy of Eqs. 2-4",
        _each(("bmft", *PENALISED), "proxy=signed_half_logit,empty_cell=zero_mean", "proxy=signed_half_score"),
        ("bmft", *PENALISED)),
    Row("D27", "losses of BMFT's steps", "not said again", "bias alone; then prediction plus 0.1 bias",
        "bias alone; then prediction plus 0.1 bias", ("bmft:beta1", "bmft:beta2"), ("bmft",)),
    Row("D28", "output of BMFT's head", "a probability",
        "a sigmoid before a loss on logits, in its own repository; in SWiFT's none",
        "a logit: the sigmoid twice would predict every image positive", (), ("bmft",), "bench.methods.bmft"),
    Row("D29", "BMFT's frozen head in step 1", "frozen", "in the optimiser: its weights decay", "frozen",
        ("bmft:head_decay=true",), ("bmft",)),
    Row("D30", "pre-training epochs of DenseNet", "100", "200 in its configuration", "the recipe's",
        ("TASK:pretrain_epochs=200",), ("baseline",)),
    Row("D31", "checkpoint, clipping, plateau", "not said",
        "best validation AUC, gradients clipped at 0.5, rate divided on a plateau",
        "the last epoch; neither of the others",
        ("TASK:pretrain_checkpoint=reference", "TASK:pretrain_clip=0.5", "TASK:pretrain_plateau=true"),
        ("baseline",)),
    Row("D32", "images of DiffGda's gradients", "the external set", "the validation set",
        "external, measured on validation", ("diff_gda:data=val",), ("diff_gda",)),
    Row("D33", "mode while DiffGda measures", "not said", "training mode: BatchNorm moves", "evaluation mode",
        ("diff_gda:evaluation=train",), ("diff_gda",)),
    Row("D34", "layers that DiffPrune prunes", "not said", "of a ResNet-18 the first convolution",
        "the first convolution, before BatchNorm",
        ("diff_prune:site=stem_activated", "diff_prune:site=convolutions"), ("diff_prune",)),
    Row("D35", "where DiffPrune finds nothing better", "not said", "the unpruned network is no candidate",
        "it is a candidate: the result is no worse by the method's own measure", (), ("diff_prune",),
        "bench.methods.diff_prune"),
    Row("D36", "which weights FairPrune removes", "\"weight saliency\"",
        "two re-implementations with opposite signs", "the smallest", ("fair_prune:direction=largest",),
        ("fair_prune",)),
    Row("D37", "LLFT's constraint and budget", "not said", "joint rates; 1,000 epochs at 1e-2",
        "joint rates; 1,000 epochs at 1e-2", ("llft:constraint=eq10", "llft:budget=recipe"), ("llft",)),
    Row("D38", "LLFT's data", "the external set", "four equal cells, with training data", "external",
        ("TASK:balance=four_cells",), ("llft",)),
    Row("D39", "importance from gradients", "squared gradients (Fisher)",
        "on other paths their sum (SWiFT), the sum of absolute values (BMFT)", "Fisher",
        _each(MASKING, "importance=gradient_sum", "importance=gradient_absolute"), MASKING),
    Row("D40", "schedule of fine-tuning", "not said", "a cosine that is never stepped", "constant",
        ("TASK:schedule=cosine",)),
    Row("D41", "unknown skin types of Fitzpatrick-17k", "all 16,577 images", "coded light", "no group, left out",
        ("fitzpatrick17k:unknown=light",)),
    Row("D42", "the loss that is logged", "not said", "a tensor with its graph: memory grows",
        "a number; no result depends on it", (), ("swift",), "bench.methods.swift"),
    Row("D43", "images of DiffGda's and DiffPrune's evaluations", "not said", "the whole validation set",
        "about 4,096 of a larger one, the same share of each label and group",
        _each(("diff_gda", "diff_prune"), "evaluation_images=0"), ("diff_gda", "diff_prune")),
)}
# fmt: on


def find(name: str) -> Row:
    """The row called `name`, such as D05; raises UnknownName."""
    if name.upper() not in REGISTER:
        raise UnknownName("row of the register", name.upper(), REGISTER)
    return REGISTER[name.upper()]


def concerning(plugin: str, declared: Iterable[str] = ()) -> list[Row]:
    """The rows that name the method `plugin`, and those that its options declare by id, in order."""
    wanted = {*declared}
    return [row for row in REGISTER.values() if plugin in row.methods or row.id in wanted]
