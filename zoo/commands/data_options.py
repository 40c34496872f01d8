"""The options that say what the data are, and how a command that goes on with them is written."""

from __future__ import annotations

from typing import Any

import click

from zoo import limits
from zoo.commands.options import PATH, Decorator, Number, all_of


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """ "healthy,ill" to its names."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


def _pairs(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, str] | None:
    """ "0=healthy,1=ill" to what each name stands for."""
    if value is None:
        return None
    pairs: dict[str, str] = {}
    for part in value.split(","):
        name, sign, meaning = (each.strip() for each in part.partition("="))
        if not sign or not name or name in pairs:
            raise click.BadParameter(
                f"{limits.shown(part)} is not NAME=NAME, each name once; names with commas or = go into registry.toml"
            )
        pairs[name] = meaning
    return pairs


data_option = click.option(
    "--data",
    metavar="DIR|FILE",
    help="Folder of Fold0, Fold1, …, folder per role or per class, or manifest (.csv, .tsv, .xlsx, .parquet); default "
    "what the registry says.",
)
splits_option = click.option(
    "--splits", type=PATH, metavar="FILE", help="Take the folds from FILE, see zoo data split."
)
size_option = click.option("--image-size", type=Number(limits.IMAGE_SIZE), help="Height and width in pixels.")
# What is said of a table's columns and labels, and of patients, whatever the classes are.
MEANINGS: tuple[Decorator, ...] = (
    click.option(
        "--columns",
        metavar="path=NAME,…",
        callback=_pairs,
        help="Columns of a manifest: path, label, group, source, fold, role; else by their headings.",
    ),
    click.option(
        "--label",
        metavar="COLUMN|CONDITION",
        help="The column of labels, or what is true of the positive class, as in 'grade>=2'.",
    ),
    click.option(
        "--labels",
        metavar="LABEL=CLASS,…",
        callback=_pairs,
        help="The class of each label or folder, as in 0=healthy,1=ill,2=ill; 3= leaves 3 out.",
    ),
    click.option(
        "--groups",
        metavar="REGEX",
        help="Its capture group takes the patient from an image's path, as in '([0-9]+)_(left|right)'.",
    ),
)
OPTIONS: tuple[Decorator, ...] = (
    data_option,
    click.option("--test-data", metavar="DIR|FILE", help="Images of the test role, where they lie apart from --data."),
    click.option(
        "--classes",
        metavar="NAME,…",
        callback=_names,
        help="The classes by name, the positive one last; else those of the registry, or found in the data.",
    ),
    click.option(
        "--positive", metavar="NAME", help="The class to find, of two; else the last, or the one that isn't healthy."
    ),
    *MEANINGS,
)


OF_DATA = ("data", "test_data", "classes", "positive", "columns", "label", "labels", "groups", "splits", "image_size")


def data_options(*others: Decorator) -> Decorator:
    """The options of the data, and `others` after them."""
    return all_of(*OPTIONS, *others)


def again(said: dict[str, Any]) -> list[str]:
    """The words that say the same of the data once more."""
    words: list[str] = []
    for name, value in said.items():
        if value is None:
            continue
        if isinstance(value, dict):
            value = ",".join(f"{each}={meaning}" for each, meaning in value.items())
        elif isinstance(value, tuple):
            value = ",".join(value)
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words
