"""Folders of images -> a table: ready-made folds, a folder per role, or a folder per class.

The layouts are that of the study, `Fold0 Fold1 …` / role folder / class folder / image files; the common one of a
single division, `train val test` / class folder / image files; and the plain one, class folder / image files. Class
folders are read one level deep. Names that start with a dot and Thumbs.db are passed over; whatever else is no image is
counted and said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from zoo.data.layout import IMAGE_ENDINGS, fold_folders, instead, role_folders, to_write
from zoo.data.names import subfolder, subfolders
from zoo.data.splits import Folds, choose
from zoo.data.table import path_fault
from zoo.errors import DataError, shorten

# What was passed over, by kind: ".gif", "folder", …
Ignored = Counter[str]


def images_below(folder: Path, strict: bool = True) -> list[Path]:
    """The image files of a folder and of those in it, in order; names that begin with a dot are passed over.

    Raises DataError for a folder that cannot be read; unless `strict` it is passed over too.
    """
    found: list[Path] = []

    def fail(error: OSError) -> None:
        if strict:
            raise DataError(f"folder {error.filename} cannot be read: {error.strerror}") from error

    for place, below, names in os.walk(folder, onerror=fail):
        below[:] = sorted(name for name in below if not name.startswith("."))
        images = [name for name in names if Path(name).suffix.lower() in IMAGE_ENDINGS and not name.startswith(".")]
        found += [Path(place) / name for name in sorted(images)]
    return found


def read_folds(
    root: Path,
    classes: Sequence[str],
    roles: Mapping[str, str],
    folds: Folds = None,
    ignored: Ignored | None = None,
    strict: bool = True,
) -> pd.DataFrame:
    """One row per fold and image: fold, role, path (below `root`, with forward slashes), label.

    `classes` are folder names, whose positions are the labels; `roles` gives each role its folder; `folds`
    picks some.

    Raises ConfigError for a fold that isn't there, DataError naming every missing or empty folder at once; unless
    `strict`, folders may be missing or empty as long as each class and each role has images in some fold.
    """
    available = fold_folders(root)
    places = {
        (fold, role): (subfolder(available[fold], name), f"{available[fold].name}/{name}")
        for fold in choose(available, folds, str(root))
        for role, name in roles.items()
    }
    rows, faults = _read_places(root, places, classes, ignored)
    found_somewhere = {row[1] for row in rows} == {*roles} and {row[3] for row in rows} == {*range(len(classes))}
    if faults and (strict or not found_somewhere):
        fold = next(iter(available.values()))
        in_fold = [child.name for child in subfolders(fold)]
        found = [child.name for name in in_fold[:1] for child in subfolders(fold / name)]
        raise DataError(
            f"{root} does not have the folders that roles and classes ask for:\n{shorten(faults)}\n"
            f"expected FoldN / {'|'.join(roles.values())} / {'|'.join(classes)} / images; found {fold.name} / "
            f"{'|'.join(in_fold) or 'no folder'} / {'|'.join(found) or 'no folder'}\n"
            f"{to_write(found, in_fold)}"
        )
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label"])


def read_roles(root: Path, classes: Sequence[str], ignored: Ignored | None = None, strict: bool = True) -> pd.DataFrame:
    """One row per image of a folder per role, as fold 0: fold, role, path (below `root`, with forward slashes), label.

    Raises DataError naming every class folder that is missing or empty; unless `strict`, those may be.
    """
    found = role_folders(root)
    places = {(0, role): (folder, folder.name) for role, folder in found.items()}
    rows, faults = _read_places(root, places, classes, ignored)
    if faults and (strict or {row[3] for row in rows} != {*range(len(classes))}):
        there = [child.name for child in subfolders(found["train"])]
        raise DataError(
            f"{root} has a folder for each role, but not the class folders in them:\n{shorten(faults)}\n"
            f"folders in {found['train'].name}: {', '.join(there) or 'none'}\n{to_write(there)}"
        )
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label"])


def _read_places(
    root: Path,
    places: Mapping[tuple[int, str], tuple[Path | None, str]],
    classes: Sequence[str],
    ignored: Ignored | None,
) -> tuple[list[tuple[int, str, str, int]], list[str]]:
    """Rows (fold, role, path, label) of folders that hold one for each class, and what is missing there."""
    rows: list[tuple[int, str, str, int]] = []
    faults: list[str] = []
    for (fold, role), (place, name) in places.items():
        for label, class_name in enumerate(classes):
            folder = subfolder(place, class_name)
            found, others = images_in(folder)
            if ignored is not None:
                ignored.update(others)
            if not found:
                faults.append(f"{name}/{class_name} {_nothing(folder, others)}")
            rows += [(fold, role, image.relative_to(root).as_posix(), label) for image in found]
    return rows, faults


def read_classes(root: Path, classes: Sequence[str], ignored: Ignored | None = None) -> pd.DataFrame:
    """One row per image of a folder per class: path (below `root`, with forward slashes), label.

    Raises DataError naming the class folders that are missing or empty, and the folders that are there.
    """
    ignored = Counter() if ignored is None else ignored
    rows = []
    faults = []
    for label, class_name in enumerate(classes):
        folder = subfolder(root, class_name)
        found, others = images_in(folder)
        ignored.update(others)
        if not found:
            faults.append(f"{class_name} {_nothing(folder, others)}")
        rows += [(image.relative_to(root).as_posix(), label) for image in found]
    if faults:
        raise DataError(
            f"{root} holds neither fold folders (Fold0, Fold1, …), nor a folder for each role (train, val, test), nor "
            f"one of images for each class: {', '.join(faults)}; {_what_is_there(root)}\n"
            f"{instead(root)}"
        )
    return pd.DataFrame(rows, columns=["path", "label"])


def said(ignored: Ignored) -> str:
    """What was passed over, in words; '' if nothing was."""
    return f"ignored in the folders of images, being no image files: {_kinds(ignored)}" if ignored else ""


def _kinds(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items()))


def _nothing(folder: Path | None, others: Ignored) -> str:
    """What to say of a folder in which no image was found."""
    return f"holds no image{f', but {_kinds(others)}' * bool(others)}" if folder else "is missing"


def _what_is_there(root: Path, most: int = 20) -> str:
    """The folders right below `root` by name, and its files by kind."""
    folders = [folder.name for folder in subfolders(root)]
    more = f" and {len(folders) - most} more" if len(folders) > most else ""
    images, others = images_in(root)
    files = Counter(_kind(image) for image in images) + others
    del files["folder"]
    return f"folders there: {', '.join(folders[:most]) or 'none'}{more}" + f"; files there: {_kinds(files)}" * bool(
        files
    )


def images_in(folder: Path | None) -> tuple[list[Path], Ignored]:
    """The image files right in a folder, in order of their names, and what else it holds; None holds nothing.

    Raises DataError if it cannot be read, or a name cannot be written down.
    """
    images: list[Path] = []
    others: Ignored = Counter()
    try:
        for child in sorted(folder.iterdir()) if folder else ():
            if child.name.startswith(".") or child.name.lower() == "thumbs.db":
                continue
            if child.suffix.lower() in IMAGE_ENDINGS and child.is_file():
                images.append(child)
            else:
                others[_kind(child)] += 1
    except OSError as error:
        raise DataError(f"data folder {folder} cannot be read: {error.strerror}") from error
    faults = [f"{image.name!r} {fault}" for image in images if (fault := path_fault(image.name))]
    if faults:
        raise DataError(f"{folder}:\n{shorten(faults)}")
    return images, others


def _kind(child: Path) -> str:
    if child.is_dir():
        return "folder"
    return child.suffix.lower() or "no ending" if child.is_file() else "broken link"
