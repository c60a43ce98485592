"""The mutants of `make mutants`: each changes one thing, texts stay, and those that are listed still apply."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests import mutation

LISTED = tomllib.loads(mutation.LIST.read_text(encoding="utf-8"))
SOURCE = '''
"""A docstring with 1 and not 2."""
WORDS = Literal[1, 2]
version = 3

def f(a: Literal[1], b):
    """1 + 1"""
    if a < b and not a:
        g(a, 2, key=a)
    raise ValueError(f"{1 + 1}")
'''
EXPECTED = {
    "a < b -> a <= b",
    "a < b and (not a) -> a < b or not a",
    "not a -> a",
    "g(a, 2, key=a) -> pass",
    "g(a, 2, key=a) -> g(2, a, key=a)",
    "g(a, 2, key=a) -> g(a, 2)",
    "2 -> 3",
}


def test_mutants_change_one_thing_and_no_text(tmp_path):
    file = tmp_path / "part.py"
    file.write_text(SOURCE)
    made = list(mutation.mutants(file, tmp_path))
    assert {mutant.says for mutant in made} == {f"part.py: f: {change}" for change in EXPECTED}
    assert len({mutant.text for mutant in made}) == len(EXPECTED)
    assert all(ast.dump(ast.parse(mutant.text)) != ast.dump(ast.parse(SOURCE)) for mutant in made)


@pytest.mark.parametrize("one", LISTED["named"], ids=lambda one: one["id"])
def test_a_named_mutant_applies_once_and_has_its_test(one):
    assert (mutation.ROOT / one["file"]).read_text(encoding="utf-8").count(one["old"]) == 1
    assert (mutation.ROOT / "tests" / "unit" / f"{one['test']}.py").is_file()


def test_what_is_explained_is_a_mutant_of_today():
    """So that the list holds nothing of code that is gone."""
    files = sorted({Path(line.partition(":")[0]) for one in LISTED.get("survivor", []) for line in one["mutants"]})
    made = {mutant.says for file in files for mutant in mutation.mutants(mutation.ROOT / file)}
    for one in LISTED.get("survivor", []):
        assert one["why"]
        assert [line for line in one["mutants"] if line not in made] == []
