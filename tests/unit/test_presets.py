"""A preset of a task applies to its methods: their specs, the names of their rows, and the commands that are printed."""

import csv
import dataclasses

import pytest
from inline_snapshot import snapshot

from bench import registry, taskfile
from bench.errors import UsageError
from bench.reporting.artefacts import of_paper, paper_runs
from bench.reporting.needs import Need
from bench.reporting.numbers.ablations import split
from bench.reporting.numbers.paper_layout import Block, layouts, tasks
from bench.reporting.numbers.task_info import MORE_GROUPS, label_of
from bench.reporting.rerun_commands import Line, once
from bench.reporting.tables import paper_tables
from bench.reporting.task_results import TaskResults
from bench.running.ablate import ablation
from bench.running.plan import cells_of, method_specs, undefined, under, within
from bench.settings import Settings
from bench.share.task_toml import to_toml
from bench.spec import tuned
from tests.factory import record, scores, task_info

CXR = "phantom-cxr-age"
PAPER = taskfile.resolve(f"{CXR}:preset=paper")
SUITE = taskfile.resolve(CXR)
SPECS = {
    "swift": "swift:reinit_scope=head_all,scope=module",
    "swift:mask=hard,rate=0.3": "swift:mask=hard,rate=0.3,reinit_scope=head_all,scope=module",
    "swift:reinit_scope=weight": "swift:scope=module",
    "swift:preset=suite": "swift",
    "swift:preset=reference": under("swift:preset=reference", "suite"),
    "llft": "llft:budget=recipe",
    "baseline": "baseline",
    "swift@tuned": "swift:reinit_scope=head_all,scope=module@tuned",
}


@pytest.mark.parametrize(("given", "spec"), SPECS.items())
def test_a_preset_completes_a_spec_and_what_is_given_wins(given, spec):
    (found,) = method_specs(given, task=PAPER)
    assert parameters(found) == parameters(spec)
    assert found == under(given, "paper")


def parameters(spec):
    return dataclasses.asdict(registry.METHODS.build(spec.removesuffix("@tuned"))), spec.endswith("@tuned")


@pytest.mark.parametrize("preset", ["suite", "paper", "reference"])
def test_a_spec_is_told_relative_to_a_preset_and_read_as_the_same(preset):
    """Every setting of every ablation, and every method under another preset."""
    for name in registry.METHODS.catalogue():
        texts = [name, tuned(name), *(f"{name}:preset={other}" for other in ("suite", "paper", "reference"))]
        texts += [f"{name}:{one}" for found in registry.METHODS.load(name).ablations.values() for one in found]
        for text in texts:
            spec = under(text, preset)
            told = within(spec, preset)
            assert under(told, preset) == spec
            assert "preset" not in told
        assert within(under(name, preset), preset) == name


def test_the_suite_changes_no_spec():
    every = method_specs("all")
    assert [under(spec, "suite") for spec in every] == every == [within(spec, "suite") for spec in every]


def test_a_parameter_of_a_plugin_without_presets_stays(tmp_path):
    file = tmp_path / "plain.py"
    source = (registry.METHODS.load("baseline").__module__).replace(".", "/")
    file.write_text(
        "from dataclasses import dataclass\nfrom bench.api import Method, option\n\n\n"
        "@dataclass(frozen=True)\nclass Plain(Method):\n    title, row, uses, changes = 'Plain', 99, (), ()\n"
        "    rate: float = option(0.5, 'A rate.')\n\n    def fit(self, run):\n        return run.model\n"
    )
    assert source
    assert method_specs("plain,plain:rate=0.1", (file,), PAPER) == ["plain", "plain:rate=0.1"]


def test_methods_are_named_in_an_ablation_as_the_task_completes_them():
    (run,) = ablation(Settings(PAPER.name, methods="swift:reinit_scope=weight", ablate="scope"))
    assert method_specs(run.methods, task=PAPER) == snapshot(["swift:scope=module", "swift", "swift:scope=global"])
    assert {parameters(spec)[0]["reinit_scope"] for spec in method_specs(run.methods, task=PAPER)} == {"weight"}
    (run,) = ablation(Settings(PAPER.name, methods="swift:scope=tensor", ablate="mask"))
    assert {parameters(spec)[0]["scope"] for spec in method_specs(run.methods, task=PAPER)} == {"tensor"}


@pytest.fixture
def results(tmp_path):
    """Results of the task under the preset: defaults, a setting of an ablation, and the suite's SWiFT."""
    texts = ("baseline", "swift", "llft", "swift:steps=first", "swift:preset=suite")
    specs = [under(text, "paper") for text in texts]
    cells = [record(spec, fold, task=PAPER.name) for spec in specs for fold in range(2)]
    info = task_info(PAPER.name, ood=tuple(PAPER.ood))
    return TaskResults(Settings(PAPER.name, tmp_path), PAPER, info, cells, [])


def test_rows_keep_their_names(results):
    labels = {label_of(item.cell) for item in results.cells}
    assert labels == snapshot(
        {"Baseline", "LLFT", "SWiFT", "SWiFT (scope tensor, reinit scope weight)", "SWiFT (steps first)"}
    )
    main, *others = split(results.cells, [], PAPER)
    assert {label_of(item.cell) for item in main.cells} >= {"Baseline", "SWiFT", "LLFT"}
    assert {table.name: sorted({label_of(item.cell) for item in table.cells}) for table in others} == snapshot(
        {"ablation-swift-steps": ["Baseline", "SWiFT", "SWiFT (steps first)"]}
    )


def test_needs_and_commands_are_relative_to_the_preset(results):
    need = Need(("swift", "llft", "bmft"))
    assert need.count(results) == (4, 15)
    assert [line.methods for line in need.lines(results)] == [("swift", "llft", "bmft")]
    own = Need((results.relative("swift"),))  # of the suite
    assert own.count(results) == (2, 5)
    (line,) = own.lines(results)
    assert method_specs(line.settings.methods, task=PAPER) == ["swift"]


def test_each_cell_is_in_one_command_under_a_preset():
    place = Settings(PAPER.name)
    whole = Line(dataclasses.replace(place, methods="swift,llft"))
    some = Line(dataclasses.replace(place, methods="swift,bmft", folds=(0,)))
    every = Line(dataclasses.replace(place, methods="all,swift,swift:steps=first"))
    assert [line.methods for line in once([whole, some])] == [("swift", "llft"), ("bmft",)]
    assert [line.methods for line in once([every])] == [("all", "swift:steps=first")]


# --- bench run --paper -------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["suite", "paper", "reference"])
@pytest.mark.parametrize("twins", [True, False])
def test_the_runs_of_the_paper_have_every_cell_that_its_tables_and_figures_need(twins, preset, tmp_path):
    names = tasks(twins=twins, preset=preset)
    runs = paper_runs(Settings("", tmp_path), names)
    assert len(runs) == len(set(runs))
    planned = {cell for run in runs for cell in cells_of(run, taskfile.resolve(run.task))}
    blank = TaskResults(Settings(next(iter(names.values())), tmp_path), SUITE, task_info(), [], [])
    cache = {}

    def other(self, spec):
        if spec not in cache:
            task = taskfile.resolve(spec)
            cache[spec] = TaskResults(Settings(spec, tmp_path), task, task_info(task.name), [], [])
        return cache[spec]

    for task in names.values():
        other(None, task)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(TaskResults, "other", other)
    monkey.setattr(TaskResults, "variant", lambda *_: None)
    try:
        every = of_paper(blank, names)
        wanted = [
            (cell_task, backbone, spec, fold)
            for item in every
            for need in item.needs
            for cell_task, backbone, spec, fold in cells_needed(need, tmp_path)
        ]
    finally:
        monkey.undo()
    assert len(set(wanted)) > 300
    missing = set(wanted) - {(cell.task, cell.backbone, cell.spec, cell.fold) for cell in planned}
    assert missing == set()
    assert {layout.name for layout in layouts()} <= {item.name for item in every}


def cells_needed(need, tmp_path):
    """The cells that `Need.count` asks for, spelled out: each variant, spec, network and fold."""
    task = taskfile.resolve(need.task)
    fields = {"epochs": "epochs", "external": "external"}
    variants = [need.task]
    if need.ablate in fields:
        from bench.running.ablate import values

        variants = [taskfile.vary(need.task, need.ablate, value) for value in values(task, need.ablate)]
    folds = range(task.folds) if need.fold is None else [need.fold]
    specs = [under(spec, task.preset) for spec in need.specs]
    left_out = undefined(specs, task, task.backbones[0])
    for variant in variants:
        name = taskfile.resolve(variant).name
        for spec in specs:
            for fold in folds if spec not in left_out else ():
                yield name, need.backbone or task.backbones[0], spec, fold


def test_the_preset_of_the_paper_is_in_the_names_of_its_tasks():
    assert set(tasks(twins=False, preset="paper").values()) >= {"skin-tone:preset=paper", "cxr-age:preset=paper"}
    with pytest.raises(UsageError):
        taskfile.resolve("skin-tone:preset=printed")


def test_a_variant_of_an_exported_task_keeps_its_preset(tmp_path):
    """An export holds the task in full, with the preset under which it was run."""
    file = tmp_path / "task.toml"
    file.write_text(to_toml(dataclasses.replace(PAPER, name="films", protocol="clean")))
    whole, fewer = (taskfile.resolve(str(file) + more) for more in ("", ":epochs=3"))
    assert (whole.preset, whole.name, whole.protocol) == ("paper", "films", "clean")
    assert (fewer.preset, fewer.name, fewer.protocol, fewer.recipe.epochs) == ("paper", "films:epochs=3", "clean", 3)


def test_a_row_that_the_preset_leaves_undefined_is_not_called_not_run(tmp_path):
    """The public code reads the groups of the validation images, of which there are only two."""
    task = taskfile.resolve("phantom-cxr-age-groups:preset=reference")
    groups = scores(dict.fromkeys(task.attribute.names, (40, 40)))
    sets = dict.fromkeys((*task.ood, "val"), groups)
    cells = [record("baseline", fold, task=task.name, scores=sets) for fold in range(2)]
    info = task_info(task.name, ood=tuple(task.ood), group_names=task.attribute.names, columns=MORE_GROUPS)
    results = TaskResults(Settings(task.name, tmp_path), task, info, cells, [], known={})
    results.known[task.name] = results
    (layout,) = (one for one in layouts() if one.grouped)
    made = paper_tables.make(layout, [Block(task.name, "small", 1)], results)
    swift = [row for row in csv.DictReader(made["csv"].splitlines()) if row["key"] == "swift"]
    assert {row["note"] for row in swift} == {"not defined"}
    assert "not run" not in made["md"]
