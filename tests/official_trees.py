"""Hand-placed rows in the layouts of the official releases: a row for each rule of a plugin, nobody's data.

The phantom trees of `bench phantom` have the same layouts and as many rows as one likes, drawn by chance. Here every
row is known, and what a plugin should make of it can be written down; so can folders and names that only some copies
of a release have. Identifiers lie outside the ranges of the releases.
"""

import csv
import gzip
import re
import zlib

import numpy as np
from PIL import Image

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


def write_image(file, mode="RGB"):
    """Write 40 x 32 random pixels that depend on the file's name alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(file.name.encode()))
    grey = rng.integers(0, 256, (32, 40), dtype=np.uint8)
    if mode == "RGBA":
        pixels = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    else:
        pixels = grey if mode == "L" else rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def write_table(file, header, rows):
    """Write a CSV table, gzipped where its name says so; `header` and `rows` are lists of cells."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wt", newline="") if file.suffix == ".gz" else file.open("w", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows([header, *rows])


def found(**values):
    """Return the fourteen findings of a film: empty but for those given, with `_` for spaces."""
    return [values.get(name.replace(" ", "_"), "") for name in FINDINGS]


# --- skin --------------------------------------------------------------------------------------

ISIC_2019 = [  # name, class, age, lesion, sex
    ("ISIC_9900001", "NV", "55.0", "HAM_9000001", "female"),
    ("ISIC_9900002", "MEL", "0.0", "HAM_9000001", "male"),
    ("ISIC_9900003_downsampled", "MEL", "85.0", "", "female"),
    ("ISIC_9900004", "BCC", "", "BCN_9000002", ""),
    ("ISIC_9900005", "NV", "30.0", "MSK4_9000003", "male"),
    ("ISIC_9900006", "SCC", "70.0", "BCN_9000004", "male"),  # no file
]
ISIC_2020 = [  # name, patient, sex, age, diagnosis, target
    ("ISIC_9950001", "IP_9000001", "male", "45.0", "unknown", "0"),
    ("ISIC_9950002", "IP_9000001", "male", "45.0", "melanoma", "1"),
    ("ISIC_9950003", "IP_9000002", "", "", "nevus", "0"),
    ("ISIC_9950004", "IP_9000002", "female", "50.0", "nevus", "0"),  # listed as a duplicate of the one before
]
ISIC_TONES = [
    ("ISIC_9900001", "1"),
    ("ISIC_9900002", "4"),
    ("ISIC_9900003", "6"),
    ("ISIC_9900004", "-1"),
    ("ISIC_9950001", "3"),
]


def isic(root, *, tones=False):
    """ISIC 2017 to 2020: names with `_downsampled`, images of 2017 and 2018 again in 2019, a listed duplicate."""
    classes = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]
    truth = [[name, *(str(float(given == known)) for known in classes)] for name, given, *_ in ISIC_2019]
    write_table(root / "ISIC_2019_Training_GroundTruth.csv", ["image", *classes], truth)
    write_table(
        root / "ISIC_2019_Training_Metadata.csv",
        ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"],
        [[name, age, "anterior torso", lesion, sex] for name, _, age, lesion, sex in ISIC_2019],
    )
    for name, *_ in ISIC_2019[:-1]:
        write_image(root / "ISIC_2019_Training_Input" / f"{name}.jpg")
    write_table(
        root / "ISIC_2017" / "ISIC-2017_Training_Part3_GroundTruth.csv",
        ["image_id", "melanoma", "seborrheic_keratosis"],
        [["ISIC_9900003", "1.0", "0.0"], ["ISIC_9900005", "0.0", "0.0"]],
    )
    for name in ("ISIC_9900003.jpg", "ISIC_9900003_superpixels.png", "ISIC_9900005.jpg"):
        write_image(root / "ISIC-2017_Training_Data" / name)
    write_table(
        root / "ISIC2018_Task3_Training_GroundTruth.csv",
        ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"],
        [["ISIC_9900001", *"0100000"], ["ISIC_9900002", *"1000000"]],
    )
    write_table(
        root / "ISIC_2020_Training_GroundTruth_v2.csv",
        [
            "image_name",
            "patient_id",
            "lesion_id",
            "sex",
            "age_approx",
            "anatom_site_general_challenge",
            "diagnosis",
            "benign_malignant",
            "target",
        ],
        [
            [name, patient, f"IL_{name[-7:]}", sex, age, "torso", diagnosis, "benign", target]
            for name, patient, sex, age, diagnosis, target in ISIC_2020
        ],
    )
    write_table(
        root / "ISIC_2020_Training_Duplicates.csv",
        ["image_name_1", "image_name_2"],
        [["ISIC_9950003", "ISIC_9950004"]],
    )
    for name, *_ in ISIC_2020:
        write_image(root / "train" / f"{name}.JPG")
    if tones:
        write_table(root / "isic_train_20-19-18-17.csv", ["image_name", "fitzpatrick"], ISIC_TONES)


FITZPATRICK = [  # hash, type, label, nine-way class, three-way class, quality, atlas
    ("f1", "3", "melanoma", "malignant melanoma", "malignant", "", "https://www.dermaamin.com/a/1.jpg"),
    ("f2", "4", "lentigo maligna", "malignant melanoma", "malignant", "", "http://atlasdermatologico.com.br/2.jpg"),
    ("f3", "-1", "basal cell carcinoma", "malignant epidermal", "malignant", "3 Wrongly labelled", ""),
    ("f4", "6", "psoriasis", "inflammatory", "non-neoplastic", "1 Diagnostic", "https://www.dermaamin.com/a/4.jpg"),
    ("f5", "1", "nevocytic nevus", "benign melanocyte", "benign", "", "https://www.dermaamin.com/a/5.jpg"),  # no file
]


def fitzpatrick17k(root):
    """Fitzpatrick 17k: type -1, a row without address, files in capitals, named by address or not there."""
    write_table(
        root / "fitzpatrick17k.csv",
        [
            "md5hash",
            "fitzpatrick_scale",
            "fitzpatrick_centaur",
            "label",
            "nine_partition_label",
            "three_partition_label",
            "qc",
            "url",
            "url_alphanum",
        ],
        [
            [name, fst, "1", label, nine, three, quality, url, re.sub(r"[^a-z0-9]", "", url) + ".jpg"]
            for name, fst, label, nine, three, quality, url in FITZPATRICK
        ],
    )
    for name, *_ in FITZPATRICK[:-1]:
        names = {"f2": "F2.JPG", "f4": "httpswwwdermaamincoma4jpg.jpg"}
        write_image(root / "images" / names.get(name, f"{name}.jpg"))


DDI = [  # file, skin tone, malignant, disease
    ("900001.png", "56", "True", "melanoma-in-situ"),
    ("900002.png", "12", "TRUE", "basal-cell-carcinoma"),
    ("900003.png", "34", "False", "melanocytic-nevi"),
    ("900004.png", "12", "0", "acne-cystic"),
    ("900005.png", "34", "1", "melanoma"),
]


def ddi(root):
    """DDI: unnamed first column, truth written three ways, images beside the table and in `images`."""
    write_table(
        root / "ddi_metadata.csv",
        ["", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease"],
        [[str(i), str(i + 1), *row] for i, row in enumerate(DDI)],
    )
    for i, (name, *_) in enumerate(DDI):
        write_image(root / ("images" if i % 2 else ".") / name)


ATLAS = [  # case, diagnosis, sex, clinical, dermatoscopic
    ("9001", "basal cell carcinoma", "female", "NEL/NEL025.JPG", "NEL/Nel026.jpg"),
    ("9002", "melanoma (less than 0.76 mm)", "male", "Fal/Fal001.jpg", "Fal/Fal002.jpg"),
    ("9003", "melanoma metastasis", "female", "Gcl/Gcl001.jpg", "Gcl/Gcl001.jpg"),
    ("9004", "clark nevus", "male", "Gcl/Fal001.jpg", "Gcl/Fal002.jpg"),  # names of another folder
    ("9005", "melanosis", "male", "Gcl/Gcl005.jpg", "Gcl/Gcl006.jpg"),
]


def atlas(root):
    """derm7pt, release_v0: case of letters differs between table and folders; a case whose two images are one."""
    write_table(
        root / "release_v0" / "meta" / "meta.csv",
        ["case_num", "diagnosis", "seven_point_score", "sex", "management", "clinic", "derm", "case_id", "notes"],
        [[case, diagnosis, "0", sex, "excision", clinic, derm, "", ""] for case, diagnosis, sex, clinic, derm in ATLAS],
    )
    for _, _, _, clinic, derm in ATLAS:
        for name in {clinic, derm}:
            write_image(root / "release_v0" / "images" / name.replace("Nel026", "nel026").replace("NEL025", "Nel025"))


PAD = [  # patient, lesion, age, gender, type, diagnosis, image
    ("PAT_9001", "1", "8", "", "", "NEV", "PAT_9001_1_530.png"),
    ("PAT_9001", "2", "8", "", "", "MEL", "PAT_9001_2_531.png"),
    ("PAT_9002", "3", "55", "FEMALE", "3.0", "BCC", "PAT_9002_3_939.png"),
    ("PAT_9003", "4", "70", "MALE", "5.0", "ACK", "PAT_9003_4_940.png"),
    ("PAT_9003", "5", "70", "MALE", "5.0", "MEL", "PAT_9003_5_941.png"),
]


def pad_ufes_20(root):
    """PAD-UFES-20: rows without gender and skin type, images in three folders."""
    write_table(
        root / "metadata.csv",
        ["patient_id", "lesion_id", "smoke", "age", "gender", "fitspatrick", "diagnostic", "itch", "img_id", "biopsed"],
        [
            [patient, lesion, "", age, gender, fst, diagnosis, "UNK", image, "False"]
            for patient, lesion, age, gender, fst, diagnosis, image in PAD
        ],
    )
    for i, (*_, image) in enumerate(PAD):
        write_image(root / "images" / f"imgs_part_{i % 3 + 1}" / image)


# --- chest -------------------------------------------------------------------------------------

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


TREES = {
    "isic": isic,
    "fitzpatrick17k": fitzpatrick17k,
    "ddi": ddi,
    "atlas": atlas,
    "pad_ufes_20": pad_ufes_20,
    "mimic_cxr": mimic_cxr,
    "chexpert": chexpert,
    "nih_cxr14": nih_cxr14,
}
