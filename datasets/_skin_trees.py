"""Phantom trees of skin lesions in the layouts of ISIC, Fitzpatrick 17k, DDI, the Atlas (derm7pt) and PAD-UFES-20."""

from __future__ import annotations

import re
from dataclasses import replace

from ._tables import CLASSES, TONES
from ._trees import Tree

OTHER_THAN_MELANOMA = ("NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")


def isic(tree: Tree) -> None:
    """Write ISIC 2017 to 2020 and the table of skin types.

    Every other person is a patient of 2020, the rest are lesions of 2019, a few of them in 2017 and 2018 again.
    """
    truth, metadata, newer, pairs, tones, years_before = [], [], [], [], [], {"2017": [], "2018": []}
    for shot in tree.pictures():
        recent = shot.person % 2 == 0
        sexless, ageless, toneless = shot.person % 20 in (4, 5), shot.person % 25 == 7, shot.person % 10 == 3
        sex = "female" if shot.female else "male"
        if sexless:
            sex = "unknown" if recent else ""
        age = "0.0" if ageless else f"{shot.age // 5 * 5:.1f}"
        base = f"ISIC_99{shot.number:05}"
        unknown = {"female": sexless, "age": ageless, "fst": toneless, "dark": toneless}
        tree.count(shot, unknown=[name for name, lacks in unknown.items() if lacks])
        patient = f"IP_9{shot.person:06}" if recent else "-1"
        sub_source = "2020" if recent else ("2018", "2019", "2017")[shot.person // 2 % 3]
        diagnosis = "melanoma" if shot.y else "unknown"
        benign = "malignant" if shot.y else "benign"
        shown = (patient, sex, age, "torso", diagnosis, benign, shot.y)
        fst = -1 if toneless else shot.fst
        tones.append((base, *shown, 0, 64, 64, sub_source, 0, 0, "64x64", 0, fst))
        if recent:
            newer.append((base, patient, f"IL_9{shot.number:06}", *shown[1:]))
            tree.draw(shot, f"train/{base}.{'JPG' if shot.fault == 4 else 'jpg'}")
            if shot.fault == 6:
                again = f"ISIC_99{50_000 + shot.number:05}"
                newer.append((again, patient, f"IL_9{50_000 + shot.number:06}", *shown[1:]))
                pairs.append((base, again))
                tree.draw(shot, f"train/{again}.jpg")
                tree.count(shot, "DUP_LISTED")
            continue
        name = base + ("_downsampled" if shot.number % 5 == 1 else "")
        given = "MEL" if shot.y else OTHER_THAN_MELANOMA[shot.number % len(OTHER_THAN_MELANOMA)]
        truth.append((name, *(f"{float(given == known)}" for known in CLASSES)))
        prefix = {"2018": "HAM", "2019": "BCN", "2017": "MSK4"}[sub_source]
        lesion = "" if prefix == "MSK4" and shot.number % 3 == 0 else f"{prefix}_9{shot.person:06}"
        metadata.append((name, age, "anterior torso", lesion, sex))
        tree.draw(shot, f"ISIC_2019_Training_Input/{name}.jpg", cut=not tree.unreadable)
        if shot.there and sub_source in years_before and shot.number % 3 == 1:
            years_before[sub_source].append((base, shot.y, given))
            folder = {"2017": "ISIC-2017_Training_Data", "2018": "ISIC2018_Task3_Training_Input"}[sub_source]
            tree.draw(shot, f"{folder}/{base}.jpg")
            if sub_source == "2017":
                tree.draw(shot, f"{folder}/{base}_superpixels.png")
            tree.count(shot, "DUP_NAME")
    tree.write("ISIC_2019_Training_GroundTruth.csv", f"image,{','.join(CLASSES)}", truth)
    tree.write("ISIC_2019_Training_Metadata.csv", "image,age_approx,anatom_site_general,lesion_id,sex", metadata)
    _older_isic(tree, years_before)
    shared = "sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
    tree.write("ISIC_2020_Training_GroundTruth_v2.csv", f"image_name,patient_id,lesion_id,{shared}", newer)
    tree.write("ISIC_2020_Training_Duplicates.csv", "image_name_1,image_name_2", pairs)
    rest = "tfrecord,width,height,year,scale,marked,size,mclassd,fitzpatrick"
    tree.write(TONES, f"image_name,patient_id,{shared},{rest}", tones)


def _older_isic(tree: Tree, years_before: dict[str, list[tuple[str, int, str]]]) -> None:
    """Write the tables of 2017 and 2018 from (image, melanoma, diagnosis) of each year."""
    tree.write(
        "ISIC-2017_Training_Part3_GroundTruth.csv",
        "image_id,melanoma,seborrheic_keratosis",
        [(name, float(melanoma), float(given == "BKL")) for name, melanoma, given in years_before["2017"]],
    )
    seven = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    merged = {"AK": "AKIEC", "SCC": "AKIEC"}
    tree.write(
        "ISIC2018_Task3_Training_GroundTruth.csv",
        f"image,{','.join(seven)}",
        [
            (name, *(float(merged.get(given, given) == known) for known in seven))
            for name, _, given in years_before["2018"]
        ],
    )


def fitzpatrick17k(tree: Tree) -> None:
    """Write Fitzpatrick 17k: files named by hash or by address."""
    rows = []
    for shot in tree.pictures():
        # A hash of a picture starts with 99 and twenty zeros once in many universes.
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
        rows.append((name, fst, max(1, shot.fst - 1), *classes, quality, url, address))
        file = address if url and shot.number % 4 == 1 else f"{name}.{'JPG' if shot.fault == 4 else 'jpg'}"
        tree.draw(shot, f"images/{file}", cut=shot.number == 1)
        tree.count(shot, unknown=["fst", "dark"] if toneless else [])
    header = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,"
    header += "url_alphanum"
    tree.write("fitzpatrick17k.csv", header, rows)


def ddi(tree: Tree) -> None:
    """Write DDI: dark skin is of type 5 or 6, as this release draws the line."""
    rows = []
    for shot in tree.pictures():
        name = f"99{shot.number:05}.png"
        tone = "12" if shot.fst < 3 else "34" if shot.fst == 3 else "56"
        truth = (("False", "FALSE", "0"), ("True", "TRUE", "1"))[shot.y][shot.number % 3]
        disease = ("melanocytic-nevi", "melanoma" if shot.number % 2 else "basal-cell-carcinoma")[shot.y]
        rows.append((shot.number, shot.number + 1, name, tone, truth, disease))
        darker = replace(shot, path=shot.path.replace("type4", "type5"))
        tree.draw(darker, f"images/{name}" if shot.number % 2 else name, rgba=shot.fault == 2)
        tree.count(shot)
    tree.write("ddi_metadata.csv", ",DDI_ID,DDI_file,skin_tone,malignant,disease", rows)


def atlas(tree: Tree) -> None:
    """Write derm7pt's release_v0: two pictures a case, names in other letters than the table's for some."""
    rows = []
    melanomas = ("melanoma (less than 0.76 mm)", "melanoma (in situ)", "melanoma metastasis", "melanoma")
    others = ("clark nevus", "basal cell carcinoma", "melanosis", "seborrheic keratosis")
    for shot in tree.pictures():
        folder = ("NEL", "Fal", "Gcl")[shot.number % 3]
        derm, clinic = (f"{folder}/{folder}99{2 * shot.number + k:05}.jpg" for k in (0, 1))
        if shot.fault == 6:
            clinic = derm
        diagnosis = (others, melanomas)[shot.y][shot.number % 4]
        sex = "female" if shot.female else "male"
        rows.append((90_000 + shot.number, diagnosis, 0, sex, "excision", clinic, derm, "", ""))
        for name, mirrored in dict.fromkeys(((derm, False), (clinic, clinic != derm))):
            written = f"{folder}/{name.partition('/')[2].lower()}" if shot.fault == 4 else name
            cut = shot.number == 1 and name == derm
            tree.draw(shot, f"release_v0/images/{written}", mirrored=mirrored, cut=cut)
        tree.count(shot)
    header = "case_num,diagnosis,seven_point_score,sex,management,clinic,derm,case_id,notes"
    tree.write("release_v0/meta/meta.csv", header, rows)


def pad_ufes_20(tree: Tree) -> None:
    """Write PAD-UFES-20: every third patient without gender and skin type."""
    rows = []
    for shot in tree.pictures():
        patient, bare = f"PAT_9{shot.person:04}", shot.person % 3 == 1
        name = f"{patient}_{shot.number + 1}_{shot.fault}.png"
        diagnosis = "MEL" if shot.y else ("NEV", "ACK", "SEK", "BCC", "SCC")[shot.number % 5]
        gender, fst = ("", "") if bare else ("FEMALE" if shot.female else "MALE", f"{shot.fst}.0")
        rows.append((patient, shot.number + 1, "", shot.age, gender, fst, diagnosis, "UNK", name, "False"))
        tree.draw(shot, f"images/imgs_part_{shot.number % 3 + 1}/{name}", rgba=shot.fault == 2)
        tree.count(shot, unknown=["female", "fst", "dark"] if bare else [])
    header = "patient_id,lesion_id,smoke,age,gender,fitspatrick,diagnostic,itch,img_id,biopsed"
    tree.write("metadata.csv", header, rows)
