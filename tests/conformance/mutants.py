"""Broken methods: a sound one, what of its text is replaced in each, and the check that must see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FIT = """\
        return learn.finetune(
            run,
            run.model,
            loss=learn.blend(self.beta),
            split="external",
            train=("head",),
            epochs=run.recipe.epochs,
            lr=run.recipe.lr_head,
        )
"""
_BETA = '    beta: float = option(0.9, "Weight of the prediction loss.", low=0, high=1)\n'
_LOSS = "learn.blend(self.beta)"
_USES = 'uses = frozenset({"external"})'
_CHANGES = 'changes = frozenset({"head"})'
_DECORATOR = "@dataclass(frozen=True, kw_only=True)\n"
SOUND = f'''"""TITLE: tunes the head.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from bench import learn
from bench.api import Method, option


{_DECORATOR}class Mutant(Method):
    """Tunes the head."""

    title = "TITLE"
    {_USES}
    {_CHANGES}

{_BETA}
    def fit(self, run):
{_FIT}'''


@dataclass(frozen=True)
class Mutant:
    """The check that must find it, what that says, and what is replaced in `SOUND`."""

    check: str
    says: str
    replaced: dict[str, str]

    def text(self, name: str) -> str:
        """Return the module of the plugin of that name."""
        text = SOUND
        for old, new in self.replaced.items():
            assert text.count(old) == 1, f"{name}: {old!r} stands {text.count(old)} times in the template"
            text = text.replace(old, new)
        return text.replace("TITLE", name.title().replace("_", "-"))


def write(name: str, folder: Path) -> Path:
    """Write the file of a mutant and return it."""
    file = folder / f"{name}.py"
    file.write_text(MUTANTS[name].text(name))
    return file


MUTANTS = {
    "says_nothing": Mutant(
        "check_docstring",
        "has no Code:, Departures:",
        {"Code: none.\nDepartures: none.\n": ""},
    ),
    "no_dataclass": Mutant(
        "check_declaration",
        "beta is not a parameter: put @dataclass",
        {_DECORATOR: "", _LOSS: "learn.blend(0.9)"},
    ),
    "comma_in_choice": Mutant(
        "check_spec",
        'terms="prediction,bias"',
        {
            _BETA: '    terms: Literal["prediction", "prediction,bias"] = option("prediction", "What is minimised.")\n',
            _LOSS: 'learn.blend(1.0 if self.terms == "prediction" else 0.5)',
        },
    ),
    "ablates_nothing": Mutant(
        "check_grids",
        "beta=1.5",
        {_BETA: f'    ablations: ClassVar = {{"beta": ("beta=0.5", "beta=1.5")}}\n{_BETA}'},
    ),
    "skips_validation": Mutant(
        "check_refusals",
        "beta=-1 is accepted, but it must be at least 0",
        {
            _BETA: f"""{_BETA}    gamma: float = option(0.1, "Weight of the bias proxy.", low=0, high=1)

    def __post_init__(self):
        if self.beta + self.gamma == 0:
            raise ValueError("nothing to minimise")

    def loss(self, z, y, a):
        return self.beta * learn.prediction_loss(z, y) + self.gamma * learn.equalised_odds_proxy(z, y, a)
""",
            _LOSS: "self.loss",
        },
    ),
    "reads_undeclared_split": Mutant(
        "check_splits",
        "reads the split 'train' but declares uses = {external}",
        {'split="external"': 'split="train"'},
    ),
    "two_dimensions": Mutant(
        "check_logits",
        "logits of shape (96,) expected for 96 images, the model gave (96, 1)",
        {
            _USES: "uses = frozenset(())",
            _CHANGES: "changes = frozenset(())",
            _BETA: "",
            _FIT: "        return nn.Sequential(run.model.features, run.model.head)\n",
        },
    ),
    "returns_scores": Mutant(
        "check_scores",
        "every output lies between 0 and 1",
        {
            _DECORATOR: f"""class Scores(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).sigmoid()


{_DECORATOR}""",
            "return learn.finetune(": "net = learn.finetune(",
            "lr_head,\n        )\n": "lr_head,\n        )\n        return Scores(net)\n",
        },
    ),
    "draws_unseeded": Mutant(
        "check_repeats",
        "two fits with the same seed give different logits",
        {
            _USES: "uses = frozenset(())",
            _BETA: "",
            _FIT: """\
        rng = torch.Generator()
        rng.seed()
        torch.nn.init.normal_(run.model.linear.weight, std=0.1, generator=rng)
        return run.model
""",
        },
    ),
    "leaks_state": Mutant(
        "check_leaks",
        "other logits after another fit than alone",
        {
            _DECORATOR: f"_seen = {{}}\n\n\n{_DECORATOR}",
            _BETA: "",
            _FIT: """\
        if "head" not in _seen:
            bias, prediction = learn.fisher_importances(run, run.model, "external")
            _seen["head"] = learn.soft_mask(learn.importance_ratio(bias, prediction))["head.1.weight"]
        with torch.no_grad():
            run.model.linear.weight.mul_(1 - 0.5 * _seen["head"])
        return run.model
""",
        },
    ),
    "draws_globally": Mutant(
        "check_random_state",
        "global random state of torch changed",
        {
            _BETA: "",
            "        return": "        torch.nn.init.normal_(run.model.linear.weight, std=0.1)\n        return",
            _LOSS: "learn.blend(1.0)",
            "run.recipe.epochs": "2",
        },
    ),
    "patches_network": Mutant(
        "check_baseline",
        "the shared baseline gives other logits: do not patch",
        {
            _USES: "uses = frozenset()",
            _CHANGES: "changes = frozenset(())",
            _BETA: "",
            _FIT: """\
        net = run.model
        type(net).forward = lambda self, x: self.head(self.features(x)).squeeze(1) / 2
        return net
""",
        },
    ),
    "moves_labels": Mutant(
        "check_data",
        "y of the split external changed",
        {
            _BETA: '    smoothing: float = option(0.1, "Distance of a label from 0 or 1.", low=0, high=0.5)\n',
            "        return": """\
        run.split("external").y.clamp_(self.smoothing, 1 - self.smoothing)
        return""",
            _LOSS: "learn.blend(1.0)",
        },
    ),
    "trains_frozen_layer": Mutant(
        "check_changes",
        "changes features.0.weight (the extractor), but declares head, statistics",
        {_CHANGES: 'changes = frozenset({"statistics", "head"})', 'train=("head",)': 'train=("features", "head")'},
    ),
    "moves_statistics": Mutant(
        "check_changes",
        "changes features.1.running_mean (the statistics), but declares head",
        {
            _FIT: """\
        net, data, loss = run.model, run.split("external"), learn.blend(self.beta)
        net.features.requires_grad_(False)
        net.train()
        optimiser, rng = torch.optim.SGD(net.head.parameters(), lr=run.recipe.lr_head), run.rng("batches")
        with learn.seeded(run.rng("dropout")):
            for x, y, a in data.batches(size=run.recipe.batch, shuffle=True, rng=rng):
                optimiser.zero_grad()
                loss(net(x), y, a).backward()
                optimiser.step()
        return net.eval()
"""
        },
    ),
    "broken_choice": Mutant(
        "check_choices",
        "broken_choice:loss=gap raised AttributeError",
        {
            _BETA: '    loss: Literal["blend", "gap"] = option("blend", "What is minimised.")\n',
            _LOSS: 'learn.blend(0.9) if self.loss == "blend" else learn.true_positive_gap',
        },
    ),
    "broken_preset": Mutant(
        "check_presets",
        "preset code cannot be built",
        {_BETA: f'    presets: ClassVar = {{"paper": {{"beta": 0.5}}, "code": {{"betta": 0.7}}}}\n{_BETA}'},
    ),
    "ignores_parameter": Mutant(
        "check_parameters",
        "rate changes neither logits nor logged facts",
        {_BETA: f'{_BETA}    rate: float = option(1e-2, "Learning rate.", low=0)\n'},
    ),
    "prunes_wrong_count": Mutant(
        "check_pruned",
        "promises 32 entries, fit sets 33 to zero",
        {
            _USES: "uses = frozenset(())",
            _BETA: """\
    share: float = option(0.25, "Share of the head's weights set to zero.", low=0, high=1)

    def pruned(self, net):
        return round(self.share * net.linear.weight.numel())
""",
            _FIT: """\
        weight = run.model.linear.weight
        with torch.no_grad():
            # The threshold itself is kept.
            weight[weight.abs() < weight.abs().quantile(self.share)] = 0
            weight[:, -1] = 0
        return run.model
""",
        },
    ),
    "divides_by_group": Mutant(
        "check_rare_groups",
        "lack a class or a group",
        {
            _BETA: """\
    def gap(self, z, y, a):
        p = z.sigmoid()
        return learn.prediction_loss(z, y) + (p[a == 0].mean() - p[a == 1].mean()) ** 2
""",
            _LOSS: "self.gap",
        },
    ),
    "forgets_mask": Mutant(
        "check_state",
        "keep masks as buffers, not as attributes",
        {
            _DECORATOR: f"""class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, h):
        return h * self.mask


{_DECORATOR}""",
            _USES: "uses = frozenset(())",
            _BETA: '    keep: float = option(0.8, "Share of the features that are kept.", low=0, high=1)\n',
            _FIT: """\
        mask = torch.rand(run.model.linear.in_features, generator=run.rng("mask")) < self.keep
        run.model.head[0] = Masked(mask.float())
        return run.model
""",
        },
    ),
}
