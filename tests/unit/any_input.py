"""Runs the command line on any input, in this process, and watches what it writes; strategies for broken files."""

import contextlib
import io
import json
import os
import signal
import sys
import tomllib

from hypothesis import strategies as st

from bench import cli
from bench.taskfile import toml_key, toml_value

CODES = {0, 1, 2, 3}
LIMIT = 120
"""Seconds for one command on an input of a few kilobytes; most take a tenth of one, but others compute beside it."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree", "os.truncate")


class TooLong(BaseException):
    """Not an Exception, so that nothing catches it."""


class _Watch:
    """The paths that are written while it has a folder; hooks of Python cannot be taken off again."""

    folder = None
    seen: list[str] = []

    def __call__(self, event, arguments):
        if self.folder is None:
            return
        if event == "open":
            path, _, flags = arguments
            written = isinstance(path, str | bytes) and isinstance(flags, int) and flags & _WRITES
        else:
            path, written = arguments[0], event in _CHANGES
        if written and isinstance(path, str | bytes | os.PathLike):
            text = os.path.realpath(os.fsdecode(path))
            if not text.startswith((self.folder, "/dev/null")) and "__pycache__" not in text:
                self.seen.append(f"{event} {text}")


_watch = _Watch()
sys.addaudithook(_watch)


def outcome(words, folder):
    """Run `bench` in a folder; check the exit code, what is printed, and that nothing outside of it is written."""

    def too_long(*_):
        raise TooLong(words)

    out, err = io.StringIO(), io.StringIO()
    before, _watch.seen[:], _watch.folder = signal.signal(signal.SIGALRM, too_long), [], os.path.realpath(folder)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(words)
            except SystemExit as end:  # --help
                code = end.code or 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _watch.folder = None
    said = out.getvalue() + err.getvalue()
    assert code in CODES, (words, code, said)
    assert "Traceback" not in said, (words, said)
    assert "Please report it" not in said, (words, said)
    assert code == 0 or err.getvalue().strip() or out.getvalue().strip(), (words, "says nothing")
    assert _watch.seen == [], words
    return code


# --- values ----------------------------------------------------------------------------------------

ODD = [
    "",
    " ",
    "x",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "nan",
    "inf",
    "a,b",
    ",",
    "=",
    ":",
    "@tuned",
    "\x00",
    "\n",
]
ODD += [
    "swift:",
    "swift:rho=",
    "swift:epsilon=0.3",
    "../x",
    "/nonexistent/x",
    "~",
    "é😀",
    "a" * 300,
    "{fold}",
    ".",
    "[x]",
]
ODD += [
    "none",
    "true",
    "phantom:",
    "manifest:csv=",
    "timm:x",
    "\u202ex",
    "%s",
    "$HOME",
    "'",
    '"',
    "\\",
    "small",
    "films.csv",
]
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=8))
numbers = st.one_of(st.integers(-2, 3), st.integers(), st.floats(), st.sampled_from([10**30, -(10**30), 2**63]))
values = st.recursive(
    st.one_of(texts, numbers, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)


def as_toml(value):
    """A value as TOML, also one that JSON has no sign for; lists and tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_key(key)} = {as_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return repr(value) if isinstance(value, float) else toml_value(value)


def places(value, path=()):
    """Every place in tables and lists, the whole one first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


def changed(value, path, new):
    """A copy with another value at a place; with None it is gone."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if new is None:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


@st.composite
def broken_toml(draw, text):
    """A TOML file with some values replaced, left out or added, or some of its letters changed."""
    if draw(st.integers(0, 3)) == 0:
        return draw(broken_bytes(text.encode()))
    table = tomllib.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(table) if path] or [("x",)]))
        if draw(st.integers(0, 4)) == 0 and isinstance(path[-1], str):
            path = (*path[:-1], draw(texts))
        table = changed(table, path, draw(st.one_of(values, st.none()) if _holds(table, path) else values))
    return "".join(f"{toml_key(key)} = {as_toml(value)}\n" for key, value in table.items()).encode(errors="replace")


def _holds(table, path):
    return path in set(places(table))


@st.composite
def broken_bytes(draw, content):
    """Bytes with a few changed, cut out, repeated or inserted."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        how, few = draw(st.integers(0, 3)), draw(st.integers(1, 9))
        if how == 0 and content:
            content[at] = draw(st.integers(0, 255))
        elif how == 1:
            del content[at : at + few]
        elif how == 2:
            content[at:at] = content[at : at + few]
        else:
            content[at:at] = draw(st.binary(max_size=6))
    return bytes(content)
