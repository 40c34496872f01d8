"""zoo predict: what trained networks say of any pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.options import (
    PATH,
    Command,
    all_of,
    console,
    echo,
    folds_option,
    point_options,
    say,
    table_of,
    wide_option,
)
from zoo.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint
    from zoo.inference.predictor import Predictor

FORMATS = ("table", "csv", "json")


# Which networks answer. The command is given `place`, `model` and `folds`.
model_options = all_of(
    click.argument("place", type=PATH, metavar="MODEL"),
    click.option("--model", metavar="NAME", help="Of a run folder the model whose folds answer together."),
    folds_option("all"),
)


@click.command(cls=Command)
@model_options
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@point_options
@click.option("--tta", type=click.Choice(["none", "flips"]), help="Average mirror images; default as it was trained.")
@click.option("--explain", type=PATH, metavar="DIR", help="Draw what the networks looked at in each image, into DIR.")
@click.option("--format", "form", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Of output.")
@click.option("--out", type=PATH, metavar="FILE", help="Write a table to this .csv or .json file instead.")
@wide_option
def predict(
    place: Path,
    model: str | None,
    folds: Folds,
    images: tuple[Path, ...],
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    tta: str | None,
    explain: Path | None,
    form: str,
    out: Path | None,
    wide: bool,
) -> None:
    """Tell what MODEL makes of each IMAGE: a file, a folder of them, or a table with a column path.

    MODEL is a run folder, the networks of whose folds answer together, a bundle or a .keras file. A number is marked as
    seen where a network was trained or selected on that picture.
    """
    from zoo.files import check_writable, without_nan, write_csv, write_json
    from zoo.inference import reading
    from zoo.report import explained

    if out is not None and out.suffix.lower() not in (".csv", ".json"):
        raise ConfigError(f"--out {out}: the name must end in .csv or .json")
    for folder in filter(None, (out and out.parent, explain)):
        check_writable(folder)
    files = reading.files(images)
    predictor = opened(place, model, folds, operating_point, prevalence)
    table = answered(predictor, files, tta)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix.lower() == ".csv":
            write_csv(out, table)
        else:
            write_json(out, as_json(predictor, table))
    elif form == "csv":
        echo(table.to_csv(index=False).rstrip())
    elif form == "json":
        echo(json.dumps(without_nan(as_json(predictor, table)), indent=2, allow_nan=False))
    # What is piped is the table alone: words go to standard error.
    words = console(wide, err=out is None and form != "table")
    if out is None and form == "table" and (table["fault"] == "").any():
        words.print(_shown(predictor, table))
    for line in summary(predictor, table):
        say(words, line, style="bold")
    for note in [*predictor.notes, *table.attrs["notes"]]:
        say(words, f"note: {note}", style="magenta")
    if explain:
        explained.draw(predictor, table, explain)
        say(words, f"Pictures: {explain}")
    if out:
        say(words, f"Table: {out}")
    refuse(table)


def opened(
    place: Path, model: str | None, folds: Folds, point: OperatingPoint | None = None, prevalence: float | None = None
) -> Predictor:
    """The networks that are asked for, loaded; how far that is stands on standard error."""
    from zoo.inference import opening
    from zoo.report.progress import StepProgress
    from zoo.training import logs

    ensemble = opening.open_model(place, model, folds, point, prevalence)
    with logs.loading():  # what TensorFlow prints of itself, while nobody is told anything yet
        from zoo.training import trainer  # noqa: F401
    from zoo.inference import predictor

    with StepProgress(console(err=True)) as listen:
        return predictor.ready(ensemble, listen)


def answered(predictor: Predictor, files: list[Path], tta: str | None = None) -> pd.DataFrame:
    """What `Predictor.predict` says of these files; how far it is stands on standard error."""
    from zoo.report.progress import StepProgress

    with StepProgress(console(err=True)) as listen:
        return predictor.predict(files, tta=tta, listen=listen)


def summary(predictor: Predictor, table: pd.DataFrame) -> list[str]:
    """The table in words."""
    ensemble, whole = predictor.ensemble, table[table["fault"] == ""]
    titles = [member.title for member in ensemble.members]
    who = f"{ensemble.model}, {titles[0]}" if len(titles) == 1 else f"{ensemble.model}, mean of {len(titles)} networks"
    counts = {name: int((whole["decision"] == name).sum()) for name in predictor.classes}
    if predictor.threshold is None:
        said = [f"{who}: of {len(whole):,} images {', '.join(f'{many:,} {name}' for name, many in counts.items())}"]
    else:
        positive = predictor.classes[1]
        point = ensemble.point
        chosen = "" if point.threshold is not None else f", chosen on validation for {point}"
        said = [
            f"{who}: {counts[positive]:,} of {len(whole):,} images are called {positive}, by a probability of "
            f"{predictor.threshold:.4g} or more{chosen}"
        ]
    seen = int((whole["seen"] > 0).sum())
    if seen:
        said.append(
            f"SEEN: networks were trained or selected on {seen:,} of these images; what they say of "
            f"{'it' if seen == 1 else 'them'} tells nothing of new ones"
        )
    return said


def as_json(predictor: Predictor, table: pd.DataFrame) -> dict[str, Any]:
    """The table, and what it was made by."""
    ensemble = predictor.ensemble
    return {
        "model": ensemble.model,
        "members": [member.title for member in ensemble.members],
        "classes": predictor.classes,
        "threshold": predictor.threshold,
        "operating_point": None if predictor.threshold is None else ensemble.point.table(),
        "notes": [*predictor.notes, *table.attrs["notes"]],
        "images": table.to_dict("records"),
    }


def refuse(table: pd.DataFrame) -> None:
    """Name the files without numbers, and end with status 1 if there are any."""
    faulty = table[table["fault"] != ""]
    for path, fault in zip(faulty["path"], faulty["fault"], strict=True):
        echo(f"zoo: {path}: {fault}", err=True)
    if len(faulty):
        click.get_current_context().exit(1)


def _shown(predictor: Predictor, table: pd.DataFrame) -> Table:
    """The images with numbers, as the terminal shows them; columns without any are left out."""
    rows, members = [], len(predictor.networks)
    whole = table[table["fault"] == ""]
    files = [Path(path).absolute() for path in whole["path"]]
    common = os.path.commonpath([file.parent for file in files])
    for file, row in zip(files, whole.to_dict("records"), strict=True):
        known = [name for name in ("probability", "calibrated", "spread") if row[name] == row[name]]
        seen = {"seen": f"{row['seen']}/{members}"} if row["seen"] else {}
        numbers = {name: f"{row[name]:.3f}" for name in known}
        image = str(file.relative_to(common))
        rows.append({"image": image, "decision": row["decision"], **numbers, **seen})
    shown = table_of(rows, ["image"])
    shown.title = f"Images of {common}"
    return shown
