"""Where images are listed: a folder, or a manifest that is read once."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo.data import table
from zoo.data.table import ENDINGS, Source
from zoo.errors import DataError

EXPECTED = (
    "expected a folder of Fold0, Fold1, …, or of train, val, test, or a folder per class, or a manifest "
    f"({', '.join(ENDINGS)})"
)


@dataclass(frozen=True)
class Origin:
    """A folder, or the cells of a manifest as zoo.data.table.read_table gives them.

    `name` is what errors call it; the paths of its images begin at `root`.
    """

    name: str
    root: Path
    cells: pd.DataFrame | None = None


def of(source: Source) -> Origin:
    """Raises DataError for what is neither a folder nor a manifest that can be read.

    The paths of a data frame begin at the working folder.
    """
    if isinstance(source, pd.DataFrame):
        return Origin(table.name(source), Path.cwd(), table.read_table(source))
    try:
        if source.is_dir():
            return Origin(str(source), source)
        if not source.exists():
            raise DataError(f"data {source} does not exist; {EXPECTED}")
        if source.is_file() and source.suffix.lower() in ENDINGS:
            return Origin(str(source), source.parent, table.read_table(source))
        if source.is_file() and zipfile.is_zipfile(source):
            raise DataError(f"data {source} is a zip archive; unpack it and name the folder")
    except OSError as error:
        raise DataError(f"data {source} cannot be read: {error.strerror}") from error
    raise DataError(f"data {source} is a file; {EXPECTED}")
