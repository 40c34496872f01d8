"""Tables that people give (CSV, TSV, Excel, Parquet, a data frame) -> every cell as text, and where it stands."""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.data import names
from zoo.errors import DataError, one_line, shorten

ENDINGS = (".csv", ".tsv", ".xlsx", ".parquet")
LARGEST = 2**30  # bytes that the parts of an Excel file may unpack to
Source = Path | pd.DataFrame


def name(source: Source) -> str:
    """What errors call it."""
    return f"table of {len(source)} rows" if isinstance(source, pd.DataFrame) else str(source)


def read_table(source: Source) -> pd.DataFrame:
    """Every cell as text without blanks around it, '' where nothing is. The index is named "line" or "row" and counts
    as the person who made the table does.

    A text file may separate its cells by commas, semicolons or tabs, as spreadsheets do. Of an Excel file the first
    sheet is read; if there are more, `attrs["remark"]` says so.

    Raises DataError for a file that cannot be read or is no table.
    """
    if isinstance(source, pd.DataFrame):
        return _as_text(source, name(source))
    if source.suffix.lower() == ".parquet":
        return _as_text(_read_parquet(source), name(source))
    if source.suffix.lower() == ".xlsx":
        return _read_excel(source)
    return _read_text(source)


def columns(table: pd.DataFrame, where: str, needed: Sequence[str]) -> None:
    """Raise DataError unless the table has all these columns."""
    missing = [column for column in needed if column not in table.columns]
    if missing:
        there = [column for column in table.columns if column]
        raise DataError(f"{where} has no column {', '.join(missing)}; its columns: {', '.join(there) or 'none'}")


def refuse(where: str, faults: list[str], advice: str) -> None:
    """Raise DataError that lists the faults, if there are any."""
    if faults:
        raise DataError(f"{where}: {advice}\n{shorten(faults)}")


def rows(table: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    """Where each row stands, such as "line 7", and its cell of that column."""
    return [(f"{table.index.name} {number}", cell) for number, cell in table[column].items()]


def folds(table: pd.DataFrame, column: str, where: str) -> list[int]:
    """Fold numbers, of which 1.0 is one too. Raises DataError for a cell that is no whole number of 0 or more."""
    whole = re.compile(r"([0-9]{1,9})(\.0*)?")
    found = [(place, cell, whole.fullmatch(cell)) for place, cell in rows(table, column)]
    faults = [f"{place}: {cell!r}" for place, cell, match in found if not match]
    refuse(where, faults, f"{column} must be a number, 0 or more")
    return [int(match[1]) for *_, match in found if match]


def roles(table: pd.DataFrame, column: str, known: Sequence[str], where: str) -> list[str]:
    """Roles. Raises DataError for any other word: what people mean by "valid" or "val" differs."""
    faults = [f"{place}: {cell!r}" for place, cell in rows(table, column) if cell not in known]
    refuse(where, faults, f"{column} must be one of {', '.join(known)}")
    return [*table[column]]


def paths(table: pd.DataFrame, column: str, root: Path, where: str, strict: bool = True) -> list[str]:
    """Paths with forward slashes, below `root` or absolute, spelled as on the disk.

    Raises DataError naming every cell that leads to no file; unless `strict`, only those that can lead to none.
    """
    found, faults, disk = [], [], names.Disk()
    for place, cell in rows(table, column):
        path = disk.spelled(root, Path(cell)) if not path_fault(cell) else Path(cell)
        fault = (path_fault(cell) or (_missing(root / path) if strict else "")) if cell else "is empty"
        if fault:
            faults.append(f"{place}: {cell!r} {fault}")
        found.append(path.as_posix())
    refuse(where, faults, f"{column} must lead to an image file, from the folder {root}")
    return found


def _missing(path: Path) -> str:
    try:
        return "" if path.is_file() else "is a folder" if path.is_dir() else "not found"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def path_fault(path: str) -> str:
    """Why a path cannot stand in splits.csv, '' if it can."""
    if "\0" in path or "\r" in path:
        return "has a control character in its name; rename it"
    try:
        path.encode()
    except UnicodeEncodeError:
        locale = sys.getfilesystemencoding()
        if locale != "utf-8":
            return f"has a name that is not {locale}, as the locale says"
        return "has a name that is not UTF-8; rename it"
    return ""


def _read_text(path: Path) -> pd.DataFrame:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as CSV UTF-8") from None
    first = text.lstrip("\r\n").split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    cells: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                cells.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    if not cells:
        raise DataError(f"{path} is empty")
    header = cells[0]
    _check_header(header, str(path))
    for line, row in zip(lines, cells, strict=True):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line} has {len(row)} cells, the heading {len(header)}")
    return pd.DataFrame(cells[1:], columns=header, index=pd.Index(lines[1:], name="line"), dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install pyarrow; or save the table as CSV") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # pyarrow has errors of its own, and it may be absent
        raise DataError(f"{path} is not a Parquet table: {' '.join(str(error).split())}") from error


def _read_excel(path: Path) -> pd.DataFrame:
    """The first sheet, rows counted as Excel does. Raises DataError if the file is none, or unpacks to too much."""
    import openpyxl

    try:
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > LARGEST:
                raise DataError(f"{path} unpacks to more than {LARGEST >> 20} MiB; save the table as CSV UTF-8")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            rows = [[_cell(value) for value in row] for row in book.worksheets[0].values]
            sheets = book.sheetnames
        finally:
            book.close()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # openpyxl lets through whatever it stumbles over
        raise DataError(f"{path} is not an Excel table: {one_line(error)}; save it as CSV UTF-8") from error
    numbers = [number for number, row in enumerate(rows) if any(row)]
    if not numbers:
        raise DataError(f"{path} is empty")
    first, *others = numbers
    _check_header(rows[first], str(path))
    index = pd.Index([number + 1 for number in others], name="row", dtype=int)
    table = pd.DataFrame([rows[number] for number in others], columns=rows[first], index=index, dtype=object)
    if len(sheets) > 1:
        table.attrs["remark"] = f"sheet {sheets[0]!r} of {path} is read, the first of {len(sheets)}"
    return table


def _as_text(table: pd.DataFrame, where: str) -> pd.DataFrame:
    header = [str(column) for column in table.columns]
    _check_header(header, where)
    columns = {name: [_cell(value) for value in table.iloc[:, place]] for place, name in enumerate(header)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table), name="row"), dtype=object)


def _check_header(header: list[str], where: str) -> None:
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DataError(f"{where} has the column {', '.join(twice)} twice")


def _cell(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    # Whole numbers beside empty cells become floating point.
    if isinstance(value, float | np.floating) and value.is_integer():
        value = int(value)
    return str(value).strip()
