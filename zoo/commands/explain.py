"""zoo explain: what trained networks looked at in any pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import PATH, Command, console, say, table_of, wide_option
from zoo.commands.predict import answered, model_options, opened, refuse
from zoo.errors import ConfigError, unknown

if TYPE_CHECKING:
    from zoo.data.splits import Folds


@click.command(cls=Command)
@model_options
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option("--class", "name", metavar="CLASS", help="The class asked about; default the one that each is called.")
@click.option(
    "--out", type=PATH, metavar="DIR", default=Path("explained"), show_default=True, help="Where pictures are written."
)
@wide_option
def explain(
    place: Path, model: str | None, folds: Folds, images: tuple[Path, ...], name: str | None, out: Path, wide: bool
) -> None:
    """Show what MODEL, as zoo predict takes it, looked at in each IMAGE: a file, a folder, or a table of them.

    Parts of the last feature map are blanked one after the other: where that makes the class less likely, the network
    saw something that speaks for it. Of several networks the mean is shown.
    """
    from zoo.files import check_writable
    from zoo.inference import reading
    from zoo.report import explained

    check_writable(out)
    files = reading.files(images)
    predictor = opened(place, model, folds)
    if name is not None and name not in predictor.classes:
        raise ConfigError(f"{place}: {unknown('class', name, predictor.classes)}")
    table = answered(predictor, files)
    rows = explained.draw(predictor, table, out, name)
    if rows:
        screen = console(wide)
        screen.print(table_of(rows))
        say(screen, f"Pictures: {out}")
    refuse(table)
