"""`bench doctor`: a sound tree is sound, and each of the planted faults is found under its code, and no other."""

import itertools
import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inline_snapshot import snapshot
from PIL import Image

from bench import cli
from bench.doctor import findings
from bench.doctor.check_images import NEAR, near_pairs
from bench.settings import Settings
from tests.prose import sentences_with
from tests.unit.planted_faults import (
    FAULTS,
    HEADER,
    USUAL,
    films_gone,
    no_women_with_it,
    same_film_of_two_patients,
    table,
)

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
FOUND = re.compile(r"^(D\d{3}) (error|warning|note) (\S+?): (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A tree in the layout of NIH ChestX-ray14 without a fault: 160 films of 80 patients, every cell well filled."""
    folder = tmp_path_factory.mktemp("sound") / "nih_cxr14"
    (folder / "images").mkdir(parents=True)
    rng, lines, names = np.random.default_rng(0), [HEADER], []
    for i in range(160):
        patient, name = 99000000 + i // 2, f"{99000000 + i // 2}_{i % 2:03d}.png"
        finding = "Pneumothorax" if i // 2 % 2 else "No Finding"
        sex, age, view = "MF"[i // 4 % 2], (40, 80)[i // 8 % 2], ("AP", "PA")[i // 16 % 2]
        lines.append(f"{name},{finding},0,{patient},{age},{sex},{view},64,64,1,1")
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / "images" / name)
        names.append(name)
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    (folder / "test_list.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture
def tree(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "data" / "nih_cxr14")
    return tmp_path / "data" / "nih_cxr14"


def doctor(capsys, *words):
    code = cli.main(["doctor", *map(str, words)])
    out = capsys.readouterr().out
    return code, [(code, level, text) for code, level, _, text in FOUND.findall(out)], out


def test_a_sound_tree_is_sound(tree, tmp_path, capsys):
    code, found, out = doctor(capsys, "nih_cxr14", "--full", "--data", tree.parent, "--cache", tmp_path / "cache")
    assert code == 0
    assert {code for code, _, _ in found} == USUAL
    assert re.search(r"rows +160\b.*used +160\b", out, re.DOTALL)
    assert "pneumothorax: 80 of 160 (50.0%)" in out
    assert "80 patients" in out
    assert sentences_with(out, "10815") == snapshot(
        [
            "paper 10815, here 160, difference -10655: official test list, exclusive labels; the one film more is not known",
            "D050 note nih_cxr14: used 160; paper 10815; difference -10655: official test list, exclusive labels; the one film more is not known",
        ]
    )


@pytest.mark.parametrize(("plant", "code", "level", "text"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_each_planted_fault_is_found_under_its_code(tree, tmp_path, capsys, plant, code, level, text):
    plant(tree)
    exit_code, found, out = doctor(capsys, "nih_cxr14", "--full", "--data", tmp_path / "data")
    assert exit_code == (3 if level == "error" else 0)
    mine = [one for one in found if one[0] not in USUAL]
    assert {(one[0], one[1]) for one in mine} == {(code, level)}, out
    assert text in mine[0][2]


TASK = """
image_size = 32
channels = 1
crop = "none"
folds = 2
[source]
dataset = "nih_cxr14"
where = { source = ["PA"] }
[ood.portable]
dataset = "nih_cxr14"
where = { source = ["AP"] }
[label]
column = "pneumothorax"
names = ["no finding", "pneumothorax"]
[attribute]
column = "female"
names = ["men", "women"]
"""


@pytest.fixture
def task(tree, tmp_path):
    (tmp_path / "mine.toml").write_text(TASK)

    def look(capsys, *words):
        given = ("--data", tree.parent, "--cache", tmp_path / "cache", *words)
        return doctor(capsys, tmp_path / "mine.toml", "--full", *given)

    return look


def test_a_sound_task_shows_its_smallest_cells_and_room(task, capsys):
    code, found, out = task(capsys)
    assert code == 0
    assert {one[0] for one in found} <= {*USUAL, "D041", "D060"}
    assert all(one[1] != "error" for one in found)
    assert sentences_with(out, "fold 0", "12.5") == snapshot(
        [
            "smallest cell, fold 0, validation: pneumothorax, men: 8; one image changes its rate by 12.5 points",
            "D041 warning source: fold 0, validation: pneumothorax, men has 8 images, one of them changes its rate by 12.5 points",
        ]
    )
    assert "image caches: 0.00 GB more" in out


def test_an_image_on_both_sides_of_a_task_is_an_error(task, tree, capsys):
    rows = pd.read_csv(table(tree), index_col=False)
    one, other = (rows.loc[rows["View Position"] == view, "Image Index"].iloc[0] for view in ("PA", "AP"))
    shutil.copy(tree / "images" / one, tree / "images" / other)
    code, found, _ = task(capsys)
    assert code == 3
    assert [one for one in found if one[0] == "D032"] == snapshot(
        [
            (
                "D032",
                "error",
                "1 files of test set 'portable' are in the training table too, byte for byte, first images/99000000_000.png as images/99000008_000.png: delete their rows from one of the tables",
            )
        ]
    )


def test_an_empty_cell_of_a_task_and_an_external_set_that_cannot_be_are_errors(task, tree, capsys):
    no_women_with_it(tree)
    code, found, _ = task(capsys)
    assert code == 3
    assert "D041" in {one[0] for one in found if one[1] == "error"}


def test_a_patient_on_two_sides_is_an_error(task, tree, tmp_path, capsys):
    from bench.data import split_manifest
    from bench.running.run_task import plan_run

    settings = Settings(
        str(tmp_path / "mine.toml"), tmp_path / "results", tmp_path / "cache", tree.parent, methods="baseline"
    )
    data, _ = plan_run(settings)
    cut = data.cut()
    cut.loc[cut.index[0], "fold"] = 1 - cut["fold"].iloc[0]
    (tmp_path / "cut.csv").write_text(split_manifest.manifest(data.task, cut))
    code, found, _ = task(capsys, "--splits", tmp_path / "cut.csv")
    assert code == 3
    assert ("D060", "error") in {one[:2] for one in found}


def test_phantoms_are_named_and_not_mixed_with_releases(tree, tmp_path, capsys):
    code, found, out = doctor(capsys, "phantom-cxr-age")
    assert code == 0
    assert "D070 note source: SYNTHETIC DATA" in out
    (tmp_path / "mixed.toml").write_text(
        TASK.replace(
            '[ood.portable]\ndataset = "nih_cxr14"\nwhere = { source = ["AP"] }',
            '[ood.portable]\ndataset = "phantom:family=chest,hospital=ood_neutral,images=100,size=32"',
        )
    )
    code, found, _ = doctor(capsys, tmp_path / "mixed.toml", "--data", tree.parent)
    assert code == 3
    assert "D071" in {one[0] for one in found}


def test_open_folders_of_credentialed_sources_are_told_of(tmp_path, capsys):
    assert cli.main(["phantom", "chexpert", "--out", str(tmp_path), "--images", "80"]) == 0
    capsys.readouterr()
    (tmp_path / "chexpert").chmod(0o755)
    assert "D080" in {one[0] for one in doctor(capsys, "chexpert", "--data", tmp_path)[1]}
    (tmp_path / "chexpert").chmod(0o700)
    assert "D080" not in {one[0] for one in doctor(capsys, "chexpert", "--data", tmp_path)[1]}


def test_json_names_no_image(tree, tmp_path, capsys):
    same_film_of_two_patients(tree)
    films_gone(tree)
    cli.main(["doctor", "nih_cxr14", "--full", "--json", "--data", str(tree.parent)])
    out = capsys.readouterr().out
    record = json.loads(out)
    assert record["failed"] is True
    assert record["counts"]["nih_cxr14"]["used"] == 157
    assert record["counts"]["nih_cxr14"]["reasons"] == {"FILE_MISSING": 3}
    assert all(re.fullmatch("[0-9a-f]{16}", one) for finding in record["findings"] for one in finding["ids"])
    films = [file.stem for file in tree.rglob("*.png")]
    assert len(films) > 150
    assert not [film for film in films if film in out]
    # The patient's number alone, outside of the checksums that stand there in place of it.
    assert not {film.partition("_")[0] for film in films} & set(re.findall(r"[0-9a-zA-Z]+", out))


def test_near_duplicates_are_those_of_comparing_all_with_all():
    draw = random.Random(0)
    bits = [draw.getrandbits(64) for _ in range(60)]
    for one in list(bits):
        changed = one
        for place in draw.sample(range(64), draw.randint(0, 7)):
            changed ^= 1 << place
        bits.append(changed)
    by_force = [(i, j) for i, j in itertools.combinations(range(120), 2) if (bits[i] ^ bits[j]).bit_count() <= NEAR]
    assert len(by_force) > 20
    assert near_pairs([f"{one:016x}" for one in bits]) == by_force


def test_the_page_holds_every_code_with_its_cure():
    page = (ROOT / "docs" / "doctor.md").read_text()
    assert re.findall(r"^\| `(D\d{3})` \| (.*?) \| (.*?) \|$", page, re.MULTILINE) == [
        (code, check["says"], findings.advice(code, Settings("TASK"), "NAME"))
        for code, check in findings.CHECKS.items()
    ]


def test_advice_has_complete_commands(tree, tmp_path, capsys):
    shutil.rmtree(tree)
    out = doctor(capsys, "nih_cxr14", "--data", tree.parent, "--cache", tmp_path / "my cache")[2]
    assert f"`bench doctor nih_cxr14 --cache '{tmp_path}/my cache' --data DIR`" in out


def test_an_unknown_name_has_its_nearest_spelling(capsys):
    assert cli.main(["doctor", "nih_cxr15"]) == 2
    assert sentences_with(capsys.readouterr().err, "nih_cxr14") == snapshot(
        [
            "bench: unknown task or dataset 'nih_cxr15': did you mean nih_cxr14 or mimic_cxr? allowed: phantom-cxr-age, phantom-cxr-sex, phantom-cxr-findings, phantom-skin-tone, phantom-skin-sex, phantom-cxr-age-no-correlation, phantom-cxr-age-no-cue, phantom-cxr-age-faint, phantom-cxr-age-no-core, phantom-cxr-age-groups, phantom-skin-tone-groups, ham10000-sex, ham10000-age, ham10000-melanoma-sex, ham10000-melanoma-age, ham10000-melanoma-sex-tied, ham10000-diagnoses-sex, skin-tone, skin-gender, cxr-gender, cxr-age, skin-tone-groups, cxr-age-groups, atlas, chexpert, ddi, embeddings, fitzpatrick17k, ham10000, isic, manifest, mimic_cxr, nih_cxr14, pad_ufes_20, phantom"
        ]
    )


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_images_pass_and_the_site_shortcut_is_shown(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/nih_cxr14").symlink_to(SHARED / "nih-cxr14-small")
    (tmp_path / "data/ham10000").symlink_to(SHARED / "ham10000")
    code, found, out = doctor(capsys, "nih_cxr14:split=all", "--full", "--data", tmp_path / "data")
    assert code == 0
    assert re.search(r"rows +1000\b.*LABEL_OTHER_FINDING +-485\b.*used +515\b", out, re.DOTALL)
    assert "14 images are RGBA" in str(found)
    code, found, _ = doctor(capsys, "ham10000", "--data", tmp_path / "data")
    assert code == 0
    assert "malignant is 1 for 0.7% of the 3954 images of source vidir_molemax and for 31.8% of the others" in str(
        found
    )
