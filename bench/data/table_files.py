"""Reading of tables: CSV with any separator and encoding, and the files of statistical packages."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench.decode import SUFFIXES
from bench.errors import DataInvalid, UnknownName

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
ENCODINGS = {
    **{b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32"},
    **{b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"},
}
"""First bytes of a text -> its encoding; the longer ones come first."""
OTHERS = re.compile(
    rb"<|\{|\[\s*\{|%PDF|PK\x03\x04|\xd0\xcf\x11\xe0|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|PAR1|version https://git|RD[AX]\d\n"
)
"""How files of other kinds begin: web pages, JSON, RTF, PDF, workbooks, archives, Parquet, Git LFS, R."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
"""Signs that no text holds."""
READERS: dict[str, tuple[Callable[..., pd.DataFrame], str]] = {
    ".parquet": (pd.read_parquet, "pyarrow"),
    ".dta": (pd.read_stata, "pandas"),
    ".sas7bdat": (pd.read_sas, "pandas"),
    ".xpt": (pd.read_sas, "pandas"),
    ".sav": (pd.read_spss, "pyreadstat"),
    ".xlsx": (pd.read_excel, "openpyxl"),
    ".xls": (pd.read_excel, "xlrd"),
    ".ods": (pd.read_excel, "odfpy"),
}
"""Suffix -> the function that reads a binary table, and the package that it needs."""
LOOKED_AT = 200
"""Number of lines from which the separator is guessed."""


def read_table_file(file: Path, *, separator: str = "auto", encoding: str = "auto") -> pd.DataFrame:
    """Return a table with every value as text, an empty field as NA; names of columns are stripped.

    `attrs["notes"]` says what was guessed.

    Args:
        file: text, plain or gzipped, or a file of `READERS`.
        separator: "auto", or a name of `SEPARATORS`.
        encoding: "auto" (by the first bytes, else UTF-8, else Windows-1252), or a name that Python knows.

    Raises:
        DataInvalid: the file is not a table, or needs a package that is not installed.
    """
    if file.suffix.lower() in READERS:
        return _binary(file)
    text, notes = _decoded(file, encoding)
    first, _, after = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # a line that spreadsheets write for each other
        mark, text = first.strip()[4:5], after
    else:
        mark = SEPARATORS.get(separator) or _separator(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise DataInvalid(f"{file} is not a whole table: {error}", code="D004") from error
    header, *body = [row for row in rows if any(field.strip() for field in row)] or [[]]
    if not body:
        raise DataInvalid(f"{file} has no rows below its header", code="D004")
    long = [number for number, row in enumerate(rows, 1) if len(row) > len(header) and any(row[len(header) :])]
    if long:
        raise DataInvalid(
            f"{file}: line {long[0]} has {len(rows[long[0] - 1])} fields, the header {len(header)}: are fields with "
            f"{mark!r} in quotes, and is the first line that of the names?",
            code="D004",
        )
    width = len(header)
    table = pd.DataFrame([[*row[:width], *[""] * (width - len(row))] for row in body], dtype="string")
    table.columns = pd.Index([name.strip() for name in header])
    if separator == "auto" and mark != ",":
        notes.append(
            f"fields of the table are separated by {next(name for name, sign in SEPARATORS.items() if sign == mark)}"
        )
    table = table.apply(lambda column: column.str.strip().replace("", pd.NA))
    table.attrs["notes"] = notes
    return table


def looks_like_data(header: list[str]) -> bool:
    """Return whether a first line holds values rather than names: numbers, or files of images."""
    return any(name.replace(".", "", 1).isdigit() or name.lower().endswith(SUFFIXES) for name in header)


def _binary(file: Path) -> pd.DataFrame:
    read, package = READERS[file.suffix.lower()]
    try:
        table = read(file)
    except ImportError:
        raise DataInvalid(
            f"{file}: reading it takes the package {package}: pip install {package}, or save it as CSV, in UTF-8",
            code="D004",
        ) from None
    except Exception as error:  # each of these readers raises its own classes
        why = f"{type(error).__name__}: {error}"
        raise DataInvalid(f"{file} cannot be read ({why}): save it as CSV, in UTF-8", code="D004") from error
    notes = []
    for column in table.columns:
        if any(isinstance(one, bytes) for one in table[column]):  # SAS does not say in which encoding
            table[column] = [one.decode("cp1252") if isinstance(one, bytes) else one for one in table[column]]
            notes = [f"text of {file.name} was read as cp1252"]
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    table.attrs["notes"] = notes
    return table


def _decoded(file: Path, encoding: str) -> tuple[str, list[str]]:
    data = file.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise DataInvalid(f"{file} is not a whole gzip file ({error})", code="D004") from error
    head = data[:200]
    no_table = DataInvalid(
        f"{file} begins with {head[:20]!r} and is no CSV table: save the sheet as CSV, in UTF-8; or was a web page "
        "or a pointer downloaded in its place?",
        code="D004",
    )
    if not head.strip() or OTHERS.match(head.lstrip()):
        raise no_table
    if encoding != "auto":
        names = [encoding]
    elif mark := next((mark for mark in ENCODINGS if data.startswith(mark)), None):
        names = [ENCODINGS[mark]]
    elif head[1::2].count(0) > len(head) // 4 or head[::2].count(0) > len(head) // 4:
        names = ["utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"]
    else:
        names = ["utf-8", "cp1252", "latin-1"]
    for name in names:
        try:
            text = data.decode(name)
        except LookupError:
            raise UnknownName("encoding", name, ["utf-8", "utf-16", "cp1252", "latin-1"]) from None
        except UnicodeError:
            continue
        if control := CONTROL.search(text):
            if control.start() < len(head):
                raise no_table
            line = text.count("\n", 0, control.start()) + 1
            raise DataInvalid(
                f"{file}: line {line} holds {control[0]!r}, a control character, which no text of a table has: delete "
                "it there, or save the sheet as CSV, in UTF-8",
                code="D004",
            )
        guessed = len(names) > 1 and name != "utf-8"
        return text, [
            f"it is not in UTF-8 and was read as {name}: set encoding= if names look wrong"
        ] if guessed else []
    raise DataInvalid(f"{file} is not text in {names[0]}: set encoding= to the right one", code="D004")


def _separator(text: str) -> str:
    """Return the separator by which most lines have as many fields as the header, the one of most fields first."""
    lines = [line for line in text.splitlines()[:LOOKED_AT] if line.strip()]

    def fits(mark: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark)]
        return (sum(n == counts[0] for n in counts) / len(counts) if counts[0] > 1 else 0.0), counts[0]

    return max(SEPARATORS.values(), key=fits)
