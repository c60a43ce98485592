"""The card of a model: what it is, how it was made, how well it does by group, and what it is not for.

It has the form of model hubs: YAML between two lines of dashes, then Markdown. It names no folder and no machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bench.errors import clean
from bench.models.card_scores import Estimate, SetOnCard
from bench.models.model_config import Config
from bench.scoring.metrics import VALIDATION

USE = """```python
import bench

model = bench.load_model("THIS FOLDER")          # a torch module: model(pixels) gives logits
```

`bench predict THIS-FOLDER --csv images.csv --out predictions.csv` applies it to the images that a table names."""
NOT_FOR = (
    "Decisions about patients. It is a result of research and no medical device.",
    "Images of other scanners, sites or populations than those below, unless it was tested on them first.",
    "Other findings than its label, and groups that were not compared below.",
    "A claim that it is fair. The numbers below hold for these groups, these images and this threshold only.",
)


@dataclass(frozen=True)
class Source:
    """A set of images: its name, dataset, licence, citation, and images and fingerprint."""

    name: str
    dataset: str
    licence: str
    citation: str
    images: str


@dataclass(frozen=True)
class About:
    """What a card says beside the config and the scores."""

    says: str
    unit: str
    """What is independent: patients, lesions or images."""
    sources: Sequence[Source]
    recipe: Mapping[str, Any]
    parameters: Mapping[str, Any]
    made: str
    """How the logit of the model is made, in sentences."""
    checked: str
    """How the file was compared with what was scored."""
    agreements: Sequence[str] = ()
    """What is under an agreement: datasets, and a model that was the baseline."""


def card(config: Config, about: About, sets: Sequence[SetOnCard]) -> str:
    """Return the text of the card."""
    positive = config.label_names[1]
    body = "\n\n".join(
        [
            f"# {config.title} on {config.task}",
            *_marks(config, about),
            f"{about.says} The model gives a logit for '{positive}'; its score is the sigmoid. {about.made}",
            "## Use",
            USE,
            *([_needs(config)] if config.attribute else []),
            "## What it is not for",
            "\n".join(f"- {line}" for line in NOT_FOR),
            "## Decision",
            f"'{positive}' is predicted at a score above {config.threshold:g}: {config.threshold_from}. "
            "A logit is compared, so that a score of exactly the threshold is negative.",
            "## Scores",
            f"With 95 % intervals of a bootstrap over {about.unit}; the network is fixed. TPR, FPR and the gap "
            "(equalised odds) are at the threshold above, those of the baseline at its own. "
            f"{about.checked}",
            *(part for one in sets for part in _set(one, about.unit)),
            "## Data",
            *_data(about),
            "## Recipe",
            _table(("", ""), [*about.parameters.items(), *about.recipe.items()]),
        ]
    )
    # Names are text: no HTML of the hub that shows the card, and no control of a terminal.
    return clean(f"---\n{_front(config, about, sets)}\n---\n\n{body.replace('<', '&lt;')}\n")


def _front(config: Config, about: About, sets: Sequence[SetOnCard]) -> str:
    """Return the front matter. JSON is YAML, so that every value is quoted as JSON."""
    marks = {"synthetic": config.synthetic, "credentialed": config.credentialed}
    metrics = [
        {"type": kind, "name": f"{title}, {one.name}", "value": round(value, 4)}
        for one in sets
        if one.name != VALIDATION
        for kind, title, value in (("roc_auc", "AUC", one.auc.value), ("equalised_odds", "gap", one.gap))
        if isfinite(value)
    ]
    results = [{"task": {"type": "image-classification"}, "dataset": {"name": config.task, "type": config.task}}]
    found = {
        "library_name": "debias-bench",
        "pipeline_tag": "image-classification",
        "license": "other",
        "license_name": "; ".join(dict.fromkeys(one.licence for one in about.sources)),
        "tags": ["medical-imaging", "bias-mitigation", *(name for name, found in marks.items() if found)],
        "model-index": [{"name": f"{config.title} on {config.task}", "results": [results[0] | {"metrics": metrics}]}],
    }
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in found.items())


def _marks(config: Config, about: About) -> list[str]:
    found = ["**SYNTHETIC PHANTOM DATA: these numbers say nothing about patients.**"] if config.synthetic else []
    if config.credentialed:
        names = ", ".join(about.agreements)
        found.append(
            f"**Made from data under an agreement ({names}), which each user must sign. Weights can reveal images that "
            "they were trained on: read the agreement before this folder leaves the machine.**"
        )
    return found


def _needs(config: Config) -> str:
    assert config.attribute is not None
    column, names = config.attribute.column, ", ".join(config.attribute.names)
    return (
        f"**It needs '{column}' ({names}) of every future patient**, as a column of the table, or as model(pixels, a) "
        "with the number of the group."
    )


def _set(one: SetOnCard, unit: str) -> list[str]:
    kind = "validation: methods may have seen these images" if one.name == VALIDATION else "test"
    of = f" of {one.patients} {unit}" if one.patients < one.n else ""
    if one.few:
        return [
            f"### {one.name} ({kind}), {one.n if one.n >= one.few else f'fewer than {one.few}'} images",
            f"AUC {_of(one.auc)}, baseline {_number(one.base_auc)}. Counts and scores by group are suppressed: a group "
            f"and class has fewer than {one.few} images.",
        ]
    rows = [[value if isinstance(value, str | int) else _of(value) for value in row] for row in one.groups]
    gap = f"Gap {_number(one.gap)}, baseline {_number(one.base_gap)}."
    levelled = (
        " **Levelled down**: the gap is smaller because a group lost, and none gained, beyond the intervals."
        if one.levelled_down
        else " Not levelled down."
    )
    return [
        f"### {one.name} ({kind}), {one.n} images{of}",
        f"AUC {_of(one.auc)}, baseline {_number(one.base_auc)}. {gap}{levelled}",
        _table(("group", "images", "positive", "AUC", "AUC of the baseline", "TPR", "FPR"), rows),
    ]


def _data(about: About) -> list[str]:
    rows = [(one.name, one.dataset, one.images, one.licence) for one in about.sources]
    citations = dict.fromkeys(f"{one.dataset}: {one.citation}" for one in about.sources)
    return [
        _table(("set", "dataset", "images and fingerprint (of ids, labels, groups and content)", "licence"), rows),
        "\n".join(f"- {one}" for one in citations),
    ]


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _of(value: float | Estimate) -> str:
    """Return a number, with its interval if it has one."""
    if not isinstance(value, Estimate):
        return _number(value)
    ends = f" [{_number(value.low)}, {_number(value.high)}]" if isfinite(value.low) else ""
    return f"{_number(value.value)}{ends}"


def _number(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "–"
