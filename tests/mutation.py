"""Mutation testing: change one thing in the product, run the tests of its part, and see whether one of them fails.

    python -m tests.mutation [--sample N] [--seed N] [--minutes N] [PATH ...]        (`make mutants SAMPLE=60`)

The named mutants of `tests/mutation.toml` always run. The others are made from the syntax tree of every module of
`ROOMS` (or of PATH), and a sample of them runs. A mutant that no test notices must be explained in that file, by the
line that is printed for it. Mutants are written into a copy of the tree and run in a forked process, so that torch is
imported once.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("methods", "bench/learn", "bench/scoring", "bench/reporting/numbers")
LIST = ROOT / "tests" / "mutation.toml"
TRAINED = ("methods", "bench/learn")
"""Rooms that the oracles of whole methods test beside the tests that name their functions."""
SILENT = {"progress", "warn", "option", "fraction", "of_sgd", "of_adam", "percentile"}
"""Calls whose arguments are texts, or facts about an option; the default of an option is changed."""
FACTS = {"version", "row"}
"""Names whose value is a fact and no computation."""
LIMIT = 400
"""Seconds after which a mutant counts as noticed: it does not end."""

COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: its file, the line by which it is known, and the text of the changed file."""

    file: str
    says: str
    text: str
    tests: tuple[str, ...] = ()
    """The test modules that notice it, where they are known."""


# --- making mutants ------------------------------------------------------------------------------


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node, each a change of one thing."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[one]) if type(one) in COMPARE:
            new.ops = [COMPARE[type(one)]()]
            yield new
        case ast.BinOp() | ast.AugAssign() if type(new.op) in ARITHMETIC:
            new.op = ARITHMETIC[type(new.op)]()
            yield new
        case ast.BoolOp():
            new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
            yield new
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield new.operand
        case ast.IfExp():
            new.body, new.orelse = new.orelse, new.body
            yield new
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 1.1 if value else 1.0)
        case ast.Continue() | ast.Break():
            yield ast.Pass()
    if isinstance(node, ast.Call) and _called(node) not in SILENT:
        yield from _changed_calls(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _changed_calls(node: ast.Call) -> Iterator[ast.AST]:
    if len(node.args) > 1 and not any(isinstance(one, ast.Starred) for one in node.args[:2]):
        new = copy.deepcopy(node)
        new.args[:2] = new.args[1::-1]
        yield new
    for at, keyword in enumerate(node.keywords):
        if keyword.arg and keyword.arg != "strict":
            new = copy.deepcopy(node)
            del new.keywords[at]
            yield new


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def mutants(file: Path, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield the mutants of a module; texts, annotations, imports and what only a message holds stay as they are."""
    source = file.read_text(encoding="utf-8")
    tree, seen = ast.parse(source), {}
    name = str(file.relative_to(root))
    for parent, field, at, where in _places(tree, ""):
        value = getattr(parent, field)
        node = value if at is None else value[at]
        for new in changes(node):
            _put(parent, field, at, new)
            text = ast.unparse(tree)
            _put(parent, field, at, node)
            said = f"{name}: {where or 'module'}: {_line(node)} -> {_line(new)}"
            seen[said] = seen.get(said, 0) + 1
            yield Mutant(name, said + (f" #{seen[said]}" if seen[said] > 1 else ""), text)


def _put(parent: ast.AST, field: str, at: int | None, node: ast.AST) -> None:
    if at is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[at] = node


def _line(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _places(node: ast.AST, where: str) -> Iterator[tuple[ast.AST, str, int | None, str]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params") or isinstance(
            node, ast.Raise | ast.Assert
        ):
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        if isinstance(node, ast.Call) and _called(node) in SILENT:
            children = children[:1] if field == "args" else []
        for at, child in children:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield node, field, at, where
                yield from _places(child, where)


def _is_text(node: ast.AST) -> bool:
    """Tell whether a node is a docstring, a type, an import, or what only type checkers read."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Assign):
        aliases = ("Literal[", "Callable[", "dict[", "tuple[")
        return ast.unparse(node.value).startswith(aliases) or ast.unparse(node.targets[0]) in FACTS
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


# --- which tests ---------------------------------------------------------------------------------


def modules_for(file: str, root: Path, most: int) -> list[str]:
    """Return the test modules of a module, those that name most of what it defines first."""
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    names = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
    }
    dotted = "bench." + file.removeprefix("bench/").removesuffix(".py").replace("/", ".")
    users = [dotted, *(_dotted(other, root) for other in (root / file).parent.glob("*.py") if _imports(other, file))]
    counts = {}
    for test in sorted((root / "tests" / "unit").glob("test_*.py")):
        text = test.read_text(encoding="utf-8")
        words = set(re.findall(r"\w+", text))
        named = len(names & words) if "bench" in words else 0
        imported = sum(bool(re.search(rf"{re.escape(user)}\b", text)) for user in users)
        if imported or (named and any(f"{room} import" in text for room in ("bench", dotted.rpartition(".")[0]))):
            counts[str(test.relative_to(root))] = named + 3 * imported
    if not counts:
        room = dotted.rpartition(".")[0]
        texts = {test: test.read_text(encoding="utf-8") for test in sorted((root / "tests" / "unit").glob("test_*.py"))}
        counts = {str(test.relative_to(root)): text.count(room) for test, text in texts.items() if room in text}
    first = sorted(counts, key=lambda test: -counts[test])[:most]
    if file.startswith(TRAINED):
        first = list(dict.fromkeys([*_oracles(file, users, root), *first]))
    return first


def _oracles(file: str, users: Sequence[str], root: Path) -> list[str]:
    """Return the tests of whole methods that name a method, or one that uses the module; for `bench/learn` two."""
    if file.startswith("bench"):
        return ["tests/unit/test_whole_training.py", "tests/unit/test_whole_masked.py"]
    names = {user.rpartition(".")[2] for user in users}
    tests = sorted((root / "tests" / "unit").glob("test_whole_*.py"))
    found = [test for test in tests if names & set(re.findall(r"\w+", test.read_text(encoding="utf-8")))]
    return [str(test.relative_to(root)) for test in found]


def _dotted(file: Path, root: Path) -> str:
    return "bench." + str(file.relative_to(root)).removeprefix("bench/").removesuffix(".py").replace("/", ".")


def _imports(other: Path, file: str) -> bool:
    stem = Path(file).stem
    return other.stem != "__init__" and bool(
        re.search(rf"^\s*from (\.|bench\.[\w.]*\.?){stem} import", other.read_text(encoding="utf-8"), re.M)
    )


# --- running them --------------------------------------------------------------------------------


def run(tree: Path, tests: list[str], limit: float, log: Path) -> str:
    """Run test modules of a copy of the tree in a forked process until one fails; return what became of them."""
    child = os.fork()
    if not child:
        try:
            os._exit(_tested(tree, tests, log))
        except BaseException:  # nothing of the parent may be cleaned up here
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(99)
    start = time.monotonic()
    while time.monotonic() - start < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return {0: "survived", 1: "failed", 2: "failed"}.get(os.waitstatus_to_exitcode(status), "broken")
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "endless"


def _tested(tree: Path, tests: list[str], log: Path) -> int:
    os.setsid()
    with log.open("wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not slurm"]
    return int(pytest.main([*options, *tests]))


def _copied(folder: Path) -> Path:
    tree = folder / "tree"
    wanted = shutil.ignore_patterns("__pycache__", ".git", ".venv", ".tmp", "results", "cache", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=wanted, symlinks=True)
    if (ROOT / "results" / "published").is_dir():
        shutil.copytree(ROOT / "results" / "published", tree / "results" / "published")
    return tree


def _named(found: dict[str, list[dict[str, str]]]) -> list[Mutant]:
    named = []
    for one in found.get("named", []):
        text = (ROOT / one["file"]).read_text(encoding="utf-8")
        if text.count(one["old"]) != 1:
            raise SystemExit(f"{LIST.name}: mutant {one['id']}: {one['old']!r} is not once in {one['file']}")
        says, known = f"named {one['id']}: {one['file']}: {one['says']}", (f"tests/unit/{one['test']}.py",)
        named.append(Mutant(one["file"], says, text.replace(one["old"], one["new"]), known))
    return named


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("paths", nargs="*", default=ROOMS)
    parser.add_argument("--sample", type=int, default=60, help="mutants beside the named ones; -1: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="no mutant starts later than this")
    parser.add_argument(
        "--most", type=int, default=6, help="test modules for a mutant, those that name most of its module"
    )
    parser.add_argument("--named", help="the named mutants to run, by id; none: -; default: all")
    given = parser.parse_args()
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    explained = {line for one in listed.get("survivor", []) for line in one["mutants"]}
    files = [
        f
        for path in given.paths
        for f in ([ROOT / path] if path.endswith(".py") else sorted((ROOT / path).glob("*.py")))
    ]
    every = [mutant for file in files if file.stem != "__init__" for mutant in mutants(file)]
    rng = random.Random(given.seed)
    chosen = [one for one in _named(listed) if not given.named or one.says.split()[1][:-1] in given.named.split(",")]
    chosen += every if given.sample < 0 else rng.sample(every, min(given.sample, len(every)))
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    import numpy, pandas, pytest, scipy.stats, sklearn.metrics, torch  # noqa: F401, E401, I001

    start, results = time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="bench-mutants-") as folder:
        tree, log = _copied(Path(folder)), Path(folder) / "log"
        tests = {file: modules_for(file, ROOT, given.most) for file in sorted({mutant.file for mutant in chosen})}
        for number, mutant in enumerate(chosen, 1):
            if time.monotonic() - start > 60 * given.minutes:
                print(f"time is up: {number - 1} of {len(chosen)} were run")
                break
            original = (tree / mutant.file).read_text(encoding="utf-8")
            (tree / mutant.file).write_text(mutant.text, encoding="utf-8")
            began = time.monotonic()
            what = results[mutant.says] = run(tree, list(mutant.tests) or tests[mutant.file], LIMIT, log)
            (tree / mutant.file).write_text(original, encoding="utf-8")
            print(f"[{number}/{len(chosen)}] {what} ({time.monotonic() - began:.0f} s) {mutant.says}", flush=True)
    alive = [says for says, what in results.items() if what in ("survived", "broken")]
    new = [says for says in alive if says not in explained]
    print(
        f"{len(results)} mutants run, of {len(every)} and the named ones: {len(results) - len(alive)} noticed, ", end=""
    )
    print(f"{len(alive) - len(new)} explained in {LIST.name}, {len(new)} not")
    for says in new:
        print(f"  {says}")
    return bool(new)


if __name__ == "__main__":
    sys.exit(main())
