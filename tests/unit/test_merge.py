"""`bench merge`: what must not be merged, and why."""

import dataclasses
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bench.errors import UsageError
from bench.settings import Settings
from bench.share.merge import merge
from bench.share.sites import conflicts, remarks
from tests import factory
from tests.unit.sites import TASK, cell, site


def changed(name, **changes):
    """A site all of whose cells have these fields of `cell`, or of the record, changed."""
    return site(name, [factory.changed(item, **changes) for item in site(name).cells])


def test_two_sites_of_one_task_on_images_of_their_own_can_be_merged():
    assert conflicts({"north": site("north"), "south": site("south")}) == []
    assert remarks({"north": site("north"), "south": site("south")}) == []


def test_a_site_given_twice_is_refused_by_its_images_and_its_cells():
    found = conflicts({"north": site("north"), "again": site("north")})
    assert found == snapshot(
        [
            "images: north and again have the same in external, ood_neutral, ood_reversed, train, val",
            "cells: 4 are at north and again, first small/baseline/f0-s0: one site given twice?",
        ]
    )


def test_the_same_images_under_another_hash_are_refused_too():
    other = site("north", [factory.changed(item, hash="other") for item in site("north").cells])
    found = conflicts({"north": site("north"), "south": other})
    assert found[1] == snapshot(
        "cells: 4 trained on the same images have one hash at north and another at south, first small/baseline/f0-s0: other code, options or baselines"
    )


def test_one_shared_test_set_under_another_name_is_enough():
    first, *others = site("south").cells
    cells = [factory.changed(first, data={"ood_reversed": (200, "north-ood_neutral-")}), *others]
    assert conflicts({"north": site("north"), "south": site("south", cells)}) == snapshot(
        ["images: north and south have the same in ood_neutral, ood_reversed"]
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": dataclasses.replace(TASK.label, names=("well", "ill"))}, "task: label.names is (no finding, "),
        (
            {"attribute": dataclasses.replace(TASK.attribute, above=60)},
            "task: attribute.above is 65 at north, 60",
        ),
        ({"attribute": dataclasses.replace(TASK.attribute, names=("a", "b"))}, "task: attribute.names is (up to 65, "),
        ({"recipe": dataclasses.replace(TASK.recipe, epochs=4)}, "task: recipe.epochs is 10 at north, 4 at south"),
        ({"image_size": 32}, "task: image_size is 64 at north, 32 at south"),
        ({"polarity": "clinical"}, "task: polarity is paper at north, clinical at south"),
        ({"folds": 3}, "task: folds is 5 at north, 3 at south"),
        ({"name": "other"}, "task: name is phantom-cxr-age at north, other at south"),
    ],
    ids=["label", "threshold", "groups", "recipe", "pixels", "polarity", "folds", "name"],
)
def test_another_definition_of_the_task_is_refused_by_field(changes, says):
    found = conflicts({"north": site("north"), "south": site("south", **changes)})
    assert len(found) == 1
    assert found[0].startswith(says)


def test_sites_may_have_other_sources_and_other_words_for_the_task():
    other = {"says": "ours", "source": dataclasses.replace(TASK.source, dataset="manifest:csv=ours.csv")}
    assert conflicts({"north": site("north"), "south": site("south", **other)}) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "method: swift of version 1 at north, 2 at south"),
        ({"parameters": {"rate": 0.9}}, "method: swift with rate 0.5 at north, 0.9 at south"),
        ({"parameters": {}}, "method: swift with rate 0.5 at north, not set at south"),
        (
            {"metrics_version": 2},
            "metrics: version 1 at north, 2 at south: north has to recompute its metrics and export again",
        ),
        ({"backbone": "resnet50"}, "backbone: none that all sites ran (north: small; south: resnet50)"),
    ],
    ids=["version", "parameter", "missing parameter", "metrics", "backbone"],
)
def test_cells_that_are_not_alike_are_refused(changes, says):
    found = conflicts({"north": site("north"), "south": changed("south", **changes)})
    assert [line for line in found if line.startswith(says)], found


def test_older_metrics_in_a_folder_of_results_are_refused_with_the_command_that_recomputes_them():
    north = changed("north", metrics_version=2)
    settings = Settings("own tasks/tiny.toml", Path("my results"))
    south = site("south")
    south = dataclasses.replace(south, info=dataclasses.replace(south.info, settings=settings))
    assert conflicts({"north": north, "south": south}) == snapshot(
        [
            "metrics: version 2 at north, 1 at south: `bench metrics --recompute --task 'own tasks/tiny.toml' --results 'my results'` brings south up to date"
        ]
    )


def test_generated_beside_real_is_refused():
    other = site("south")
    made_up = dataclasses.replace(other, info=dataclasses.replace(other.info, synthetic=True))
    assert conflicts({"north": site("north"), "south": made_up}) == snapshot(
        ["data: south generated, north real: never in one report"]
    )


def test_a_site_without_usable_results_is_named():
    found = conflicts({"north": site("north"), "south": site("south", [])})
    assert found == snapshot(["cells: no usable results at south"])


def test_all_reasons_are_said_at_once_with_exit_code_2():
    south = changed("south", version=2, metrics_version=3)
    south = dataclasses.replace(south, task=dataclasses.replace(TASK, image_size=32))
    with pytest.raises(UsageError) as caught:
        merge({"north": site("north"), "south": south})
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert text == snapshot("""\
north and south cannot be merged:
  task: image_size is 64 at north, 32 at south
  method: baseline of version 1 at north, 2 at south
  method: swift of version 1 at north, 2 at south
  metrics: version 1 at north, 3 at south: north has to recompute its metrics and export again\
""")
    assert text.count("\n  ") == 4, "one for the pixels, two for the methods, one for the metrics"


def test_three_sites_are_compared_each_with_each():
    found = conflicts({"a": site("a"), "b": changed("b", version=2), "c": site("c")})
    assert [line for line in found if "swift" in line] == snapshot(
        [
            "method: swift of version 1 at a, 2 at b",
            "method: swift of version 2 at b, 1 at c",
        ]
    )


def test_what_one_site_lacks_and_other_code_are_said():
    north = site("north", [cell(m, f, "north") for m in ("baseline", "llft", "swift") for f in (0, 1)])
    south = changed("south", environment={"bench": "0.2.0"}, log={"user_checkpoint": "sha"})
    assert remarks({"north": north, "south": south}) == snapshot(
        [
            "llft: not run at south.",
            "Computed by different versions of bench (north: 0.1.0; south: 0.2.0).",
            "Baseline is a checkpoint of the site at south; the task trained it at north.",
        ]
    )
