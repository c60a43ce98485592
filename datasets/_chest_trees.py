"""Phantom trees of chest films in the layouts of MIMIC-CXR-JPG, CheXpert and NIH ChestX-ray14."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._trees import Drawn, Tree
from .phantom import Phantom

Progress = Callable[[int, int], None]
# The order of the columns in both releases.
ORDER = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def mimic_cxr(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write MIMIC-CXR-JPG with MIMIC-IV's patients: one study a film; return what PHANTOM.json says."""
    tree = Tree(root, Phantom(hospital="source", tied="age", images=images, seed=seed), progress)
    films, labels, patients = [], [], {}
    for film in tree.drawn():
        subject, study = f"99{film.person:06}", f"98{film.number:06}"
        later, start = film.person % 3, 2150 + film.person % 40
        listed, labelled, there = film.person % 25 != 7, film.fault != 13, film.fault != 17
        if listed:
            gender = "F" if film.female else "M"
            patients[subject] = (subject, gender, film.age - later, start, "2014 - 2016", "")
        if labelled:
            labels.append((subject, study, *_findings(film)))
        names = [(f"phantom-{film.number:06}", "PA" if film.number % 3 else "AP")]
        if film.fault == 5:
            names.append((f"phantom-{film.number:06}-lateral", "LATERAL"))
            tree.count("NOT_FRONTAL")
        for name, view in names:
            procedure = "CHEST (PA AND LAT)"
            films.append((name, subject, study, procedure, view, 64, 64, f"{start + later}0506"))
            if there:
                place = f"files/p{subject[:2]}/p{subject}/s{study}/{name}.jpg"
                tree.picture(place, film.path, mirrored=view == "LATERAL", cut=film.number == 1)
        absent = "LABEL_NONE" if not labelled else "" if listed else "NO_DEMOGRAPHICS_ROW"
        tree.count(absent or _reason(film) or ("" if there else "FILE_MISSING"))
    tree.write(
        "mimic-cxr-2.0.0-metadata.csv.gz",
        [
            "dicom_id",
            "subject_id",
            "study_id",
            "PerformedProcedureStepDescription",
            "ViewPosition",
            "Rows",
            "Columns",
            "StudyDate",
        ],
        films,
    )
    tree.write("mimic-cxr-2.0.0-chexpert.csv.gz", ["subject_id", "study_id", *ORDER], labels)
    tree.write(
        "hosp/patients.csv.gz",
        ["subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"],
        patients.values(),
    )
    return tree.facts("age > 65", "pneumothorax")


def chexpert(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write CheXpert-v1.0-small: every tenth patient in valid.csv; return what PHANTOM.json says."""
    tree = Tree(root, Phantom(hospital="ood_neutral", tied="age", images=images, seed=seed), progress)
    release, rows = "CheXpert-v1.0-small", {"train": [], "valid": []}
    for film in tree.drawn():
        split = "valid" if film.person % 10 == 9 else "train"
        sexless, ageless, there = film.person % 20 == 4, film.person % 20 == 11, film.fault != 17
        sex = "Unknown" if sexless else "Female" if film.female else "Male"
        facts = (sex, 0 if ageless else film.age)
        views = [("view1_frontal", "Frontal", "PA" if film.number % 3 else "AP")]
        if film.fault == 5:
            views.append(("view2_lateral", "Lateral", ""))
            tree.count("NOT_FRONTAL")
        for view, plane, position in views:
            place = f"{release}/{split}/patient9{film.person:04}/study{film.shot + 1}/{view}.jpg"
            rows[split].append((place, *facts, plane, position, *_findings(film)))
            if there:
                tree.picture(place, film.path, mirrored=plane == "Lateral", cut=film.number == 1)
        unknown = [name for name, lacks in (("female", sexless), ("age", ageless)) if lacks]
        tree.count(_reason(film) or ("" if there else "FILE_MISSING"), unknown)
    for split, lines in rows.items():
        header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *ORDER]
        tree.write(f"{release}/{split}.csv", header, lines)
    return tree.facts("age > 65", "pneumothorax")


def nih_cxr14(root: Path, *, images: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write NIH ChestX-ray14 as of 2017: four patients of five in the test list; return what PHANTOM.json says."""
    tree = Tree(root, Phantom(hospital="ood_reversed", tied="age", images=images, seed=seed), progress)
    lines, lists = [NIH_HEADER], {"test_list.txt": [], "train_val_list.txt": []}
    for film in tree.drawn():
        name, patient = f"99{film.person:06}_{film.shot:03}.png", f"99{film.person:06}"
        tested, there, ageless = film.person % 5 != 4, film.fault != 17, film.person % 25 == 7
        age = "412" if ageless else f"{film.age:03}Y" if film.person % 3 == 0 else str(film.age)
        findings = "Pneumothorax" if film.y else "No Finding"
        if film.fault in (8, 13):
            findings = "Effusion|Pneumothorax" if film.fault == 8 else "Hernia"
        sex, view = "F" if film.female else "M", "PA" if film.number % 3 else "AP"
        lines.append(f"{name},{findings},{film.shot},{patient},{age},{sex},{view},64,64,0.143,0.143,")
        lists["test_list.txt" if tested else "train_val_list.txt"].append(name)
        if there:
            tree.picture(f"images_{film.number % 12 + 1:03}/images/{name}", film.path, rgba=film.fault == 2)
        other = "LABEL_OTHER_FINDING" if film.fault in (8, 13) else ""
        missing = "" if there else "FILE_MISSING"
        tree.count("NOT_IN_TEST_LIST" if not tested else other or missing, ["age"] if ageless else [])
    tree.text("Data_Entry_2017.csv", "".join(f"{line}\n" for line in lines))
    for place, names in lists.items():
        tree.text(place, "".join(f"{name}\n" for name in names))
    return tree.facts("age > 65", "pneumothorax")


def _findings(film: Drawn) -> list[str]:
    """Return the fourteen findings of a film: one of two labels, but for uncertain and for other findings."""
    found = {"Pneumothorax" if film.y else "No Finding": "1.0"}
    if film.fault == 3:
        found = {"Pneumothorax": "-1.0"}
    elif film.fault == 8:
        found = {"Edema": "1.0", "Pleural Effusion": "-1.0", "Pneumothorax": "1.0" if film.y else "0.0"}
    if film.number % 3 == 0:
        found["Support Devices"] = "1.0"
    return [found.get(name, "") for name in ORDER]


def _reason(film: Drawn) -> str:
    return {3: "LABEL_UNCERTAIN", 8: "LABEL_OTHER_FINDING"}.get(film.fault, "")
