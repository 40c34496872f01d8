"""The command line: options in, exit status out. The one place where errors are printed.

Exit status: 0 all done; 1 some jobs failed, the rest finished and kept; 2 the request itself is wrong.
Commands import what they need when they run, so that `zoo --help` and `zoo list` stay quick.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import __version__
from zoo.errors import ZooError
from zoo.options import Group, data_option, folds_option, given, size_option

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.interfaces import Recipe
    from zoo.plan import Plan
    from zoo.registry import Registry
    from zoo.worker import Job


def _load_registry() -> Registry:
    from zoo import plugins, registry

    return registry.load(given("registry"), plugins.discover())


def _console() -> Console:
    from rich.console import Console

    # Piped output is read by people and programs alike: don't fold it at the width of no terminal.
    return Console(width=None if sys.stdout.isatty() else 160)


@click.group(cls=Group)
@click.version_option(__version__, prog_name="zoo")
def cli() -> None:
    """A model zoo for image classification: staged fine-tuning, honest folds, plug-in parts."""


@cli.command()
@click.argument("model")
@data_option
@folds_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The run folder; the same again resumes it."
)
@click.option("--weights", metavar="auto|imagenet|none|FILE", help="What the backbone starts from.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of initial weights, shuffling, dropout, augmentation.")
@click.option("--max-epochs", type=click.IntRange(min=1), help="At most so many epochs a stage.")
@size_option
def run(model: str, **options: Any) -> None:
    """Train MODEL on fold 0, or on the folds given, and score it."""
    import pandas as pd

    from zoo import jobs, plan
    from zoo.data.splits import class_counts
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress, JobProgress
    from zoo.report.run_pictures import draw

    console = _console()
    request = plan.Request(models=(model,), registry=given("registry"), **options)
    with DecodingProgress(console) as progress:
        planned = plan.make_plan(request, progress)
    for note in planned.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    data = planned.data
    console.print(f"Data {data.root}", highlight=False, markup=False, soft_wrap=True)
    console.print(tables.class_counts(class_counts(planned.splits, data.classes), data.roles, data.image_size))
    with JobProgress(console, list(data.classes), data.roles, several=len(planned.jobs) > 1) as shown:

        def listen(job: Job, event: dict[str, Any]) -> None:
            shown.on_event(job, event)
            if event["event"] in ("job_ended", "job_skipped"):
                folder = planned.run.job(job.model, job.fold)
                draw(folder, f"{job.model}, fold {job.fold}", data.classes, data.roles)

        failed = jobs.execute(planned, listen)
    results = pd.read_csv(planned.run.results)
    if len(planned.jobs) > 1 and len(results):
        console.print(tables.results(results, data.roles))
    console.print(f"Run folder: {planned.run.path}", highlight=False, markup=False, soft_wrap=True)
    if failed:
        click.get_current_context().exit(_status(planned, failed))


def _status(planned: Plan, failed: list[Any]) -> int:
    """2 if every job was refused before it trained anything: then the request is wrong. Else 1."""
    refused = all(planned.run.job(job.model, job.fold).status().get("refused") for job in failed)
    return 2 if refused and len(failed) == len(planned.jobs) else 1


@cli.command()
@click.argument("model")
@data_option
@size_option
@click.option("--summary", is_flag=True, help="Keras' own summary as well.")
@click.option(
    "--pictures", type=click.Path(path_type=Path), metavar="DIR", help="Draw augmented images and the learning rate."
)
def show(model: str, data: str | None, image_size: int | None, summary: bool, pictures: Path | None) -> None:
    """What MODEL is made of and what each stage trains; --pictures takes the training images of fold 0."""
    from zoo import plan
    from zoo import registry as registries
    from zoo.data.splits import subset
    from zoo.report import recipe as shown

    registry = _load_registry()
    recipe = registry.recipe(model)
    console = _console()
    loaded = plan.load_data(registry.data, data, image_size, (0,)) if pictures or data else None
    config = loaded.config if loaded else registry.data
    network = shown.build(recipe, len(config.classes), image_size or config.image_size)
    stages = registries.checked_stages(recipe.schedule)
    console.print(shown.describe(recipe, network, stages))
    if summary:
        network.model.summary(print_fn=click.echo)
    if pictures and loaded:
        for path in shown.pictures(recipe, stages, subset(loaded.splits, 0, "train", loaded.store), pictures):
            click.echo(path)


@cli.command("list")
@click.argument(
    "kind", type=click.Choice(["models", "backbones", "heads", "schedules", "augmenters"]), default="models"
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(kind: str, as_json: bool) -> None:
    """Models with their four parts, or the parts of one kind."""
    registry = _load_registry()
    if kind == "models":
        rows = [_model_row(registry, name) for name in registry.names()]
    else:
        offers = {name: registry.plugins.get(kind[:-1], name) for name in registry.plugins.names(kind[:-1])}
        rows = [
            {"name": name, "about": _first_line(offer.value.__doc__), "from": str(offer.plugin)}
            for name, offer in offers.items()
        ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_rows(rows, empty=f"no {kind}: no plug-in offers any and {registry.path} names none")
    for problem in registry.plugins.problems:
        click.echo(f"warning: {problem}", err=True)


def _model_row(registry: Registry, name: str) -> dict[str, str]:
    try:
        recipe: Recipe = registry.recipe(name)
    except ZooError as error:
        return {"name": name, "problem": str(error)}
    parts = {kind: getattr(recipe, kind).name for kind in ("backbone", "head", "schedule", "augmenter")}
    return {"name": name, **parts, "from": recipe.source}


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _print_rows(rows: list[dict[str, Any]], empty: str) -> None:
    from rich.table import Table

    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    if rows:
        _console().print(table, markup=False)
    else:
        click.echo(empty)


@cli.group()
def plugins() -> None:
    """The installed plug-ins."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins_list(as_json: bool) -> None:
    """Each plug-in: where it comes from, what it adds, how long it took to load, and what is wrong with it."""
    from zoo.plugins import discover

    found = discover()
    rows = [
        {
            "plug-in": plugin.name,
            "distribution": f"{plugin.distribution} {plugin.version}",
            "adds": "; ".join(f"{kind} {', '.join(names)}" for kind, names in plugin.adds.items()),
            "load time": f"{plugin.seconds * 1000:.0f} ms",
            "problem": plugin.problem or "",
        }
        for plugin in found.found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_rows(rows, empty="no plug-in is installed")
    for problem in found.problems:
        click.echo(f"warning: {problem}", err=True)


@cli.group()
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
@folds_option
@size_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default=Path("pictures"), show_default=True)
def data_show(data: str | None, folds: tuple[int, ...] | None, image_size: int | None, out: Path) -> None:
    """Count the images of each role, and write a picture of ten labelled images of each to DIR."""
    from zoo import plan
    from zoo.data.splits import class_counts
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress
    from zoo.report.run_pictures import samples

    console = _console()
    registry = _load_registry()
    with DecodingProgress(console) as progress:
        loaded = plan.load_data(registry.data, data, image_size, folds, progress)
    counts = class_counts(loaded.splits, loaded.config.classes)
    console.print(tables.class_counts(counts, loaded.config.roles, loaded.config.image_size))
    for path in samples(loaded.splits, loaded.store, loaded.config.classes, out):
        click.echo(path)


def main() -> int:
    """Run the command line; the exit status."""
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        error.show()
        return 2
    except ZooError as error:
        return _fail(str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was finished is kept, and the same command with its --out goes on", 1)
    except BrokenPipeError:
        return 1
    except Exception as error:
        text = " ".join(str(error).split())
        return _fail(f"unexpected {type(error).__name__}: {text} (--debug shows where)", 1)


def _fail(text: str, status: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()
    click.echo(f"zoo: {text}", err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
