"""Variants of a task, what they share, and the order of their cells."""

import dataclasses
import re

import pytest
from inline_snapshot import snapshot

from bench import listing, taskfile
from bench.api import Recipe, Task
from bench.cells.identity import Cell, slug
from bench.data.task_data import task_data
from bench.errors import UsageError
from bench.running.launchers.local.pool import choose
from bench.running.plan import PRETRAIN_FIELDS, PlannedCell, baseline_identity, cell_hash, plan
from bench.settings import Settings
from bench.tasks import RECIPES, TASKS
from tests.prose import plain, sentences_with

CXR = "phantom-cxr-age"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (f"{CXR}:epochs=20,external=0.2", f"{CXR}:epochs=20,external=0.2"),
        (f"{CXR}:external=.20,epochs=20", f"{CXR}:epochs=20,external=0.2"),
        (f"{CXR}:lr-head=1e-4", f"{CXR}:lr_head=0.0001"),
        (f"{CXR}:epochs=10,external=1", CXR),
        (f"{CXR}:", CXR),
        (f"{CXR}:preset=suite", CXR),
        (f"{CXR}:preset=paper,folds=3", f"{CXR}:preset=paper,folds=3"),
        (
            f"{CXR}:preset=reference,protocol=clean,augment=dihedral,pretrain_clip=none,pretrain_plateau=no,precision=device,"
            "pretrain_decay=yes,pretrain_checkpoint=last",
            f"{CXR}:preset=reference,augment=dihedral,precision=device,pretrain_checkpoint=last,pretrain_clip=None,"
            "pretrain_decay=True,pretrain_plateau=False,protocol=clean",
        ),
        (f"{CXR}:pretrain_decay=no,pretrain_plateau=yes", f"{CXR}:pretrain_decay=False,pretrain_plateau=True"),
    ],
)
def test_the_name_is_what_differs_sorted(spec, name):
    task = taskfile.resolve(spec)
    assert task.name == name
    assert taskfile.resolve(name) == task
    if name == CXR:
        assert task is TASKS[CXR]


def test_fields_go_to_the_task_or_its_recipe():
    task = taskfile.resolve(f"{CXR}:external=0.2,epochs=20")
    base = TASKS[CXR]
    assert dataclasses.replace(task, name=base.name, external=1.0, recipe=base.recipe) == base
    assert dataclasses.replace(task.recipe, epochs=10) == base.recipe
    assert (task.external, task.recipe.epochs) == (0.2, 20)
    assert slug(task.name) == f"{CXR}+epochs-20+external-0.2"


def test_the_reference_preset_does_what_the_public_code_does():
    chest, skin = (taskfile.resolve(f"{name}:preset=reference") for name in (CXR, "phantom-skin-tone"))
    assert (chest.protocol, chest.balance) == ("paper", "reference")
    assert (chest.recipe.pretrain_checkpoint, chest.recipe.pretrain_clip) == ("reference", 0.5)
    assert (chest.recipe.pretrain_plateau, chest.recipe.pretrain_decay) == (True, False)
    assert (chest.recipe.augment, skin.recipe.augment) == ("chest_reference", "dihedral")
    assert (chest.recipe.precision, skin.recipe.precision) == ("float32", "float32")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            "externl=1",
            snapshot(
                "unknown field 'externl' of phantom-cxr-age: did you mean external or deterministic? allowed: image_size, channels, crop, unit, unit_logit, weights, folds, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, pretrain_lr, pretrain_epochs, optimiser, lr_extractor, lr_head, epochs, epsilon, pretrain_decay, pretrain_momentum, pretrain_weight_decay, pretrain_checkpoint, pretrain_clip, pretrain_plateau, pretrain_statistics, momentum, weight_decay, batch, augment, weight_counts, reduction, epochs_mode, schedule, precision, threads, deterministic, compile, odds, draw, untied, preset, label"
            ),
        ),
        (
            "label=1",
            snapshot("phantom-cxr-age:label=1: label=1: the task has one label; leave it out"),
        ),
        (
            "name=other",
            snapshot(
                "unknown field 'name' of phantom-cxr-age: did you mean augment? allowed: image_size, channels, crop, unit, unit_logit, weights, folds, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, pretrain_lr, pretrain_epochs, optimiser, lr_extractor, lr_head, epochs, epsilon, pretrain_decay, pretrain_momentum, pretrain_weight_decay, pretrain_checkpoint, pretrain_clip, pretrain_plateau, pretrain_statistics, momentum, weight_decay, batch, augment, weight_counts, reduction, epochs_mode, schedule, precision, threads, deterministic, compile, odds, draw, untied, preset, label"
            ),
        ),
        ("external=2", snapshot("phantom-cxr-age:external=2: Task.external=2.0: a number from 0 to 1 expected")),
        ("external=nan", snapshot("phantom-cxr-age:external=nan: Task.external=nan: a number from 0 to 1 expected")),
        ("epochs=-1", snapshot("phantom-cxr-age:epochs=-1: Recipe.epochs=-1: a number from 0 to inf expected")),
        ("epochs=2.5", snapshot("phantom-cxr-age:epochs=2.5: epochs='2.5': int expected")),
        (
            "balance=four_cell",
            snapshot(
                "phantom-cxr-age:balance=four_cell: unknown value 'four_cell' for balance: did you mean four_cells? allowed: matched, four_cells, reference"
            ),
        ),
        (
            "deficit=trim,balance=four_cells",
            snapshot(
                "phantom-cxr-age:deficit=trim,balance=four_cells: Task.deficit=trim is only read with balance=matched, not with balance=four_cells: leave it out or change balance"
            ),
        ),
        (
            "pretrain_plateau=true",
            snapshot(
                "phantom-cxr-age:pretrain_plateau=true: Recipe.pretrain_plateau=True is only read with pretrain_decay=False, not with pretrain_decay=True: leave it out or change pretrain_decay"
            ),
        ),
        (
            "preset=papr",
            snapshot(
                "phantom-cxr-age:preset=papr: unknown preset 'papr': did you mean paper? allowed: suite, paper, reference"
            ),
        ),
        ("external=0,external=1", snapshot("'phantom-cxr-age:external=0,external=1' gives external twice")),
        ("external", snapshot("'external' in 'phantom-cxr-age:external': write field=value")),
    ],
)
def test_mistakes_are_named(changes, says):
    with pytest.raises(UsageError) as error:
        taskfile.resolve(f"{CXR}:{changes}")
    assert str(error.value) == says
    assert error.value.exit_code == 2
    assert CXR in str(error.value)


OWN = """
image_size = 32
channels = 1
folds = 2
{more}
[source]
dataset = "phantom:images=240,size=32"
[ood.neutral]
dataset = "phantom:images=60,size=32,hospital=ood_neutral"
[label]
column = "pneumothorax"
names = ["no finding", "pneumothorax"]
[attribute]
column = "age"
above = 65
names = ["up to 65", "over 65"]
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.toml").write_text(OWN.format(more="external = 0.5"))
    return tmp_path / "own.toml"


def test_a_task_file_has_variants_too(own):
    assert taskfile.resolve(str(own)).external == 0.5
    assert taskfile.resolve(f"{own}:external=0.5").name == "own"
    variant = taskfile.resolve(f"{own}:external=0.2,epochs=3")
    assert (variant.name, variant.external, variant.recipe.epochs) == ("own:epochs=3,external=0.2", 0.2, 3)
    assert taskfile.vary(f"{own}:epochs=3", "external", 0.2) == f"{own}:epochs=3,external=0.2"
    assert taskfile.vary(f"{own}:external=0.2", "external", 0.5) == str(own)


def test_a_task_file_is_held_to_ranges_and_names(own):
    own.write_text(OWN.format(more="external = 1.5"))
    with pytest.raises(UsageError) as error:
        taskfile.resolve(str(own))
    assert plain(error.value, own.parent) == snapshot(
        "<tmp>/own.toml: Task.external=1.5: a number from 0 to 1 expected"
    )
    own.write_text(OWN.format(more='name = "a:b"'))
    with pytest.raises(UsageError, match=r"name 'a:b': .* mark variants"):
        taskfile.resolve(str(own))


def test_the_recipes_of_the_paper():
    skin, chest = RECIPES["skin"], RECIPES["chest"]
    assert skin == Recipe(
        pretrain_optimiser="sgd",
        pretrain_lr=1e-4,
        pretrain_epochs=200,
        pretrain_momentum=0.9,
        pretrain_weight_decay=5e-4,
        optimiser="sgd",
        lr_extractor=1e-4,
        lr_head=1e-3,
        momentum=0.9,
        weight_decay=5e-4,
        epsilon=0.1,
        epochs=20,
        batch=128,
    )
    assert chest == Recipe(
        pretrain_optimiser="adam",
        pretrain_lr=1e-4,
        pretrain_epochs=100,
        optimiser="adam",
        lr_extractor=1e-6,
        lr_head=1e-6,
        epsilon=0.01,
        epochs=10,
        batch=128,
    )


def test_ls_shows_every_field_with_its_choices():
    text = listing.show("tasks", f"{CXR}:external=0.2")
    for cls in (Task, Recipe):
        for name in taskfile.FIELDS.keys() & {field.name for field in dataclasses.fields(cls)}:
            assert re.search(rf"^  {name}=\S+  +\S", text, re.MULTILINE), name
    assert "external=0.2" in text
    assert sentences_with(text, "four_cells") == snapshot(
        [
            "balance=matched   External set. matched: the whole smaller group and, in each class, as many images of the larger; four_cells: equal numbers for each group and class; reference: as matched, with the larger group drawn with replacement.",
            "One of matched, four_cells, reference.",
        ]
    )


@pytest.fixture
def data(own):
    """The tables of a variant of the same task file."""

    def read(changes=""):
        return task_data(taskfile.resolve(f"{own}:{changes}"), None)

    return read


def cell(data, method="swift"):
    return Cell(data.task.name, "small", method, 0, 0)


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ("external=0.2", True),
        ("epochs=3,lr_head=0.1,epsilon=0.3", True),
        ("balance=reference", True),
        ("deficit=trim", True),
        ("optimiser=sgd,momentum=0.5", True),
        ("protocol=paper", False),
        ("stratify=attribute", False),
        ("polarity=clinical", False),
        ("crop=centre", False),
        ("folds=3", False),
        ("augment=chest_reference", False),
        ("batch=32", False),
        ("precision=bfloat16", False),
        ("pretrain_epochs=2", False),
        ("pretrain_clip=0.5", False),
        ("pretrain_checkpoint=reference", False),
        ("pretrain_checkpoint=best_inner", False),
    ],
)
def test_a_variant_is_another_cell_and_shares_the_baseline_where_it_can(data, changes, shared):
    base, variant = data(), data(changes)
    assert cell_hash(cell(base), base) != cell_hash(cell(variant), variant)
    same = baseline_identity(cell(base), base) == baseline_identity(cell(variant), variant)
    assert same == shared


def test_all_fields_of_pre_training_define_a_baseline():
    assert set(PRETRAIN_FIELDS) >= {name for name in taskfile.RECIPE_FIELDS if name.startswith("pretrain_")}


def test_a_baseline_depends_on_the_images_on_which_its_epoch_is_chosen(data):
    for checkpoint, parts in (("last", ["train"]), ("reference", ["train", "val"])):
        read = data(f"pretrain_checkpoint={checkpoint}")
        assert baseline_identity(cell(read), read)["train"] == [
            read.fingerprint(part, 0, groups=False) for part in parts
        ]


def test_shares_of_variants_are_nested_draws_of_the_base(data):
    whole, part, less = (set(data(f"external={s}").split("external", 0)["uid"]) for s in (1, 0.6, 0.2))
    assert less < part < whole
    empty = data("external=0").split("external", 0)
    assert len(empty) == 0
    assert list(empty.columns) == list(data().split("external", 0).columns)


def test_polarity_swaps_the_codes_and_their_names_and_nothing_else(data):
    paper, clinical = data("external=1"), data("external=1,polarity=clinical")
    for name in ("train", "val", "external", "val_inner", "neutral"):
        one, other = paper.split(name, 0), clinical.split(name, 0)
        assert (one["y"] + other["y"] == 1).all()
        assert one["y"].dtype == other["y"].dtype
        assert one.drop(columns="y").equals(other.drop(columns="y"))
    assert paper.task.label_names == ("no finding", "pneumothorax")
    assert clinical.task.label_names == ("pneumothorax", "no finding")
    assert clinical.repeats(0) == paper.repeats(0)


def test_the_protocol_decides_what_a_fold_is(data):
    """Phantoms have one film per patient; the two protocols still deal them differently."""
    clean, paper = data(), data("protocol=paper")
    assert set(clean.split("val", 0)["uid"]) != set(paper.split("val", 0)["uid"])
    y = paper.tables["source"]["y"]
    assert (paper.split("val", 0)["y"] == 1).sum() == -(-(y == 1).sum() // 2)


def test_cells_of_a_fold_are_neighbours_after_all_baselines(data):
    cells = plan(data(), Settings(CXR, methods="swift,llft", backbone="small", folds=(0, 1), seeds=(0, 1)))
    baselines = [("baseline", fold, seed) for seed in (0, 1) for fold in (0, 1)]
    methods = [(name, fold, seed) for seed in (0, 1) for fold in (0, 1) for name in ("swift", "llft")]
    assert [(p.cell.spec, p.cell.fold, p.cell.seed) for p in cells] == baselines + methods


def test_a_worker_stays_on_its_fold_else_takes_one_that_nobody_is_on():
    def cells(*folds, method="swift"):
        return [PlannedCell(Cell("t", "small", method, fold, 0), str(i), Settings("t")) for i, fold in enumerate(folds)]

    waiting, zero, one, two = cells(0, 0, 1, 2, 2), *(("t", "small", 0, fold) for fold in range(3))
    assert choose(waiting, two, {zero}) is waiting[3], "its own fold"
    assert choose(waiting, ("t", "small", 1, 1), {zero}) is waiting[2], "another seed is another baseline"
    assert choose(waiting, ("u", "small", 0, 2), {zero}) is waiting[2], "so is another task; fold 0 is taken"
    assert choose(waiting, None, {zero, one}) is waiting[3]
    assert choose(waiting, None, {zero, one, two}) is waiting[0], "better a fold of others than none"
    first = cells(1, method="baseline")
    assert choose([*first, *waiting], two, set()) is first[0]
