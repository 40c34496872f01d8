"""Folders of images -> a table: ready-made folds, or a folder per class.

The layouts are that of the study, `Fold0 Fold1 …` / role folder / class folder / image files, and the plain one,
class folder / image files. Class folders are read one level deep. Names that start with a dot and Thumbs.db are
passed over; whatever else is no image is counted and said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from zoo.data.table import path_fault
from zoo.errors import ConfigError, DataError, shorten

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FOLD_FOLDER = re.compile(r"fold[-_ ]?([0-9]+)", re.IGNORECASE)

# What was passed over, by kind: ".gif", "folder", …
Ignored = Counter[str]


def fold_folders(root: Path) -> dict[int, Path]:
    """The fold folders below `root` by number, in order; empty if there is none.

    Raises DataError if the folder cannot be read, or two are of one number.
    """
    folds: dict[int, Path] = {}
    for child in subfolders(root):
        match = FOLD_FOLDER.fullmatch(child.name)
        if match:
            other = folds.setdefault(int(match[1]), child)
            if other is not child:
                raise DataError(f"{root}: {other.name} and {child.name} are both fold {match[1]}")
    return dict(sorted(folds.items()))


def subfolders(root: Path) -> list[Path]:
    """The folders right below `root`, in order of their names. Raises DataError if it cannot be read."""
    try:
        return sorted(child for child in root.iterdir() if not child.name.startswith(".") and child.is_dir())
    except OSError as error:
        raise DataError(f"data folder {root} cannot be read: {error.strerror}") from error


def read_folds(
    root: Path,
    classes: Sequence[str],
    roles: Mapping[str, str],
    folds: Sequence[int] | None = None,
    ignored: Ignored | None = None,
    strict: bool = True,
) -> pd.DataFrame:
    """One row per fold and image: fold, role, path (below `root`, with forward slashes), label.

    `classes` are folder names, whose positions are the labels; `roles` gives each role its folder; `folds`
    picks some, None means all.

    Raises ConfigError for a fold that isn't there, DataError naming every missing or empty folder at once; unless
    `strict`, folders may be missing or empty as long as each class and each role has images in some fold.
    """
    available = fold_folders(root)
    missing = sorted(set(folds or ()) - set(available))
    if missing:
        raise ConfigError(
            f"{root} has no fold {', '.join(map(str, missing))}; it has folds {', '.join(map(str, available))}"
        )
    rows: list[tuple[int, str, str, int]] = []
    faults: list[str] = []
    for fold in available if folds is None else sorted(set(folds)):
        for role, role_folder in roles.items():
            for label, class_name in enumerate(classes):
                folder = available[fold] / role_folder / class_name
                found = _images(folder, ignored)
                if not found:
                    faults.append(f"{folder.relative_to(root)} {'holds no image' if folder.is_dir() else 'is missing'}")
                rows += [(fold, role, image.relative_to(root).as_posix(), label) for image in found]
    found_somewhere = {row[1] for row in rows} == {*roles} and {row[3] for row in rows} == {*range(len(classes))}
    if faults and (strict or not found_somewhere):
        raise DataError(
            f"{root} does not have the folders that roles and classes ask for:\n{shorten(faults)}\n"
            f"expected FoldN / {'|'.join(roles.values())} / {'|'.join(classes)} / images; "
            "roles and classes are set under [data] in registry.toml"
        )
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label"])


def read_classes(root: Path, classes: Sequence[str], ignored: Ignored | None = None) -> pd.DataFrame:
    """One row per image of a folder per class: path (below `root`, with forward slashes), label.

    Raises DataError naming the class folders that are missing or empty, and the folders that are there.
    """
    rows = []
    faults = []
    for label, class_name in enumerate(classes):
        found = _images(root / class_name, ignored)
        if not found:
            faults.append(f"{class_name} {'holds no image' if (root / class_name).is_dir() else 'is missing'}")
        rows += [(image.relative_to(root).as_posix(), label) for image in found]
    if faults:
        there = ", ".join(folder.name for folder in subfolders(root)) or "none"
        raise DataError(
            f"{root} holds neither fold folders (Fold0, Fold1, …) nor a folder of images for each class: "
            f"{', '.join(faults)}; folders there: {there}; classes are set under [data] in registry.toml"
        )
    return pd.DataFrame(rows, columns=["path", "label"])


def said(ignored: Ignored) -> str:
    """What was passed over, in words; '' if nothing was."""
    kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(ignored.items()))
    return f"ignored in the folders of images, being no image files: {kinds}" if kinds else ""


def _images(folder: Path, ignored: Ignored | None) -> list[Path]:
    """The image files right in a folder, in order of their names; a folder that is missing has none.

    Raises DataError if it cannot be read, or a name cannot be written down.
    """
    ignored = Counter() if ignored is None else ignored
    images = []
    try:
        for child in sorted(folder.iterdir()) if folder.is_dir() else ():
            if child.name.startswith(".") or child.name.lower() == "thumbs.db":
                continue
            if child.suffix.lower() in IMAGE_ENDINGS and child.is_file():
                images.append(child)
            else:
                ignored[_kind(child)] += 1
    except OSError as error:
        raise DataError(f"data folder {folder} cannot be read: {error.strerror}") from error
    faults = [f"{image.name!r} {fault}" for image in images if (fault := path_fault(image.name))]
    if faults:
        raise DataError(f"{folder}:\n{shorten(faults)}")
    return images


def _kind(child: Path) -> str:
    if child.is_dir():
        return "folder"
    return child.suffix.lower() or "no ending" if child.is_file() else "broken link"
