"""Phantom trees of chest films in the layouts of MIMIC-CXR-JPG, CheXpert and NIH ChestX-ray14.

Each function writes one film into the tree; TABLES holds the headers of its tables.
"""

from __future__ import annotations

from ._tables import FINDINGS
from ._trees import Picture, Tree

MIMIC, CHEXPERT = "mimic-cxr-2.0.0", "CheXpert-v1.0-small"
TABLES = {
    "mimic_cxr": {
        f"{MIMIC}-metadata.csv.gz": (
            "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate"
        ),
        f"{MIMIC}-chexpert.csv.gz": f"subject_id,study_id,{','.join(FINDINGS)}",
        "hosp/patients.csv.gz": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    },
    "chexpert": dict.fromkeys(
        (f"{CHEXPERT}/train.csv", f"{CHEXPERT}/valid.csv"), f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(FINDINGS)}"
    ),
    "nih_cxr14": {
        "Data_Entry_2017.csv": (
            "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
            "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
        ),
        "test_list.txt": "",
        "train_val_list.txt": "",
    },
}


def mimic_cxr(tree: Tree, film: Picture) -> None:
    """Write MIMIC-CXR-JPG with the patients of MIMIC-IV: one study for each film."""
    subject, study = f"99{film.person:06}", f"98{film.number:06}"
    later, start = film.person % 3, 2150 + film.person % 40
    listed, labelled = film.person % 25 != 7, film.fault != 13
    if listed and film.shot == 0:
        gender = "F" if film.female else "M"
        tree.add("hosp/patients.csv.gz", subject, gender, film.age - later, start, "2014 - 2016", "")
    if labelled:
        tree.add(f"{MIMIC}-chexpert.csv.gz", subject, study, *_findings(film))
    names = [(f"phantom-{film.number:06}", "PA" if film.number % 3 else "AP")]
    if film.fault == 5:
        names.append((f"phantom-{film.number:06}-lateral", "LATERAL"))
        tree.count(film, "NOT_FRONTAL")
    for name, view in names:
        facts = (subject, study, "CHEST (PA AND LAT)", view, 64, 64, f"{start + later}0506")
        tree.add(f"{MIMIC}-metadata.csv.gz", name, *facts)
        place = f"files/p{subject[:2]}/p{subject}/s{study}/{name}.jpg"
        tree.draw(film, place, mirrored=view == "LATERAL", cut=film.number == 1)
    absent = "LABEL_NONE" if not labelled else "" if listed else "NO_DEMOGRAPHICS_ROW"
    tree.count(film, absent or _reason(film))


def chexpert(tree: Tree, film: Picture) -> None:
    """Write CheXpert-v1.0-small; every tenth patient is in valid.csv."""
    split = "valid" if film.person % 10 == 9 else "train"
    sexless, ageless = film.person % 20 == 4, film.person % 20 == 11
    sex = "Unknown" if sexless else "Female" if film.female else "Male"
    facts = (sex, 0 if ageless else film.age)
    views = [("view1_frontal", "Frontal", "PA" if film.number % 3 else "AP")]
    if film.fault == 5:
        views.append(("view2_lateral", "Lateral", ""))
        tree.count(film, "NOT_FRONTAL")
    for view, plane, position in views:
        place = f"{CHEXPERT}/{split}/patient9{film.person:04}/study{film.shot + 1}/{view}.jpg"
        tree.add(f"{CHEXPERT}/{split}.csv", place, *facts, plane, position, *_findings(film))
        tree.draw(film, place, mirrored=plane == "Lateral", cut=film.number == 1)
    tree.count(film, _reason(film), {"female": sexless, "age": ageless})


def nih_cxr14(tree: Tree, film: Picture) -> None:
    """Write NIH ChestX-ray14 as of 2017; four patients of five are in the test list."""
    name, patient = f"99{film.person:06}_{film.shot:03}.png", f"99{film.person:06}"
    tested, ageless = film.person % 5 != 4, film.person % 25 == 7
    age = "412" if ageless else f"{film.age:03}Y" if film.person % 3 == 0 else str(film.age)
    findings = {8: "Effusion|Pneumothorax", 13: "Hernia"}.get(film.fault, "Pneumothorax" if film.y else "No Finding")
    facts = (age, "F" if film.female else "M", "PA" if film.number % 3 else "AP", 64, 64, 0.143, 0.143, "")
    tree.add("Data_Entry_2017.csv", name, findings, film.shot, patient, *facts)
    tree.add("test_list.txt" if tested else "train_val_list.txt", name)
    tree.draw(film, f"images_{film.number % 12 + 1:03}/images/{name}", rgba=film.fault == 2)
    other = "LABEL_OTHER_FINDING" if film.fault in (8, 13) else ""
    tree.count(film, other if tested else "NOT_IN_TEST_LIST", {"age": ageless})


def _findings(film: Picture) -> list[str]:
    """Return the fourteen findings of a film: one of the two labels, or a planted uncertain or other finding."""
    found = {"Pneumothorax" if film.y else "No Finding": "1.0"}
    if film.fault == 3:
        found = {"Pneumothorax": "-1.0"}
    elif film.fault == 8:
        found = {"Edema": "1.0", "Pleural Effusion": "-1.0", "Pneumothorax": "1.0" if film.y else "0.0"}
    if film.number % 3 == 0:
        found["Support Devices"] = "1.0"
    return [found.get(name, "") for name in FINDINGS]


def _reason(film: Picture) -> str:
    return {3: "LABEL_UNCERTAIN", 8: "LABEL_OTHER_FINDING"}.get(film.fault, "")
