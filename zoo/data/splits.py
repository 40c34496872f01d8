"""Which image plays which role in which fold, and the refusal of splits that leak."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from zoo.data import labels
from zoo.data.images import ImageStore
from zoo.errors import ConfigError, DataError, LeakError, shorten
from zoo.files import read_csv
from zoo.limits import FOLD, FOLDS_MADE, shown

# The columns of splits.csv.
SPLIT_COLUMNS = ["fold", "role", "image", "path", "label", "group"]
ROLES = ("train", "validation", "test")


# Which folds to take: these, the one of the lowest number, or None for all.
Folds = Sequence[int] | Literal["first"] | None


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


def parse_folds(text: str) -> Folds:
    """ "all", "first", "0", "0,3", "0-4" or several of these with commas, as people write folds.

    Raises ConfigError for anything else.
    """
    if text in ("all", "first"):
        return None if text == "all" else "first"
    folds: list[int] = []
    for part in text.split(","):
        ends = part.split("-")
        try:
            first, last = FOLD.read(ends[0].strip()), FOLD.read(ends[-1].strip())
        except ValueError:
            first, last = 1, 0
        if len(ends) > 2 or first > last or last - first >= FOLDS_MADE:
            raise ConfigError(f"folds {shown(text)}: neither all, first nor numbers such as 0, 0,3 or 0-4")
        folds += range(first, last + 1)
    return tuple(dict.fromkeys(folds))


def as_folds(folds: str | int | Sequence[int]) -> Folds:
    """Folds as Python gives them. Raises ConfigError as `parse_folds`."""
    if isinstance(folds, str):
        return parse_folds(folds)
    return (folds,) if isinstance(folds, int) else tuple(folds)


def subset(splits: pd.DataFrame, fold: int, role: str, store: ImageStore) -> Subset:
    """One role of one fold, from the table of splits.csv."""
    part = splits[(splits["fold"] == fold) & (splits["role"] == role)]
    hashes = tuple(part["image"])
    return Subset(store.pixels, store.rows(hashes), part["label"].to_numpy(), hashes, tuple(part["path"]), store.name)


def read_splits(path: Path, classes: Sequence[str]) -> pd.DataFrame:
    """splits.csv of a run, as zoo wrote it, as a table with class numbers as labels.

    Raises DataError for a label that is none of the classes.
    """
    table = read_csv(path, text=["label"]).rename_axis("row")
    return table.assign(label=labels.numbers(table, "label", classes, str(path))).rename_axis(None)


def choose(available: Iterable[int], folds: Folds, where: str) -> list[int]:
    """The folds to take of those available, in order. Raises ConfigError for one that isn't there."""
    there = sorted(set(available))
    missing = sorted(set(folds) - set(there)) if folds and folds != "first" else []
    if missing:
        raise ConfigError(
            f"{where} has no fold {', '.join(map(str, missing))}; it has folds {', '.join(map(str, there))}"
        )
    return there[:1] if folds == "first" else there if folds is None else sorted(set(folds))


def in_order(splits: pd.DataFrame) -> pd.DataFrame:
    """The rows by fold, role and path: training depends on the order of its images."""
    role = splits["role"].map({role: number for number, role in enumerate(ROLES)})
    order = splits.assign(role=role).sort_values(["fold", "role", "path"], kind="stable").index
    return splits.loc[order].reset_index(drop=True)


def check_splits(splits: pd.DataFrame, classes: Sequence[str]) -> None:
    """Refuse folds whose scores would mean nothing.

    Raises DataError for a picture under two labels, for a role without images or a class and for a fold that is there
    twice, LeakError for a picture or a group in two roles of a fold.
    """
    check_labels(splits, classes)
    check_complete(splits, classes)
    check_different(splits)
    check_disjoint(splits)
    check_groups(splits)


def check_labels(images: pd.DataFrame, classes: Sequence[str]) -> None:
    """Refuse a picture that has two labels, in one fold or in several. Raises DataError naming its files."""
    several = images.groupby("image")["label"].transform("nunique") > 1
    lines = []
    for _, same in labels.named(images[several], classes).groupby("image", sort=False):
        files = same.drop_duplicates("label")
        named = " = ".join(f"{path} ({label})" for path, label in zip(files["path"], files["label"], strict=True))
        more = same["path"].nunique() - len(files)
        lines.append(named + (f" and {more} more of its files" if more > 0 else ""))
    if lines:
        pictures = "picture has two labels" if len(lines) == 1 else "pictures have two labels each"
        raise DataError(
            f"{len(lines)} {pictures} (files with the same pixels); look which is right, and mend or remove the other:"
            f"\n{shorten(lines)}"
        )


def check_complete(splits: pd.DataFrame, classes: Sequence[str]) -> None:
    """Refuse folds in which a role has no image, or none of some class. Raises DataError naming all of them."""
    counts = class_counts(splits, classes)
    faults = []
    for fold in splits["fold"].unique():
        for role in ROLES:
            if (fold, role) not in counts.index:
                faults.append(f"fold {fold}, {role}: no image at all")
                continue
            absent = [name for name, count in counts.loc[(fold, role)].items() if not count]
            faults += [f"fold {fold}, {role}: no image of {', '.join(map(str, absent))}"] if absent else []
    if faults:
        raise DataError(
            "every role of every fold needs images of every class; take fewer folds or another seed:\n"
            f"{shorten(faults)}"
        )


def check_different(splits: pd.DataFrame) -> None:
    """Refuse a fold that has the same images in the same roles as another. Raises DataError naming both."""
    first: dict[frozenset[tuple[str, str]], int] = {}
    lines = []
    for fold in sorted(set(splits["fold"].tolist())):
        rows = splits[splits["fold"] == fold]
        other = first.setdefault(frozenset(zip(rows["role"], rows["image"], strict=True)), fold)
        if other != fold:
            lines.append(f"fold {fold} is fold {other} again")
    if lines:
        raise DataError(
            "folds that have the same images in the same roles tell of one fold, however often it is counted; were "
            f"their folders copied or linked? Remove them, or take others with --folds:\n{shorten(lines)}"
        )


def check_disjoint(splits: pd.DataFrame) -> None:
    """Refuse folds in which one picture plays two roles.

    Raises LeakError naming the pictures.
    """
    lines = [" = ".join(same["path"]) for _, same in _in_two_roles(splits, "image")]
    if lines:
        raise LeakError(
            f"{len(lines)} picture{'s' if len(lines) > 1 else ''} in more than one role of a fold "
            f"(the same pixels; the scores would be inflated); keep one of each:\n{shorten(lines)}"
        )


def check_groups(splits: pd.DataFrame) -> None:
    """Refuse folds in which a group, such as a patient, is on two sides; '' is no group.

    Raises LeakError naming the groups, and an image of each role.
    """
    lines = []
    for (fold, group), same in _in_two_roles(splits[splits["group"] != ""], "group"):
        each = same.drop_duplicates("role")
        places = ", ".join(f"{role} {path}" for role, path in zip(each["role"], each["path"], strict=True))
        lines.append(f"fold {fold}, {group}: {places}")
    if lines:
        raise LeakError(
            f"{len(lines)} group{'s' if len(lines) > 1 else ''} in more than one role of a fold (the scores would be "
            f"inflated); zoo data split makes folds that keep groups together:\n{shorten(lines)}"
        )


def _in_two_roles(splits: pd.DataFrame, column: str) -> list[tuple[Any, pd.DataFrame]]:
    shared = splits.groupby(["fold", column], sort=True)["role"].transform("nunique") > 1
    leaks = splits[shared].sort_values(["fold", column, "role"], kind="stable")
    return list(leaks.groupby(["fold", column]))


def notes(splits: pd.DataFrame) -> list[str]:
    """What a reader should know of folds that are in order."""
    tested = splits[splits["role"] == "test"].groupby("image")["fold"].nunique()
    often = int((tested > 1).sum())
    return [f"{often} of {len(tested)} test images are tested in several folds"] if often else []


def fingerprint(table: pd.DataFrame) -> str:
    """sha256 of which picture plays which role in which fold with which label, whatever its path.

    Groups count where there are any.
    """
    columns = ["fold", "role", "image", "label", *(["group"] if (table["group"] != "").any() else [])]
    rows = table[columns].sort_values(columns, kind="stable")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def class_counts(splits: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Images of each class, one row per fold and role in order of appearance."""
    counts = splits.groupby(["fold", "role", "label"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=range(len(classes)), fill_value=0)
    counts.columns = pd.Index(classes)
    return counts


def group_counts(splits: pd.DataFrame) -> pd.Series[int]:
    """Groups in each fold and role; 0 where none are known."""
    return splits["group"].where(splits["group"] != "").groupby([splits["fold"], splits["role"]]).nunique()


def evenness(splits: pd.DataFrame, classes: Sequence[str]) -> str:
    """How alike the folds are, in a line: images of the test role, and its share of the last class."""
    counts = class_counts(splits, classes)
    total = counts.sum(axis=1).to_numpy()
    is_test = counts.index.get_level_values("role") == "test"
    share = (counts[classes[-1]].to_numpy() / total)[is_test]
    images = splits.drop_duplicates("path")
    overall = (images["label"] == len(classes) - 1).mean()
    return (
        f"Test roles hold {_span(f'{total[is_test].min()}', f'{total[is_test].max()}')} images, "
        f"{_span(f'{share.min():.1%}', f'{share.max():.1%}')} of them {classes[-1]} ({overall:.1%} in all)"
    )


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
