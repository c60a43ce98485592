"""A sound tree in the layout of NIH ChestX-ray14, and the faults that can be planted into it."""

import gzip
import shutil

import numpy as np
from PIL import Image

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,"
    "Height],OriginalImagePixelSpacing[x,y]"
)


def table(tree):
    return tree / "Data_Entry_2017_v2020.csv"


def lines(tree):
    return table(tree).read_text().splitlines()


def write(tree, rows):
    table(tree).write_text("\n".join(rows) + "\n")


def edit(tree, at, old, new):
    rows = lines(tree)
    for i in at:
        assert old in rows[i], rows[i]
        rows[i] = rows[i].replace(old, new, 1)
    write(tree, rows)


def films(tree):
    return sorted((tree / "images").iterdir())


def no_folder(tree):
    shutil.rmtree(tree)


def one_level_up(tree):
    tree.parent.joinpath("deeper").mkdir()
    tree.rename(tree.parent / "deeper" / tree.name)


def no_table(tree):
    table(tree).unlink()


def login_page(tree):
    table(tree).write_text("<!DOCTYPE html><html>please log in</html>\n")


def pointer(tree):
    table(tree).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def half_a_gzip(tree):
    content = gzip.compress(table(tree).read_bytes())
    table(tree).unlink()
    (tree / "Data_Entry_2017_v2020.csv.gz").write_bytes(content[: len(content) // 2])


def no_column(tree):
    edit(tree, [0], "Patient Gender", "Gender")


def foreign_value(tree):
    edit(tree, [5], ",F,", ",X,")


def twice_the_same_film(tree):
    write(tree, [*lines(tree), lines(tree)[1]])


def films_gone(tree):
    for file in films(tree)[:3]:
        file.unlink()


def a_film_too_many(tree):
    shutil.copy(films(tree)[0], tree / "images" / "99999999_000.png")


def nothing_in_a_file(tree):
    films(tree)[7].write_bytes(b"")


def half_a_film(tree):
    file = films(tree)[8]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def see_through(tree):
    for file in films(tree)[:4]:
        Image.open(file).convert("RGBA").save(file)


def sixteen_bits(tree):
    file = films(tree)[3]
    Image.fromarray(np.asarray(Image.open(file)).astype(np.uint16) * 257).save(file)


def twelve_bits(tree):
    for file in films(tree):
        Image.fromarray(np.asarray(Image.open(file)).astype(np.uint16) * 16).save(file)


def black(tree):
    for file in films(tree)[:2]:
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(file)


def tiny(tree):
    Image.open(films(tree)[0]).resize((20, 20)).save(films(tree)[0])


def same_film_of_two_patients(tree):
    shutil.copy(films(tree)[0], films(tree)[9])


def nearly_the_same_film(tree):
    pixels = np.asarray(Image.open(films(tree)[0])).astype(int)
    Image.fromarray(np.clip(pixels + 6, 0, 255).astype(np.uint8)).save(films(tree)[9])


def old_beyond_reason(tree):
    edit(tree, [1], ",40,", ",412,")


def young_beyond_reason(tree):
    edit(tree, [1, 2], ",40,", ",0,")


def no_women_with_it(tree):
    gone = [row for row in lines(tree) if ",F," in row and "Pneumothorax" in row]
    write(tree, [row for row in lines(tree) if row not in gone])
    for row in gone:
        (tree / "images" / row.partition(",")[0]).unlink()


def label_by_view(tree):
    rows = [row.replace("No Finding", "Pneumothorax") if ",AP," in row else row for row in lines(tree)]
    write(tree, rows)


FAULTS = [
    (no_folder, "D001", "error", "no such folder"),
    (one_level_up, "D003", "error", "is one level too high: pass"),
    (no_table, "D002", "error", "Data_Entry_2017_v2020.csv or Data_Entry_2017.csv"),
    (login_page, "D004", "error", "which is not a CSV table"),
    (pointer, "D004", "error", "Git LFS pointer"),
    (half_a_gzip, "D004", "error", "not a complete"),
    (no_column, "D010", "error", "no column 'Patient Gender'"),
    (foreign_value, "D011", "error", "row 6, column 'Patient Gender': 'X'"),
    (twice_the_same_film, "D013", "error", "1 rows repeat the name of an image"),
    (films_gone, "D020", "error", "3 of 160 image files are missing"),
    (a_film_too_many, "D021", "note", "1 image files are not used"),
    (nothing_in_a_file, "D022", "error", "1 of 160 images cannot be read"),
    (half_a_film, "D022", "error", "1 of 160 images cannot be read"),
    (see_through, "D023", "warning", "4 images are RGBA"),
    (sixteen_bits, "D023", "warning", "1 images are I;16"),
    (twelve_bits, "D023", "warning", "they seem to hold 12 bits. Then write bits=12 into the spec of the dataset"),
    (black, "D023", "warning", "2 images are constant, 2 of them black"),
    (tiny, "D023", "warning", "1 images have a side below 32 pixels"),
    (
        same_film_of_two_patients,
        "D030",
        "warning",
        "1 images occur several times: 1 for several patients, 0 with two labels",
    ),
    (nearly_the_same_film, "D031", "note", "1 pairs of images look alike, 1 of them of different patients"),
    (old_beyond_reason, "D040", "warning", "ages: 1 are impossible"),
    (young_beyond_reason, "D040", "warning", "2 are 0"),
    (no_women_with_it, "D041", "warning", "female=1, pneumothorax=1 has 0 images"),
    (label_by_view, "D044", "warning", "pneumothorax is 1 for 100.0% of the 80 images of source AP"),
]
USUAL = {"D012", "D050"}
"""The tree is an extract: fewer rows than the release, another count than the paper's."""
