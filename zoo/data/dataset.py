"""What --data names, a folder or a manifest -> one table with a row per file."""

from __future__ import annotations

import dataclasses
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo.data import folders, groups, manifest, names, splitters, table
from zoo.data.splits import Folds
from zoo.data.table import ENDINGS, Source
from zoo.errors import DataError
from zoo.files import nfc
from zoo.registry import DataConfig

EXPECTED = (
    "expected a folder of Fold0, Fold1, …, or of train, val, test, or a folder per class, or a manifest "
    f"({', '.join(ENDINGS)})"
)


@dataclass(frozen=True)
class Dataset:
    """Files and what is known of them.

    `table` has the columns path (below `root`, with forward slashes, or absolute), label (class number), group and
    source ('' if unknown); if the data come in folds, fold and role stand before these, with a row per fold and image.
    `config` is the [data] table with the roles by the names that the data give them.
    """

    root: Path
    table: pd.DataFrame
    config: DataConfig
    notes: list[str]

    @property
    def in_folds(self) -> bool:
        """Whether the data come in folds of their own."""
        return "fold" in self.table


def read(source: Source, config: DataConfig, folds: Folds = None, strict: bool = True) -> Dataset:
    """A folder of folds, a folder per class, or a manifest, with nothing decoded.

    `folds` picks folds of a folder of folds; other data are read as a whole. The paths of a data frame begin at the
    working folder.

    Raises DataError for what is none of these, or not fit for the config's classes, roles and groups; unless `strict`,
    listed files may be missing, and so may a class in a role of a fold.
    """
    root = root_of(source)
    ignored: folders.Ignored = Counter()
    notes = []
    by_role = False
    if isinstance(source, pd.DataFrame) or source.is_file():
        found = manifest.read(source, root, config.classes, config.columns, strict)
    elif folders.fold_folders(root):
        found = folders.read_folds(root, config.classes, config.roles, folds, ignored, strict)
    elif by_role := _has_roles(root, config.classes):
        found = folders.read_roles(root, config.classes, ignored, strict)
    else:
        found = folders.read_classes(root, config.classes, ignored)
        classes = {*map(nfc, config.classes)}
        others = [folder.name for folder in names.subfolders(root) if nfc(folder.name) not in classes]
        if others:
            notes.append(f"folder{'s' * (len(others) > 1)} left out, being no class: {', '.join(others)}")
    if said := folders.said(ignored):
        notes.append(said)
    for column in ("group", "source"):
        if column not in found:
            found[column] = ""
    if config.groups:
        found["group"], said_of_groups = groups.from_paths([*found["path"]], config.groups)
    else:
        found["group"], said_of_groups = groups.known([*found["group"]], table.name(source))
    notes += said_of_groups
    if by_role:
        found, said_of_roles = splitters.all_roles(found)
        names_of = {role: folder.name for role, folder in folders.role_folders(root).items()}
        played = ", ".join(f"{name} as {role}" for role, name in names_of.items())
        notes += [f"folders are taken by their names: {played}", *said_of_roles]
    if by_role or not isinstance(source, Path) or source.is_file() or "fold" not in found:
        config = with_own_roles(config)
    return Dataset(root, found, config, notes)


def root_of(source: Source) -> Path:
    """Where the paths of the data begin. Raises DataError for what is no folder and no manifest."""
    if isinstance(source, pd.DataFrame):
        return Path.cwd()
    try:
        if source.is_dir():
            return source
        if not source.exists():
            raise DataError(f"data {source} does not exist; {EXPECTED}")
        if source.is_file() and source.suffix.lower() in ENDINGS:
            return source.parent
        if source.is_file() and zipfile.is_zipfile(source):
            raise DataError(f"data {source} is a zip archive; unpack it and name the folder")
    except OSError as error:
        raise DataError(f"data {source} cannot be read: {error.strerror}") from error
    raise DataError(f"data {source} is a file; {EXPECTED}")


def with_own_roles(config: DataConfig) -> DataConfig:
    """The config of data in which no folder plays a role: each role is called by its own name."""
    return dataclasses.replace(config, roles={role: role for role in config.roles})


def is_laid_out(source: Source, classes: Sequence[str]) -> bool:
    """Whether the data say more than where they lie: a manifest, fold folders, or a folder for each class."""
    if isinstance(source, pd.DataFrame) or source.is_file():
        return True
    return bool(folders.fold_folders(source)) or _has_roles(source, classes) or _has_classes(source, classes)


def _has_roles(root: Path, classes: Sequence[str]) -> bool:
    """Whether there is a folder per role; where the classes are called like roles, there is one per class."""
    return not _has_classes(root, classes) and bool(folders.role_folders(root))


def _has_classes(root: Path, classes: Sequence[str]) -> bool:
    return {nfc(folder.name) for folder in names.subfolders(root)}.issuperset(map(nfc, classes))
