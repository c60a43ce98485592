"""Hand-placed rows in the layouts of the official releases: a row for each rule of a plugin, nobody's data.

The phantom trees of `bench phantom` have the same layouts and as many rows as one likes, drawn by chance. Here every
row is known, and what a plugin should make of it can be written down; so can folders and names that only some copies
of a release have. Identifiers lie outside the ranges of the releases.
"""

from tests.chest_trees import chexpert, mimic_cxr, nih_cxr14
from tests.skin_trees import atlas, ddi, fitzpatrick17k, isic, pad_ufes_20

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
