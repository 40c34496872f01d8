"""Which files show one photograph, as they are or changed, and what such copies cross: roles, labels, groups, sources.

Tables of files have a row per file, and in folds per fold and file: columns fold, role, path, label, group, source and
image (sha256 of the decoded pixels). Data in no folds have fold 0 and role ''.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from zoo.data import labels
from zoo.data.known_copies import together

SIDES = ["path", "role", "label", "group", "source", "image"]
COPY_COLUMNS = [
    "photograph",
    "first_path",
    "second_path",
    "change",
    "similarity",
    "crosses",
    "fold",
    "first_role",
    "second_role",
    "folds",
    "first_label",
    "second_label",
    "first_group",
    "second_group",
    "first_source",
    "second_source",
    "first_image",
    "second_image",
]


def photographs(files: pd.DataFrame, near: pd.DataFrame) -> np.ndarray:
    """The number of the photograph that each file shows: alike for all that a chain of copies connects.

    `near` has columns first and second, image hashes of changed copies.
    """
    return together(files.assign(group=""), near)


def pairs(files: pd.DataFrame, near: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """COPY_COLUMNS, a row per pair of files that show one photograph; different labels first, then roles, then groups.

    `files` has the column photograph as well; `near` has columns first and second (image hashes), similarity, change.
    Files of the same pixels are each paired with one of them. `crosses` names in which of labels, roles, groups and
    sources the two differ; where they do in roles, fold and roles are those of the first such fold, and `folds` says in
    how many. Unknown groups and sources ('') differ from none. Pictures that meet in no fold are no pair.
    Labels are class names.
    """
    files = labels.named(files, classes)
    found = [_same_pixels(files), _changed(files, near)]
    table = pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)
    differ = pd.DataFrame(
        {
            "labels": table["first_label"] != table["second_label"],
            "roles": table["folds"] > 0,
            "groups": _both_known(table, "group"),
            "sources": _both_known(table, "source"),
        }
    )
    named = [", ".join(differ.columns[row]) for row in differ.to_numpy(dtype=bool)]
    table["crosses"] = pd.Series(named, index=table.index, dtype=str)
    weight = differ.to_numpy(dtype=int) @ [8, 4, 2, 1]
    order = table.assign(weight=-weight).sort_values(["weight", "photograph", "first_path", "second_path"]).index
    return table.loc[order, COPY_COLUMNS].reset_index(drop=True)


def _both_known(table: pd.DataFrame, what: str) -> pd.Series[bool]:
    first, second = table[f"first_{what}"], table[f"second_{what}"]
    return (first != second) & (first != "") & (second != "")


def _same_pixels(files: pd.DataFrame) -> pd.DataFrame:
    """Files of one picture, each with the first of them, in the fold that divides them most."""
    counts = files.groupby(["image", "fold"], as_index=False).agg(files=("path", "size"), roles=("role", "nunique"))
    counts = counts[counts["files"] > 1]
    folds = counts[counts["roles"] > 1].groupby("image").size()
    worst = counts.sort_values(["roles", "files", "fold"], ascending=[False, False, True]).drop_duplicates("image")
    rows = files.merge(worst[["image", "fold"]], on=["image", "fold"])
    # The same picture may have another label or group in a fold where it stands alone.
    key = ["image", "label", "group"]
    others = files[files["image"].isin(_several(files, "label") | _several(files, "group"))].drop_duplicates(key)
    known = pd.MultiIndex.from_frame(others[key]).isin(pd.MultiIndex.from_frame(rows[key]))
    rows = pd.concat([rows, others[~known]]).sort_values(["image", "fold", "path"], kind="stable")
    first = rows.drop_duplicates("image")
    joined = _joined(
        first.merge(rows, on="image", suffixes=("_first", "_second")).assign(image_first=lambda t: t.image)
    )
    joined = joined[joined["first_path"] != joined["second_path"]]
    divided = joined["first_image"].map(folds).fillna(0).astype(int)
    return joined.assign(change="identical", similarity=1.0, folds=divided.where(_apart(joined), 0))


def _several(files: pd.DataFrame, column: str) -> set[str]:
    """Pictures that have more than one label or known group."""
    known = files[files[column] != ""] if column == "group" else files
    counts = known.groupby("image")[column].nunique()
    return {*counts.index[counts > 1]}


def _changed(files: pd.DataFrame, near: pd.DataFrame) -> pd.DataFrame:
    """Pairs of different pixels, in the first fold that divides them, else the first in which they meet."""
    places = files.drop_duplicates(["image", "fold", "role"])
    first = near.merge(places, left_on="first", right_on="image")
    both = first.merge(places, left_on=["second", "fold"], right_on=["image", "fold"], suffixes=("_first", "_second"))
    joined = _joined(both.assign(fold_first=both["fold"], fold_second=both["fold"]))
    joined = joined.assign(change=both["change"], similarity=both["similarity"], apart=_apart(joined))
    ends = ["first_image", "second_image"]
    folds = joined[joined["apart"]].groupby(ends)["fold"].nunique().rename("folds").reset_index()
    joined = joined.sort_values(["apart", "fold"], ascending=[False, True], kind="stable").drop_duplicates(ends)
    joined = joined.drop(columns="apart").merge(folds, on=ends, how="left")
    return joined.assign(folds=joined["folds"].fillna(0).astype(int))


def _joined(both: pd.DataFrame) -> pd.DataFrame:
    """Columns of COPY_COLUMNS from a merge of two tables of files."""
    if "image_second" not in both:
        both = both.assign(image_second=both["image_first"])
    table = {f"{side}_{what}": both[f"{what}_{side}"] for side in ("first", "second") for what in SIDES}
    return pd.DataFrame({"photograph": both["photograph_first"], "fold": both["fold_first"], **table})


def _apart(joined: pd.DataFrame) -> pd.Series[bool]:
    return joined["first_role"] != joined["second_role"]
