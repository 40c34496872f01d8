"""A manifest, a table that lists images -> the same table that folders give.

Columns `path` and `label`, and any of `group`, `source`, `fold` and `role`; other columns are passed over. Paths are
absolute or below the manifest's folder. With `fold` and `role` the folds are ready made; with `role` alone there is
one fold; with `fold` alone, one row an image, it says which part an image is in: fold k tests on part k, validates on
the next part and trains on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from zoo.data import labels, layout, search
from zoo.data import table as tables
from zoo.data.config import MANIFEST_COLUMNS, ROLE_FOLDERS, DataConfig
from zoo.data.origin import Origin
from zoo.errors import DataError


def read_manifest(origin: Origin, config: DataConfig, strict: bool = True) -> tuple[pd.DataFrame, list[str]]:
    """Columns path, label, group and source; fold and role before them if the manifest divides its images. And notes.

    Labels are positions in the config's `own_labels`. Files that aren't where the manifest says are looked for by their
    names, see zoo.data.search.

    Raises DataError naming every row that cannot be used; unless `strict`, its file may be missing.
    """
    where, cells = origin.name, origin.cells
    assert cells is not None  # a manifest has some
    condition = labels.condition(config.label)
    columns = {name: own for name, own in config.columns.items() if name != "label" or not condition}
    _check_columns(cells, where, columns, ["path"] if condition else ["path", "label"])
    given = pd.DataFrame(
        {name: cells[own] for name in MANIFEST_COLUMNS if (own := columns.get(name, name)) in cells.columns}
    )
    if given.empty:
        raise DataError(f"{where} lists no image")
    given["path"], notes = search.by_name(given["path"], origin.root, where)
    found = pd.DataFrame(
        {
            "path": tables.paths(given, "path", origin.root, where, strict),
            "label": condition.numbers(cells, where)
            if condition
            else labels.numbers(given, "label", config.own_labels, where),
            "group": given.get("group", ""),
            "source": given.get("source", ""),
        },
        index=given.index,
    )
    if "fold" in given:
        found.insert(0, "fold", tables.folds(given, "fold", where))
    if "role" in given:
        if "fold" not in given:
            found.insert(0, "fold", 0)
            given["role"] = given["role"].map(lambda cell: layout.role_of(cell) or cell)
        found.insert(1, "role", tables.roles(given, "role", [*ROLE_FOLDERS], where))
    key = ["fold", "path"] if "role" in given else ["path"]
    refuse_twice(found, key, where)
    found = found.reset_index(drop=True)
    return (_rotate(found, where) if "fold" in found and "role" not in found else found), notes


def _check_columns(cells: pd.DataFrame, where: str, columns: Mapping[str, str], needed: Sequence[str]) -> None:
    """Raise DataError unless the columns that are needed, or were named, are there."""
    lacking = {name: own for name in MANIFEST_COLUMNS if (own := columns.get(name, name)) not in cells.columns}
    lacking = {name: own for name, own in lacking.items() if name in needed or name in columns}
    if lacking:
        there = [column for column in cells.columns if column]
        raise DataError(
            f"{where} has no column {', '.join(lacking.values())}; its columns: {', '.join(there)}\n"
            f"say which it is: --columns {','.join(f'{name}=COLUMN' for name in lacking)}"
        )


def refuse_twice(table: pd.DataFrame, key: Sequence[str], where: str) -> None:
    """Raise DataError if two rows are alike in the columns of `key`, the last of which is the path."""
    twice = table[table.duplicated(list(key), keep=False)]
    faults = [
        f"{same['path'].iloc[0]!r}: {table.index.name}s {', '.join(map(str, same.index))}"
        for _, same in twice.groupby(list(key), sort=False)
    ]
    tables.refuse(
        where, faults, f"an image may stand {'once in a fold' if len(key) > 1 else 'once'}; keep one row of each:"
    )


def _rotate(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Every image in every fold, its role by how far its part is from the fold's."""
    parts = sorted(table["fold"].unique())
    if len(parts) < 3:
        raise DataError(
            f"{where} has a column fold but none for role, so fold says which part an image is in; it needs at least 3 "
            f"parts, not {len(parts)}"
        )
    place = table["fold"].map({part: number for number, part in enumerate(parts)})
    folds = []
    for number, part in enumerate(parts):
        roles = ((place - number) % len(parts)).map({0: "test", 1: "validation"}).fillna("train")
        folds.append(table.drop(columns="fold").assign(fold=part, role=roles))
    return pd.concat(folds, ignore_index=True)[["fold", "role", *table.columns.drop("fold")]]
