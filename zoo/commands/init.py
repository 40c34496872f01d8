"""zoo init: a registry.toml for images of one's own, with what was understood of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.data_options import data_options, size_option
from zoo.commands.options import PATH, Command, console, echo, say

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.data.loading import Settled

MODELS = """
# The models that zoo ships can all be trained; zoo list shows them. A model of your own needs only what differs from
# [defaults], and NAME = false under [models] hides one:
# [models.small]
# backbone = { name = "mobilenet-v2", alpha = 0.35 }
# augmenter = "study"
# batch_size = 32
"""


@click.command(cls=Command)
@data_options(size_option)
@click.option("--out", type=PATH, metavar="FILE", default=Path("registry.toml"), show_default=True)
@click.option("--force", is_flag=True, help="Replace FILE.")
def init(out: Path, force: bool, **said: Any) -> None:
    """Write a commented registry.toml for the images in --data, so that no other command needs to be told of them."""
    from zoo.data import dataset, loading
    from zoo.data.config import DEMO, DataConfig
    from zoo.data.options import DataOptions
    from zoo.errors import ConfigError, reason
    from zoo.files import check_writable, replacing

    if said["data"] in (None, DEMO):
        raise ConfigError("say where your images are: zoo init --data DIR, a folder or a table of images")
    if out.exists() and not force:
        raise ConfigError(f"{out} exists; name another file with --out, or replace it with --force")
    check_writable(out.parent, "--out FILE")
    screen = console()
    notes: list[str] = []
    settled = loading.settle(DataConfig(), DataOptions(**said), notes.append)
    found = dataset.read_dataset(settled.origin, settled.config, test=settled.test)
    for note in [*notes, *found.notes]:
        say(screen, note)
    try:
        with replacing(out) as draft:
            draft.write_text(_text(settled, found, out.absolute().parent), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {reason(error)}") from error
    echo(f"{out}: {found.table['path'].nunique()} images of {', '.join(found.config.classes)}")
    registry = [] if out.name == "registry.toml" and out.parent == Path() else ["--registry", str(out)]
    for command in ("data audit", "run MODEL"):
        say(screen, f"Next: {shlex.join(['zoo', *command.split(), *registry])}")
    say(screen, "zoo list names the models")


def _text(settled: Settled, found: Dataset, folder: Path) -> str:
    """The content of the file, which lies in `folder`."""
    from zoo.data import dataset
    from zoo.data.config import DataConfig

    config, default = settled.config, DataConfig()
    lines = [
        "# What zoo is told of these images; zoo init wrote what it understood, and everything may be changed.",
        "",
        "[data]",
        _line("root", _place(settled.origin, folder), "a folder or a table of images, from this file on"),
    ]
    if settled.test:
        lines.append(_line("test_root", _place(settled.test, folder), "the images of the test role"))
    lines += [
        f"image_size = {config.image_size}  # height and width in pixels that images are resized to",
        _line("classes", config.classes, "the last of two is the positive one, the one to find"),
    ]
    if found.config.roles != dataset.with_own_roles(config).roles:
        lines.append(_line("roles", config.roles, "which folder of a fold plays which role"))
    if config.columns:
        lines.append(_line("columns", config.columns, "which column holds what"))
    if config.label:
        lines.append(_line("label", config.label, "true of the positive class"))
    if config.labels:
        lines.append(_line("labels", config.labels, 'the class of each label, "" leaves it out'))
    lines += [_groups(settled, found), *([] if found.in_folds else [_split(found, default.split.folds)])]
    return "\n".join([*lines, MODELS])


def _line(name: str, value: Any, comment: str) -> str:
    from zoo.data.config import toml_value

    return f"{name} = {toml_value(value)}  # {comment}"


def _place(origin: Any, folder: Path) -> str:
    """Where data are, from the registry's folder on if they lie below it."""
    place = Path(origin.name).absolute()
    return (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()


def _groups(settled: Settled, found: Dataset) -> str:
    """The line of the groups: as given, or what to write if names of files tell patients."""
    from zoo.data import groups

    if settled.config.groups:
        return _line("groups", settled.config.groups, "its capture group takes the patient from an image's path")
    if (found.table["group"] != "").any():
        return "# groups, such as patients, are those of the table"
    if groups.by_name(found.table["path"]).ne("").any():
        return "# " + _line("groups", groups.EYE_GROUPS, "names look like left and right eyes; if so, let it hold")
    return "# " + _line("groups", "([0-9]+)_(?:left|right)", "takes the patient from an image's path: is it in yours?")


def _split(found: Dataset, most: int) -> str:
    """The line of the division, into as many folds as the rarest class allows."""
    table = found.table
    units = table["group"].where(table["group"] != "", table["path"])
    fewest = int(units.groupby(table["label"]).nunique().min())
    folds = max(3, min(most, fewest))
    return f'split = {{ method = "rotate", folds = {folds}, seed = 0 }}  # how images that are in no folds are divided'
