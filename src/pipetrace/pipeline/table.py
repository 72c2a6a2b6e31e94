"""A CSV or Parquet file becomes a table, or one paragraph says why it cannot."""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import Table, from_csv, from_parquet, settle
from pipetrace.records import Notice

SEPARATORS = (",", ";", "\t")
_TEXT = (".csv", ".tsv", ".tab", ".txt")
_PARQUET = (".parquet", ".pq")
_FOREIGN = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (spreadsheets of the kind .xlsx are such archives)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file: give it the suffix .parquet"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_SAVE = "Save the table as CSV (UTF-8) or Parquet and name that file."


def read(path: str | os.PathLike[str]) -> Table:
    """Read a CSV or Parquet file.

    The separator `,`, `;` or tab is detected. Cells that are empty or say `NA`, `?`, `nan` or
    `null` are missing. Columns with the same name are numbered.

    Raises:
        TableError: there is no such file, or it is a folder, empty, without rows, or no table.
    """
    shown = os.fspath(path)
    file = Path(shown).expanduser()
    if not file.exists():
        raise TableError(_no_file(shown, file))
    if file.is_dir():
        raise TableError(
            f"{shown}: this is a folder, not a table. Name a file in it{_tables_in(file)}."
        )
    suffix = file.suffix.lower()
    if suffix not in _TEXT + _PARQUET:
        ending = f"not in {suffix}" if suffix else "and this name has no ending"
        raise TableError(
            f"{shown}: tables are read from files that end in {', '.join(_TEXT)} (text) or "
            f"{', '.join(_PARQUET)}, {ending}. {_SAVE}"
        )
    try:
        head = _head(file)
    except OSError as error:
        raise TableError(f"{shown}: the file cannot be read ({error.strerror}).") from error
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise TableError(f"{shown}: the file is empty. {_SAVE}")
    table = (
        _read_parquet(shown, file, head) if suffix in _PARQUET else _read_text(shown, file, head)
    )
    if table.rows == 0:
        raise TableError(
            f"{shown}: the table has a header ({list_names(table.frame.columns)}) and no rows. "
            "Put the data under the header, one line for each row."
        )
    return table


def list_names(names: Iterable[str], limit: int = 12) -> str:
    """List names in quotes, the first `limit` of them.

    >>> list_names(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    names = list(names)
    shown = ", ".join(f"'{shorten(name)}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def shorten(value: object, limit: int = 60) -> str:
    r"""Give a cell or a name as text on one line, cut after `limit` characters.

    >>> shorten("one\ntwo three", limit=8)
    'one two…'
    """
    text = " ".join(str(value).split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def no_column(table: str, wrong: str, names: Sequence[str]) -> str:
    """Say that a column does not exist, which one may be meant, and which there are.

    >>> no_column("birds.csv", "specie", ["species", "mass"])
    "birds.csv has no column 'specie': did you mean 'species'? Its columns: 'species', 'mass'."
    """
    folded = {name.casefold().strip(): name for name in names}
    close = difflib.get_close_matches(wrong.casefold().strip(), folded, n=3, cutoff=0.6)
    meant = " or ".join(f"'{shorten(folded[name])}'" for name in close)
    guess = f": did you mean {meant}?" if meant else "."
    text = f"{table} has no column '{shorten(wrong)}'{guess} Its columns: {list_names(names)}."
    if names and all(_is_number(name) for name in names):
        text += " They are all numbers: the first line must name the columns, so add a header."
    return text


def _no_file(shown: str, file: Path) -> str:
    if "://" in shown:
        return f"{shown}: tables are read from files. Download it first and name the file."
    there = [path.name for path in _listed(file.parent)]
    close = difflib.get_close_matches(file.name, there, n=3, cutoff=0.6)
    if close:
        return f"{shown}: there is no such file. Did you mean {' or '.join(close)}?"
    return f"{shown}: there is no such file. Name a CSV or Parquet file{_tables_in(file.parent)}."


def _tables_in(folder: Path) -> str:
    # A .txt may hold a table, but seldom does.
    kinds = [kind for kind in _TEXT + _PARQUET if kind != ".txt"]
    names = [path.name for path in _listed(folder) if path.suffix.lower() in kinds]
    return f", for example {names[0]}" if names else ""


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(8192)


def _read_parquet(shown: str, file: Path, head: bytes) -> Table:
    if not head.startswith(b"PAR1"):
        raise TableError(f"{shown}: this is no Parquet file, whatever its name says. {_SAVE}")
    return settle(file.name, from_parquet(file))


def _read_text(shown: str, file: Path, head: bytes) -> Table:
    foreign = _foreign(head)
    if foreign:
        raise TableError(f"{shown}: this is {foreign}, not a table as text. {_SAVE}")
    try:
        separator, header, rows = _scan(shown, file)
    except UnicodeDecodeError as error:
        raise TableError(
            f"{shown}: the text is not UTF-8 (a byte {error.object[error.start]:#04x} does not "
            "belong there). Save it as UTF-8; spreadsheets call that 'CSV UTF-8'."
        ) from error
    except csv.Error as error:
        raise TableError(f"{shown}: this is no table as text ({error}). {_SAVE}") from error
    names, repeated = _distinct(header)
    frame = from_csv(file, separator, names)
    if frame.height != rows:
        raise TableError(
            f"{shown}: the file has {rows} rows by its lines and {frame.height} by its quotes, so "
            "a quote is opened and not closed, or stands inside a cell. Double quotes inside a "
            'cell are written twice: "".'
        )
    table = settle(file.name, frame, comma=separator != ",")
    notices = tuple(
        Notice(
            id="table-repeated-column",
            text=f"{file.name} has more than one column '{shorten(name)}': the later ones are "
            f"called '{shorten(name)} (2)' and so on.",
        )
        for name in repeated
    )
    return Table(table.name, table.frame, table.kinds, notices + table.notices)


def _foreign(head: bytes) -> str:
    for magic, words in _FOREIGN:
        if head.startswith(magic):
            return words
    if b"\0" in head:
        return "binary data"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<svg")):
        return "an HTML or XML page (a download link often gives a page instead of the file)"
    if re.match(rb"[\[{]\s*([\[{\"]|$)", start):
        return "JSON"
    return ""


def _scan(shown: str, file: Path) -> tuple[str, list[str], int]:
    """Find the separator and the header, and count the rows; every row must be as wide."""
    separator = _separator(file)
    header: list[str] = []
    rows = 0
    for line, cells in _records(file, separator):
        if not header:
            header = cells
        elif len(cells) != len(header):
            raise TableError(
                f"{shown}: line {line} has {len(cells)} "
                f"{'cell' if len(cells) == 1 else 'cells'}, the header has {len(header)} "
                f"(separator {separator!r}). A table has as many in every line: put cells that "
                "hold a separator in double quotes, and let the first line name the columns."
            )
        else:
            rows += 1
    if len(header) == 1:
        raise TableError(
            f"{shown}: its lines hold a single cell each, so this is no table to learn from. "
            "Separate the columns with commas, semicolons or tabs."
        )
    return separator, header, rows


def _separator(file: Path) -> str:
    """Choose the separator that gives most of the first 100 lines the width of the header."""

    def fit(separator: str) -> tuple[bool, float, int]:
        widths = [
            len(cells) for (_, cells), _ in zip(_records(file, separator), range(100), strict=False)
        ]
        share = sum(width == widths[0] for width in widths) / len(widths) if widths else 0.0
        return bool(widths) and widths[0] > 1, share, widths[0] if widths else 0

    return max(SEPARATORS, key=fit)


def _records(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, delimiter=separator)
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells


def _distinct(header: list[str]) -> tuple[list[str], list[str]]:
    """Name columns without a name, and number those that share one."""
    names: list[str] = []
    repeated: list[str] = []
    for index, cell in enumerate(header, start=1):
        stem = " ".join(cell.split()) or f"column {index}"
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem} ({number})"
        if number == 2:
            repeated.append(stem)
        names.append(name)
    return names, repeated


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
