"""An archive whose content is not as it should be is refused with the field that is wrong, never with a traceback."""

import copy
import dataclasses
import json
import random
from dataclasses import asdict

import pytest

from bench.errors import BenchError, DataInvalid
from bench.files import to_json
from bench.reporting.numbers.further import Line, Measured
from bench.reporting.numbers.task_info import Overlap
from bench.reporting.tables import further_table, main_table
from bench.share.archive import pack
from bench.share.export import contents
from bench.share.read_export import ATTRIBUTES, FIELDS, INTERVALS, opened
from tests.unit.sites import TASK, site

FIRST = "cells/small/swift/f0-s0.json"
BAD = (None, -5, 2.5, True, "0.9", 10**30, [], {}, "x", -1e300)
SCORES = ("scores", "ood_neutral", "attributes", "age")
DEEP = b"[" * 100_000 + b"]" * 100_000


LINES = (
    Line("small", "baseline", "Baseline", mean=0.2, std=0.01, folds=2),
    Line("small", "swift", "SWiFT", False, 0.1, 0.01, 2, "", -0.1, -0.2, -0.01, 0.02, 0.04, supported=True),
)
TESTED = {
    "rows": [["small", "ood_neutral", "eodds", "swift", -0.1, 0.1, 0.03, 0.01, 2000, 0.05, True, -0.2, 0.2, False]],
    "patients": {"ood_neutral": [200, 100]},
    "family": {"size": 4, "draws": {"ood_neutral": 2000}},
    "leaning": [["small", "ood_neutral", "eodds", 0.1, 0.2, True, False]],
    "aucs": [["small", "ood_neutral", "swift", 0.6, 0.7]],
    "remarks": [],
}


@pytest.fixture(scope="module")
def exported():
    """An archive with intervals and a further attribute, which fabricated cells do not have."""
    north = site("north")
    overlaps = (Overlap(tuple(TASK.ood), 20),)
    about, files = contents(dataclasses.replace(north, info=dataclasses.replace(north.info, overlaps=overlaps)))
    also = [asdict(Measured(name, "sex", "measured", ("m", "f"), fewest=20, lines=LINES)) for name in TASK.ood]
    return about, files | {INTERVALS: to_json({"": TESTED}), ATTRIBUTES: to_json(also)}


def places(value, path=()):
    """Every place in JSON; of a list, the first two."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


def put(value, path, new):
    """JSON with another value at a place."""
    if not path:
        return new
    changed = at = copy.deepcopy(value)
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return changed


def read(folder, about, files):
    pack(folder / "a.tar.gz", about, files)
    with opened(folder / "a.tar.gz") as received:
        return main_table.files(received.tested(received.results)) | further_table.files(received)


def with_field(exported, name, path, value):
    about, files = exported
    if name == "manifest":
        return put(about, path, value), files
    return about, {**files, name: json.dumps(put(json.loads(files[name]), path, value)).encode()}


MUST_FAIL = [
    (FIRST, (*SCORES, "metrics", "eodds"), -5),
    (FIRST, (*SCORES, "metrics", "eodds"), 1.5),
    (FIRST, ("scores", "ood_neutral", "metrics", "auc"), -5),
    (FIRST, ("scores", "ood_neutral", "metrics", "auc"), 2.0),
    (FIRST, ("scores", "ood_neutral", "metrics", "auc"), True),
    (FIRST, ("scores", "ood_neutral", "metrics", "auc"), "0.9"),
    (FIRST, ("scores", "ood_neutral", "metrics", "auc"), [0.9]),
    (FIRST, (*SCORES, "groups", 0, "n"), -5),
    (FIRST, (*SCORES, "groups", 0, "positives"), 10**30),
    (FIRST, (*SCORES, "groups"), None),
    (FIRST, (*SCORES, "groups"), []),
    (FIRST, (*SCORES, "groups", 1, "name"), "0.9"),
    (FIRST, ("cost", "epochs_equivalent"), -1.0),
    (FIRST, ("cell", "row"), 10**30),
    (FIRST, ("environment",), "text"),
    ("manifest", ("min_cell",), -5),
    ("manifest", ("synthetic",), {}),
    ("manifest", ("overlaps", 0, "least"), -5),
    ("manifest", ("overlaps",), {"a": 1}),
    ("manifest", ("overlaps", 0, "sets"), ["nowhere"]),
    (INTERVALS, (), None),
    (INTERVALS, ("", "rows"), True),
    (INTERVALS, ("", "rows"), [[]]),
    (INTERVALS, ("", "patients"), {"ood_neutral": ["a", 1]}),
    (INTERVALS, ("", "aucs"), [["small", "near", "swift", "a", 1]]),
    (INTERVALS, ("", "family", "draws"), {}),
    *(
        (INTERVALS, ("", "rows", 0, 4 + FIELDS.index(name)), value)
        for name, value in (("ci_low", -5), ("p", 2.5), ("draws", -5), ("supported", 1), ("trained_high", 10**30))
    ),
    *((ATTRIBUTES, (0, "lines", 1, name), value) for name, value in (("mean", -5), ("p", 7), ("folds", -5))),
    *((ATTRIBUTES, (0, name), -5) for name in ("unknown", "fewest")),
]


@pytest.mark.parametrize(("name", "path", "value"), MUST_FAIL)
def test_a_value_that_cannot_be_is_refused_and_named(exported, tmp_path, name, path, value):
    with pytest.raises(DataInvalid) as error:
        read(tmp_path, *with_field(exported, name, path, value))
    names = [key for key in path if isinstance(key, str) and key]
    assert not names or any(key in str(error.value) for key in names[-2:]), error.value


@pytest.mark.parametrize("name", [FIRST, INTERVALS, ATTRIBUTES, "task.toml"])
def test_nested_brackets_are_refused(exported, tmp_path, name):
    about, files = exported
    with pytest.raises(DataInvalid):
        read(tmp_path, about, {**files, name: DEEP})


def try_all(exported, folder, tries):
    about, files = exported
    documents = {name: json.loads(files[name]) for name in (FIRST, INTERVALS, ATTRIBUTES)} | {"manifest": about}
    cases = [(name, path, bad) for name, one in documents.items() for path in places(one) for bad in BAD]
    cases = [case for case in cases if case[0] != "manifest" or case[1]]
    for number, case in enumerate(random.Random(tries).sample(cases, min(tries, len(cases)))):
        place = folder / str(number)
        place.mkdir()
        try:
            read(place, *with_field(exported, *case))
        except BenchError:
            pass
        except Exception as error:
            raise AssertionError(f"{case}: {type(error).__name__}") from error


def test_no_wrong_value_ends_in_a_traceback(exported, tmp_path):
    try_all(exported, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.long
def test_no_wrong_value_anywhere_ends_in_a_traceback(exported, tmp_path):
    try_all(exported, tmp_path, 2000)
