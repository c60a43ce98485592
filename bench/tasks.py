"""The task table: what is compared on what. Data, no logic; `bench ls tasks` prints it.

A task of your own is the same thing in a TOML file: `bench run --task my-task.toml`.

The small recipe (the `small` backbone at 64 pixels) was fixed once on validation data of a phantom, for all
methods together; `docs/small-recipe.md` says how. `skin` and `chest` are those of SWiFT: its paper, and where that is
silent (momentum, rates, epsilon) its public code.
"""

from __future__ import annotations

from bench.api import Attribute, Label, Recipe, Rows, Task

RECIPES: dict[str, Recipe] = {
    "small": Recipe(
        pretrain_optimiser="adam",
        pretrain_lr=1e-3,
        pretrain_epochs=6,
        pretrain_decay=True,
        optimiser="adam",
        lr_extractor=1e-4,
        lr_head=1e-2,
        epochs=10,
        epsilon=0.1,
        batch=64,
    ),
    "skin": Recipe(
        pretrain_optimiser="sgd",
        pretrain_lr=1e-4,
        pretrain_epochs=200,
        optimiser="sgd",
        lr_extractor=1e-4,
        lr_head=1e-3,
        epochs=20,
        epsilon=0.1,
    ),
    "chest": Recipe(
        pretrain_optimiser="adam",
        pretrain_lr=1e-4,
        pretrain_epochs=100,
        optimiser="adam",
        lr_extractor=1e-6,
        lr_head=1e-6,
        epochs=10,
        epsilon=0.01,
    ),
}

_PUBLIC_CODE = {
    "protocol": "paper",
    "balance": "reference",
    "pretrain_checkpoint": "reference",
    "pretrain_clip": 0.5,
    "pretrain_decay": False,
    "pretrain_plateau": True,
}
PRESETS: dict[str, dict[int, dict[str, object]]] = {
    "suite": {1: {}, 3: {}},
    "paper": {1: {"protocol": "paper"}, 3: {"protocol": "paper"}},
    "reference": {1: {**_PUBLIC_CODE, "augment": "chest_reference"}, 3: _PUBLIC_CODE},
}
"""`TASK:preset=NAME`: fields of task and recipe by the number of channels, 1 for chest films.

`suite` is the task as it is listed. `paper` deals images instead of patients into folds. `reference` does what the
public code of SWiFT does besides (D02, D17, D31); methods have presets of their own.
"""

SEX = Attribute(column="female", names=("male", "female"))
OLD = Attribute(column="age", above=65, names=("up to 65", "over 65"))
OVER_60 = Attribute(column="age", above=60, names=("up to 60", "over 60"))
DARK = Attribute(column="dark", names=("light", "dark"))
# SWiFT, Table 5, says five groups of ages 0 to 80 and not where they are cut: the cuts are MEDFAIR's.
AGE_BANDS = Attribute(column="age", cuts=(20, 40, 60, 80), names=("0-19", "20-39", "40-59", "60-79", "80+"))
# Nobody of a phantom is under 18 or over 90, and the tie of age and finding changes at 66: bands of a fifth each.
PHANTOM_AGE_BANDS = Attribute(column="age", cuts=(35, 50, 66, 78), names=("18-34", "35-49", "50-65", "66-77", "78-90"))
SKIN_TYPES = Attribute(
    column="fst",
    values=(("1",), ("2",), ("3",), ("4",), ("5",), ("6",)),
    names=("type 1", "type 2", "type 3", "type 4", "type 5", "type 6"),
)

PNEUMOTHORAX = Label(column="pneumothorax", names=("no finding", "pneumothorax"))
# The paper's polarity: melanoma is the negative class. The proxy of Eqs. 2-4 is not indifferent to it.
NOT_MELANOMA = Label(column="melanoma", one=("0",), zero=("1",), names=("melanoma", "other lesion"))
MALIGNANT = Label(column="malignant", names=("benign", "malignant"))


def _phantom(hospital: str, images: int, family: str, **dials: object) -> Rows:
    given = {"family": family, "hospital": hospital, "images": images, **dials}
    return Rows(dataset="phantom:" + ",".join(f"{key}={value}" for key, value in given.items()))


def _phantom_task(name: str, says: str, family: str, attribute: Attribute, images: int = 2400, **dials: object) -> Task:
    return Task(
        name=name,
        says=says,
        source=_phantom("source", images, family, **dials),
        ood={
            hospital: _phantom(hospital, 2000, family, **{k: v for k, v in dials.items() if k != "log_odds"})
            for hospital in ("ood_neutral", "ood_reversed")
        },
        label=PNEUMOTHORAX if family == "chest" else NOT_MELANOMA,
        attribute=attribute,
        image_size=64,
        channels=1 if family == "chest" else 3,
        crop="none",
        recipe=RECIPES["small"],
    )


def _ham10000(name: str, groups: str, attribute: Attribute) -> Task:
    return Task(
        name=f"ham10000-{name}",
        says=f"HAM10000, malignant lesions; trained in Vienna, tested in Queensland; {groups}",
        source=Rows(dataset="ham10000", where={"source": ("vidir_modern", "vidir_molemax", "vienna_dias")}),
        ood={"rosendahl": Rows(dataset="ham10000", where={"source": ("rosendahl",)})},
        label=MALIGNANT,
        attribute=attribute,
        image_size=64,
        channels=3,
        crop="centre",
        recipe=RECIPES["small"],
    )


def _paper_task(
    recipe: str, name: str, says: str, attribute: Attribute, hospitals: tuple[str, ...], backbones: tuple[str, ...] = ()
) -> Task:
    """Return a task of SWiFT's paper: of its skin lesions, or of its chest films."""
    skin = recipe == "skin"
    return Task(
        name=name,
        says=says,
        source=Rows(dataset="isic" if skin else "mimic_cxr"),
        ood={hospital: Rows(dataset=hospital) for hospital in hospitals},
        label=NOT_MELANOMA if skin else PNEUMOTHORAX,
        attribute=attribute,
        image_size=256 if skin else 224,
        channels=3 if skin else 1,
        crop="centre" if skin else "none",
        recipe=RECIPES[recipe],
        backbones=backbones or ("resnet50", "efficientnet_b3" if skin else "densenet121"),
        weights="imagenet",
    )


_ALL = (
    _phantom_task(
        "phantom-cxr-age",
        "generated chest films, pneumothorax tied to age in the source hospital; the demo",
        "chest",
        OLD,
        tied="age",
    ),
    _phantom_task(
        "phantom-cxr-sex",
        "generated chest films, pneumothorax tied to sex in the source hospital",
        "chest",
        SEX,
        tied="sex",
    ),
    _phantom_task(
        "phantom-skin-tone",
        "generated skin lesions, melanoma tied to light skin in the source hospital",
        "skin",
        DARK,
        tied="tone",
    ),
    _phantom_task(
        "phantom-skin-sex",
        "generated skin lesions, melanoma tied to sex in the source hospital",
        "skin",
        SEX,
        tied="sex",
    ),
    _phantom_task(
        "phantom-cxr-age-no-correlation",
        "control: age and pneumothorax are independent in the source hospital",
        "chest",
        OLD,
        tied="age",
        log_odds=0.0,
    ),
    _phantom_task(
        "phantom-cxr-age-no-cue",
        "control: age is tied to pneumothorax but leaves no trace in the films",
        "chest",
        OLD,
        tied="age",
        cue=0.0,
    ),
    _phantom_task(
        "phantom-cxr-age-no-core",
        "control: pneumothorax leaves no trace in the films, age does",
        "chest",
        OLD,
        tied="age",
        core=0.0,
    ),
    # A fifth of the source images validates, and each group should have twenty of each class there, better more. Ages:
    # 4,800 leave 41. Type 6 is 6 % of all: with the usual tie of -2 its melanomas are too few in 12,000 images, with
    # a tie of -1 there are 25 in the fifth part of 9,600.
    _phantom_task(
        "phantom-cxr-age-groups",
        "generated chest films, five age bands, pneumothorax tied to age over 65 in the source hospital",
        "chest",
        PHANTOM_AGE_BANDS,
        images=4800,
        tied="age",
    ),
    _phantom_task(
        "phantom-skin-tone-groups",
        "generated skin lesions, six skin types, melanoma tied to light skin in the source hospital",
        "skin",
        SKIN_TYPES,
        images=9600,
        tied="tone",
        log_odds=-1.0,
    ),
    _ham10000("sex", "women and men", SEX),
    _ham10000("age", "up to 60 and over 60", OVER_60),
    _paper_task(
        "skin",
        "skin-tone",
        "melanoma, trained on ISIC, tested on Fitzpatrick 17k and DDI; light and dark skin",
        DARK,
        ("fitzpatrick17k", "ddi"),
    ),
    _paper_task(
        "skin",
        "skin-gender",
        "melanoma, trained on ISIC, tested on the Atlas of Dermoscopy and PAD-UFES-20; women and men",
        SEX,
        ("atlas", "pad_ufes_20"),
    ),
    _paper_task(
        "chest",
        "cxr-gender",
        "pneumothorax, trained on MIMIC-CXR, tested on CheXpert and NIH; women and men",
        SEX,
        ("chexpert", "nih_cxr14"),
    ),
    _paper_task(
        "chest",
        "cxr-age",
        "pneumothorax, trained on MIMIC-CXR, tested on CheXpert and NIH; up to and over 65",
        OLD,
        ("chexpert", "nih_cxr14"),
    ),
    # Table 5 has one network and one test set: DDI knows three skin types, and NIH has 20 positives over 80.
    _paper_task(
        "skin",
        "skin-tone-groups",
        "melanoma, trained on ISIC, tested on Fitzpatrick 17k; six skin types",
        SKIN_TYPES,
        ("fitzpatrick17k",),
        ("resnet50",),
    ),
    _paper_task(
        "chest",
        "cxr-age-groups",
        "pneumothorax, trained on MIMIC-CXR, tested on CheXpert; five age bands",
        AGE_BANDS,
        ("chexpert",),
        ("resnet50",),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}
