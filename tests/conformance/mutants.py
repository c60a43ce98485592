"""Broken methods: what of the text of a sound one is replaced in each, and the check that must see it."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.leaky import LEAKY
from tests.conformance.template import BETA, CHANGES, DECORATOR, FIT, LOSS, USES, Mutant, around
from tests.conformance.template import SOUND as SOUND


def write(name: str, folder: Path) -> Path:
    """Write the file of a mutant and return it."""
    file = folder / f"{name}.py"
    file.write_text(MUTANTS[name].text(name))
    return file


MUTANTS = {
    **LEAKY,
    "says_nothing": Mutant(
        "check_docstring",
        "has no Code:, Departures:",
        {"Code: none.\nDepartures: none.\n": ""},
    ),
    "no_dataclass": Mutant(
        "check_declaration",
        "beta is not a parameter: put @dataclass",
        {DECORATOR: "", LOSS: "learn.blend(0.9)"},
    ),
    "comma_in_choice": Mutant(
        "check_spec",
        'terms="prediction,bias"',
        {
            BETA: '    terms: Literal["prediction", "prediction,bias"] = option("prediction", "What is minimised.")\n',
            LOSS: 'learn.blend(1.0 if self.terms == "prediction" else 0.5)',
        },
    ),
    "ablates_nothing": Mutant(
        "check_grids",
        "beta=1.5",
        {BETA: f'    ablations: ClassVar = {{"beta": ("beta=0.5", "beta=1.5")}}\n{BETA}'},
    ),
    "skips_validation": Mutant(
        "check_refusals",
        "beta=-1 is accepted, but it must be at least 0",
        {
            BETA: f"""{BETA}    gamma: float = option(0.1, "Weight of the bias proxy.", low=0, high=1)

    def __post_init__(self):
        if self.beta + self.gamma == 0:
            raise ValueError("nothing to minimise")

    def loss(self, z, y, a):
        return self.beta * learn.prediction_loss(z, y) + self.gamma * learn.equalised_odds_proxy(z, y, a)
""",
            LOSS: "self.loss",
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
            USES: "uses = frozenset(())",
            CHANGES: "changes = frozenset(())",
            BETA: "",
            FIT: "        return nn.Sequential(run.model.features, run.model.head)\n",
        },
    ),
    "needs_what_it_does_not_read": Mutant(
        "check_attribute",
        "another group changes no logit",
        {
            USES: f"{USES}\n    needs_attribute = True",
            **{
                old: new.replace("def forward(self, x):", "def forward(self, x, a):")
                for old, new in around("pass", "        return self.net(x)").items()
            },
        },
    ),
    "returns_scores": Mutant(
        "check_scores",
        "every output lies between 0 and 1",
        around("pass", "        return self.net(x).sigmoid()"),
    ),
    "draws_unseeded": Mutant(
        "check_repeats",
        "two fits with the same seed give different logits",
        {
            USES: "uses = frozenset(())",
            BETA: "",
            FIT: """\
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
            DECORATOR: f"_seen = {{}}\n\n\n{DECORATOR}",
            BETA: "",
            FIT: """\
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
            BETA: "",
            "        return": "        torch.nn.init.normal_(run.model.linear.weight, std=0.1)\n        return",
            LOSS: "learn.blend(1.0)",
            "run.recipe.epochs": "2",
        },
    ),
    "patches_network": Mutant(
        "check_baseline",
        "the shared baseline gives other logits: do not patch",
        {
            USES: "uses = frozenset()",
            CHANGES: "changes = frozenset(())",
            BETA: "",
            FIT: """\
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
            BETA: '    smoothing: float = option(0.1, "Distance of a label from 0 or 1.", low=0, high=0.5)\n',
            "        return": """\
        run.split("external").y.clamp_(self.smoothing, 1 - self.smoothing)
        return""",
            LOSS: "learn.blend(1.0)",
        },
    ),
    "trains_frozen_layer": Mutant(
        "check_changes",
        "changes features.0.weight (the extractor), but declares head, statistics",
        {CHANGES: 'changes = frozenset({"statistics", "head"})', 'train=("head",)': 'train=("features", "head")'},
    ),
    "moves_statistics": Mutant(
        "check_changes",
        "changes features.1.running_mean (the statistics), but declares head",
        {
            FIT: """\
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
            BETA: '    loss: Literal["blend", "gap"] = option("blend", "What is minimised.")\n',
            LOSS: 'learn.blend(0.9) if self.loss == "blend" else learn.true_positive_gap',
        },
    ),
    "broken_preset": Mutant(
        "check_presets",
        "preset code cannot be built",
        {BETA: f'    presets: ClassVar = {{"paper": {{"beta": 0.5}}, "code": {{"betta": 0.7}}}}\n{BETA}'},
    ),
    "ignores_parameter": Mutant(
        "check_parameters",
        "rate changes neither logits nor logged facts",
        {BETA: f'{BETA}    rate: float = option(1e-2, "Learning rate.", low=0)\n'},
    ),
    "prunes_wrong_count": Mutant(
        "check_pruned",
        "promises 32 entries, fit sets 33 to zero",
        {
            USES: "uses = frozenset(())",
            BETA: """\
    share: float = option(0.25, "Share of the head's weights set to zero.", low=0, high=1)

    def pruned(self, net):
        return round(self.share * net.linear.weight.numel())
""",
            FIT: """\
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
            BETA: """\
    def gap(self, z, y, a):
        p = z.sigmoid()
        return learn.prediction_loss(z, y) + (p[a == 0].mean() - p[a == 1].mean()) ** 2
""",
            LOSS: "self.gap",
        },
    ),
    "forgets_mask": Mutant(
        "check_state",
        "keep masks as buffers, not as attributes",
        {
            DECORATOR: f"""class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, h):
        return h * self.mask


{DECORATOR}""",
            USES: "uses = frozenset(())",
            BETA: '    keep: float = option(0.8, "Share of the features that are kept.", low=0, high=1)\n',
            FIT: """\
        mask = torch.rand(run.model.linear.in_features, generator=run.rng("mask")) < self.keep
        run.model.head[0] = Masked(mask.float())
        return run.model
""",
        },
    ),
}
