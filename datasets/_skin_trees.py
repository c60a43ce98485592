"""Phantom trees of skin lesions in the layouts of ISIC, Fitzpatrick 17k, DDI, the Atlas (derm7pt) and PAD-UFES-20.

Each function writes one picture into the tree; TABLES holds the headers of its tables.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ._tables import CLASSES, TONES
from ._trees import Picture, Tree

OTHER_THAN_MELANOMA = ("NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
CLASSES_2018 = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
TRUTH_2017, TRUTH_2018 = "ISIC-2017_Training_Part3_GroundTruth.csv", "ISIC2018_Task3_Training_GroundTruth.csv"
TRUTH_2019, METADATA_2019 = "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"
TRUTH_2020, PAIRS_2020 = "ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_Duplicates.csv"
_SHOWN = "sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
TABLES = {
    "isic": {
        TRUTH_2017: "image_id,melanoma,seborrheic_keratosis",
        TRUTH_2018: f"image,{','.join(CLASSES_2018)}",
        TRUTH_2019: f"image,{','.join(CLASSES)}",
        METADATA_2019: "image,age_approx,anatom_site_general,lesion_id,sex",
        TRUTH_2020: f"image_name,patient_id,lesion_id,{_SHOWN}",
        PAIRS_2020: "image_name_1,image_name_2",
        TONES: f"image_name,patient_id,{_SHOWN},tfrecord,width,height,year,scale,marked,size,mclassd,fitzpatrick",
    },
    "fitzpatrick17k": {
        "fitzpatrick17k.csv": (
            "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,"
            "url_alphanum"
        )
    },
    "ddi": {"ddi_metadata.csv": ",DDI_ID,DDI_file,skin_tone,malignant,disease"},
    "atlas": {
        "release_v0/meta/meta.csv": "case_num,diagnosis,seven_point_score,sex,management,clinic,derm,case_id,notes"
    },
    "pad_ufes_20": {"metadata.csv": "patient_id,lesion_id,smoke,age,gender,fitspatrick,diagnostic,itch,img_id,biopsed"},
}


def isic(tree: Tree, shot: Picture) -> None:
    """Write ISIC 2017 to 2020 and the table of skin types.

    Every other person is a patient of 2020. The rest are lesions of 2019, a few of which are also in 2017 and 2018.
    """
    recent = shot.person % 2 == 0
    sexless, ageless, toneless = shot.person % 20 in (4, 5), shot.person % 25 == 7, shot.person % 10 == 3
    sex = "female" if shot.female else "male"
    if sexless:
        sex = "unknown" if recent else ""
    age = "0.0" if ageless else f"{shot.age // 5 * 5:.1f}"
    base = f"ISIC_99{shot.number:05}"
    tree.count(shot, unknown={"female": sexless, "age": ageless, "fst": toneless, "dark": toneless})
    patient = f"IP_9{shot.person:06}" if recent else "-1"
    year = "2020" if recent else ("2018", "2019", "2017")[shot.person // 2 % 3]
    shown = (sex, age, "torso", *(("melanoma", "malignant") if shot.y else ("unknown", "benign")), shot.y)
    tree.add(TONES, base, patient, *shown, 0, 64, 64, year, 0, 0, "64x64", 0, -1 if toneless else shot.fst)
    if recent:
        tree.add(TRUTH_2020, base, patient, f"IL_9{shot.number:06}", *shown)
        tree.draw(shot, f"train/{base}.{'JPG' if shot.fault == 4 else 'jpg'}")
        if shot.fault == 6:
            again = f"ISIC_99{50_000 + shot.number:05}"
            tree.add(TRUTH_2020, again, patient, f"IL_9{50_000 + shot.number:06}", *shown)
            tree.add(PAIRS_2020, base, again)
            tree.draw(shot, f"train/{again}.jpg")
            tree.count(shot, "DUP_LISTED")
        return
    name = base + ("_downsampled" if shot.number % 5 == 1 else "")
    given = "MEL" if shot.y else OTHER_THAN_MELANOMA[shot.number % len(OTHER_THAN_MELANOMA)]
    tree.add(TRUTH_2019, name, *(float(given == known) for known in CLASSES))
    prefix = {"2018": "HAM", "2019": "BCN", "2017": "MSK4"}[year]
    lesion = "" if prefix == "MSK4" and shot.number % 3 == 0 else f"{prefix}_9{shot.person:06}"
    tree.add(METADATA_2019, name, age, "anterior torso", lesion, sex)
    tree.draw(shot, f"ISIC_2019_Training_Input/{name}.jpg", cut=not tree.unreadable)
    if not shot.there or year == "2019" or shot.number % 3 != 1:
        return
    tree.count(shot, "DUP_NAME")
    if year == "2017":
        tree.add(TRUTH_2017, base, float(shot.y), float(given == "BKL"))
        tree.draw(shot, f"ISIC-2017_Training_Data/{base}.jpg")
        tree.draw(shot, f"ISIC-2017_Training_Data/{base}_superpixels.png")
    else:
        merged = {"AK": "AKIEC", "SCC": "AKIEC"}.get(given, given)
        tree.add(TRUTH_2018, base, *(float(merged == known) for known in CLASSES_2018))
        tree.draw(shot, f"ISIC2018_Task3_Training_Input/{base}.jpg")


def fitzpatrick17k(tree: Tree, shot: Picture) -> None:
    """Write Fitzpatrick 17k: files named by hash or by address."""
    # The hash of a real picture practically never starts with 99 and twenty zeros.
    name, toneless = f"99{shot.number:030}", shot.fault == 3
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
    tree.add("fitzpatrick17k.csv", name, fst, max(1, shot.fst - 1), *classes, quality, url, address)
    file = address if url and shot.number % 4 == 1 else f"{name}.{'JPG' if shot.fault == 4 else 'jpg'}"
    tree.draw(shot, f"images/{file}", cut=shot.number == 1)
    tree.count(shot, unknown={"fst": toneless, "dark": toneless})


def ddi(tree: Tree, shot: Picture) -> None:
    """Write DDI: skin of types 5 and 6 is dark, as in one of the three classes of this release."""
    name = f"99{shot.number:05}.png"
    tone = "12" if shot.fst < 3 else "34" if shot.fst == 3 else "56"
    truth = (("False", "FALSE", "0"), ("True", "TRUE", "1"))[shot.y][shot.number % 3]
    disease = ("melanocytic-nevi", "melanoma" if shot.number % 2 else "basal-cell-carcinoma")[shot.y]
    tree.add("ddi_metadata.csv", shot.number, shot.number + 1, name, tone, truth, disease)
    darker = replace(shot, path=shot.path.replace("type4", "type5"))
    tree.draw(darker, f"images/{name}" if shot.number % 2 else name, rgba=shot.fault == 2)
    tree.count(shot)


def atlas(tree: Tree, shot: Picture) -> None:
    """Write derm7pt's release_v0: two pictures for each case, some file names in another case than in the table."""
    folder = ("NEL", "Fal", "Gcl")[shot.number % 3]
    derm, clinic = (f"{folder}/{folder}99{2 * shot.number + k:05}.jpg" for k in (0, 1))
    if shot.fault == 6:
        clinic = derm
    melanomas = ("melanoma (less than 0.76 mm)", "melanoma (in situ)", "melanoma metastasis", "melanoma")
    others = ("clark nevus", "basal cell carcinoma", "melanosis", "seborrheic keratosis")
    facts = ((others, melanomas)[shot.y][shot.number % 4], 0, "female" if shot.female else "male", "excision")
    tree.add("release_v0/meta/meta.csv", 90_000 + shot.number, *facts, clinic, derm, "", "")
    for name, mirrored in dict.fromkeys(((derm, False), (clinic, clinic != derm))):
        written = f"{folder}/{name.partition('/')[2].lower()}" if shot.fault == 4 else name
        cut = shot.number == 1 and name == derm
        tree.draw(shot, f"release_v0/images/{written}", mirrored=mirrored, cut=cut)
    tree.count(shot)


def pad_ufes_20(tree: Tree, shot: Picture) -> None:
    """Write PAD-UFES-20: every third patient has neither gender nor skin type."""
    patient, bare = f"PAT_9{shot.person:04}", shot.person % 3 == 1
    name = f"{patient}_{shot.number + 1}_{shot.fault}.png"
    diagnosis = "MEL" if shot.y else ("NEV", "ACK", "SEK", "BCC", "SCC")[shot.number % 5]
    gender, fst = ("", "") if bare else ("FEMALE" if shot.female else "MALE", f"{shot.fst}.0")
    facts = (patient, shot.number + 1, "", shot.age, gender, fst, diagnosis, "UNK", name, "False")
    tree.add("metadata.csv", *facts)
    tree.draw(shot, f"images/imgs_part_{shot.number % 3 + 1}/{name}", rgba=shot.fault == 2)
    tree.count(shot, unknown={"female": bare, "fst": bare, "dark": bare})
