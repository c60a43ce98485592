"""The rules of the house: what keeps files and functions short, and names and exceptions few."""

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("bench", "methods", "datasets") for file in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES, FUNCTION, PARAMETERS, CODE, OVERRIDES = 350, 60, 10, 27_590, 20
LONG = "# long because "
"""Stands on the line of a `def`, or on the one above, and says why the function is longer or takes more."""


def text(file):
    return file.read_text(encoding="utf-8")


def name(file):
    return str(file.relative_to(ROOT))


def code(source, tree):
    """The numbers of the lines that hold code: no blanks, comments or docstrings."""
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(tree):
        for part in node.body if isinstance(getattr(node, "body", None), list) else ():
            if (
                isinstance(part, ast.Expr)
                and isinstance(part.value, ast.Constant)
                and isinstance(part.value.value, str)
            ):
                lines -= set(range(part.lineno, part.end_lineno + 1))
    return lines


def test_no_file_is_longer_than_it_may_be():
    files = [*FILES, *TESTS]
    long = [f"{name(f)}: {n}" for f in files if (n := len(text(f).splitlines())) > LINES and name(f) != "bench/api.py"]
    assert long == []


def test_no_function_is_longer_or_takes_more_than_it_may_without_a_reason():
    offenders = []
    for file in FILES:
        source = text(file)
        tree, lines = ast.parse(source), source.splitlines()
        coded = code(source, tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            size = len(coded & set(range(node.lineno, node.end_lineno + 1)))
            given = node.args
            takes = len([*given.posonlyargs, *given.args, *given.kwonlyargs])
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            excused = any(LONG in line for line in (lines[node.lineno - 1], lines[first - 2]))
            if (size > FUNCTION or takes > PARAMETERS) and not excused:
                offenders.append(f"{name(file)}: {node.name} has {size} lines and {takes} parameters")
    assert offenders == []


def test_no_two_modules_share_a_name():
    counts = Counter(file.stem for file in FILES if file.stem != "__init__")
    assert [name(file) for file in FILES if counts[file.stem] > 1] == []


def test_the_formatter_is_overruled_rarely():
    said = {name(file): text(file).count("# fmt: ") - text(file).count("# fmt: on") for file in FILES}
    assert sum(said.values()) <= OVERRIDES, {file: number for file, number in said.items() if number}


def test_the_product_is_no_larger_than_it_may_be():
    assert sum(len(code(text(file), ast.parse(text(file)))) for file in FILES) <= CODE
