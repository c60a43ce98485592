"""What several tests of exports make and read."""

import dataclasses
import json
import tarfile

from bench.files import to_json
from tests.unit.sites import GROUPS, cell, site

SMALL = {GROUPS[0]: (131, 67), GROUPS[1]: (59, 7)}


def members(file):
    with tarfile.open(file) as tar:
        return {item.name: opened.read() for item in tar if (opened := tar.extractfile(item))}


def stored(items):
    """Cells or failures as an export holds them."""
    return [json.loads(to_json(item)) for item in items]


def small_site(least, **sets):
    made = site("north", [cell(m, f, "north", **sets) for m in ("baseline", "swift") for f in (0, 1)])
    return dataclasses.replace(made, info=dataclasses.replace(made.info, min_cell=least))
