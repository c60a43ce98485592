"""Hand-placed rows in the official layouts of the skin data sets; see `tests/official_trees.py`."""

import re

from tests.tree_files import write_image, write_table

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
