"""A folder of ready-made folds -> a table of its images.

The layout is that of the study, `Fold0 Fold1 …` / role folder / class folder / image files. Folders and files
whose names start with a dot are ignored, and so are files that are no images by their ending.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from zoo.errors import ConfigError, DataError, shorten

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FOLD_FOLDER = re.compile(r"fold[-_ ]?(\d+)", re.IGNORECASE)


def fold_folders(root: Path) -> dict[int, Path]:
    """The fold folders below `root` by number, in order.

    Raises DataError if there is none, or two of one number.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {what}; expected a folder of Fold0, Fold1, …")
    folds: dict[int, Path] = {}
    try:
        children = sorted(root.iterdir())
    except OSError as error:
        raise DataError(f"data folder {root} cannot be read: {error.strerror}") from error
    for child in children:
        match = FOLD_FOLDER.fullmatch(child.name)
        if match and child.is_dir():
            other = folds.setdefault(int(match[1]), child)
            if other is not child:
                raise DataError(f"{root}: {other.name} and {child.name} are both fold {match[1]}")
    if not folds:
        raise DataError(
            f"{root} holds no fold folders; expected Fold0, Fold1, …, each with a folder per role and class"
        )
    return dict(sorted(folds.items()))


def read_folds(
    root: Path, classes: Sequence[str], roles: Mapping[str, str], folds: Sequence[int] | None = None
) -> pd.DataFrame:
    """One row per fold and image: fold, role, path (below `root`, with forward slashes), label, group.

    `classes` are folder names, whose positions are the labels; `roles` gives each role its folder; `folds`
    picks some, None means all. `group` is empty: this layout names no patients.

    Raises ConfigError for a fold that isn't there, DataError naming every missing or empty folder at once.
    """
    available = fold_folders(root)
    missing = sorted(set(folds or ()) - set(available))
    if missing:
        raise ConfigError(
            f"{root} has no fold {', '.join(map(str, missing))}; it has folds {', '.join(map(str, available))}"
        )
    rows: list[tuple[int, str, str, int, str]] = []
    faults: list[str] = []
    for fold in available if folds is None else sorted(set(folds)):
        for role, role_folder in roles.items():
            for label, class_name in enumerate(classes):
                folder = available[fold] / role_folder / class_name
                images = _images(folder)
                if not images:
                    faults.append(f"{folder.relative_to(root)} {'holds no image' if folder.is_dir() else 'is missing'}")
                rows += [(fold, role, image.relative_to(root).as_posix(), label, "") for image in images]
    if faults:
        raise DataError(
            f"{root} does not have the folders that roles and classes ask for:\n{shorten(faults)}\n"
            f"expected FoldN / {'|'.join(roles.values())} / {'|'.join(classes)} / images; "
            "roles and classes are set under [data] in registry.toml"
        )
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label", "group"])


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".") and file.is_file()
    )
