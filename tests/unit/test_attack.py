"""The attack on small sets: whoever knows the images tries every label and group of each against every checksum.

The attacker knows ids and files of all images, the code and what leaves the machine. Without suppression the attack
succeeds; with `--min-cell` nothing that leaves gives anything to compare with.
"""

import dataclasses
import functools
import hashlib
import itertools
import re

import pandas as pd
import pytest

from bench.data.sample_table import fingerprint
from bench.reporting.page.provenance import provenance
from bench.share.export import contents
from bench.tasks import TASKS
from tests.factory import changed
from tests.unit.sites import GROUPS, cell, site

TASK = TASKS["phantom-cxr-age"]
UIDS = [f"release:{i:03d}" for i in range(6)]
TRUTH = (0, 1, 1, 0, 1, 1), (0, 0, 1, 1, 1, 0)
FEW = {GROUPS[0]: (1, 2), GROUPS[1]: (1, 2)}
HEX = re.compile(r"[0-9a-f]{12,64}")


def checksum(y, a):
    table = pd.DataFrame({"uid": UIDS, "path": UIDS, "y": y, "a": a})
    return fingerprint(table, {})["sha"]


@functools.cache
def assignments():
    """Every label and group of every image, by the first 12 digits of the checksum of the set."""
    every = list(itertools.product((0, 1), repeat=len(UIDS)))
    lines = {(u, i, j): f"{uid}\t{i}\t{j}\t\n" for u, uid in enumerate(UIDS) for i in (0, 1) for j in (0, 1)}
    made = {}
    for y, a in itertools.product(every, every):
        text = "".join(lines[u, y[u], a[u]] for u in range(len(UIDS)))
        made[hashlib.sha256(text.encode()).hexdigest()[:12]] = (y, a)
    assert made[checksum(*TRUTH)[:12]] == TRUTH
    return made


def found(text):
    """The assignments that fit to a word of a text: 12 digits of a checksum are enough."""
    known = assignments()
    return [known[word[:12]] for word in {word[:12] for word in HEX.findall(text)} if word[:12] in known]


def left(name, least):
    """All that leaves of a task whose set `name` has six images: the texts of an archive, and the page's table."""
    sets = {name: FEW}
    parts = (name,) if name in TASK.ood else ("train", "external", "val")
    cells = [cell(method, fold, "north", **sets) for method in ("baseline", "swift") for fold in (0, 1)]
    # The hash of a cell is one of the checksums, and the attacker knows everything else in it.
    sha = checksum(*TRUTH)
    cells = [changed(one, hash=sha, data=dict.fromkeys(parts, (len(UIDS), sha))) for one in cells]
    made = site("north", cells)
    made = dataclasses.replace(made, info=dataclasses.replace(made.info, min_cell=least))
    _, files = contents(made)
    archive = "\n".join(data.decode() for data in files.values() if isinstance(data, bytes))
    page = "\n".join(str(table.rows) for table in provenance(made.results, cells, TASK))
    return archive, page


@pytest.mark.parametrize("name", ["ood_neutral", "val"])
def test_the_attack_succeeds_without_suppression_and_fails_with_it(name):
    for text in left(name, 0):
        assert found(text) == [TRUTH]
    for text in left(name, 5):
        assert found(text) == []


def test_checksums_of_sets_that_are_not_small_stay():
    archive, page = left("ood_neutral", 5)
    assert "north-ood_reversed-" in archive
    assert "north-ood_re" in page
