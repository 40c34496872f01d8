"""A split file that a person may have edited -> the table of splits.csv, nothing in it taken on trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from zoo.data import groups, labels, manifest
from zoo.data import table as tables
from zoo.data.splits import ROLES, SPLIT_COLUMNS
from zoo.errors import DataError, shorten, unknown


def read_split_file(source: tables.Source, root: Path, classes: Sequence[str], strict: bool = True) -> pd.DataFrame:
    """Rows of splits.csv; paths begin at `root`. `image` and `group` may be empty or missing.

    Raises DataError naming every row that cannot be used; unless `strict`, its file may be missing.
    """
    where = tables.name(source)
    given = tables.read_table(source)
    tables.columns(given, where, [column for column in SPLIT_COLUMNS if column not in ("image", "group")])
    for column in given.columns:
        if column not in SPLIT_COLUMNS:
            raise DataError(f"{where}: {unknown('column', column, SPLIT_COLUMNS)}")
    if given.empty:
        raise DataError(f"{where} lists no image")
    found = pd.DataFrame(
        {
            "fold": tables.folds(given, "fold", where),
            "role": tables.roles(given, "role", ROLES, where),
            "image": given["image"].str.lower() if "image" in given else "",
            "path": tables.paths(given, "path", root, where, strict),
            "label": labels.numbers(given, "label", classes, where),
            "group": given.get("group", ""),
        },
        index=given.index,
    )
    manifest.refuse_twice(found, ["fold", "path"], where)
    return found.reset_index(drop=True)


def agree(splits: pd.DataFrame, data: pd.DataFrame, where: str, classes: Sequence[str]) -> pd.DataFrame:
    """The same rows, with the groups that only the data know; `data` is the table of a dataset, maybe of no rows.

    Raises DataError for images whose label differs between the two: the classes may be in another order now; and for
    groups of the data that the split divides into finer ones: its folds may divide them too.
    """
    places = ["path", "label"]
    both = splits[places].drop_duplicates().merge(data[places].drop_duplicates(), on="path")
    faults = [
        f"{path!r} is {classes[label]} in the split, {classes[other]} in the data"
        for path, label, other in both.itertuples(index=False, name=None)
        if label != other
    ]
    tables.refuse(where, faults, "labels must be those of the data; mend either, or the order of the classes")
    of_data = splits["path"].map(data.drop_duplicates("path").set_index("path")["group"]).fillna("")
    tables.refuse(
        where,
        groups.finer(splits["group"], of_data),
        "divides groups of the data into finer ones; empty its column group to take those of the data:",
    )
    return splits.assign(group=splits["group"].where(splits["group"] != "", of_data))


def fill_images(splits: pd.DataFrame, image_of_path: Mapping[str, str], where: str) -> pd.DataFrame:
    """The same rows, with the image hash of every file.

    Raises DataError naming the files that show another picture than when the split was made.
    """
    now = splits["path"].map(image_of_path)
    changed = splits[(splits["image"] != "") & (splits["image"] != now)].drop_duplicates("path")
    if len(changed):
        have = "files have" if len(changed) > 1 else "file has"
        raise DataError(
            f"{len(changed)} {have} changed since {where} was made; put back what was there, or empty the cells of the "
            f"column image to take what is there now:\n{shorten([*changed['path']])}"
        )
    return splits.assign(image=now)
