"""The task table: what is compared on what. Data, no logic; `bench ls tasks` prints it.

A task of your own is the same thing in a TOML file: `bench run --task my-task.toml`.

The small recipe (the `small` backbone at 64 pixels) was fixed once on validation data of a phantom, for all
methods together; `docs/small-recipe.md` says how. `skin` and `chest` are the paper's; where it is silent (learning
rates of fine-tuning, momentum, weight decay, epsilon), they are those of SWiFT's public code.
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

SEX = Attribute(column="female", names=("male", "female"))
OLD = Attribute(column="age", above=65, names=("up to 65", "over 65"))
DARK = Attribute(column="dark", names=("light", "dark"))

PNEUMOTHORAX = Label(column="pneumothorax", names=("no finding", "pneumothorax"))
# The paper's polarity: melanoma is the negative class. The proxy of Eqs. 2-4 is not indifferent to it.
NOT_MELANOMA = Label(column="melanoma", one=("0",), zero=("1",), names=("melanoma", "other lesion"))
MALIGNANT = Label(column="malignant", names=("benign", "malignant"))


def _phantom(hospital: str, images: int, family: str, **dials: object) -> Rows:
    given = {"family": family, "hospital": hospital, "images": images, **dials}
    return Rows(dataset="phantom:" + ",".join(f"{key}={value}" for key, value in given.items()))


def _phantom_task(name: str, says: str, family: str, attribute: Attribute, label: Label, **dials: object) -> Task:
    return Task(
        name=name,
        says=says,
        source=_phantom("source", 2400, family, **dials),
        ood={
            hospital: _phantom(hospital, 2000, family, **{k: v for k, v in dials.items() if k != "log_odds"})
            for hospital in ("ood_neutral", "ood_reversed")
        },
        label=label,
        attribute=attribute,
        image_size=64,
        channels=1 if family == "chest" else 3,
        crop="none",
        recipe=RECIPES["small"],
    )


def _skin_task(name: str, says: str, attribute: Attribute, hospitals: tuple[str, ...]) -> Task:
    return Task(
        name=name,
        says=says,
        source=Rows(dataset="isic"),
        ood={hospital: Rows(dataset=hospital) for hospital in hospitals},
        label=NOT_MELANOMA,
        attribute=attribute,
        image_size=256,
        channels=3,
        crop="centre",
        recipe=RECIPES["skin"],
        backbones=("resnet50", "efficientnet_b3"),
        weights="imagenet",
    )


def _chest_task(name: str, says: str, attribute: Attribute) -> Task:
    return Task(
        name=name,
        says=says,
        source=Rows(dataset="mimic_cxr"),
        ood={hospital: Rows(dataset=hospital) for hospital in ("chexpert", "nih_cxr14")},
        label=PNEUMOTHORAX,
        attribute=attribute,
        image_size=224,
        channels=1,
        crop="none",
        recipe=RECIPES["chest"],
        backbones=("resnet50", "densenet121"),
        weights="imagenet",
    )


_CXR_AGE = _phantom_task(
    "phantom-cxr-age",
    "generated chest films, pneumothorax tied to age in the source hospital; the demo",
    "chest",
    OLD,
    PNEUMOTHORAX,
    tied="age",
)

_ALL = (
    _CXR_AGE,
    _phantom_task(
        "phantom-cxr-sex",
        "generated chest films, pneumothorax tied to sex in the source hospital",
        "chest",
        SEX,
        PNEUMOTHORAX,
        tied="sex",
    ),
    _phantom_task(
        "phantom-skin-tone",
        "generated skin lesions, melanoma tied to light skin in the source hospital",
        "skin",
        DARK,
        NOT_MELANOMA,
        tied="tone",
    ),
    _phantom_task(
        "phantom-cxr-age-no-correlation",
        "control: age and pneumothorax are independent in the source hospital",
        "chest",
        OLD,
        PNEUMOTHORAX,
        tied="age",
        log_odds=0.0,
    ),
    _phantom_task(
        "phantom-cxr-age-no-cue",
        "control: age is tied to pneumothorax but leaves no trace in the films",
        "chest",
        OLD,
        PNEUMOTHORAX,
        tied="age",
        cue=0.0,
    ),
    _phantom_task(
        "phantom-cxr-age-no-core",
        "control: pneumothorax leaves no trace in the films, age does",
        "chest",
        OLD,
        PNEUMOTHORAX,
        tied="age",
        core=0.0,
    ),
    Task(
        name="ham10000-sex",
        says="HAM10000, malignant lesions; trained in Vienna, tested in Queensland; women and men",
        source=Rows(dataset="ham10000", where={"source": ("vidir_modern", "vidir_molemax", "vienna_dias")}),
        ood={"rosendahl": Rows(dataset="ham10000", where={"source": ("rosendahl",)})},
        label=MALIGNANT,
        attribute=SEX,
        image_size=64,
        channels=3,
        crop="centre",
        recipe=RECIPES["small"],
    ),
    _skin_task(
        "skin-tone",
        "melanoma, trained on ISIC, tested on Fitzpatrick 17k and DDI; light and dark skin",
        DARK,
        ("fitzpatrick17k", "ddi"),
    ),
    _skin_task(
        "skin-gender",
        "melanoma, trained on ISIC, tested on the Atlas of Dermoscopy and PAD-UFES-20; women and men",
        SEX,
        ("atlas", "pad_ufes_20"),
    ),
    _chest_task("cxr-gender", "pneumothorax, trained on MIMIC-CXR, tested on CheXpert and NIH; women and men", SEX),
    _chest_task("cxr-age", "pneumothorax, trained on MIMIC-CXR, tested on CheXpert and NIH; up to and over 65", OLD),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}
