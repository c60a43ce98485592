"""What can be checked of the container definitions without Docker or Apptainer: sources, versions, commands."""

import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from bench import cli

ROOT = Path(__file__).parents[2]
DOCKER, APPTAINER = (ROOT / "docs/examples" / name for name in ("Dockerfile", "bench.def"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
KEPT = [line[1:] for line in IGNORED if line.startswith("!")]
"""What `COPY .` takes: everything else is left out by the first pattern."""


def copied():
    """The paths that the definition of Apptainer copies, each to the same place below /source."""
    text = APPTAINER.read_text(encoding="utf-8")
    pairs = [line.split() for line in text[text.index("%files") : text.index("%post")].splitlines()[1:] if line.strip()]
    assert all(target == f"/source/{source}" for source, target in pairs)
    return [source for source, _ in pairs]


def needed():
    """The files and folders that a wheel is built from."""
    folders = PROJECT["tool"]["setuptools"]["package-dir"].values()
    return ["pyproject.toml", "setup.py", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], *folders]


def test_an_image_gets_what_a_wheel_is_built_from_and_nothing_else():
    assert "*" in IGNORED
    assert IGNORED.index("*") < min(IGNORED.index(f"!{kept}") for kept in KEPT)
    for path in needed():
        assert path in copied()
        assert any(kept == path or Path(kept).parent == Path(path) for kept in KEPT), path
    assert {*copied()} == {*needed()}
    assert all(list(ROOT.glob(kept)) for kept in (*KEPT, *copied()))
    for private in ("results/cells", "data", "films", ".venv", ".git", ".cache", "reports"):
        assert not any(fnmatch(private, kept) for kept in KEPT), private


@pytest.mark.parametrize("file", [DOCKER, APPTAINER], ids=lambda file: file.name)
def test_versions_are_those_of_the_project(file):
    text = file.read_text(encoding="utf-8")
    required = {line for line in PROJECT["project"]["dependencies"] if line.startswith("torch")}
    assert set(re.findall(r'"(torch[^"]*)"', text)) == required
    extras = re.findall(r'"/source\[(\w+)\]"', text)
    assert extras
    assert {*extras} <= {*PROJECT["project"]["optional-dependencies"]}
    python = re.search(r"python:(\d)\.(\d+)-slim", text)
    least = re.search(r"(\d)\.(\d+)", PROJECT["project"]["requires-python"])
    assert python.groups() >= least.groups()
    assert "download.pytorch.org/whl/cpu" in text
    assert "download.pytorch.org/whl/cu" in text


@pytest.mark.parametrize("file", [DOCKER, APPTAINER], ids=lambda file: file.name)
def test_their_commands_exist_and_the_demo_is_that_of_make(file):
    text = re.sub(r"\\\n#\s*", "", file.read_text(encoding="utf-8"))
    found = re.findall(
        r"^#\s+(?:docker run .*?|apptainer run (?:--nv )?\S+sif) (?:bench(?:-cuda)? )?((?:run|report) .*)$", text, re.M
    )
    assert len(found) == 3
    parser = cli._parser()
    for command in found:
        parser.parse_args(shlex.split(command))
    demo = re.findall(r"^\t\$\(BIN\)/bench (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert found[0] in demo
    assert demo[1].startswith(found[1])
