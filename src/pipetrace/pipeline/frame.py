"""The door to polars: every column leaves it as numbers, booleans, dates or text, with nulls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipetrace.errors import TableError
from pipetrace.records import Notice

try:
    import polars as pl
except ImportError as error:  # an extra: a page opens without it
    raise TableError(
        "Reading a table needs polars, which is not installed. "
        'Install it with: pip install "pipetrace[tabular]"'
    ) from error

MISSING = ("", "?", "na", "n/a", "#n/a", "nan", "null")
"""What stands for a missing cell, whatever its case and the spaces around it."""
LARGEST = 1e30
"""Numbers beyond this are taken as missing: their squares do not fit statistics."""

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y")
_TIMES = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")
_ORDERS = ("%d/%m/%Y", "%m/%d/%Y")


@dataclass(frozen=True)
class Table:
    """A table whose columns have their final types.

    `kinds` says for each column what it holds: `whole`, `decimal`, `boolean`, `date`, `text`,
    `empty` (all missing), or the name of a type that cannot be trained on.
    """

    name: str
    frame: pl.DataFrame
    kinds: dict[str, str]
    notices: tuple[Notice, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.frame.height

    def __getitem__(self, name: str) -> pl.Series:
        return self.frame[name]


def from_csv(path: Path, separator: str, names: Sequence[str]) -> pl.DataFrame:
    """Read a CSV file as text cells, without rows that are blank throughout.

    Raises:
        TableError: polars cannot read it.
    """
    try:
        frame = pl.read_csv(path, separator=separator, infer_schema=False)
        frame.columns = list(names)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(
            f"{path}: this cannot be read as a table with the separator {separator!r} "
            f"({_first_line(error)}). Quotes that are opened and not closed are a common cause."
        ) from error
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def from_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        TableError: the file is damaged.
    """
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(
            f"{path}: this Parquet file is damaged ({_first_line(error)}). Write it again."
        ) from error


def from_columns(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Make a frame of arrays and lists, one for each column."""
    return pl.DataFrame([pl.Series(name, values, strict=False) for name, values in columns.items()])


def settle(name: str, frame: pl.DataFrame, *, comma: bool = False) -> Table:
    """Give every column its final type.

    Args:
        name: What the table is called in messages.
        frame: The table as it was read.
        comma: Whether text such as `3,5` is a number with a decimal comma; otherwise text such as
            `1,250` is a number with separated thousands.

    >>> table = settle("t", pl.DataFrame({"a": ["1", "NA", "3"], "b": ["x", " y", "?"]}))
    >>> table.kinds, table["a"].to_list(), table["b"].to_list()
    ({'a': 'whole', 'b': 'text'}, [1, None, 3], ['x', 'y', None])
    """
    kinds, columns, notices = {}, [], []
    for series in frame.get_columns():
        settled, kind = _settle(series, comma)
        odd = 0
        if kind in ("whole", "decimal"):
            settled, odd = _bound(settled)
        if odd:
            notices.append(
                Notice(
                    id="table-infinite",
                    text=f"Column '{' '.join(series.name.split())}' of {name} has {odd} "
                    f"{'value' if odd == 1 else 'values'} that "
                    f"{'is' if odd == 1 else 'are'} infinite or beyond 1e30: taken as missing.",
                )
            )
        kinds[series.name] = "empty" if settled.null_count() == len(settled) else kind
        columns.append(settled)
    return Table(name=name, frame=pl.DataFrame(columns), kinds=kinds, notices=tuple(notices))


def days(series: pl.Series) -> pl.Series:
    """Turn dates into days since 1 January 1970, as floats.

    >>> from datetime import date
    >>> days(pl.Series([date(1970, 1, 2), None])).to_list()
    [1.0, None]
    """
    return series.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 86_400_000_000


def _settle(series: pl.Series, comma: bool) -> tuple[pl.Series, str]:
    kind = series.dtype
    if kind == pl.Boolean:
        return series, "boolean"
    if kind.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return whole, "whole"
        return series.cast(pl.Float64), "decimal"
    if kind.is_float() or kind.is_decimal():
        return series.cast(pl.Float64).fill_nan(None), "decimal"
    if kind == pl.Date or kind == pl.Datetime:
        return series, "date"
    if kind == pl.Categorical or kind == pl.Enum:
        return _parse(series.cast(pl.String), comma)
    if kind == pl.String:
        return _parse(series, comma)
    return series, kind.base_type().__name__


def _parse(series: pl.Series, comma: bool) -> tuple[pl.Series, str]:
    """Read text cells as the narrowest type that holds all of them."""
    text = series.str.strip_chars()
    text = text.set(text.str.to_lowercase().is_in(MISSING), None)
    missing = text.null_count()
    if missing == len(text):
        return text, "empty"
    if not _any(text, r"^[+-]?0\d"):  # 01234 is a code, not the number 1234
        plain = _plain_digits(text, comma)
        if _all(plain, r"^[+-]?\d+$"):
            whole = plain.str.strip_prefix("+").cast(pl.Int64, strict=False)
            if whole.null_count() == missing:
                return whole, "whole"
        decimal = plain.cast(pl.Float64, strict=False)
        if decimal.null_count() == missing:
            return decimal.fill_nan(None), "decimal"
    if _all(text, r"^(?i:true|false)$"):
        return text.str.to_lowercase() == "true", "boolean"
    dates = _dates(text)
    return (text, "text") if dates is None else (dates, "date")


def _plain_digits(text: pl.Series, comma: bool) -> pl.Series:
    if comma and _any(text, r"^[+-]?\d*,\d+$"):
        return text.str.replace(",", ".", literal=True)
    if not comma and _any(text, r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"):
        thousands = text.str.contains(r"^[+-]?\d{1,3}(,\d{3})*(\.\d*)?$")
        if thousands.fill_null(True).all():
            return text.str.replace_all(",", "", literal=True)
    return text


def _dates(text: pl.Series) -> pl.Series | None:
    """Read dates in an order that only one reading fits: 03/04/2021 alone stays text."""
    if not _any(text, r"^\d{1,4}[-/.]\d{1,2}[-/.]\d"):
        return None
    missing = text.null_count()
    for form in _DATES:
        dates = text.str.to_date(form, strict=False)
        if dates.null_count() == missing:
            return dates
    for form in _TIMES:
        times = text.str.to_datetime(form, strict=False)
        if times.null_count() == missing:
            return times
    orders = [text.str.to_date(form, strict=False) for form in _ORDERS]
    fitting = [dates for dates in orders if dates.null_count() == missing]
    return fitting[0] if len(fitting) == 1 else None


def _bound(series: pl.Series) -> tuple[pl.Series, int]:
    if series.dtype == pl.Int64:
        return series, 0
    odd = (series.abs() > LARGEST).fill_null(False)
    return series.set(odd, None), int(odd.sum())


def _any(text: pl.Series, pattern: str) -> bool:
    return bool(text.str.contains(pattern).any())


def _all(text: pl.Series, pattern: str) -> bool:
    return bool(text.str.contains(pattern).all())


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).strip().split("\n\n")[0]).rstrip(".")
