"""Export archives: what leaves, that the bytes are the same, and that a bad archive is refused by name."""

import csv
import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
import tomllib

import numpy as np
import pytest
from inline_snapshot import snapshot
from pandas.testing import assert_frame_equal

from bench import taskfile
from bench.api import Task
from bench.cells.identity import SCHEMA, slug
from bench.cells.record import Counted, Leaves, Record, decode
from bench.errors import BenchError, DataInvalid, DataMissing, UsageError
from bench.files import to_json
from bench.report.artefacts import artefacts
from bench.report.figures import sweeps
from bench.report.tables import main_table
from bench.report.task_results import TaskResults
from bench.share import archive
from bench.share.archive import MANIFEST, pack, unpack
from bench.share.export import commands, contents
from bench.share.privacy import leaving, leaving_failures, leaving_task, pathless, permitted
from bench.share.read_export import opened
from bench.share.task_toml import differences, from_toml, to_toml
from bench.taskfile import build
from bench.tasks import TASKS
from tests.factory import GONE, changed, failure, scores
from tests.prose import plain
from tests.unit.sites import GROUPS, TASK, cell, predictions, site, with_predictions

SMALL = {GROUPS[0]: (131, 67), GROUPS[1]: (59, 7)}
HIDDEN = ("131", "67", "59", "198", "66", "190", "74")
"""Counts of SMALL by group, class or both."""
RECORD = cell("swift", 0, "north")
FILES = {"task.toml": b"name", "cells/small/swift/f0-s0.json": b"{}"}


def members(file):
    with tarfile.open(file) as tar:
        return {item.name: opened.read() for item in tar if (opened := tar.extractfile(item))}


def written(path, entries, manifest=None, **changes):
    """An archive of these (name, bytes or TarInfo) members behind a manifest that names all bytes."""
    named = {name: data for name, data in entries if isinstance(data, bytes)}
    table = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in named.items()}
    about = manifest or {"format": archive.FORMAT, "schema": archive.SCHEMA, "bench": "0", "files": table} | changes
    text = json.dumps(about).encode()
    with gzip.GzipFile(path, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, data in [(MANIFEST, text), *entries]:
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(data, tarfile.TarInfo) else data
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_what_is_packed_is_unpacked(tmp_path):
    pack(tmp_path / "a.tar.gz", {"task": "t"}, FILES)
    (tmp_path / "out").mkdir()
    about = unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (about["task"], about["schema"], sorted(about["files"])) == ("t", 1, sorted(FILES))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES


def test_the_same_files_give_the_same_bytes_without_time_owner_and_name(tmp_path):
    pack(tmp_path / "a.tar.gz", {}, FILES)
    pack(tmp_path / "other.tar.gz", {}, dict(reversed(FILES.items())))
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar.getmembers()} == {(0, 0, 0, "", 0o644)}


def link(name, kind, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("../out.json", b"x")], "'../out.json' is not a valid name of a file"),
        ([("a/../../out.json", b"x")], "'a/../../out.json' is not a valid name of a file"),
        ([("/etc/out", b"x")], "'/etc/out' is not a valid name of a file"),
        ([("a//b", b"x")], "'a//b' is not a valid name of a file"),
        ([(".hidden", b"x")], "'.hidden' is not a valid name of a file"),
        ([("C:\\out", b"x")], "is not a valid name of a file"),
        ([("a", b"x"), ("a", b"x")], "'a' is there twice"),
        ([("a", b"x"), ("l", link("l", tarfile.SYMTYPE, "/etc/passwd"))], "'l' is not in the manifest"),
        ([("a", link("a", tarfile.SYMTYPE, "/etc/passwd")), ("a", b"x")], "'a' is a link or a device"),
        ([("a", link("a", tarfile.LNKTYPE, "MANIFEST.json")), ("a", b"x")], "'a' is a link or a device"),
        ([("a", link("a", tarfile.FIFOTYPE, "")), ("a", b"x")], "'a' is a link or a device"),
    ],
    ids=["up", "up inside", "absolute", "empty part", "hidden", "drive", "twice", "more", "link", "hard link", "fifo"],
)
def test_a_member_that_is_no_plain_file_of_the_manifest_is_refused(tmp_path, entries, says):
    file = written(tmp_path / "bad.tar.gz", entries)
    (tmp_path / "in" / "out").mkdir(parents=True)
    with pytest.raises(DataInvalid) as caught:
        unpack(file, tmp_path / "in" / "out")
    assert says in str(caught.value)
    assert "bad.tar.gz" in str(caught.value)
    outside = [path for path in tmp_path.rglob("*") if path.name.startswith("out") and path.is_file()]
    assert outside == []


def entry(data, **changes):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 7}, "an export with schema 7 (bench 0); this is bench"),
        ({"format": "other"}, "not an export: its manifest does not have the format 'bench export'"),
        ({"files": {"a": entry(b"xy")}}, "'a' has 1 bytes, the manifest says 2"),
        ({"files": {"a": entry(b"x", sha256="0" * 64)}}, "'a' was changed: its checksum differs from the manifest"),
        ({"files": {"a": entry(b"x"), "b": entry(b"y")}}, "1 files of the manifest are missing, first 'b'"),
        ({"files": {}}, "'a' is not in the manifest"),
        ({"files": {"a": {"bytes": -1, "sha256": ""}}}, "the manifest has no size and checksum of 'a'"),
        ({"files": {"a": {"bytes": True, "sha256": ""}}}, "the manifest has no size and checksum of 'a'"),
        ({"files": {"a": entry(b"x", bytes=2**50)}}, "its files have more than"),
        ({"files": None}, "the manifest lists no files"),
    ],
    ids=["schema", "format", "size", "checksum", "missing", "not named", "negative", "no number", "huge", "no table"],
)
def test_a_manifest_that_does_not_fit_its_files_is_refused(tmp_path, changes, says):
    file = written(tmp_path / "bad.tar.gz", [("a", b"x")], **changes)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid) as caught:
        unpack(file, tmp_path / "out")
    assert says in str(caught.value)


def test_a_header_that_claims_to_be_endless_is_not_read_into_memory(tmp_path):
    """Of a pax header that says it has 200 MB the first few are enough to refuse it."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 200 * 2**20
    with gzip.GzipFile(tmp_path / "bomb.tar.gz", "wb") as zipped:
        zipped.write(header.tobuf())
        zipped.write(bytes(3 * 2**20))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid) as error:
        unpack(tmp_path / "bomb.tar.gz", tmp_path / "out")
    assert plain(error.value, tmp_path) == snapshot("<tmp>/bomb.tar.gz: it has a member that is longer than allowed")


@pytest.mark.parametrize("size", [0, 1, 30, 200, -40])
def test_half_an_archive_or_none_is_said_to_be_no_whole_export(tmp_path, size):
    pack(tmp_path / "a.tar.gz", {}, FILES)
    (tmp_path / "half.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:size])
    (tmp_path / "out").mkdir()
    with pytest.raises(DataInvalid, match=r"half.tar.gz(: not an export| is not a complete export)"):
        unpack(tmp_path / "half.tar.gz", tmp_path / "out")
    with pytest.raises(DataMissing, match="bench export"):
        unpack(tmp_path / "none.tar.gz", tmp_path / "out")


@pytest.mark.parametrize(
    "task", [*TASKS.values(), taskfile.resolve("phantom-cxr-age:external=0.2,preset=paper")], ids=str
)
def test_the_definition_of_a_task_comes_back_from_toml(task):
    assert from_toml(to_toml(task), "here") == task
    assert differences(from_toml(to_toml(task), "here"), task) == {}


def test_no_name_of_a_patient_or_folder_leaves_with_a_task():
    rows = {
        "dataset": 'manifest:csv="Doe, Jane/films.csv",images=../Doe_Jane,prefix=Doe_Jane,path_column=file',
        "where": {"patient": ("Doe_Jane", "007"), "file": ("Doe_Jane.png",)},
    }
    task = build(Task, {**tomllib.loads(to_toml(TASK)), "source": rows, "ood": {"b": rows}}, "here")
    text = to_toml(leaving_task(task))
    assert "Doe" not in text
    assert "007" not in text
    left = from_toml(text, "here")
    assert left.source == left.ood["b"], "equal lists stay equal"
    assert left.source.dataset == "manifest:path_column=file"
    assert [value[0].partition(",")[0] for value in left.source.where.values()] == ["2 values", "1 values"]
    assert leaving_task(task).source.where != leaving_task(task).source.where, "the salt is not kept"
    assert leaving_task(TASK) == TASK, "a release keeps its official names"
    sites, people = ("dias",), ("HAM_0001", "HAM_0002")
    rows = dataclasses.replace(TASK.source, dataset="ham10000", where={"source": sites, "patient": people})
    left = leaving_task(dataclasses.replace(TASK, source=rows)).source.where
    assert left["source"] == sites
    assert "HAM" not in repr(left)
    plugin = dataclasses.replace(rows, dataset="my_hospital:folder=x", where={"subject": people})
    assert "HAM" not in repr(leaving_task(dataclasses.replace(TASK, source=plugin)).source)


def test_a_definition_of_a_later_version_is_refused_by_its_key():
    with pytest.raises(UsageError) as error:
        from_toml("foldes = 3\n" + to_toml(TASK), "here")
    assert str(error.value) == snapshot(
        "unknown key 'foldes' in here: did you mean folds? allowed: name, says, preset, source, ood, label, attribute, image_size, channels, crop, recipe, backbones, weights, folds, protocol, stratify, polarity, external, balance, deficit"
    )


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("manifest:csv=/home/jane doe/x/films.csv,patient_column=p", "manifest:csv=films.csv,patient_column=p"),
        ("--plugin ~/mine.py", "--plugin mine.py"),
        ("from /srv/a b/x.csv to /srv/y.csv", "from y.csv"),  # a folder may be called `a b/x.csv to`
        ('File "/srv/a/b.py", line 3', 'File "b.py", line 3'),
        ("finding / no finding, n/a, up/down", "finding / no finding, n/a, up/down"),
        ("https://example.org/x", "https://example.org/x"),
        ({"/srv/a": ["/srv/b", 1, None]}, {"a": ["b", 1, None]}),
    ],
    ids=["spec", "home", "two", "traceback", "words", "address", "nested"],
)
def test_paths_are_cut_down_to_their_last_part(given, left):
    assert pathless(given) == left


def test_nothing_that_may_name_an_image_a_path_or_a_host_leaves_with_a_cell():
    planted = changed(
        cell("swift", 0, "zq"),
        hash="",
        log={"images": ["zqfilm1"], "user_checkpoint": "sha"},
        warnings=["zqfilm2 is odd"],
        environment={"host": "zqhost", "bench": "1", "python": "3", "submitted": {"plugin zq.py": "1"}},
        predictions_sha256="zqsha",
        data=dict.fromkeys(("train", "external", "val", *TASK.ood), GONE),
    )
    failed = failure(planted, "ValueError", "zqfilm3", traceback="zq")
    trained = changed(planted, log={"images": ["zqfilm1"]})
    left = stored([*leaving([planted, trained], site("north").info), *leaving_failures([failed])])
    assert "zq" not in json.dumps(left)
    assert left[0]["log"] == {"user_checkpoint": "sha"}
    assert left[2]["error"] == {"class": "ValueError"}
    assert set(planted.scores) == set(left[0]["scores"])


def test_a_new_field_leaves_only_if_it_says_so():
    class Newer(Record, kw_only=True):
        quiet: str = ""
        loud: Leaves[str] = ""
        size: Counted[int] = 0

    newer = Newer(**{name: getattr(RECORD, name) for name in Record.__struct_fields__}, quiet="a", loud="b", size=1)
    left = permitted(newer)
    assert (left.quiet, left.loud, left.size) == ("", "b", 1)
    assert permitted(newer, counted=False).size == 0


def stored(items):
    """Cells or failures as an export holds them."""
    return [json.loads(to_json(item)) for item in items]


def small_site(least, **sets):
    made = site("north", [cell(m, f, "north", **sets) for m in ("baseline", "swift") for f in (0, 1)])
    return dataclasses.replace(made, info=dataclasses.replace(made.info, min_cell=least))


def numbers(value):
    """All numbers in JSON, as text."""
    if isinstance(value, dict):
        return {one for item in value.values() for one in numbers(item)}
    if isinstance(value, list):
        return {one for item in value for one in numbers(item)}
    return {str(value)} if isinstance(value, int | float) else set()


@pytest.mark.parametrize("least", [8, 60])
def test_no_count_that_a_report_would_withhold_is_in_a_cell(least):
    shown = small_site(0, ood_neutral=SMALL)
    assert {"7", "59", "131"} <= numbers(stored(leaving(shown.cells, shown.info))), "without the option they are there"
    made = small_site(least, ood_neutral=SMALL)
    for left in stored(leaving(made.cells, made.info)):
        scores = left["scores"]["ood_neutral"]
        assert scores == {"n": 264, "metrics": {"auc": 0.4}, "suppressed": scores["suppressed"]}
        assert "eodds" in scores["suppressed"]
        assert not numbers(left) & set(HIDDEN)
        # 40 and 25 are small too where 60 is the least.
        assert ("attributes" in left["scores"]["ood_reversed"]) == (least == 8)


def test_a_small_cell_of_val_hides_the_size_of_the_external_set_and_what_counts_it():
    made = small_site(10, val=SMALL)
    left = stored(leaving(made.cells, made.info))[0]
    assert left["data"]["external"] == {"sha": "north-external-0"}
    assert left["cost"] == {"seconds": 1.0}
    assert left["scores"]["ood_neutral"]["attributes"]["age"]["metrics"]["eodds"] == 0.4
    assert "external_repeats" not in left
    pair = {"best": "a", "worst": "b", "skipped": [], "auc": {"a": 0.9}}
    stays = {"objective": "o", "chosen": "swift", "trials": 2, "failed": 0, "undefined": 0}
    goes = {"images_forward": 777, "images_backward": 555, "scores": {"swift": {"eodds": 0.123}}}
    tuned = {**stays, **goes, "holdout": {"n": 9, "sha": "s"}}
    cells = [changed(item, pair=pair, tuned=tuned, external_repeats=3) for item in made.cells]
    left = stored(leaving(cells, made.info))[0]
    assert left["pair"] == {"best": "a", "worst": "b", "skipped": []}
    assert left["tuned"] == {**stays, "holdout": {}}
    assert "external_repeats" not in left


@pytest.mark.parametrize("least", [0, 10, 60, 100])
def test_what_was_exported_gives_the_tables_of_home(tmp_path, least):
    tiny = {GROUPS[0]: (2, 1), GROUPS[1]: (1, 2)}
    made = small_site(least, ood_neutral=SMALL, ood_reversed=tiny)
    first = changed(made.cells[0], scores={name: {"degenerate": True} for name in TASK.ood})
    made = dataclasses.replace(made, cells=[first, *made.cells[1:]])
    about, files = contents(made)
    pack(tmp_path / "a.tar.gz", about, files)
    here = main_table.files(made.tested(made.results))
    with opened(tmp_path / "a.tar.gz") as away:
        assert main_table.files(away.tested(away.results)) == here
    for kind in ("csv", "md", "tex"):
        assert members(tmp_path / "a.tar.gz")[f"reports/main.{kind}"].decode() == here[kind]


@pytest.mark.parametrize("least", [0, 10])
def test_intervals_over_patients_travel_without_the_predictions_they_are_made_of(tmp_path, least):
    rng, y, a = np.random.default_rng(0), [0, 1] * 20, [0] * 20 + [1] * 20
    frames = {
        (method, fold): predictions("zq", list(rng.normal(y)), y, a).assign(cluster=[*range(40)] * 3)
        for method in ("baseline", "swift")
        for fold in (0, 1)
    }
    home = with_predictions("north", tmp_path, frames)
    small = [cell(m, f, "north", ood_neutral=SMALL) for m in ("baseline", "swift") for f in (0, 1)]
    home = dataclasses.replace(home, cells=small, info=dataclasses.replace(home.info, min_cell=least))
    pack(tmp_path / "a.tar.gz", *contents(home))
    found = list(csv.DictReader(io.StringIO(main_table.csv(home.tested(home.results)))))
    drawn = {row["set"] for row in found if row["draws"] not in ("", "0")}
    assert drawn == ({"ood_reversed"} if least else {"ood_neutral", "ood_reversed"})
    with opened(tmp_path / "a.tar.gz") as away:
        assert main_table.files(away.tested(away.results)) == main_table.files(home.tested(home.results))
    with opened(tmp_path / "a.tar.gz", min_cell=10) as away:
        rows = list(csv.DictReader(io.StringIO(main_table.csv(away.tested(away.results)))))
        assert {row["set"] for row in rows if row["draws"] not in ("", "0")} == {"ood_reversed"}
        assert "ood_neutral 40 images" not in main_table.files(away.tested(away.results))["md"]
    inside = members(tmp_path / "a.tar.gz")
    assert [name for name, data in inside.items() if b"zq" in data] == []
    assert len(inside["intervals.json"]) < 5000, "draws are thousands"


def test_elsewhere_more_can_be_suppressed_and_never_less(tmp_path):
    pack(tmp_path / "open.tar.gz", *contents(small_site(0, ood_neutral=SMALL)))
    pack(tmp_path / "careful.tar.gz", *contents(small_site(10, ood_neutral=SMALL)))
    careful = small_site(10, ood_neutral=SMALL)
    with opened(tmp_path / "open.tar.gz", min_cell=10) as away:
        assert main_table.csv(away.results) == main_table.csv(careful.results)
    with opened(tmp_path / "careful.tar.gz", min_cell=1) as away:
        assert away.info.min_cell == 10
        assert main_table.csv(away.results) == main_table.csv(careful.results)


@pytest.fixture(scope="module")
def exported():
    return contents(site("north"))


def edit(name, **changes):
    def change(files):
        files[name] = json.dumps({**json.loads(files[name]), **changes}).encode()

    return change


FIRST = "cells/small/baseline/f0-s0.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edit(FIRST, schema=9), f"{FIRST.partition('/')[2]}: schema 9, {SCHEMA} expected"),
        (edit(FIRST, scores=[]), "not a whole result: Expected `object`, got `array` - at `$.scores`"),
        (edit(FIRST, cell={"task": "x"}), "not a whole result: Object missing required field `backbone` - at `$.cell`"),
        (lambda files: files.update({FIRST: b"[]"}), "not a whole result: Expected `object`, got `array`"),
        (
            lambda files: files.update({"cells/small/swift/f9-s0.json": files[FIRST]}),
            "holds another cell than its name",
        ),
        (lambda files: [files.pop(name) for name in list(files) if name.startswith("cells")], "it holds no cells"),
        (lambda files: files.pop("task.toml"), "task.toml"),
        (lambda files: files.update({"task.toml": b"= ="}), "a.tar.gz"),
        (
            lambda files: files.update({"task.toml": b"odd = 1"}),
            "this version of bench does not know its task: unknown key",
        ),
        (
            lambda files: files.update({"task.toml": files["task.toml"].replace(b'"phantom-cxr-age"', b'".."')}),
            "'..' is not a valid name of a task",
        ),
    ],
    ids=["schema", "scores", "cell", "list", "name", "none", "no task", "no toml", "key", "task name"],
)
def test_contents_that_are_not_as_bench_writes_them_are_refused(tmp_path, exported, change, says):
    """Their checksums are right: the manifest is made of them."""
    about, files = exported[0], dict(exported[1])
    change(files)
    pack(tmp_path / "a.tar.gz", about, files)
    with pytest.raises(BenchError) as caught, opened(tmp_path / "a.tar.gz"):
        pass
    assert says in str(caught.value)


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


def test_commands_of_a_task_without_runs_are_none(tmp_path):
    assert commands(dataclasses.replace(site("north").settings, results=tmp_path), TASK.name) == []


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
    assert {str(item["data"]["external"]) for item in left} == {str({"sha": f"north-external-{n}"}) for n in (0, 1)}
    assert not any("images_forward" in item["cost"] for item in left)


def test_the_logged_share_leaves_if_it_is_a_number():
    told = changed(cell("swift", 0, "north"), log={"reset_share": "zqfilm"})
    assert "log" not in stored(leaving([told], site("north").info))[0]


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
