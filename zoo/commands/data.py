"""zoo data: look at the images, or write the demo out."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.commands.options import Group, console, data_option, folds_option, load_registry, size_option


@click.group(cls=Group)
def data() -> None:
    """Look at the images, or write the demo out."""


@data.command("demo")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def data_demo(folder: Path) -> None:
    """Write the demo's images to DIR, laid out as ten folds."""
    from zoo.data import demo

    demo.write(folder)
    click.echo(
        f"{folder}: {demo.IMAGES} images in {demo.FOLDS} folds; {folder / 'demo.csv'} has their cup-to-disc ratios"
    )


@data.command("show")
@data_option
@folds_option("0")
@size_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default=Path("pictures"), show_default=True)
def data_show(data: str | None, folds: tuple[int, ...] | None, image_size: int | None, out: Path) -> None:
    """Count the images of each role, and write a picture of ten labelled images of each to DIR."""
    from zoo import plan
    from zoo.data.splits import class_counts
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress
    from zoo.report.run_pictures import samples

    screen = console()
    registry = load_registry()
    with DecodingProgress(screen) as progress:
        loaded = plan.load_data(registry.data, data, image_size, folds, progress)
    counts = class_counts(loaded.splits, loaded.config.classes)
    screen.print(tables.class_counts(counts, loaded.config.roles, loaded.config.image_size))
    for path in samples(loaded.splits, loaded.store, loaded.config.classes, out):
        click.echo(path)
