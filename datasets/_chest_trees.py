"""Phantom trees of chest films in the layouts of MIMIC-CXR-JPG, CheXpert and NIH ChestX-ray14."""

from __future__ import annotations

from ._tables import FINDINGS
from ._trees import Picture, Tree

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def mimic_cxr(tree: Tree) -> None:
    """Write MIMIC-CXR-JPG with MIMIC-IV's patients: one study a film."""
    films, labels, patients = [], [], {}
    for film in tree.pictures():
        subject, study = f"99{film.person:06}", f"98{film.number:06}"
        later, start = film.person % 3, 2150 + film.person % 40
        listed, labelled = film.person % 25 != 7, film.fault != 13
        if listed:
            gender = "F" if film.female else "M"
            patients[subject] = (subject, gender, film.age - later, start, "2014 - 2016", "")
        if labelled:
            labels.append((subject, study, *_findings(film)))
        names = [(f"phantom-{film.number:06}", "PA" if film.number % 3 else "AP")]
        if film.fault == 5:
            names.append((f"phantom-{film.number:06}-lateral", "LATERAL"))
            tree.count(film, "NOT_FRONTAL")
        for name, view in names:
            procedure = "CHEST (PA AND LAT)"
            films.append((name, subject, study, procedure, view, 64, 64, f"{start + later}0506"))
            place = f"files/p{subject[:2]}/p{subject}/s{study}/{name}.jpg"
            tree.draw(film, place, mirrored=view == "LATERAL", cut=film.number == 1)
        absent = "LABEL_NONE" if not labelled else "" if listed else "NO_DEMOGRAPHICS_ROW"
        tree.count(film, absent or _reason(film))
    header = "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate"
    tree.write("mimic-cxr-2.0.0-metadata.csv.gz", header, films)
    tree.write("mimic-cxr-2.0.0-chexpert.csv.gz", f"subject_id,study_id,{','.join(FINDINGS)}", labels)
    header = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"
    tree.write("hosp/patients.csv.gz", header, patients.values())


def chexpert(tree: Tree) -> None:
    """Write CheXpert-v1.0-small: every tenth patient in valid.csv."""
    release, rows = "CheXpert-v1.0-small", {"train": [], "valid": []}
    for film in tree.pictures():
        split = "valid" if film.person % 10 == 9 else "train"
        sexless, ageless = film.person % 20 == 4, film.person % 20 == 11
        sex = "Unknown" if sexless else "Female" if film.female else "Male"
        facts = (sex, 0 if ageless else film.age)
        views = [("view1_frontal", "Frontal", "PA" if film.number % 3 else "AP")]
        if film.fault == 5:
            views.append(("view2_lateral", "Lateral", ""))
            tree.count(film, "NOT_FRONTAL")
        for view, plane, position in views:
            place = f"{release}/{split}/patient9{film.person:04}/study{film.shot + 1}/{view}.jpg"
            rows[split].append((place, *facts, plane, position, *_findings(film)))
            tree.draw(film, place, mirrored=plane == "Lateral", cut=film.number == 1)
        unknown = [name for name, lacks in (("female", sexless), ("age", ageless)) if lacks]
        tree.count(film, _reason(film), unknown)
    for split, lines in rows.items():
        tree.write(f"{release}/{split}.csv", f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(FINDINGS)}", lines)


def nih_cxr14(tree: Tree) -> None:
    """Write NIH ChestX-ray14 as of 2017: four patients of five in the test list."""
    lines, lists = [NIH_HEADER], {"test_list.txt": [], "train_val_list.txt": []}
    for film in tree.pictures():
        name, patient = f"99{film.person:06}_{film.shot:03}.png", f"99{film.person:06}"
        tested, ageless = film.person % 5 != 4, film.person % 25 == 7
        age = "412" if ageless else f"{film.age:03}Y" if film.person % 3 == 0 else str(film.age)
        findings = "Pneumothorax" if film.y else "No Finding"
        if film.fault in (8, 13):
            findings = "Effusion|Pneumothorax" if film.fault == 8 else "Hernia"
        sex, view = "F" if film.female else "M", "PA" if film.number % 3 else "AP"
        lines.append(f"{name},{findings},{film.shot},{patient},{age},{sex},{view},64,64,0.143,0.143,")
        lists["test_list.txt" if tested else "train_val_list.txt"].append(name)
        tree.draw(film, f"images_{film.number % 12 + 1:03}/images/{name}", rgba=film.fault == 2)
        other = "LABEL_OTHER_FINDING" if film.fault in (8, 13) else ""
        tree.count(film, other if tested else "NOT_IN_TEST_LIST", ["age"] if ageless else [])
    tree.text("Data_Entry_2017.csv", "".join(f"{line}\n" for line in lines))
    for place, names in lists.items():
        tree.text(place, "".join(f"{name}\n" for name in names))


def _findings(film: Picture) -> list[str]:
    """Return the fourteen findings of a film: one of two labels, but for uncertain and for other findings."""
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
