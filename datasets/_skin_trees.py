"""Phantom trees of skin lesions in the layouts of ISIC, Fitzpatrick 17k, DDI, the Atlas (derm7pt) and PAD-UFES-20."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._tables import CLASSES, TONES
from ._trees import Tree
from .phantom import Phantom

Progress = Callable[[int, int], None]
OTHER_THAN_MELANOMA = ("NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")


def isic(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write ISIC 2017 to 2020 and the table of skin types; return what PHANTOM.json says.

    Every other person is a patient of 2020, the rest are lesions of 2019, a few of them in 2017 and 2018 again.
    """
    tree = Tree(root, Phantom(family="skin", hospital="source", tied="tone", images=images, seed=seed), progress)
    truth, metadata, newer, pairs, tones, years_before = [], [], [], [], [], {"2017": [], "2018": []}
    for shot in tree.drawn():
        recent, there = shot.person % 2 == 0, shot.fault != 17
        sexless, ageless, toneless = shot.person % 20 in (4, 5), shot.person % 25 == 7, shot.person % 10 == 3
        sex = "female" if shot.female else "male"
        if sexless:
            sex = "unknown" if recent else ""
        age = "0.0" if ageless else f"{shot.age // 5 * 5:.1f}"
        base = f"ISIC_99{shot.number:05}"
        unknown = {"female": sexless, "age": ageless, "fst": toneless, "dark": toneless}
        tree.count("" if there else "FILE_MISSING", [name for name, lacks in unknown.items() if lacks])
        patient = f"IP_9{shot.person:06}" if recent else "-1"
        sub_source = "2020" if recent else ("2018", "2019", "2017")[shot.person // 2 % 3]
        diagnosis = "melanoma" if shot.y else "unknown"
        benign = "malignant" if shot.y else "benign"
        shown = (patient, sex, age, "torso", diagnosis, benign, shot.y)
        fst = -1 if toneless else shot.fst
        tones.append((base, *shown, 0, 64, 64, sub_source, 0, 0, "64x64", 0, fst))
        if recent:
            newer.append((base, patient, f"IL_9{shot.number:06}", *shown[1:]))
            if there:
                tree.picture(f"train/{base}.{'JPG' if shot.fault == 4 else 'jpg'}", shot.path)
                if shot.fault == 6:
                    again = f"ISIC_99{50_000 + shot.number:05}"
                    newer.append((again, patient, f"IL_9{50_000 + shot.number:06}", *shown[1:]))
                    pairs.append((base, again))
                    tree.picture(f"train/{again}.jpg", shot.path)
                    tree.count("DUP_LISTED")
            continue
        name = base + ("_downsampled" if shot.number % 5 == 1 else "")
        given = "MEL" if shot.y else OTHER_THAN_MELANOMA[shot.number % len(OTHER_THAN_MELANOMA)]
        truth.append((name, *(f"{float(given == known)}" for known in CLASSES)))
        prefix = {"2018": "HAM", "2019": "BCN", "2017": "MSK4"}[sub_source]
        lesion = "" if prefix == "MSK4" and shot.number % 3 == 0 else f"{prefix}_9{shot.person:06}"
        metadata.append((name, age, "anterior torso", lesion, sex))
        if there:
            tree.picture(f"ISIC_2019_Training_Input/{name}.jpg", shot.path, cut=not tree.unreadable)
        if there and sub_source in years_before and shot.number % 3 == 1:
            years_before[sub_source].append((base, shot.y, given))
            folder = {"2017": "ISIC-2017_Training_Data", "2018": "ISIC2018_Task3_Training_Input"}[sub_source]
            tree.picture(f"{folder}/{base}.jpg", shot.path)
            if sub_source == "2017":
                tree.picture(f"{folder}/{base}_superpixels.png", shot.path)
            tree.count("DUP_NAME")
    tree.write("ISIC_2019_Training_GroundTruth.csv", ["image", *CLASSES], truth)
    columns = ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"]
    tree.write("ISIC_2019_Training_Metadata.csv", columns, metadata)
    tree.write(
        "ISIC-2017_Training_Part3_GroundTruth.csv",
        ["image_id", "melanoma", "seborrheic_keratosis"],
        [(name, float(melanoma), float(given == "BKL")) for name, melanoma, given in years_before["2017"]],
    )
    seven = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    tree.write(
        "ISIC2018_Task3_Training_GroundTruth.csv",
        ["image", *seven],
        [
            (name, *(float({"AK": "AKIEC", "SCC": "AKIEC"}.get(given, given) == known) for known in seven))
            for name, _, given in years_before["2018"]
        ],
    )
    shared = ["sex", "age_approx", "anatom_site_general_challenge", "diagnosis", "benign_malignant", "target"]
    tree.write("ISIC_2020_Training_GroundTruth_v2.csv", ["image_name", "patient_id", "lesion_id", *shared], newer)
    tree.write("ISIC_2020_Training_Duplicates.csv", ["image_name_1", "image_name_2"], pairs)
    rest = ["tfrecord", "width", "height", "year", "scale", "marked", "size", "mclassd", "fitzpatrick"]
    tree.write(TONES, ["image_name", "patient_id", *shared, *rest], tones)
    return tree.facts("dark", "melanoma")


def fitzpatrick17k(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write Fitzpatrick 17k: files named by hash or by address; return what PHANTOM.json says."""
    source = Phantom(family="skin", hospital="ood_neutral", tied="tone", images=images, seed=seed)
    tree, rows = Tree(root, source, progress), []
    for shot in tree.drawn():
        # A hash of a picture starts with 99 and twenty zeros once in many universes.
        name, there, toneless = f"99{shot.number:030}", shot.fault != 17, shot.fault == 3
        if shot.y:
            classes = ("lentigo maligna" if shot.number % 3 == 0 else "melanoma", "malignant melanoma", "malignant")
        else:
            classes = (
                ("psoriasis", "inflammatory", "non-neoplastic"),
                ("nevocytic nevus", "benign melanocyte", "benign"),
                ("basal cell carcinoma", "malignant epidermal", "malignant"),
            )[shot.number % 7 % 3]
        atlas = ("https://www.dermaamin.com", "http://atlasdermatologico.com.br")[shot.number % 2]
        url = "" if shot.fault == 7 else f"{atlas}/phantom/99{shot.number:05}.jpg"
        address = re.sub(r"[^a-z0-9]", "", url.removesuffix(".jpg")) + "jpg.jpg" if url else ""
        quality = {9: "3 Wrongly labelled", 10: "1 Diagnostic"}.get(shot.fault, "")
        fst = -1 if toneless else shot.fst
        rows.append((name, fst, max(1, shot.fst - 1), *classes, quality, url, address))
        file = address if url and shot.number % 4 == 1 else f"{name}.{'JPG' if shot.fault == 4 else 'jpg'}"
        if there:
            tree.picture(f"images/{file}", shot.path, cut=shot.number == 1)
        tree.count("" if there else "FILE_MISSING", ["fst", "dark"] if toneless else [])
    header = [
        "md5hash",
        "fitzpatrick_scale",
        "fitzpatrick_centaur",
        "label",
        "nine_partition_label",
        "three_partition_label",
        "qc",
        "url",
        "url_alphanum",
    ]
    tree.write("fitzpatrick17k.csv", header, rows)
    return tree.facts("dark", "melanoma")


def ddi(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write DDI: dark skin is of type 5 or 6, as this release draws the line; return what PHANTOM.json says."""
    source = Phantom(family="skin", hospital="ood_reversed", tied="tone", images=images, seed=seed)
    tree, rows = Tree(root, source, progress), []
    for shot in tree.drawn():
        name, there = f"99{shot.number:05}.png", shot.fault != 17
        tone = "12" if shot.fst < 3 else "34" if shot.fst == 3 else "56"
        truth = (("False", "FALSE", "0"), ("True", "TRUE", "1"))[shot.y][shot.number % 3]
        disease = ("melanocytic-nevi", "melanoma" if shot.number % 2 else "basal-cell-carcinoma")[shot.y]
        rows.append((shot.number, shot.number + 1, name, tone, truth, disease))
        if there:
            place = f"images/{name}" if shot.number % 2 else name
            tree.picture(place, shot.path.replace("type4", "type5"), rgba=shot.fault == 2)
        tree.count("" if there else "FILE_MISSING")
    tree.write("ddi_metadata.csv", ["", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease"], rows)
    return tree.facts("dark", "malignant")


def atlas(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write derm7pt's release_v0: two pictures a case, names in other letters than the table's for some."""
    source = Phantom(family="skin", hospital="ood_neutral", tied="sex", images=images, seed=seed)
    tree, rows = Tree(root, source, progress), []
    melanomas = ("melanoma (less than 0.76 mm)", "melanoma (in situ)", "melanoma metastasis", "melanoma")
    others = ("clark nevus", "basal cell carcinoma", "melanosis", "seborrheic keratosis")
    for shot in tree.drawn():
        folder, there = ("NEL", "Fal", "Gcl")[shot.number % 3], shot.fault != 17
        derm, clinic = (f"{folder}/{folder}99{2 * shot.number + k:05}.jpg" for k in (0, 1))
        if shot.fault == 6:
            clinic = derm
        diagnosis = (others, melanomas)[shot.y][shot.number % 4]
        sex = "female" if shot.female else "male"
        rows.append((90_000 + shot.number, diagnosis, 0, sex, "excision", clinic, derm, "", ""))
        if there:
            for name, mirrored in dict.fromkeys(((derm, False), (clinic, clinic != derm))):
                written = f"{folder}/{name.partition('/')[2].lower()}" if shot.fault == 4 else name
                cut = shot.number == 1 and name == derm
                tree.picture(f"release_v0/images/{written}", shot.path, mirrored=mirrored, cut=cut)
        tree.count("" if there else "FILE_MISSING")
    header = ["case_num", "diagnosis", "seven_point_score", "sex", "management", "clinic", "derm", "case_id", "notes"]
    tree.write("release_v0/meta/meta.csv", header, rows)
    return tree.facts("female", "melanoma")


def pad_ufes_20(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write PAD-UFES-20: every third patient without gender and skin type; return what PHANTOM.json says."""
    source = Phantom(family="skin", hospital="ood_reversed", tied="sex", images=images, seed=seed)
    tree, rows = Tree(root, source, progress), []
    for shot in tree.drawn():
        patient, there, bare = f"PAT_9{shot.person:04}", shot.fault != 17, shot.person % 3 == 1
        name = f"{patient}_{shot.number + 1}_{shot.fault}.png"
        diagnosis = "MEL" if shot.y else ("NEV", "ACK", "SEK", "BCC", "SCC")[shot.number % 5]
        gender, fst = ("", "") if bare else ("FEMALE" if shot.female else "MALE", f"{shot.fst}.0")
        rows.append((patient, shot.number + 1, "", shot.age, gender, fst, diagnosis, "UNK", name, "False"))
        if there:
            place = f"images/imgs_part_{shot.number % 3 + 1}/{name}"
            tree.picture(place, shot.path, rgba=shot.fault == 2)
        tree.count("" if there else "FILE_MISSING", ["female", "fst", "dark"] if bare else [])
    header = [
        "patient_id",
        "lesion_id",
        "smoke",
        "age",
        "gender",
        "fitspatrick",
        "diagnostic",
        "itch",
        "img_id",
        "biopsed",
    ]
    tree.write("metadata.csv", header, rows)
    return tree.facts("female", "melanoma")
