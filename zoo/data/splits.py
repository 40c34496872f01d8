"""Which image plays which role in which fold, and the refusal of splits that leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from zoo.data.images import ImageStore
from zoo.errors import LeakError, shorten

# The columns of splits.csv.
COLUMNS = ["fold", "role", "image", "path", "label", "group"]


@dataclass(frozen=True)
class Subset:
    """The images of one role of one fold, in the order of splits.csv.

    `pixels` is the whole store, uint8 (N, size, size, 3), of which `rows` (n,) are this subset's; `labels` (n,)
    are class numbers, `hashes` and `paths` one string an image. `store` names the whole store by its content.
    """

    pixels: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    hashes: tuple[str, ...]
    paths: tuple[str, ...]
    store: str

    def __len__(self) -> int:
        return len(self.rows)


def subset(splits: pd.DataFrame, fold: int, role: str, store: ImageStore) -> Subset:
    """One role of one fold, from the table of splits.csv."""
    part = splits[(splits["fold"] == fold) & (splits["role"] == role)]
    hashes = tuple(part["image"])
    return Subset(store.pixels, store.rows(hashes), part["label"].to_numpy(), hashes, tuple(part["path"]), store.name)


def read(path: Path) -> pd.DataFrame:
    """splits.csv as a table."""
    return pd.read_csv(path, dtype={"group": str, "path": str}, keep_default_na=False)


def check_disjoint(splits: pd.DataFrame) -> None:
    """Refuse folds in which one picture plays two roles.

    Raises LeakError naming the pictures.
    """
    shared = splits.groupby(["fold", "image"], sort=True)["role"].transform("nunique") > 1
    if not shared.any():
        return
    leaks = splits[shared].sort_values(["fold", "image", "role"], kind="stable")
    lines = [" = ".join(same["path"]) for _, same in leaks.groupby(["fold", "image"])]
    raise LeakError(
        f"{len(lines)} picture{'s' if len(lines) > 1 else ''} in more than one role of a fold "
        f"(the same pixels; the scores would be inflated); keep one of each:\n{shorten(lines)}"
    )


def class_counts(splits: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Images of each class, one row per fold and role in order of appearance."""
    counts = splits.groupby(["fold", "role", "label"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=range(len(classes)), fill_value=0)
    counts.columns = pd.Index(classes)
    return counts
