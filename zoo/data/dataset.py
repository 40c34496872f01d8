"""What --data names, a folder or a manifest -> one table with a row per file."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo.data import folders, groups, layout, manifest, names, splitters
from zoo.data.config import ROLE_FOLDERS, DataConfig
from zoo.data.origin import Origin
from zoo.data.splits import Folds
from zoo.errors import ConfigError, DataError
from zoo.files import nfc


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
    def sources(self) -> dict[str, str]:
        """The source of each path of which it is known."""
        known = self.table[self.table["source"] != ""]
        return dict(zip(known["path"], known["source"].astype(str), strict=True))

    @property
    def in_folds(self) -> bool:
        """Whether the data come in folds of their own."""
        return "fold" in self.table


def read_dataset(
    origin: Origin, config: DataConfig, folds: Folds = None, strict: bool = True, test: Origin | None = None
) -> Dataset:
    """A folder of folds, a folder per role or per class, or a manifest, with nothing decoded.

    `folds` picks folds of a folder of folds; other data are read as a whole. `test` is where the images of the test
    role are, if not in the same place.

    Raises DataError for what is none of these, or not fit for the config's classes, roles and groups; unless `strict`,
    listed files may be missing, and so may a class in a role of a fold. Raises ConfigError for test data beside data
    that have a test role, or folds.
    """
    found, config, notes, carve = _read(origin, config, folds, strict)
    if test:
        found = _with_test(found, test, config, strict, notes)
        carve = True
    for column in ("group", "source"):
        if column not in found:
            found[column] = ""
    found = _classes_of_labels(found, config, notes)
    if config.groups:
        found["group"], said_of_groups = groups.from_paths([*found["path"]], config.groups)
    else:
        found["group"], said_of_groups = groups.known([*found["group"]], origin.name)
    notes += said_of_groups
    if carve:
        found, said_of_roles = _all_roles(found, strict)
        notes += said_of_roles
    return Dataset(origin.root, found, config, notes)


def _read(
    origin: Origin, config: DataConfig, folds: Folds, strict: bool
) -> tuple[pd.DataFrame, DataConfig, list[str], bool]:
    """What one place lists, with labels as the data have them; the config with its roles; notes; and whether roles may
    be missing, which `splitters.all_roles` makes up for."""
    root = origin.root
    every = strict and not config.labels  # of labels that make up one class some may be missing in a role
    ignored: folders.Ignored = Counter()
    notes: list[str] = []
    carve = False
    if origin.cells is not None:
        found, notes = manifest.read_manifest(origin, config, strict)
        carve = "role" in found and {*found["role"]} != {*ROLE_FOLDERS}
        config = with_own_roles(config)
    elif in_folds := layout.fold_folders(root):
        roles = layout.fold_roles(next(iter(in_folds.values())), config.roles)
        found = folders.read_folds(root, config.own_labels, roles, folds, ignored, every)
        if roles != config.roles:
            carve, config = True, with_own_roles(config)
            notes.append(_by_names(roles))
    elif _has_roles(root, config):
        found = folders.read_roles(root, config.own_labels, ignored, every)
        carve, config = True, with_own_roles(config)
        notes.append(_by_names({role: folder.name for role, folder in layout.role_folders(root).items()}))
    else:
        found = folders.read_classes(root, config.own_labels, ignored)
        config = with_own_roles(config)
        own = {*map(nfc, config.own_labels)}
        others = [folder.name for folder in names.subfolders(root) if nfc(folder.name) not in own]
        if others:
            notes.append(f"folder{'s' * (len(others) > 1)} left out, being no class: {', '.join(others)}")
    if said := folders.said(ignored):
        notes.append(said)
    return found, config, notes, carve


def _all_roles(found: pd.DataFrame, strict: bool) -> tuple[pd.DataFrame, list[str]]:
    """The table with all three roles in every fold, and how that came; as it is, unless `strict`, if that cannot be."""
    try:
        parts = [splitters.all_roles(part) for _, part in found.groupby("fold", sort=False)]
    except DataError as error:
        if strict:
            raise
        return found, [str(error)]
    notes = list(dict.fromkeys(note for _, said in parts for note in said))
    return pd.concat([part for part, _ in parts], ignore_index=True), notes


def _by_names(roles: dict[str, str]) -> str:
    return f"folders are taken by their names: {', '.join(f'{name} as {role}' for role, name in roles.items())}"


def _with_test(found: pd.DataFrame, test: Origin, config: DataConfig, strict: bool, notes: list[str]) -> pd.DataFrame:
    """The rows of the data in one division, with those of `test` as the test role."""
    if "fold" in found and found["fold"].nunique() > 1:
        raise ConfigError(f"test data {test.name}: the data are in folds, each with a test role; leave out either")
    if "fold" in found and "test" in set(found["role"]):
        raise ConfigError(f"test data {test.name}: the data have a test role of their own; name the train folder alone")
    scored, _, said, _ = _read(test, config, None, strict)
    if "fold" in scored and set(scored["role"]) - {"test"}:
        raise ConfigError(f"test data {test.name} have roles or folds of their own; name the test images alone")
    notes += [f"test data {test.name}: {len(scored)} images", *(f"test data: {note}" for note in said)]
    scored = scored.assign(path=[(test.root.absolute() / path).as_posix() for path in scored["path"]])
    train = found if "fold" in found else found.assign(fold=0, role="train")
    table = pd.concat([train, scored.assign(fold=0, role="test")], ignore_index=True).fillna(
        {"group": "", "source": ""}
    )
    return table[["fold", "role", *(column for column in table.columns if column not in ("fold", "role"))]]


def _classes_of_labels(found: pd.DataFrame, config: DataConfig, notes: list[str]) -> pd.DataFrame:
    """The table with class numbers as labels, without the images that `labels` leaves out."""
    if not config.labels:
        return found
    places = {name: number for number, name in enumerate(config.classes)}
    numbers = found["label"].map({number: places.get(name, -1) for number, name in enumerate(config.labels.values())})
    out = numbers < 0
    if out.any():
        own = found.loc[out, "label"].map(dict(enumerate(config.labels)))
        told = ", ".join(f"{label} ({count})" for label, count in own.value_counts().items())
        notes.append(f"images left out, as labels says: {told}")
    return found.assign(label=numbers)[~out].reset_index(drop=True)


def with_own_roles(config: DataConfig) -> DataConfig:
    """The config of data in which no folder plays a role: each role is called by its own name."""
    return dataclasses.replace(config, roles={role: role for role in config.roles})


def is_laid_out(origin: Origin, config: DataConfig) -> bool:
    """Whether the data say more than where they lie: a manifest, fold folders, or a folder for each class."""
    if origin.cells is not None:
        return True
    root = origin.root
    return bool(layout.fold_folders(root)) or _has_roles(root, config) or _has_classes(root, config)


def _has_roles(root: Path, config: DataConfig) -> bool:
    """Whether there is a folder per role; where the classes are called like roles, there is one per class."""
    return not _has_classes(root, config) and bool(layout.role_folders(root))


def _has_classes(root: Path, config: DataConfig) -> bool:
    return {nfc(folder.name) for folder in names.subfolders(root)}.issuperset(map(nfc, config.own_labels))
