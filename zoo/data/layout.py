"""What folders of images are called: folds, roles, classes; and where such a layout may lie instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from zoo.data.config import data_lines
from zoo.data.names import subfolder, subfolders
from zoo.data.table import ENDINGS
from zoo.errors import DataError

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FOLD_FOLDER = re.compile(r"fold[-_ ]?([0-9]+)", re.IGNORECASE)

# What people call the folder of each role, where no folds surround it: in any case, and maybe as a "set".
ROLE_FOLDERS = {
    "train": {"train", "training", "trn"},
    "validation": {"validation", "val", "valid", "validate", "dev", "development"},
    "test": {"test", "testing", "tst"},
}
DEEPEST, MOST = 3, 2000  # levels and folders that are looked through for images


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


def fold_roles(fold: Path, roles: Mapping[str, str]) -> dict[str, str]:
    """The folder of each role in a fold: as `roles` says, or by the usual names if there is one that it lacks."""
    if all(subfolder(fold, name) for name in roles.values()):
        return dict(roles)
    usual = {role: folder.name for role, folder in role_folders(fold).items()}
    return usual if {*usual.values()} - {*roles.values()} else dict(roles)


def role_of(name: str) -> str | None:
    """The role that a folder, or a cell of a table, of that name plays; None if none does."""
    bare = re.sub(r"[-_ ]?(set|data|images)$", "", name.casefold())
    return next((role for role, names in ROLE_FOLDERS.items() if bare in names), None)


def role_folders(root: Path) -> dict[str, Path]:
    """The folders right below `root` that play roles, as they are called; empty unless train and another are there.

    Raises DataError if the folder cannot be read, or two play one role.
    """
    found: dict[str, Path] = {}
    for child in subfolders(root):
        role = role_of(child.name)
        if role and found.setdefault(role, child) is not child:
            raise DataError(f"{root}: {found[role].name} and {child.name} both play the role {role}; keep one")
    return {role: found[role] for role in ROLE_FOLDERS if role in found} if {*found} > {"train"} else {}


def holds_images(folder: Path) -> bool:
    """Whether an image lies right in a folder; False if it cannot be read."""
    try:
        return any(child.suffix.lower() in IMAGE_ENDINGS for child in folder.iterdir())
    except OSError:
        return False


def to_write(classes: Sequence[str], roles: Sequence[str] = ()) -> str:
    """What to write to have folders of these names taken for the classes, and for the roles."""
    if len(classes) < 2:
        return "there must be a folder of images for each of two classes or more"
    lines: dict[str, Any] = {"classes": [*classes]}
    if len(roles) >= len(ROLE_FOLDERS):
        usual = {role: name for name in roles if (role := role_of(name))}
        lines["roles"] = usual if len(usual) == len(ROLE_FOLDERS) else dict(zip(ROLE_FOLDERS, roles, strict=False))
    return (
        f"if those are the classes, the positive one last: --classes {shlex.quote(','.join(classes))}, or in "
        f"registry.toml:\n{data_lines(**lines)}"
    )


def instead(root: Path) -> str:
    """What to name instead of a folder that has no layout: its subfolders as classes, what lies below, or tables."""
    children = subfolders(root)
    classes = [child.name for child in children if holds_images(child)]
    if len(classes) > 1:
        return to_write(classes)
    found = [*tables(root), *(place for child in children for place in _below(child, DEEPEST))]
    if not found:
        return "name the folder that holds one of images for each class: --data DIR"
    return "did you mean --data " + ", or --data ".join(shlex.quote(str(place)) for place in found[:5])


def _below(folder: Path, levels: int) -> Iterator[Path]:
    """The folder itself if it looks like images in folds, roles or classes, else such below it, and tables."""
    try:
        children = [*islice(subfolders(folder), MOST)]
        if fold_folders(folder) or role_folders(folder) or sum(map(holds_images, children)) > 1:
            yield folder
            return
        yield from tables(folder)
    except DataError:
        return
    for child in children if levels else ():
        yield from _below(child, levels - 1)


def tables(root: Path) -> list[Path]:
    """The tables right in a folder."""
    return [child for child in sorted(root.iterdir()) if child.suffix.lower() in ENDINGS and child.is_file()]
