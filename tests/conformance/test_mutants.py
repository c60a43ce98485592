"""The checks are tested by methods that are broken in one way each: the check that names the fault finds it, alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.checks import CHECKS, Subject, outcome
from bench.net import Net
from bench.templates import write_plugin
from tests.conformance.mutants import MUTANTS, SOUND, write

HERE = Path(__file__).parent


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
def test_a_mutant_is_found_by_the_check_that_names_its_fault_and_by_no_other(name, tmp_path):
    found = failed(verdicts(Subject(name, (write(name, tmp_path),))))
    assert list(found) == [MUTANTS[name].check], found
    assert MUTANTS[name].says in found[MUTANTS[name].check]


def test_what_mutants_are_made_of_is_sound_and_every_check_has_one(tmp_path):
    (tmp_path / "sound.py").write_text(SOUND)
    assert failed(verdicts(Subject("sound", (tmp_path / "sound.py",)))) == {}
    assert {mutant.check for mutant in MUTANTS.values()} == {check.__name__ for check in CHECKS}


def test_a_sound_method_passes_and_no_check_applies_nowhere():
    """The method uses the whole contract, so that a check which has nothing to look at here never looks."""
    found = verdicts(Subject("sound_prune", (HERE / "sound_prune.py",)))
    assert {check: why for check, (verdict, why) in found.items() if verdict != "ok"} == {}


def test_the_method_that_bench_new_writes_passes_with_its_test(tmp_path):
    method, test = write_plugin("method", "my-method", tmp_path)
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
    check = next(check for check in CHECKS if check.__name__ == MUTANTS[name].check)
    assert done.returncode == 1, done.stderr
    line, why = (line for line in done.stdout.splitlines() if not line.startswith(("ok", "none")))
    assert line.split(maxsplit=2) == ["FAIL", name, check.__doc__.splitlines()[0]]
    assert MUTANTS[name].says in why
    assert "1 checks failed" in done.stderr


def test_a_mutant_is_found_through_plugin(tmp_path):
    file = write("prunes_wrong_count", tmp_path)
    assert_found(bench("check", "prunes-wrong-count", "--plugin", str(file), folder=tmp_path), "prunes_wrong_count")


def test_a_mutant_is_found_through_its_entry_point(tmp_path):
    install(tmp_path, "forgets-mask", "strangers_work", MUTANTS["forgets_mask"].text("forgets_mask"))
    assert_found(bench("check", "forgets-mask", folder=tmp_path, path=[tmp_path]), "forgets_mask")


TWO = (HERE / "sound_prune.py").read_text() + "\n\nclass Another(SoundPrune):\n    pass\n"
BROKEN = {
    "cannot_import": ("import a_module_that_is_not_there\n", "No module named 'a_module_that_is_not_there'"),
    "leaves": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "no_class": ('"""Nothing here."""\n', "expected, found none"),
    "two_classes": (TWO, "found SoundPrune, Another"),
    "swift": ((HERE / "sound_prune.py").read_text(), "'swift' already exists (bench.methods.swift)"),
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
