"""Images that a table calls by their names alone, maybe without ending, and that lie in a folder below or beside it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pandas as pd

from zoo.data.folders import images_below
from zoo.data.names import Disk
from zoo.data.table import path_fault
from zoo.errors import DataError, shorten
from zoo.files import nfc


def by_name(cells: pd.Series[str], root: Path, where: str) -> tuple[pd.Series[str], list[str]]:
    """The paths of a table's cells, those that lead to no file replaced by the one image of that name; and a note.

    Looked for are images below `root`; where it holds none, below the folder that it is in. What isn't found stays as
    it is. Raises DataError for names that several files have.
    """
    disk = Disk()
    named = [cell for cell in cells.unique() if cell and not path_fault(cell)]
    lost = [cell for cell in named if not _is_file(root / disk.spelled(root, Path(cell)))]
    if not lost:
        return cells, []
    place = root
    known = _images(place)
    if not known:
        place = root.absolute().parent
        known = _images(place)
    found, several = {}, []
    for cell in lost:
        alike = known.get(nfc(cell.replace("\\", "/").rpartition("/")[2]), [])
        if len(alike) == 1:
            found[cell] = alike[0]
        elif alike:
            several.append(f"{cell!r}: {', '.join(sorted(alike)[:3])}{' …' if len(alike) > 3 else ''}")
    if several:
        raise DataError(
            f"{where}: the paths lead to no file, and several images below {place} have that name; write the folder "
            f"into the path:\n{shorten(several)}"
        )
    if not found:
        return cells, []
    told = place / os.path.commonpath([Path(path).parent.as_posix() or "." for path in found.values()])
    if place != root:
        found = {cell: str(place / path) for cell, path in found.items()}
    note = f"{len(found)} of {cells.nunique()} images are found by their names below {told}"
    return cells.map(lambda cell: found.get(cell, cell)), [note]


def _images(root: Path) -> dict[str, list[str]]:
    """The images below a folder, as paths from there with forward slashes, by their names with and without ending."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in images_below(root, strict=False):
        for name in (nfc(path.name), nfc(path.stem)):
            found[name].append(path.relative_to(root).as_posix())
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
