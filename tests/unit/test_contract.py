"""The contract of plugins: its version, and the modules that plugins may import."""

import re
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.api import CONTRACT
from bench.errors import PluginBroken
from bench.registry import METHODS, problems
from bench.templates import write_plugin
from tests.prose import plain

ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r'^ *"?from (bench[\w.]*) import ([\w, ]+)|^ *"?import (bench[\w.]*)', re.MULTILINE)


def written(folder, contract):
    """The template of a method that was written for some version of the contract."""
    folder.mkdir()
    write_plugin("method", "my-method", folder)
    file = folder / "my_method.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(f"contract = {CONTRACT} ") == 1
    file.write_text(text.replace(f"contract = {CONTRACT} ", f"contract = {contract} "), encoding="utf-8")
    return file


def test_a_plugin_of_this_version_is_taken(tmp_path):
    file = written(tmp_path / "this", CONTRACT)
    assert METHODS.load("my-method", (file,)).contract == CONTRACT
    assert problems((file,)) == []


OLDER = snapshot(
    "plugin <tmp>/other/my_method.py is left out: it is written for version 0 of the plugin contract, and this bench has version 1: its changelog says what to change in the plugin, whose class then says `contract = 1`"
)
NEWER = snapshot(
    "plugin <tmp>/other/my_method.py is left out: it is written for version 2 of the plugin contract, and this bench has version 1: install a newer bench"
)


@pytest.mark.parametrize(("other", "expected"), [(CONTRACT - 1, OLDER), (CONTRACT + 1, NEWER)])
def test_a_plugin_of_another_version_is_refused_and_told_why(tmp_path, other, expected):
    file = written(tmp_path / "other", other)
    with pytest.raises(PluginBroken) as error:
        METHODS.load("my-method", (file,))
    assert plain(str(error.value), tmp_path) == expected
    assert len(problems((file,))) == 1


def test_the_page_of_plugins_names_the_version_and_every_module_that_the_templates_import():
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    assert f"It is {CONTRACT} now." in page
    assert f"contract = {CONTRACT}\n" in page
    public = set(re.findall(r"`(bench[\w.]*)`", page[page.index("## What is public") : page.index("### The version")]))
    files = [
        *(ROOT / "bench/templates").glob("*.txt"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs").glob("examples/*.py"),
    ]
    used = {module for file in files for module in imported(file.read_text(encoding="utf-8"))}
    assert used - public == set()
    assert {"bench.api", "bench.learn"} <= used


def imported(text):
    """The modules of the suite that a text imports; of `from bench import learn`, the module."""
    for module, names, whole in IMPORT.findall(text):
        for name in names.split(","):
            yield f"bench.{name.strip()}" if module == "bench" else whole or module
