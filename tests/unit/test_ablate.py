"""The runs and cells that an ablation makes of a task and a plugin."""

import dataclasses

import pytest
from inline_snapshot import snapshot

from bench import taskfile
from bench.errors import UnknownName, UsageError
from bench.running import ablate
from bench.running.plan import method_specs
from bench.settings import Settings
from bench.tasks import RECIPES, TASKS

CXR = "phantom-cxr-age"


PLUGIN = '''"""Toy: for tests."""

from dataclasses import dataclass
from typing import Literal

from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class Toy(Method):
    """Returns what it is given."""

    title = "Toy"
    uses = frozenset()
    ablations = {"rate": ("rate=0.1", "kind=hard,rate=0.5")}

    kind: Literal["soft", "hard"] = option("soft", "One of two.")
    rate: float = option(0.3, "A share.", low=0, high=1)
    plain: int = option(1, "A number that nothing lists values of.")
    swap: bool = option(False, "Yes or no.")

    def companions(self, recipe):
        return ("kind=hard",) if recipe.optimiser == "adam" else ()

    def fit(self, run):
        return run.model
'''


@pytest.fixture
def toy(tmp_path):
    (tmp_path / "toy.py").write_text(PLUGIN)
    return (tmp_path / "toy.py",)


def test_all_runs_companions_beside_the_defaults(toy):
    adam, sgd = (dataclasses.replace(TASKS[CXR], recipe=RECIPES[name]) for name in ("chest", "skin"))
    specs = method_specs("all", toy, adam)
    assert specs[specs.index("toy") + 1] == "toy:kind=hard"
    assert "toy:kind=hard" not in method_specs("all", toy, sgd)
    assert "toy:kind=hard" not in method_specs("all", toy)
    assert method_specs("toy", toy, adam) == ["toy"], "a method that is named has no companions"


def ablated(field, methods, toy, tmp_path, task=CXR):
    runs = ablate.ablation(Settings(task, tmp_path, tmp_path, None, toy, methods=methods, ablate=field))
    return [(method_specs(run.methods, toy), run.task) for run in runs]


def test_a_parameter_is_ablated_over_its_settings_or_its_choices(toy, tmp_path):
    assert ablated("rate", "toy", toy, tmp_path) == [(["toy", "toy:rate=0.1", "toy:kind=hard,rate=0.5"], CXR)]
    assert ablated("rate", "toy:swap=yes", toy, tmp_path) == [
        (["toy:swap=True", "toy:rate=0.1,swap=True", "toy:kind=hard,rate=0.5,swap=True"], CXR)
    ]
    assert ablated("kind", "toy", toy, tmp_path) == [(["toy", "toy:kind=hard"], CXR)]
    assert ablated("swap", "toy:kind=hard", toy, tmp_path) == [(["toy:kind=hard", "toy:kind=hard,swap=True"], CXR)]
    assert ablated("apply", "swift,baseline", toy, tmp_path) == [(["swift", "swift:apply=update"], CXR)]


def test_a_field_of_the_task_is_ablated_over_its_variants(toy, tmp_path):
    runs = ablated("external", "swift,toy", toy, tmp_path, f"{CXR}:epochs=4")
    names = [f"{CXR}:epochs=4,external={s}" for s in (0.0, 0.2, 0.4, 0.6, 0.8)]
    assert runs == [(["swift", "toy"], name) for name in [*names, f"{CXR}:epochs=4"]]
    variants = [task for _, task in ablated("balance", "swift", toy, tmp_path)]
    assert variants == [CXR, f"{CXR}:balance=four_cells", f"{CXR}:balance=reference"]


def test_epochs_are_shares_of_pre_training_in_whole_epochs(toy, tmp_path):
    """Of 6 epochs 0 to 30 % are 0, .15, .3, .6, .9, 1.2, 1.5, 1.8, of 200 they are whole; then multiples of its 10."""
    runs = ablated("epochs", "swift", toy, tmp_path)
    more = [f"{CXR}:epochs={n}" for n in (0, 1, 2, 5)], [f"{CXR}:epochs={n}" for n in (20, 40)]
    assert [task for _, task in runs] == [*more[0], CXR, *more[1]]
    runs = ablated("epochs", "swift", toy, tmp_path, f"{CXR}:pretrain_epochs=200")
    epochs = [taskfile.resolve(task).recipe.epochs for _, task in runs]
    assert epochs == [0, 5, 10, 20, 30, 40, 50, 60], "5, 10, 20 and 40 are both"


def test_what_cannot_be_ablated_is_refused_with_what_can(toy, tmp_path):
    with pytest.raises(UnknownName) as e:
        ablated("plain", "toy", toy, tmp_path)
    assert str(e.value) == snapshot(
        "unknown ablation 'plain' of toy on phantom-cxr-age: did you mean polarity or balance? allowed: kind, rate, swap, channels, crop, weights, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, optimiser, epochs, pretrain_decay, pretrain_checkpoint, pretrain_plateau, pretrain_statistics, augment, weight_counts, reduction, epochs_mode, schedule, precision, deterministic, compile"
    )
    assert e.value.exit_code == 2
    with pytest.raises(UnknownName) as error:
        ablated("knd", "toy", toy, tmp_path)
    assert str(error.value) == snapshot(
        "unknown ablation 'knd' of toy on phantom-cxr-age: did you mean kind? allowed: kind, rate, swap, channels, crop, weights, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, optimiser, epochs, pretrain_decay, pretrain_checkpoint, pretrain_plateau, pretrain_statistics, augment, weight_counts, reduction, epochs_mode, schedule, precision, deterministic, compile"
    )
    with pytest.raises(UnknownName) as error:
        ablated("kind", "toy,swift", toy, tmp_path)
    assert str(error.value) == snapshot(
        "unknown ablation 'kind' of toy,swift on phantom-cxr-age: allowed: channels, crop, weights, protocol, stratify, polarity, external, balance, deficit, pretrain_optimiser, optimiser, epochs, pretrain_decay, pretrain_checkpoint, pretrain_plateau, pretrain_statistics, augment, weight_counts, reduction, epochs_mode, schedule, precision, deterministic, compile"
    )


def test_values_typed_in_ablations_are_held_to_their_ranges(toy, tmp_path):
    toy[0].write_text(PLUGIN.replace('"rate=0.1"', '"rate=1.5"').replace("Toy", "Toyy"))
    other = toy[0].rename(tmp_path / "toyy.py")
    with pytest.raises(UsageError) as error:
        ablated("rate", "toyy", (other,), tmp_path)
    assert str(error.value) == snapshot("Toyy.rate=1.5: a number from 0 to 1 expected")
