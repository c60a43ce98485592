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


def _found(parts: list[str], keys: tuple[str, ...]) -> list[str]:
    found = [part for part in parts if all(key in part for key in keys)]
    assert found, f"nothing holds {' and '.join(keys)}; what is there:\n" + "\n".join(parts)
    return found


def lines_with(text: object, *keys: str) -> list[str]:
    """The lines of a text, or of a list of texts, that hold every key, without spaces at their ends.

    There is at least one: an empty list would be rewritten as readily as any other, and then compare nothing.
    """
    return _found(_lines(text), keys)


def sentences_with(text: object, *keys: str) -> list[str]:
    """The sentences that hold every key, one at least; a sentence ends with its line, or with a full stop before a capital."""
    return _found([part.strip() for line in _lines(text) for part in END_OF_SENTENCE.split(line)], keys)


def plain(text: object, *folders: "str | os.PathLike[str]", **values: object) -> str:
    """A text in which each folder reads `<tmp>`, and each value (a port, a process, a version) its name: `plain(out, tmp_path, port=port)`."""
    said = str(text)
    for folder in sorted((os.fspath(folder) for folder in folders), key=len, reverse=True):
        said = said.replace(folder, "<tmp>")
    for name, value in values.items():
        said = said.replace(str(value), f"<{name}>")
    return said
