"""The checks are tested by methods that are broken in one way each: the check that names the fault finds it, alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.checks import CHECKS, Subject, outcome
from bench.net import Net
from bench.templates import write_method

HERE = Path(__file__).parent
MUTANTS = {
    "says_nothing": ("check_docstring", "has no Code:, Departures:"),
    "no_dataclass": ("check_declaration", "parameter beta is none: put @dataclass"),
    "comma_in_choice": ("check_spec", "terms=prediction,bias"),
    "ablates_nothing": ("check_grids", "beta=1.5"),
    "skips_validation": ("check_refusals", "beta=-1 is accepted, but it may be 0 at least"),
    "reads_undeclared_split": ("check_splits", "reads the split 'train' but declares uses = {external}"),
    "two_dimensions": ("check_logits", "logits of shape (96,) expected for 96 images, the model gave (96, 1)"),
    "returns_scores": ("check_scores", "every output lies between 0 and 1"),
    "draws_unseeded": ("check_repeats", "two fits with the same seed give different logits"),
    "leaks_state": ("check_leaks", "other logits after another fit than alone"),
    "draws_globally": ("check_random_state", "the global random state of torch moved"),
    "patches_network": ("check_baseline", "the shared baseline gives other logits: patch no class"),
    "moves_labels": ("check_data", "y of the split external changed"),
    "trains_frozen_layer": (
        "check_changes",
        "changes features.0.weight (the extractor), but declares head, statistics",
    ),
    "moves_statistics": ("check_changes", "changes features.1.running_mean (the statistics), but declares head"),
    "broken_choice": ("check_choices", "broken_choice:loss=gap raised AttributeError"),
    "broken_preset": ("check_presets", "preset code cannot be built"),
    "ignores_parameter": ("check_parameters", "rate changes neither logits nor logged facts"),
    "prunes_wrong_count": ("check_pruned", "promises 32 entries, fit sets 33 to zero"),
    "divides_by_group": ("check_rare_groups", "lack a class or a group"),
    "forgets_mask": ("check_state", "keep masks as buffers, not as attributes"),
}


@pytest.fixture(autouse=True)
def _network_as_it_was(monkeypatch):
    """A mutant patches the class; pytest puts it back."""
    monkeypatch.setattr(Net, "forward", Net.forward)


def verdicts(subject):
    """What each check says of a method."""
    return {check.__name__: outcome(check, subject) for check in CHECKS}


def failed(found):
    return {name: why for name, (verdict, why) in found.items() if verdict == "FAIL"}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_by_the_check_that_names_its_fault_and_by_no_other(name):
    check, says = MUTANTS[name]
    found = failed(verdicts(Subject(name, (HERE / "mutants" / f"{name}.py",))))
    assert list(found) == [check], found
    assert says in found[check]


def test_every_mutant_is_listed_and_every_check_has_one():
    assert {file.stem for file in (HERE / "mutants").glob("*.py")} == set(MUTANTS)
    assert {check for check, _ in MUTANTS.values()} == {check.__name__ for check in CHECKS}


def test_a_sound_method_passes_and_no_check_applies_nowhere():
    """The method uses the whole contract, so that a check which has nothing to look at here never looks."""
    found = verdicts(Subject("sound_prune", (HERE / "sound_prune.py",)))
    assert {check: why for check, (verdict, why) in found.items() if verdict != "ok"} == {}


def test_the_method_that_bench_new_writes_passes_with_its_test(tmp_path):
    method, test = write_method("my-method", tmp_path)
    assert failed(verdicts(Subject("my_method", (method,)))) == {}
    # As a stranger runs it, away from the suite's settings.
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", test.name, folder=tmp_path)
    assert done.returncode == 0, done.stdout


# --- as it is used: the command line, files and entry points -------------------------------------


def python(*words, folder, path=()):
    """Run Python in a folder; `path` goes before what is installed."""
    places = os.pathsep.join([*map(str, path), str(HERE.parents[1])])
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": places},
    )


def bench(*words, **places):
    return python("-m", "bench.cli", *words, **places)


def install(folder, name, module, text):
    """Lay a distribution into a folder as an installer does: its module and the metadata with an entry point."""
    (folder / f"{module}.py").write_text(text)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[bench.methods]\n{name} = {module}\n")


def assert_found(done, name):
    check = next(check for check in CHECKS if check.__name__ == MUTANTS[name][0])
    assert done.returncode == 1, done.stderr
    line, why = (line for line in done.stdout.splitlines() if not line.startswith(("ok", "none")))
    assert line.split(maxsplit=2) == ["FAIL", name, check.__doc__.splitlines()[0]]
    assert MUTANTS[name][1] in why
    assert "1 checks failed" in done.stderr


def test_a_mutant_is_found_through_plugin(tmp_path):
    file = HERE / "mutants" / "prunes_wrong_count.py"
    assert_found(bench("check", "prunes-wrong-count", "--plugin", str(file), folder=tmp_path), "prunes_wrong_count")


def test_a_mutant_is_found_through_its_entry_point(tmp_path):
    install(tmp_path, "forgets-mask", "strangers_work", (HERE / "mutants" / "forgets_mask.py").read_text())
    assert_found(bench("check", "forgets-mask", folder=tmp_path, path=[tmp_path]), "forgets_mask")


TWO = (HERE / "sound_prune.py").read_text() + "\n\nclass Another(SoundPrune):\n    pass\n"
BROKEN = {
    "cannot_import": ("import a_module_that_is_not_there\n", "No module named 'a_module_that_is_not_there'"),
    "leaves": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "no_class": ('"""Nothing here."""\n', "expected, found none"),
    "two_classes": (TWO, "found SoundPrune, Another"),
    "swift": ((HERE / "sound_prune.py").read_text(), "'swift' is there already (bench.methods.swift)"),
}


def assert_others_stand(done, says):
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert {*registry.METHODS.catalogue(), "sound_prune"} == listed
    assert done.stderr.count(says) == 1, done.stderr
    assert done.stderr.count("is left out") == 1


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_of_once_and_stops_no_other(tmp_path, name):
    text, says = BROKEN[name]
    (tmp_path / f"{name}.py").write_text(text)
    plugins = ("--plugin", f"{name}.py", "--plugin", str(HERE / "sound_prune.py"))
    done = bench("ls", "methods", *plugins, folder=tmp_path)
    assert_others_stand(done, says)
    assert done.returncode == 1
    if name == "cannot_import":
        assert "Traceback" in done.stderr
        done = bench("ls", "methods", name, *plugins, folder=tmp_path)
        assert (done.returncode, done.stderr.count(says)) == (1, 1)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_entry_point_is_told_of_once_and_stops_no_other(tmp_path, name):
    text, says = BROKEN[name]
    install(tmp_path, name, f"strangers_{name}", text)
    done = bench("ls", "methods", "--plugin", str(HERE / "sound_prune.py"), folder=tmp_path, path=[tmp_path])
    assert_others_stand(done, says)
    assert done.returncode == 0  # nobody asked for it
