"""zoo explain: what a trained network looked at in any pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from zoo.commands.options import PATH, Command, console, echo, say, table_of, wide_option
from zoo.errors import ConfigError, DataError, unknown


@click.command(cls=Command)
@click.argument("model", type=PATH, metavar="MODEL.keras")
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option("--class", "name", metavar="CLASS", help="The class asked about; default the one that each is called.")
@click.option(
    "--out", type=PATH, metavar="DIR", default=Path("explained"), show_default=True, help="Where pictures are written."
)
@wide_option
def explain(model: Path, images: tuple[Path, ...], name: str | None, out: Path, wide: bool) -> None:
    """Show what the network in a model file looked at in each IMAGE, a file or a folder of them.

    Parts of the last feature map are blanked one after the other: where that makes the class less likely, the network
    saw something that speaks for it.
    """
    import numpy as np

    from zoo.data.decoding import read_image
    from zoo.data.images import resize
    from zoo.evaluation import metrics
    from zoo.files import check_writable
    from zoo.report import plots
    from zoo.training import logs, model_file

    with logs.loading():
        from zoo.training import heatmap

    about = model_file.read_about(model)
    network = model_file.load_model(model)
    if about is None:
        raise ConfigError(f"{model} does not say which classes it knows: zoo explain takes models that zoo has trained")
    if name is not None and name not in about.classes:
        raise ConfigError(f"{model}: {unknown('class', name, about.classes)}")
    check_writable(out)
    screen, rows, failed = console(wide), [], False
    for number, file in enumerate(_files(images), 1):
        try:
            pixels = read_image(file).pixels
        except (DataError, OSError) as error:
            reason = error if isinstance(error, DataError) else f"cannot be read: {error.strerror}"
            echo(f"zoo: {file}: {reason}", err=True)
            failed = True
            continue
        small = resize(pixels, about.image_size)[None]
        views = [small, small[:, :, ::-1]] if about.recipe.get("tta") == "flips" else [small]
        outputs = np.mean([np.asarray(network.predict_on_batch(view)) for view in views], axis=0)
        probabilities = metrics.per_class(outputs)[0]
        called = about.classes[int(probabilities.argmax())]
        asked = about.classes.index(name or called)
        heat = heatmap.heat_maps(network, small, np.array([asked]))[0]
        picture = out / f"{number:03d}-{file.stem[:80]}.png"
        title = f"{file.name}\n{about.model} calls it {called}; probability of {about.classes[asked]} "
        title += f"{probabilities[asked]:.3f}"
        plots.heat_map(pixels, heat, title, about.classes[asked], picture)
        rows.append(
            {
                "image": file.name,
                "called": called,
                "class": about.classes[asked],
                "probability": f"{probabilities[asked]:.3f}",
                "picture": picture.name,
            }
        )
    if rows:
        screen.print(table_of(rows))
        say(screen, f"Pictures: {out}")
    if failed:
        click.get_current_context().exit(1)


def _files(given: tuple[Path, ...]) -> Iterator[Path]:
    """The files that are given, and the image files right in each folder."""
    from zoo.data.folders import images_in

    for path in given:
        if path.is_dir():
            found, _ = images_in(path)
            if not found:
                raise DataError(f"{path} holds no image files")
            yield from found
        else:
            yield path
