"""Images and folds of a request: read, divided if they are in no folds, decoded, and checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from zoo.data import (
    cache,
    dataset,
    demo,
    groups,
    images,
    known_copies,
    names,
    origin,
    remarks,
    split_file,
    splits,
    splitters,
)
from zoo.data import table as tables
from zoo.data.config import DEMO, DataConfig, SplitConfig
from zoo.data.dataset import Dataset
from zoo.data.options import DataOptions
from zoo.data.origin import Origin
from zoo.data.understand import understand
from zoo.errors import ConfigError
from zoo.files import expand, hash_file


@dataclass(frozen=True)
class Settled:
    """Where the images of a request are listed, those of the test role maybe elsewhere, and the config that holds."""

    origin: Origin
    config: DataConfig
    test: Origin | None = None
    is_demo: bool = False


@dataclass(frozen=True)
class Data:
    """The images and splits of a request.

    `config` has the root, image size and roles that were really used; `split_file` is the name and sha256 of the file
    that the splits come from, if they do; `notes` says what to know; `sources` has the source of each path of which it
    is known.
    """

    config: DataConfig
    splits: pd.DataFrame
    store: images.ImageStore
    notes: list[str]
    is_demo: bool = False
    split_file: dict[str, str] | None = None
    sources: dict[str, str] = field(default_factory=dict)


def load_data(
    config: DataConfig,
    options: DataOptions,
    folds: splits.Folds,
    progress: images.Progress | None = None,
    splits_from: tables.Source | None = None,
) -> Data:
    """Read, decode and check the folds that are asked for.

    `options` wins over the registry's config. The folds are those of `splits_from`, a split file or the same as a data
    frame; else the data's own; else those that the registry's `split` makes.

    Raises DataError, ConfigError or LeakError for whatever would spoil a training run.
    """
    said: list[str] = []
    settled = settle(config, options, said.append)
    config = settled.config
    if splits_from is not None:
        data = _from_file(settled, splits_from, folds, progress)
    else:
        found = listed(settled, None, folds)
        if found.in_folds:
            store, table = _decode(found, found.table, progress)
            data = Data(found.config, table[splits.SPLIT_COLUMNS], store, found.notes, sources=found.sources)
            if found.config.roles != dataset.with_own_roles(config).roles and not settled.is_demo:
                played = ", ".join(f"{name} as {role}" for role, name in found.config.roles.items())
                data.notes.append(f"folders of each fold are taken as [data] roles says: {played}")
        else:
            data = _divide(found, config.split, progress)
            note = f"The data are in no folds; divided by {config.split} (zoo data split writes them to a file)"
            data = dataclasses.replace(data, splits=pick(data.splits, folds, "the split"), notes=[*data.notes, note])
    data = _checked(data, said, settled.is_demo)
    taken = data.splits["fold"].iloc[0]
    if folds == "first" and taken != 0:
        data.notes.append(f"Fold {taken} is taken, the first there is; --folds takes others")
    return data


def make_splits(
    config: DataConfig, options: DataOptions, how: SplitConfig, progress: images.Progress | None = None
) -> Data:
    """Divide all images, in folds of their own or not, and check the folds.

    Of data that come in folds each picture is taken once, from the first fold that shows it.

    Raises DataError, ConfigError or LeakError for data or folds that would spoil a training run.
    """
    said: list[str] = []
    settled = settle(config, options, said.append)
    if settled.test:
        raise ConfigError(
            f"test data {settled.test.name} are divided from the rest already; split the data without them"
        )
    data = _divide(dataset.read_dataset(settled.origin, settled.config), how, progress)
    return _checked(data, said, settled.is_demo)


def _checked(data: Data, said: list[str], is_demo: bool) -> Data:
    """The same once its folds are found to be in order, with all that there is to know, `said` first."""
    splits.check_splits(data.splits, data.config.classes)
    told = [*said, *data.store.notes, *known_copies.lost(), *data.notes]
    notes = [*known_copies.conflicts(data.splits, data.config.classes), *splits.notes(data.splits)]
    notes += [] if is_demo else groups.notes(data.splits)
    files = [str(remark) for remark in remarks.told(data.store.remarks)]
    return dataclasses.replace(data, notes=[*told, *notes, *files], is_demo=is_demo)


def listed(settled: Settled, splits_from: tables.Source | None, folds: splits.Folds, strict: bool = True) -> Dataset:
    """What lies where, in the folds of `splits_from`, else the data's own, else none; nothing is decoded.

    Rows from a split file keep the column image, '' where it says nothing.

    Raises DataError or ConfigError for what cannot be used; unless `strict`, files may be missing, and so may a class
    in a role of a fold.
    """
    origin, config = settled.origin, settled.config
    if splits_from is None:
        found = dataset.read_dataset(origin, config, folds, strict, settled.test)
        return dataclasses.replace(found, table=pick(found.table, folds, origin.name)) if found.in_folds else found
    where = tables.name(splits_from)
    if settled.test:
        raise ConfigError(
            f"test data {settled.test.name}: {where} says which images are the test role; leave out either"
        )
    table = pick(split_file.read_split_file(splits_from, origin.root, config.classes, strict), folds, where)
    table["group"], notes = groups.known([*table["group"]], where)
    if dataset.is_laid_out(origin, config):
        found = dataset.read_dataset(origin, config, strict=strict)
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
    return Dataset(origin.root, table, dataset.with_own_roles(config), notes)


def pick(table: pd.DataFrame, folds: splits.Folds, where: str) -> pd.DataFrame:
    """The rows of these folds. Raises ConfigError for a fold that isn't there."""
    return table[table["fold"].isin(splits.choose(table["fold"], folds, where))].reset_index(drop=True)


def settle(config: DataConfig, options: DataOptions, tell: cache.Tell = lambda line: None) -> Settled:
    """Where the data are, and the config that says so: what is given wins over it, and it over what the data say.

    `tell` is given a line for what was understood of the data, and if the demo in the user cache was damaged.

    Raises ConfigError for options that go with other data, for groups that are no regular expression with a capture
    group, and for classes that are none; DataError for data that are not there, and where nothing tells which class is
    positive.
    """
    wanted = config.root if options.data is None else options.data
    is_demo = not isinstance(wanted, pd.DataFrame) and str(wanted) == DEMO
    if is_demo:
        _check_demo(config, options)
        source: tables.Source = demo.folder(tell)
    else:
        source = _source("data", wanted)
    size = options.image_size or (demo.IMAGE_SIZE if is_demo else config.image_size)
    given = config.groups if options.groups is None else options.groups
    root = Path.cwd() if isinstance(source, pd.DataFrame) else source.absolute()
    try:
        config = dataclasses.replace(config, root=str(root), image_size=size, groups=given)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    opened, test = origin.of(source), None
    if is_demo:
        return Settled(opened, dataclasses.replace(config, test_root=""), is_demo=True)
    beside = options.test_data
    if beside is None and options.data is None:  # the registry's go together
        beside = config.test_root or None
    config = dataclasses.replace(config, test_root="")
    if beside is not None:
        test = origin.of(_source("test data", beside))
        place = "" if isinstance(beside, pd.DataFrame) else str(Path(test.name).absolute())
        if place and not isinstance(source, pd.DataFrame) and Path(place).resolve() == root.resolve():
            raise ConfigError(f"data and test data are one: {place}; what is scored may not be trained on")
        config = dataclasses.replace(config, test_root=place or str(test.root))
    return Settled(opened, understand(opened, config, options, tell), test)


def _source(what: str, given: str | Path | pd.DataFrame) -> tables.Source:
    """A folder or a manifest as on the disk, or the data frame. Raises ConfigError for an empty name."""
    if isinstance(given, pd.DataFrame):
        return given
    if not str(given):
        raise ConfigError(f"{what} is empty; name a folder or a manifest, or leave it out for what the registry says")
    return names.Disk().spelled(Path(), expand(given))


def _check_demo(config: DataConfig, options: DataOptions) -> None:
    """Raise ConfigError for what is said of the demo that isn't so: its classes and layout are its own."""
    said = {"classes": demo.CLASSES, "positive": demo.CLASSES[-1]}
    for name in ("test_data", "classes", "positive", "columns", "label", "labels"):
        value = getattr(options, name)
        if value is not None and value != said.get(name):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{option} goes with data of your own: add --data DIR; the demo's classes are {', '.join(demo.CLASSES)}"
            )


def _from_file(
    settled: Settled, splits_from: tables.Source, folds: splits.Folds, progress: images.Progress | None
) -> Data:
    where = tables.name(splits_from)
    found = listed(settled, splits_from, folds)
    store, image_of_path = images.decode(found.root, [*found.table["path"]], found.config.image_size, progress)
    table = splits.in_order(split_file.fill_images(found.table, image_of_path, where)[splits.SPLIT_COLUMNS])
    file = None if isinstance(splits_from, pd.DataFrame) else {"path": where, "sha256": hash_file(splits_from)}
    return Data(found.config, table, store, found.notes, split_file=file, sources=found.sources)


def _divide(found: Dataset, how: SplitConfig, progress: images.Progress | None) -> Data:
    store, table = _decode(found, found.table.drop_duplicates(["path", "label"]), progress)
    splits.check_labels(table, found.config.classes)
    if found.in_folds:
        table = table.drop_duplicates("image")
    table, notes = splitters.divide(table, how, found.config.classes, known_copies.known(table["image"]))
    config = dataset.with_own_roles(found.config)
    return Data(config, table, store, [*found.notes, *notes], sources=found.sources)


def _decode(
    found: Dataset, table: pd.DataFrame, progress: images.Progress | None
) -> tuple[images.ImageStore, pd.DataFrame]:
    """The store of the table's files, and the table with their image hashes."""
    store, image_of_path = images.decode(found.root, [*table["path"]], found.config.image_size, progress)
    return store, table.assign(image=table["path"].map(image_of_path))
