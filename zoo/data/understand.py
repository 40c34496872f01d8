"""What data say of themselves where nobody has told: which columns hold what, what the classes are, which is positive.

What is given on the command line or in the registry wins; what was understood is told.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from zoo.data import labels, layout, names
from zoo.data.config import MANIFEST_COLUMNS, DataConfig, data_lines
from zoo.data.options import DataOptions
from zoo.data.origin import Origin
from zoo.errors import ConfigError, DataError, shorten
from zoo.files import names_fault, nfc

Tell = Callable[[str], None]

# Headings that people and programs write, in any case, blanks and underscores left out.
HEADINGS = {
    "path": {
        "path",
        "file",
        "filename",
        "filepath",
        "image",
        "images",
        "imagepath",
        "imagefile",
        "imagefilename",
        "imagename",
        "imageid",
        "imageindex",
        "img",
        "imgname",
        "imgid",
        "idcode",
    },
    "label": {
        "label",
        "labels",
        "class",
        "diagnosis",
        "target",
        "category",
        "level",
        "dx",
        "binarylabel",
        "binarylabels",
    },
    "group": {"group", "patient", "patientid", "subject", "subjectid", "lesionid"},
    "source": {"source", "site", "centre", "center", "hospital"},
    "fold": {"fold"},
    "role": {"role", "split", "subset", "partition"},
}
# Classes that nobody looks for: the other of two is the positive one. In small letters, all others left out.
HEALTHY = frozenset(
    {"normal", "healthy", "control", "controls", "negative", "neg", "no", "none", "benign", "absent", "false", "0"}
)
MOST = 100  # classes; a column of more is none


def understand(origin: Origin, config: DataConfig, options: DataOptions, tell: Tell) -> DataConfig:
    """The config with the columns and the classes of these data; what `options` says wins over whatever is found.

    `tell` is given a line for whatever was understood. Raises ConfigError for classes, columns or labels that are none,
    DataError where nothing tells which of two classes is the positive one.
    """
    config = _with_labels(config, options)
    condition = labels.condition(config.label)
    if config.label and not condition:
        config = _replace(config, columns={**config.columns, "label": config.label}, label="")
    if origin.cells is not None:
        if remark := origin.cells.attrs.get("remark"):
            tell(remark)
        config = _columns(origin.cells, config, bool(condition), tell)
    elif options.columns or config.label or options.label:
        raise ConfigError(f"columns and label go with a table of images, and {origin.name} is a folder")
    found: Sequence[str] | None = None
    is_default = config.classes == DataConfig().classes
    if options.classes is not None:
        chosen = tuple(options.classes)
    elif condition:
        chosen = condition.classes if is_default else config.classes
        found = chosen
    elif config.labels:
        named = tuple(dict.fromkeys(name for name in config.labels.values() if name))
        found = chosen = config.classes if {*named} == {*config.classes} else named
    else:
        if is_default:
            found = _of_cells(origin, config) if origin.cells is not None else _of_folders(origin.root, config)
        chosen = tuple(found or config.classes)
    if fault := names_fault(chosen):
        raise ConfigError(f"classes: {fault}")
    if condition and len(chosen) != 2:
        raise ConfigError(f"label {config.label!r} tells two classes apart, and there are {len(chosen)}")
    if options.positive is not None:
        chosen = _last(chosen, options.positive, fixed=bool(condition))
    elif found and not condition:
        chosen = _healthy_first(chosen, origin, asked=not config.labels)
    if unknown := {*config.labels.values()} - {*chosen, ""}:
        raise ConfigError(f"labels: {', '.join(sorted(unknown))} is no class; the classes are {', '.join(chosen)}")
    if found:
        last = f"; positive, the one to find, is {chosen[-1]} (--positive NAME)" if len(chosen) == 2 else ""
        tell(f"classes found: {', '.join(chosen)}{last}")
    return _replace(config, classes=chosen)


def _with_labels(config: DataConfig, options: DataOptions) -> DataConfig:
    """The config with the columns, the label and the labels that are given."""
    if options.label is not None and options.labels is not None:
        raise ConfigError("label and labels are two answers to one question; give one, or name the column in columns")
    columns = {**config.columns, **(options.columns or {})}
    if options.label is not None:
        return _replace(config, columns=columns, label=options.label, labels={})
    if options.labels is not None:
        return _replace(config, columns=columns, label="", labels=dict(options.labels))
    return _replace(config, columns=columns)


def _replace(config: DataConfig, **changes: object) -> DataConfig:
    """The config with these changes. Raises ConfigError for what cannot be."""
    try:
        return dataclasses.replace(config, **changes)  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _columns(given: pd.DataFrame, config: DataConfig, has_condition: bool, tell: Tell) -> DataConfig:
    """The config with the columns of a table that have another name than zoo's."""
    columns, said = dict(config.columns), []
    for name in MANIFEST_COLUMNS:
        if name in columns or name in given.columns or (name == "label" and has_condition):
            continue
        alike = [each for each in given.columns if _letters(each) in HEADINGS[name] and each not in columns.values()]
        if name == "group":  # of a patient and his lesion the patient
            alike = sorted(alike, key=lambda each: "patient" not in _letters(each))[:1]
        if name == "role":
            alike = [each for each in alike if all(map(layout.role_of, given[each]))]
        if len(alike) == 1:
            columns[name] = alike[0]
            said.append(f"{alike[0]} as {name}")
        elif alike and name in ("path", "label"):
            raise DataError(
                f"several columns may be the {name}: {', '.join(alike)}; say which: --columns "
                + " or ".join(shlex.quote(f"{name}={each}") for each in alike)
            )
    if said:
        tell(f"columns are taken by their headings: {', '.join(said)}")
    return _replace(config, columns=columns)


def _of_cells(origin: Origin, config: DataConfig) -> list[str] | None:
    """The classes in a table's column of labels; None if they are those of the config, or there is no such column."""
    given, column = origin.cells, config.columns.get("label", "label")
    if given is None or column not in given.columns:
        return None
    try:
        labels.numbers(given, column, config.classes, "")
        return None
    except DataError:
        pass
    cells = sorted({*given[column]} - {""})
    if len(cells) > MOST:
        raise DataError(
            f"{origin.name}: the column {column} has {len(cells):,} different values, such as {', '.join(cells[:3])}: "
            "no classes; name another with --columns label=COLUMN, or a condition with --label 'COLUMN>NUMBER'"
        )
    return cells if len(cells) >= 2 else None


def _of_folders(root: Path, config: DataConfig) -> list[str] | None:
    """The class folders that are there; None if those of the config are, or there are not two."""
    in_folds = layout.fold_folders(root)
    if in_folds:
        train = layout.fold_roles(next(iter(in_folds.values())), config.roles)["train"]
        places = [names.subfolder(fold, train) for fold in in_folds.values()]
    else:
        places = [folder for _, folder in sorted(layout.role_folders(root).items())] or [root]
    found = {nfc(child.name): child.name for place in places if place for child in names.subfolders(place)}
    holds = [name for name in found.values() if any(layout.holds_images(place / name) for place in places if place)]
    if {*map(nfc, config.classes)} <= {*map(nfc, holds)} or not 2 <= len(holds) <= MOST:
        return None
    return sorted(holds)


def _last(classes: Sequence[str], positive: str, fixed: bool) -> tuple[str, ...]:
    """The classes with the positive one at the end; it must be there already if they are `fixed`.

    Raises ConfigError if it is none of them, or they are not two.
    """
    known = {nfc(name): name for name in classes}
    if nfc(positive) not in known:
        raise ConfigError(f"positive {positive!r} is no class; the classes are {', '.join(classes)}")
    if len(classes) != 2:
        raise ConfigError(f"positive goes with two classes, and there are {len(classes)}: {shorten([*classes])}")
    last = known[nfc(positive)]
    if fixed and last != classes[-1]:
        raise ConfigError(
            f"the label's condition is true of {classes[-1]}, the positive class; turn the condition round"
        )
    return (*(name for name in classes if name != last), last)


def _healthy_first(classes: Sequence[str], origin: Origin, asked: bool) -> tuple[str, ...]:
    """Two classes with the one that is not looked for first, of more any that is plainly so.

    Raises DataError, if it is to be `asked`, where nothing tells which of two that is.
    """
    healthy = [name for name in classes if _is_healthy(name, classes)]
    if len(healthy) == 1:
        return (healthy[0], *(name for name in classes if name != healthy[0]))
    if len(classes) > 2 or not asked:
        return tuple(classes)
    one, other = classes
    tables = layout.tables(origin.root) if origin.cells is None else []
    table = f"\nor is it a table of images? --data {shlex.quote(str(tables[0]))}" if tables else ""
    raise DataError(
        f"{origin.name} has the classes {one} and {other}, and nothing tells which is to be found: add --positive "
        f"{shlex.quote(other)} or --positive {shlex.quote(one)}; or write into registry.toml, the positive one last:\n"
        f"{data_lines(classes=[one, other])}{table}"
    )


def _is_healthy(name: str, classes: Sequence[str]) -> bool:
    own = _letters(name)
    others = {_letters(each) for each in classes if each != name}
    return own in HEALTHY or any(own in (f"no{other}", f"non{other}", f"not{other}") for other in others)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
