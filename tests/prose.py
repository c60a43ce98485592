"""Sentences the product says, compared with `snapshot(...)`: after one was improved, `make snapshots` rewrites them all.

A test picks what it is about by a key that is no prose (a name, a code, a number) and compares the whole of it:

    assert lines_with(out, "swift", "fold 1") == snapshot(["swift, fold 1: no predictions to read."])
    with pytest.raises(UsageError) as error:
        ...
    assert plain(error.value, tmp_path) == snapshot("the file <tmp>/table.csv has no column 'age'")

Facts a test is about (a count, an order, what is not said) stay in asserts of their own.
"""

import os
import re

END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`*–])")


def _lines(text: object) -> list[str]:
    parts = text if isinstance(text, list | tuple) else [text]
    return [line.rstrip() for part in parts for line in str(part).splitlines()]


def lines_with(text: object, *keys: str) -> list[str]:
    """The lines of a text, or of a list of texts, that hold every key, without spaces at their ends."""
    return [line for line in _lines(text) if all(key in line for key in keys)]


def sentences_with(text: object, *keys: str) -> list[str]:
    """The sentences of a text, or of a list of texts, that hold every key; a sentence ends with its line, or with a full stop before a capital."""
    sentences = [sentence.strip() for line in _lines(text) for sentence in END_OF_SENTENCE.split(line)]
    return [sentence for sentence in sentences if all(key in sentence for key in keys)]


def plain(text: object, *folders: "str | os.PathLike[str]", **values: object) -> str:
    """A text in which each folder reads `<tmp>`, and each value (a port, a process, a version) its name: `plain(out, tmp_path, port=port)`."""
    said = str(text)
    for folder in sorted((os.fspath(folder) for folder in folders), key=len, reverse=True):
        said = said.replace(folder, "<tmp>")
    for name, value in values.items():
        said = said.replace(str(value), f"<{name}>")
    return said
