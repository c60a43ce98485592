"""The sample table of one set of a dataset, for tests that need no task."""

from pathlib import Path

import pandas as pd

from bench.api import Attribute, Dataset, Label
from bench.data.sample_table import Where, sample_rows, whole_table


def sample_table(
    dataset: Dataset, root: Path, where: Where, label: Label, attribute: Attribute, set_name: str
) -> pd.DataFrame:
    """Return the images of one set; raises as `sample_rows` and the dataset do."""
    return sample_rows(whole_table(dataset, root), where, label, attribute, set_name)
