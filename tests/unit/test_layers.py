"""The layers: a room imports only from rooms before it, and no two modules import each other."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = """
    __init__ errors seeds processes
    options files dicom net
    lease
    decode weights
    spec
    settings
    scoring
    api
    register registry tasks labels
    taskfile
    data
    backbones
    learn
    methods datasets
    progress
    cells
    models
    running
    templates checks
    reporting.render
    reporting.numbers
    reporting.words
    reporting.rerun_commands
    reporting.task_results
    reporting.tables reporting.figures
    reporting.page
    reporting
    share
    doctor
    listing
    interface
    verbs
    cli
"""
"""From below, a line each; rooms of one line do not import each other. Imports in functions count, too."""
RANKS = {f"bench.{room}": rank for rank, rooms in enumerate(LAYERS.split("\n")) for room in rooms.split()}


def modules():
    """Module -> file; methods and datasets are mounted below `bench`."""
    found = {}
    for folder, package in (("bench", "bench"), ("methods", "bench.methods"), ("datasets", "bench.datasets")):
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found.setdefault(".".join((package, *parts)).removesuffix(".__init__"), file)
    return found


MODULES = modules()


@cache
def imports(module):
    """The modules of the suite that a module imports, at its top or in a function."""
    if module == "bench":
        return []  # it names the functions of bench.interface, and imports them when they are first used
    found = set()
    file = MODULES[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for name in (f"{source}.{alias.name}" for alias in node.names):
                found |= {name if name in MODULES else source} & {*MODULES}
    return sorted(found - {module})


def room(module):
    """The longest prefix of a module that is a room."""
    while module not in RANKS and "." in module:
        module = module.rpartition(".")[0]
    return "bench.__init__" if module == "bench" else module


def test_every_room_has_its_layer():
    assert [module for module in MODULES if module != "bench" and room(module) == "bench.__init__"] == []


def test_a_room_imports_only_from_rooms_before_it():
    up = [
        f"{module} imports {other}"
        for module in MODULES
        for other in imports(module)
        if room(module) != room(other) and RANKS[room(module)] <= RANKS[room(other)]
    ]
    assert up == []


def test_no_modules_import_each_other():
    try:
        TopologicalSorter({module: imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_what_users_and_plugins_import_first_is_light():
    code = "import bench, bench.api, bench.registry, bench.running.launchers, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT)
    assert {"torch", "pandas", "numpy", "matplotlib"} & {*done.stdout.split()} == set()
