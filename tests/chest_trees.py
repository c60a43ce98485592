"""Hand-placed rows in the official layouts of the chest data sets; see `tests/official_trees.py`."""

from tests.tree_files import write_image, write_table

FINDINGS = (
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


def found(**values):
    """Return the fourteen findings of a film: empty but for those given, with `_` for spaces."""
    return [values.get(name.replace(" ", "_"), "") for name in FINDINGS]


MIMIC = [  # film, subject, study, view, date, findings (None: no row)
    ("d01", "99000001", "98000001", "PA", "21800506", found(Pneumothorax="1.0")),
    ("d02", "99000001", "98000001", "LATERAL", "21800506", found(Pneumothorax="1.0")),
    ("d03", "99000002", "98000002", "AP", "21810101", found(No_Finding="1.0")),
    ("d04", "99000002", "98000003", "AP", "21810101", found(Pneumothorax="1.0", Edema="1.0")),
    ("d05", "99000002", "98000004", "AP", "21810101", found(Pneumothorax="-1.0")),
    ("d06", "99000003", "98000005", "AP", "21810101", found(No_Finding="1.0")),  # subject not in patients.csv.gz
    ("d07", "99000001", "98000006", "PA", "21800506", None),
    ("d08", "99000004", "98000007", "PA", "21850101", found(Pneumothorax="1.0", Pleural_Effusion="-1.0")),
    ("d09", "99000004", "98000008", "PA", "21850101", found(Pneumothorax="1.0", Support_Devices="1.0", Edema="0.0")),
    ("d10", "99000002", "98000009", "", "21810101", found(No_Finding="1.0")),
    ("d11", "99000002", "98000010", "AP", "21810101", found(Pneumothorax="0.0", Edema="1.0")),
    ("d12", "99000002", "98000011", "AP", "21810101", found(No_Finding="1.0")),  # no file
]
PATIENTS = [("99000001", "F", "60", "2174"), ("99000002", "M", "52", "2180"), ("99000004", "F", "0", "2180")]


def mimic_cxr(root):
    """MIMIC-CXR-JPG with MIMIC-IV's patients: laterals, films without labels or patient, uncertain labels."""
    write_table(
        root / "mimic-cxr-2.0.0-metadata.csv.gz",
        ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "StudyDate"],
        [[film, subject, study, "CHEST", view, date] for film, subject, study, view, date, _ in MIMIC],
    )
    labels = {(subject, study): findings for _, subject, study, _, _, findings in MIMIC if findings}
    write_table(
        root / "mimic-cxr-2.0.0-chexpert.csv.gz",
        ["subject_id", "study_id", *FINDINGS],
        [[*study, *findings] for study, findings in labels.items()],
    )
    write_table(
        root / "hosp" / "patients.csv.gz",
        ["subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"],
        [[*patient, "2014 - 2016", ""] for patient in PATIENTS],
    )
    for film, subject, study, *_ in MIMIC:
        suffix = ".JPG" if film == "d03" else ".jpg"
        if film != "d12":
            write_image(root / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}" / f"{film}{suffix}", "L")


CHEXPERT = [  # split, patient, study, film, sex, age, plane, view, findings
    ("train", "patient90001", "study1", "view1_frontal", "Female", "68", "Frontal", "AP", found(Pneumothorax="1.0")),
    ("train", "patient90001", "study1", "view2_lateral", "Female", "68", "Lateral", "", found(Pneumothorax="1.0")),
    ("train", "patient90002", "study2", "view1_frontal", "Unknown", "0", "Frontal", "PA", found(No_Finding="1.0")),
    (
        "train",
        "patient90003",
        "study1",
        "view1_frontal",
        "Male",
        "90",
        "Frontal",
        "LL",
        found(Pneumothorax="1.0", Fracture="1.0"),
    ),
    ("train", "patient90003", "study2", "view1_frontal", "Male", "90", "Frontal", "AP", found(Pneumothorax="-1.0")),
    ("train", "patient90003", "study3", "view1_frontal", "Male", "90", "Frontal", "AP", found(Support_Devices="1.0")),
    ("valid", "patient94541", "study1", "view1_frontal", "Male", "33", "Frontal", "PA", found(No_Finding="1.0")),
]


def chexpert(root, *, batches=False):
    """CheXpert: laterals, -1, an unknown sex, age 0; as `CheXpert-v1.0-small` or as today's four batches."""
    release = "CheXpert-v1.0" if batches else "CheXpert-v1.0-small"
    tables = root / ("CheXpert-v1.0 batch 1 (validate & csv)" if batches else release)
    for split in ("train", "valid"):
        write_table(
            tables / f"{split}.csv",
            ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS],
            [
                [f"{release}/{split}/{patient}/{study}/{film}.jpg", *facts, *findings]
                for given, patient, study, film, *facts, findings in CHEXPERT
                if given == split
            ],
        )
    for split, patient, study, film, *_ in CHEXPERT:
        folder = root / release / split
        if batches:
            number = 2 + (patient > "patient90002")
            train = root / f"CheXpert-v1.0 batch {number} (train {number - 1})"
            folder = tables / "valid" if split == "valid" else train
        write_image(folder / patient / study / f"{film}.jpg", "L")


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
NIH = [  # film, findings, patient, age, sex, in the test list
    ("99000001_000.png", "Pneumothorax", "99000001", "058Y", "M", True),
    ("99000001_001.png", "Effusion|Pneumothorax", "99000001", "059Y", "M", True),
    ("99000002_000.png", "No Finding", "99000002", "412", "F", True),
    ("99000003_000.png", "No Finding", "99000003", "018M", "F", True),
    ("99000004_000.png", "Hernia", "99000004", "70", "F", True),
    ("99000005_000.png", "Pneumothorax", "99000005", "66", "F", False),
    ("99000006_000.png", "No Finding", "99000006", "73D", "M", True),
]


def nih_cxr14(root):
    """NIH ChestX-ray14 as on Kaggle: a trailing comma in the header, ages with units and above 120, an RGBA film."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{film},{findings},0,{patient},{age},{sex},PA,2682,2749,0.143,0.143"
        for film, findings, patient, age, sex, _ in NIH
    ]
    (root / "Data_Entry_2017.csv").write_text("\n".join([NIH_HEADER + ",", *(line + "," for line in lines)]) + "\n")
    (root / "test_list.txt").write_text("".join(f"{film}\n" for film, *_, listed in NIH if listed))
    (root / "train_val_list.txt").write_text("".join(f"{film}\n" for film, *_, listed in NIH if not listed))
    for i, (film, *_) in enumerate(NIH):
        write_image(root / f"images_{i % 12 + 1:03}" / "images" / film, "RGBA" if i == 0 else "L")
