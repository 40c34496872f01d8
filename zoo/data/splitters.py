"""Images that are in no folds -> folds, by scikit-learn's splitters.

Whatever the method, images of one group (a patient) and files of one picture (the same pixels) stay on one side of
every fold, and classes are spread as evenly as that allows. The same images, settings and seed give the same folds,
in whatever order the images come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from zoo.data.config import METHODS, SplitConfig
from zoo.data.known_copies import together
from zoo.data.splits import SPLIT_COLUMNS, in_order
from zoo.errors import DataError, shorten

LEAST = 3  # images of a class, or groups: one for each role

# The role of every image in one fold.
Roles = np.ndarray


def divide(
    images: pd.DataFrame, how: SplitConfig, classes: Sequence[str], copies: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """The table of splits.csv from one row per image (image, path, label, group, source), and what to know of it.

    `copies` has the near-duplicates that are known, by image hash in the columns first and second.

    Raises DataError if there are too few images for so many folds, or the method needs what is not known.
    """
    images = images.sort_values("path", kind="stable").reset_index(drop=True)
    notes: list[str] = []
    folds = OF_METHOD[how.method](_Pool(images, classes, together(images, copies)), how, notes)
    table = pd.concat([images.assign(fold=fold, role=roles) for fold, roles in enumerate(folds)], ignore_index=True)
    if copies is not None and len(copies):
        notes.append(f"{len(copies)} pairs of near-duplicates, known from an audit, stay together")
    return in_order(table[SPLIT_COLUMNS]), notes


def all_roles(table: pd.DataFrame, parts: int = 5) -> tuple[pd.DataFrame, list[str]]:
    """Images of one division, with all three roles: validation, where it is missing, is one of so many parts of train.

    `table` has the columns role, label and group. Where there is no test, validation plays it: the epoch may not be
    chosen by what is scored. The part has the classes' shares, and images of one group stay together. Also what was
    done, in words. Raises DataError if train is too small.
    """
    notes = []
    roles = set(table["role"])
    if "test" not in roles:
        table = table.assign(role=table["role"].replace("validation", "test"))
        notes.append("there is no test role: what is called validation plays it, read once at the end")
    if "validation" in set(table["role"]):
        return table, notes
    train = table[table["role"] == "train"]
    alone = pd.Series([f"image {row}" for row in range(len(train))], index=train.index)
    units = train["group"].where(train["group"] != "", alone)
    smallest = int(units.groupby(train["label"]).nunique().min())
    if smallest < parts:
        raise DataError(
            f"too few images to take a validation role out of train: a class has {smallest}, and {parts} are needed; "
            "add a validation folder"
        )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    _, taken = next(iter(splitter.split(train, train["label"], units)))
    table = table.assign(role=table["role"].where(~table.index.isin(train.index[taken]), "validation"))
    kept = ", patients kept together" if (train["group"] != "").any() else ""
    notes.append(
        f"there is no validation role: {len(taken)} of {len(train)} train images play it, with the classes' shares"
        f"{kept}"
    )
    return table, notes


class _Pool:
    """The images that are divided: `labels` and `units` have an entry an image, and units stay whole."""

    def __init__(self, images: pd.DataFrame, classes: Sequence[str], units: np.ndarray) -> None:
        self.images = images
        self.classes = classes
        self.labels = images["label"].to_numpy()
        self.units = units

    def rarest(self, rows: np.ndarray) -> tuple[int, str]:
        """Units of the class that has fewest in these rows, and its name."""
        units = [len(np.unique(self.units[rows][self.labels[rows] == label])) for label in range(len(self.classes))]
        label = int(np.argmin(units))
        return units[label], self.classes[label]

    def parts(self, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
        """The part, 0 to `count` - 1, of each of these rows."""
        fewest, name = self.rarest(rows)
        units = self.units[rows]
        single = len(np.unique(units)) == len(units)
        if fewest < count:
            advice = (
                f"take fewer folds: zoo data split --method stratified --folds {fewest}, or write into registry.toml:\n"
                f'[data]\nsplit = {{ method = "stratified", folds = {fewest} }}'
            )
            raise DataError(
                f"too few {'images' if single else 'groups'} of class {name} for {count} parts: {fewest}; "
                + (advice if fewest >= LEAST else f"there must be {LEAST} or more to divide them at all")
            )
        splitter = (StratifiedKFold if single else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
        parts = np.empty(len(rows), dtype=int)
        for number, (_, part) in enumerate(splitter.split(rows, self.labels[rows], None if single else units)):
            parts[part] = number
        return parts

    def roles(self, test: np.ndarray, share: int, seed: int) -> Roles:
        """Roles of a fold that tests where `test` is true and validates on one in `share` of the rest."""
        rest = np.flatnonzero(~test)
        count = max(2, min(share, self.rarest(rest)[0]))
        roles = np.where(test, "test", "train").astype(object)
        roles[rest[self.parts(rest, count, seed) == 0]] = "validation"
        return roles


def _rotate(pool: _Pool, how: SplitConfig, notes: list[str]) -> Iterator[Roles]:
    """One of k parts tests, one validates, k - 2 train; what the study recommends."""
    k = how.folds
    parts = pool.parts(np.arange(len(pool.labels)), k, how.seed)
    for test, validation in _pairs(k, how.combinations, how.seed):
        roles = np.full(len(parts), "train", dtype=object)
        roles[parts == test] = "test"
        roles[parts == validation] = "validation"
        yield roles


def _pairs(k: int, combinations: int | str | None, seed: int) -> list[tuple[int, int]]:
    """(test, validation) of each fold: the next part validates, or all pairs, or some, each part tested as often as
    any other, give or take one."""
    if combinations is None:
        return [(test, (test + 1) % k) for test in range(k)]
    rng = np.random.default_rng(seed)
    pairs = [
        (int(test), int(test + step) % k) for step in rng.permutation(np.arange(1, k)) for test in rng.permutation(k)
    ]
    return sorted(pairs[: None if combinations == "all" else int(combinations)])


def _stratified(pool: _Pool, how: SplitConfig, notes: list[str]) -> Iterator[Roles]:
    """k-fold: each image is tested once; of the others one in k - 1 validates."""
    parts = pool.parts(np.arange(len(pool.labels)), how.folds, how.seed)
    for part in range(how.folds):
        yield pool.roles(parts == part, how.folds - 1, how.seed)


def _grouped(pool: _Pool, how: SplitConfig, notes: list[str]) -> Iterator[Roles]:
    """As stratified, for those who want to be sure that groups are known."""
    unknown = int((pool.images["group"] == "").sum())
    if unknown:
        raise DataError(
            f"method grouped needs a group for every image; {unknown} of {len(pool.labels)} have none: give a column "
            "group in the manifest, or --groups REGEX"
        )
    return _stratified(pool, how, notes)


def _repeated(pool: _Pool, how: SplitConfig, notes: list[str]) -> Iterator[Roles]:
    """k-fold several times over; fold numbers run on."""
    for repeat in range(how.repeats or REPEATS):
        again = SplitConfig("stratified", how.folds, seed=how.seed + repeat)
        yield from _stratified(pool, again, notes)


def _leave_one_source_out(pool: _Pool, how: SplitConfig, notes: list[str]) -> Iterator[Roles]:
    """A fold for each source, which tests on it; of the others one image in k validates."""
    sources = pool.images["source"].to_numpy()
    if (sources == "").any():
        raise DataError(
            f"method leave-one-source-out needs a source for every image; {(sources == '').sum()} of {len(sources)} "
            "have none: give a column source in the manifest"
        )
    apart = [
        repr(path) for path in pool.images["path"][pd.Series(sources).groupby(pool.units).transform("nunique") > 1]
    ]
    if apart:
        raise DataError(
            "method leave-one-source-out: images of one group, or of the same pixels, are in several sources:\n"
            f"{shorten(apart)}"
        )
    names = sorted(set(sources))
    if len(names) < 2:
        raise DataError(f"method leave-one-source-out needs two or more sources; there is only {names[0]}")
    testable = [name for name in names if pool.rarest(np.flatnonzero(sources == name))[0]]
    lacking = [name for name in names if name not in testable]
    if lacking:
        notes.append(f"never tested, only trained on, having images of some classes only: {', '.join(lacking)}")
    if not testable:
        raise DataError("method leave-one-source-out: no source has images of every class")
    notes.append(f"tested sources: {', '.join(f'{name} in fold {fold}' for fold, name in enumerate(testable))}")
    for name in testable:
        fewest, class_name = pool.rarest(np.flatnonzero(sources != name))
        if fewest < 2:
            raise DataError(
                f"method leave-one-source-out: without {name} there are too few images of {class_name} to train and "
                "validate on; take another method"
            )
        yield pool.roles(sources == name, how.folds, how.seed)


REPEATS = 5
Divide = Callable[[_Pool, SplitConfig, list[str]], Iterator[Roles]]
OF_METHOD: dict[str, Divide] = dict(
    zip(METHODS, (_rotate, _stratified, _grouped, _repeated, _leave_one_source_out), strict=True)
)
