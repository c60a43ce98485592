"""Notes on the content of files: what changed unnoticed, and what several files have in common."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bench.errors import DataInvalid


def content_notes(table: pd.DataFrame, contents: pd.Series) -> list[str]:
    """Return notes on files of a set that changed unnoticed, and on files that are the same, byte for byte.

    `contents` are the checksums by path, see `bench.data.checksums`.
    """
    notes = []
    if unnoticed := contents.attrs.get("unnoticed"):
        notes.append(f"{unnoticed} files changed, but not their size and times: results from them are stale now")
    shas = table["path"].map(contents)
    several = table[shas.duplicated(keep=False) & (shas != "")]
    if len(several):
        people = several.groupby(shas)["patient"].nunique()
        notes.append(
            f"{len(several)} images have the same content as another one: {len(people)} different files in all, "
            f"{int((people > 1).sum())} of them of several patients; `bench doctor TASK --full` names some"
        )
    return notes


def note_contents(tables: Mapping[str, pd.DataFrame], contents: Mapping[str, pd.Series]) -> None:
    """Add the notes on the content of files to the tables of "source" and each test set.

    `contents` are the checksums by path, see `bench.data.checksums`.

    Raises:
        DataInvalid: an image of the source is in a test set too, under whatever name.
    """
    for name, table in tables.items():
        notes = [*table.attrs["notes"], *content_notes(table, contents[name])]
        table.attrs["notes"] = list(dict.fromkeys(notes))
    of_source = {sha: path for path, sha in contents["source"].items() if sha}
    for name in contents.keys() - {"source"}:
        both = sorted((path, of_source[sha]) for path, sha in contents[name].items() if sha in of_source)
        if both:
            raise DataInvalid(
                f"{len(both)} files of test set '{name}' are in the training table too, byte for byte, first "
                f"{both[0][0]} as {both[0][1]}: delete their rows from one of the tables",
                code="D032",
            )
