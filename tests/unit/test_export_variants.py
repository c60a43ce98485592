"""Exports of a task with variants: figures over them, and what is suppressed."""

import dataclasses
import json

import pytest
from pandas.testing import assert_frame_equal

from bench import taskfile
from bench.cells.identity import slug
from bench.cells.record import Record, decode
from bench.errors import DataInvalid
from bench.files import to_json
from bench.reporting.artefacts import artefacts
from bench.reporting.figures import sweeps
from bench.reporting.task_results import TaskResults
from bench.share.archive import pack
from bench.share.export import contents
from bench.share.read_export import opened
from bench.share.task_toml import to_toml
from tests.factory import changed, scores
from tests.unit.exports import SMALL, members
from tests.unit.sites import TASK, cell, site


def test_what_is_missing_elsewhere_is_made_by_the_task_that_came_along(tmp_path):
    file = tmp_path / "zqfolder" / "own.toml"
    file.parent.mkdir()
    file.write_text(to_toml(dataclasses.replace(TASK, name="own")))
    for spec in (str(file), f"{file}:lr_head=0.5"):
        pack(tmp_path / "own.tar.gz", *contents(with_variants(tmp_path / "results", spec=spec)))
        assert not [name for name, data in members(tmp_path / "own.tar.gz").items() if b"zqfolder" in data]
        with opened(tmp_path / "own.tar.gz") as away:
            assert str(away.line(["bmft"]).portable) == "bench run --task task.toml --methods bmft"
            assert away.variant("epochs", 4) is None
            assert figure(away, "external").possible(away), spec
            assert set(sweeps.of_task(sweeps.variants(away, "external"))["x"]) == {0, 0.2, 0.4, 0.6, 0.8, 1}
    pack(tmp_path / "suite.tar.gz", *contents(site("north")))
    with opened(tmp_path / "suite.tar.gz") as away:
        assert str(away.line(["bmft"]).portable) == "bench run --task phantom-cxr-age --methods bmft"


def with_variants(results, least=0, images=200, spec=TASK.name):
    """A site whose task was run with every number of epochs and every share of its external set."""
    made, base = site("north"), taskfile.resolve(spec)
    varied = [taskfile.vary(spec, field, value) for field in sweeps.OF_TASK for value in sweeps.values(base, field)]
    known = {}
    for one in dict.fromkeys([spec, *varied]):
        task = taskfile.resolve(one)
        external = round(images * task.external)
        cells = [
            changed(
                cell(method, fold, "north"),
                task=task.name,
                data={"external": (external, f"north-external-{fold}")},
                log={"reset_share": 0.25 + fold, "images": ["zqfilm"]},
            )
            for method in ("baseline", "swift")
            for fold in (0, 1)
        ]
        (results / "cells" / slug(task.name)).mkdir(parents=True, exist_ok=True)
        settings = dataclasses.replace(made.settings, results=results, task=one)
        info = dataclasses.replace(made.info, min_cell=least, name=task.name)
        known[one] = TaskResults(settings, task, info, cells, [], known=known)
    return known[spec]


def figure(material, field):
    name = {"epochs": "figure-4", "external": "figure-7"}[field]
    return next(item for item in artefacts(material) if item.name == name)


def test_figures_over_variants_are_drawn_of_the_same_numbers_elsewhere(tmp_path):
    home = with_variants(tmp_path / "results")
    pack(tmp_path / "a.tar.gz", *contents(home))
    inside = members(tmp_path / "a.tar.gz")
    assert [name for name, data in inside.items() if b"zqfilm" in data] == []
    with opened(tmp_path / "a.tar.gz") as away:
        for field in sweeps.OF_TASK:
            one, other = (sweeps.variants(material, field) for material in (home, away))
            assert sorted(one) == sorted(map(float, sweeps.values(TASK, field)))
            assert sweeps.images(other) == sweeps.images(one)
            assert_frame_equal(sweeps.of_task(other), sweeps.of_task(one))
            assert figure(away, field).possible(away)
        assert [item.log for item in away.cells] == [{"reset_share": 0.25}, {"reset_share": 1.25}] * 2


def test_a_variant_of_so_few_images_that_they_are_suppressed_does_not_leave(tmp_path):
    pack(tmp_path / "a.tar.gz", *contents(with_variants(tmp_path / "results", least=10, images=36)))
    inside = [name for name in members(tmp_path / "a.tar.gz") if name.startswith("variants/external")]
    assert {name.split("/")[1] for name in inside} == {f"external-{share}" for share in (0.0, 0.4, 0.6, 0.8)}
    with opened(tmp_path / "a.tar.gz") as away:
        (line,) = figure(away, "external").lines(away)
        assert str(line.portable) == "bench run --task phantom-cxr-age --methods swift --ablate external"
        assert figure(away, "epochs").possible(away)


def test_what_one_fold_withholds_the_variants_of_all_withhold(tmp_path):
    home = with_variants(tmp_path / "results", least=10)
    small = changed(home.cells[0], scores={"val": scores(SMALL, value=0.4)})
    home = dataclasses.replace(home, cells=[small, *home.cells[1:]])
    left = [json.loads(data) for name, data in contents(home)[1].items() if name.startswith("variants/")]
    assert len(left) == 4 * (len(sweeps.values(TASK, "epochs")) + len(sweeps.values(TASK, "external")) - 2)
    assert {str(item["data"]["external"]) for item in left} == {"{}"}, "neither a size nor a checksum"
    assert not any("images_forward" in item["cost"] for item in left)


@pytest.mark.parametrize(
    ("task", "says"), [("phantom-cxr-sex", "holds another cell than its name says"), ("", "cells of 2 tasks")]
)
def test_a_variant_with_cells_of_another_task_is_refused(tmp_path, task, says):
    about, files = contents(with_variants(tmp_path / "results"))
    name = "variants/epochs-0/small/swift/f0-s0.json"
    record = changed(decode(files[name], Record), task=task or f"{TASK.name}:epochs=1")
    files[name] = to_json(record)
    pack(tmp_path / "a.tar.gz", about, files)
    with pytest.raises(DataInvalid, match=says), opened(tmp_path / "a.tar.gz"):
        pass
