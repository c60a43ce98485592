"""The wheel: what lies in it, and that it works installed, away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench import registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def call(*words, cwd, code=0, **environment):
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files(*folders):
    """Return the files of the checkout that are or would be committed, so that a new one counts at once."""
    listed = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders, cwd=ROOT)
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout, without leftovers of other builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in files():
        (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "copy" / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        call(*git, *words, cwd=folder / "copy")
    call(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        ".",
        cwd=folder / "copy",
    )
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder into which the wheel, without its dependencies, is installed."""
    folder = tmp_path_factory.mktemp("installed")
    call(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(folder),
        str(wheel),
        cwd=folder,
    )
    return folder


@pytest.fixture
def bench(installed, tmp_path):
    """Runs `bench` from the installed wheel, and makes sure that every module of it came from there."""
    program = (
        "import sys\n"
        "from bench.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "files = {m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'bench' and m.__file__}\n"
        "elsewhere = sorted(file for file in files if not file.startswith(INSTALLED))\n"
        "sys.exit(f'not from the wheel: {elsewhere}' if elsewhere else code)\n"
    )

    def bench(*words, code=0):
        text = program.replace("INSTALLED", repr(str(installed)))
        # PYTHONPATH comes before the finder of an editable install; -P keeps the current folder out.
        return call(sys.executable, "-P", "-c", text, *words, cwd=tmp_path, code=code, PYTHONPATH=str(installed))

    return bench


def test_top_level_names(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    version = wheel.name.split("-")[1]
    assert {name.partition("/")[0] for name in names} == {"bench", f"debias_bench-{version}.dist-info"}


def test_every_module_and_template_is_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    # These two mount the checkout's folders; in a wheel the plugins lie where they would mount them.
    mounts = {"bench/methods/__init__.py", "bench/datasets/__init__.py"}
    for name in {*files("bench", "methods", "datasets")} - mounts:
        assert (name if name.startswith("bench/") else f"bench/{name}") in names
    plugins = [name for name in registry.METHODS.catalogue() if f"bench/methods/{name}.py" in names]
    assert len(plugins) == 17
    data = (
        "register.toml",
        "tasks.toml",
        "doctor/checks.toml",
        "reporting/page/page.html.j2",
        "reporting/render/part.html.j2",
        "reporting/figures/figures.mplstyle",
        "published/swift-melba-2025.csv",
    )
    for name in ("templates/method.py.txt", "templates/test_method.py.txt", *data):
        assert f"bench/{name}" in names
    strangers = [name for name in names if "test" in Path(name).parts or name.endswith((".pyc", ".toml"))]
    numbers = ("reporting/numbers/claims", "reporting/numbers/display_names", "reporting/numbers/paper")
    tables = ("doctor/checks", "register", *numbers, "tasks")
    mounted = [
        f"bench/{'profiles' if folder == 'slurm' else 'examples'}/{Path(name).name}"
        for folder in ("slurm", "docs/examples")
        for name in files(folder)
        if name.endswith(".toml")
    ]
    assert sorted(strangers) == sorted([*(f"bench/{table}.toml" for table in tables), *mounted])


def test_lists_and_plans(bench):
    listed = bench("ls")
    for name in (*registry.METHODS.catalogue(), *registry.DATASETS.catalogue(), "phantom-cxr-age"):
        assert f"  {name} " in listed
    plan = bench("run", "--task", "phantom-cxr-age", "--dry-run")
    assert plan.count("small/swift/") == 5


def test_the_version_tells_the_commit_of_the_build(wheel, bench):
    (commit,) = zipfile.ZipFile(wheel).read("bench/commit.txt").decode().split()
    assert len(commit) == 40
    assert bench("--version") == f"bench {wheel.name.split('-')[1]} (commit {commit[:12]})\n"


def test_profiles_and_examples_are_found(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no SLURM client, which would ask for its cluster
    plan = bench("run", "--task", "phantom-cxr-age", "--on", "slurm", "--dry-run")
    assert "profile plain" in plan
    bench("new", "profile", "my-cluster", "--like", "small-arrays")
    assert (tmp_path / "my-cluster.toml").read_text() == (ROOT / "slurm/small-arrays.toml").read_text()
    bench("new", "plan", "mine")
    assert "cells to compute" in bench("run", "mine.toml", "--dry-run")


def test_a_new_method_is_written_and_found(bench, tmp_path):
    assert bench("new", "method", "my-method").split() == ["my_method.py", "test_my_method.py"]
    listed = bench("ls", "methods", "my-method", "--plugin", "my_method.py")
    assert str(tmp_path / "my_method.py") in listed
    assert "beta=0.9" in listed


def test_published_numbers_are_found(installed, tmp_path):
    program = (
        "from bench.reporting.numbers.published import everything, sizes; print(len(everything()), sizes()['ddi'])"
    )
    printed = call(sys.executable, "-P", "-c", program, cwd=tmp_path, PYTHONPATH=str(installed))
    assert printed.split() == ["558", "656"]
