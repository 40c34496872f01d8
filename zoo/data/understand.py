"""What data say of themselves where nobody has told: which columns hold what, what the classes are, which is positive.

What is given on the command line or in the registry wins; what was understood is told.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from zoo.data import folders, labels, names, table
from zoo.data.table import Source
from zoo.errors import ConfigError, DataError, shorten
from zoo.files import names_fault, nfc
from zoo.registry import COLUMNS, DataConfig

Tell = Callable[[str], None]

# Headings that people and programs write, in any case, blanks and underscores left out.
HEADINGS = {
    "path": {"path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "img"},
    "label": {"label", "class", "diagnosis", "target", "category"},
    "group": {"group", "patient", "patientid", "subject", "subjectid"},
    "source": {"source", "site", "centre", "center"},
    "fold": {"fold"},
    "role": {"role"},
}
# Classes that nobody looks for: the other of two is the positive one. In small letters, all others left out.
HEALTHY = frozenset({
    "normal", "healthy", "control", "controls", "negative", "neg", "no", "none", "benign", "absent", "false", "0",
})  # fmt: skip
MOST = 100  # classes; a column of more is none


def understand(
    source: Source, config: DataConfig, classes: Sequence[str] | None, positive: str | None, tell: Tell
) -> DataConfig:
    """The config with the columns and the classes of these data; `classes` and `positive` win over whatever is found.

    `tell` is given a line for whatever was understood. Raises ConfigError for classes that are none, DataError where
    nothing tells which of two classes is the positive one.
    """
    is_table = isinstance(source, pd.DataFrame) or (source.is_file() and source.suffix.lower() in table.ENDINGS)
    given = table.read(source) if is_table else None
    if given is not None:
        config = dataclasses.replace(config, columns=_columns(given, config, tell))
    found = None
    if classes is None and config.classes == DataConfig().classes:
        found = _of_cells(given, config) if given is not None else _of_folders(Path(str(source)), config)
    chosen = tuple(classes) if classes is not None else tuple(found or config.classes)
    if fault := names_fault(chosen):
        raise ConfigError(f"classes: {fault}")
    if positive is not None:
        chosen = _last(chosen, positive)
    elif found:
        chosen = _healthy_first(chosen, table.name(source))
    if found:
        last = f"; positive, the one to find, is {chosen[-1]} (--positive NAME)" if len(chosen) == 2 else ""
        tell(f"classes found: {', '.join(chosen)}{last}")
    return dataclasses.replace(config, classes=chosen)


def _columns(given: pd.DataFrame, config: DataConfig, tell: Tell) -> dict[str, str]:
    """The columns of a table that have another name than zoo's."""
    columns, said = dict(config.columns), []
    for name in COLUMNS:
        if name in columns or name in given.columns:
            continue
        alike = [each for each in given.columns if _letters(each) in HEADINGS[name] and each not in columns.values()]
        if len(alike) == 1:
            columns[name] = alike[0]
            said.append(f"{alike[0]} as {name}")
    if said:
        tell(f"columns are taken by their headings: {', '.join(said)}")
    return columns


def _of_cells(given: pd.DataFrame, config: DataConfig) -> list[str] | None:
    """The classes in a table's column of labels; None if they are those of the config, or there is no such column."""
    column = config.columns.get("label", "label")
    if column not in given.columns:
        return None
    try:
        labels.numbers(given, column, config.classes, "")
        return None
    except DataError:
        pass
    cells = sorted({*given[column]})
    return cells if 2 <= len(cells) <= MOST and all(cells) else None


def _of_folders(root: Path, config: DataConfig) -> list[str] | None:
    """The class folders that are there; None if those of the config are, or there are not two."""
    if not root.is_dir():
        return None
    in_folds = folders.fold_folders(root)
    places = [names.subfolder(fold, config.roles["train"]) for fold in in_folds.values()]
    places = places or [folder for _, folder in sorted(folders.role_folders(root).items())] or [root]
    found = {nfc(child.name): child.name for place in places if place for child in names.subfolders(place)}
    holds = [name for name in found.values() if any(_holds_images(place / name) for place in places if place)]
    if {*map(nfc, config.classes)} <= {*map(nfc, holds)} or not 2 <= len(holds) <= MOST:
        return None
    return sorted(holds)


def _holds_images(folder: Path) -> bool:
    try:
        return any(child.suffix.lower() in folders.IMAGE_ENDINGS for child in folder.iterdir())
    except OSError:
        return False


def _last(classes: tuple[str, ...], positive: str) -> tuple[str, ...]:
    """The classes with the positive one at the end. Raises ConfigError if it is none of them, or they are not two."""
    known = {nfc(name): name for name in classes}
    if nfc(positive) not in known:
        raise ConfigError(f"positive {positive!r} is no class; the classes are {', '.join(classes)}")
    if len(classes) != 2:
        raise ConfigError(f"positive goes with two classes, and there are {len(classes)}: {shorten([*classes])}")
    last = known[nfc(positive)]
    return (*(name for name in classes if name != last), last)


def _healthy_first(classes: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Two classes with the one that is not looked for first, of more any that is plainly so."""
    healthy = [name for name in classes if _is_healthy(name, classes)]
    if len(healthy) == 1:
        return (healthy[0], *(name for name in classes if name != healthy[0]))
    if len(classes) > 2:
        return classes
    one, other = classes
    raise DataError(
        f"{where} has the classes {one} and {other}, and nothing tells which is to be found: add --positive {other} or "
        f'--positive {one}; or write into registry.toml, the positive one last:\n[data]\nclasses = ["{one}", "{other}"]'
    )


def _is_healthy(name: str, classes: Sequence[str]) -> bool:
    own = _letters(name)
    others = {_letters(each) for each in classes if each != name}
    return own in HEALTHY or any(own in (f"no{other}", f"non{other}", f"not{other}") for other in others)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
