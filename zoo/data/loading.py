"""Images and folds of a request: read, divided if they are in no folds, decoded, and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo.data import audited, cache, dataset, demo, groups, images, names, remarks, split_file, splits, splitters
from zoo.data import table as tables
from zoo.data.dataset import Dataset
from zoo.data.understand import understand
from zoo.errors import ConfigError
from zoo.files import expand, hash_file
from zoo.registry import DEMO, DataConfig, SplitConfig

Root = str | Path | pd.DataFrame | None


@dataclass(frozen=True)
class Data:
    """The images and splits of a request.

    `config` has the root, image size and roles that were really used; `split_file` is the name and sha256 of the file
    that the splits come from, if they do; `notes` says what to know.
    """

    config: DataConfig
    splits: pd.DataFrame
    store: images.ImageStore
    notes: list[str]
    is_demo: bool = False
    split_file: dict[str, str] | None = None


def load_data(
    config: DataConfig,
    root: Root,
    image_size: int | None,
    folds: splits.Folds,
    progress: images.Progress | None = None,
    *,
    splits_from: tables.Source | None = None,
    groups: str | None = None,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
) -> Data:
    """Read, decode and check the folds that are asked for.

    `root`, `image_size`, `groups` and `classes` win over the registry's; `positive` is the class to find, of two.

    The folds are those of `splits_from`, a split file or the same as a data frame; else the data's own; else those that
    the registry's `split` makes.

    Raises DataError, ConfigError or LeakError for whatever would spoil a training run.
    """
    is_demo = _is_demo(config, root)
    said: list[str] = []
    source, config = settle(config, root, image_size, groups, said.append, classes, positive)
    if splits_from is not None:
        data = _from_file(source, config, splits_from, folds, progress)
    else:
        found = listed(source, config, None, folds)
        if found.in_folds:
            store, table = _decode(found, found.table, progress)
            data = Data(found.config, table[splits.COLUMNS], store, found.notes)
        else:
            data = _divide(found, config.split, progress)
            note = f"The data are in no folds; divided by {config.split} (zoo data split writes them to a file)"
            data = dataclasses.replace(data, splits=pick(data.splits, folds, "the split"), notes=[*data.notes, note])
    data = _checked(data, said, is_demo)
    taken = data.splits["fold"].iloc[0]
    if folds == "first" and taken != 0:
        data.notes.append(f"Fold {taken} is taken, the first there is; --folds takes others")
    return data


def make_splits(
    config: DataConfig,
    root: Root,
    image_size: int | None,
    how: SplitConfig,
    progress: images.Progress | None = None,
    *,
    groups: str | None = None,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
) -> Data:
    """Divide all images, in folds of their own or not, and check the folds.

    Of data that come in folds each picture is taken once, from the first fold that shows it.

    Raises DataError, ConfigError or LeakError for data or folds that would spoil a training run.
    """
    is_demo = _is_demo(config, root)
    said: list[str] = []
    source, config = settle(config, root, image_size, groups, said.append, classes, positive)
    data = _divide(dataset.read(source, config), how, progress)
    return _checked(data, said, is_demo)


def _checked(data: Data, said: list[str], is_demo: bool) -> Data:
    """The same once its folds are found to be in order, with all that there is to know, `said` first."""
    splits.check(data.splits, data.config.classes)
    told = [*said, *data.store.notes, *audited.lost(), *data.notes]
    notes = [*audited.conflicts(data.splits, data.config.classes), *splits.notes(data.splits)]
    notes += [] if is_demo else groups.notes(data.splits)
    files = [str(remark) for remark in remarks.told(data.store.remarks)]
    return dataclasses.replace(data, notes=[*told, *notes, *files], is_demo=is_demo)


def listed(
    source: tables.Source,
    config: DataConfig,
    splits_from: tables.Source | None,
    folds: splits.Folds,
    strict: bool = True,
) -> Dataset:
    """What lies where, in the folds of `splits_from`, else the data's own, else none; nothing is decoded.

    Rows from a split file keep the column image, '' where it says nothing.

    Raises DataError or ConfigError for what cannot be used; unless `strict`, files may be missing, and so may a class
    in a role of a fold.
    """
    if splits_from is None:
        found = dataset.read(source, config, folds, strict)
        return (
            dataclasses.replace(found, table=pick(found.table, folds, tables.name(source))) if found.in_folds else found
        )
    where = tables.name(splits_from)
    root = dataset.root_of(source)
    table = pick(split_file.read(splits_from, root, config.classes, strict), folds, where)
    table["group"], notes = groups.known([*table["group"]], where)
    if dataset.is_laid_out(source, config.classes):
        found = dataset.read(source, config, strict=strict)
        sources = table["path"].map(found.table.drop_duplicates("path").set_index("path")["source"]).fillna("")
        table = split_file.agree(table, found.table, where, config.classes).assign(source=sources)
        table["group"] = groups.known([*table["group"]], where)[0]  # some are written as the data have them now
        notes = [*found.notes, *notes]
    else:  # the split file says all that there is to know
        if config.groups:
            captured, said = groups.from_paths([*table["path"]], config.groups)
            table["group"] = table["group"].where(table["group"] != "", captured)
            notes += said
        table["source"] = ""
    return Dataset(root, table, dataset.with_own_roles(config), notes)


def pick(table: pd.DataFrame, folds: splits.Folds, where: str) -> pd.DataFrame:
    """The rows of these folds. Raises ConfigError for a fold that isn't there."""
    return table[table["fold"].isin(splits.choose(table["fold"], folds, where))].reset_index(drop=True)


def settle(
    config: DataConfig, root: Root, image_size: int | None, groups: str | None, tell: cache.Tell = lambda line: None,
    classes: Sequence[str] | None = None, positive: str | None = None,
) -> tuple[tables.Source, DataConfig]:  # fmt: skip
    """Where the data are, and the config that says so: what is given wins over it, and it over what the data say.

    `tell` is given a line for what was understood of the data, and if the demo in the user cache was damaged.

    Raises ConfigError for groups that are no regular expression with a capture group, and for classes that are none;
    DataError where nothing tells which class is positive.
    """
    is_demo = _is_demo(config, root)
    source: tables.Source
    if isinstance(root, str) and not root:
        raise ConfigError("data is empty; name a folder or a manifest, or leave it out for what the registry says")
    if isinstance(root, pd.DataFrame):
        source, place = root, Path.cwd()
    else:
        source = place = demo.folder(tell) if is_demo else names.Disk().spelled(Path(), expand(root or config.root))
    size = image_size or (demo.IMAGE_SIZE if is_demo else config.image_size)
    groups = config.groups if groups is None else groups
    try:
        config = dataclasses.replace(config, root=str(place.absolute()), image_size=size, groups=groups)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return source, config if is_demo else understand(source, config, classes, positive, tell)


def _is_demo(config: DataConfig, root: Root) -> bool:
    return not isinstance(root, pd.DataFrame) and str(root or config.root) == DEMO


def _from_file(
    source: tables.Source,
    config: DataConfig,
    splits_from: tables.Source,
    folds: splits.Folds,
    progress: images.Progress | None,
) -> Data:
    where = tables.name(splits_from)
    found = listed(source, config, splits_from, folds)
    store, image_of_path = images.decode(found.root, [*found.table["path"]], config.image_size, progress)
    table = splits.in_order(split_file.fill_images(found.table, image_of_path, where)[splits.COLUMNS])
    file = None if isinstance(splits_from, pd.DataFrame) else {"path": where, "sha256": hash_file(splits_from)}
    return Data(found.config, table, store, found.notes, split_file=file)


def _divide(found: Dataset, how: SplitConfig, progress: images.Progress | None) -> Data:
    store, table = _decode(found, found.table.drop_duplicates(["path", "label"]), progress)
    splits.check_labels(table, found.config.classes)
    if found.in_folds:
        table = table.drop_duplicates("image")
    table, notes = splitters.divide(table, how, found.config.classes, audited.known(table["image"]))
    return Data(dataset.with_own_roles(found.config), table, store, [*found.notes, *notes])


def _decode(
    found: Dataset, table: pd.DataFrame, progress: images.Progress | None
) -> tuple[images.ImageStore, pd.DataFrame]:
    """The store of the table's files, and the table with their image hashes."""
    store, image_of_path = images.decode(found.root, [*table["path"]], found.config.image_size, progress)
    return store, table.assign(image=table["path"].map(image_of_path))
