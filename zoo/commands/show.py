"""zoo show and zoo list: what there is, before anything is trained."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.data_options import data_options, size_option
from zoo.commands.options import PATH, Command, console, echo, load_registry, say, table_of, warn, wide_option
from zoo.errors import ZooError
from zoo.interfaces import PART_KINDS
from zoo.training import logs

if TYPE_CHECKING:
    from zoo.interfaces import Recipe
    from zoo.plugins.registry import Registry


@click.command(cls=Command)
@click.argument("model")
@data_options(size_option)
@click.option("--summary", is_flag=True, help="Keras' own summary as well.")
@click.option("--pictures", type=PATH, metavar="DIR", help="Draw augmented images and the learning rate.")
def show(model: str, summary: bool, pictures: Path | None, **said: Any) -> None:
    """What MODEL is made of and what each stage trains; --pictures takes the training images of the first fold."""
    from zoo.data.loading import load_data
    from zoo.data.options import DataOptions
    from zoo.data.splits import subset
    from zoo.files import check_writable
    from zoo.plugins import registry as registries
    from zoo.training import backend

    if pictures:
        check_writable(pictures, "--pictures DIR")
    registry = load_registry()
    recipe = registry.recipe(model)
    backend.check_recipe(recipe)
    with logs.loading():
        from zoo.report import recipe as shown  # loads Keras

    screen = console()
    asked = pictures or any(value is not None for name, value in said.items() if name != "image_size")
    loaded = load_data(registry.data, DataOptions(**said), "first") if asked else None
    config = loaded.config if loaded else registry.data
    network = shown.build(recipe, len(config.classes), said["image_size"] or config.image_size)
    stages = registries.checked_stages(recipe.schedule)
    screen.print(shown.recipe_tables(recipe, network, stages))
    if summary:
        network.model.summary(print_fn=echo)
    for note in loaded.notes if loaded else ():
        say(screen, note)
    if pictures and loaded:
        training = subset(loaded.splits, loaded.splits["fold"].iloc[0], "train", loaded.store)
        for path in shown.pictures(recipe, stages, training, pictures):
            echo(path)


@click.command("list", cls=Command)
@click.argument(
    "kind", type=click.Choice(["models", "backbones", "heads", "schedules", "augmenters", "trackers"]), default="models"
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wide_option
def list_(kind: str, as_json: bool, wide: bool) -> None:
    """Models with their four parts, the parts of one kind, or trackers."""
    registry = load_registry()
    if kind == "models":
        with contextlib.redirect_stdout(sys.stderr):  # parts may print while they are made
            rows = [_model_row(registry, name) for name in registry.names()]
    else:
        offers = {name: registry.plugins.get(kind[:-1], name) for name in registry.plugins.names(kind[:-1])}
        rows = [
            {"name": name, "about": _first_line(offer.value.__doc__), "from": str(offer.plugin)}
            for name, offer in offers.items()
        ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        echo(f"no {kind}: no plug-in offers any and {registry.path} names none")
    elif kind == "models":
        narrow = [{"name": row["name"], "parts": _parts(row), "from": row.get("from", "")} for row in rows]
        console(wide).show(table_of(rows, ["problem"]), table_of(narrow, ["parts"]))
    else:
        console(wide).print(table_of(rows, ["about"]))
    warn(registry.plugins)


def _model_row(registry: Registry, name: str) -> dict[str, str]:
    try:
        recipe: Recipe = registry.recipe(name)
    except ZooError as error:
        return {"name": name, "problem": str(error)}
    parts = {kind: getattr(recipe, kind).name for kind in PART_KINDS}
    return {"name": name, **parts, "from": recipe.source}


def _parts(row: dict[str, str]) -> str:
    """The four parts of a model, or what is wrong with it."""
    return row.get("problem") or ", ".join(row[kind] for kind in PART_KINDS)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]
