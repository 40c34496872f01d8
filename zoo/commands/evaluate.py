"""zoo evaluate: what trained networks are worth on labelled images of another place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.data_options import MEANINGS
from zoo.commands.options import PATH, Command, all_of, console, point_options, say, table_of, wide_option
from zoo.commands.predict import model_options, opened, refuse

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint


@click.command(cls=Command)
@model_options
@click.option("--data", required=True, metavar="DIR|FILE", help="Labelled images, a folder per class or a table.")
@all_of(*MEANINGS)
@click.option("--by", metavar="COLUMN", help="A column of the table: scores for each of its values; default source.")
@point_options
@click.option("--tta", type=click.Choice(["none", "flips"]), help="Average mirror images; default as it was trained.")
@click.option("--allow-leak", is_flag=True, help="Score images that networks were trained on, and mark every number.")
@click.option(
    "--out", type=PATH, metavar="DIR", default=Path("evaluation"), show_default=True, help="Where tables are written."
)
@click.option("--no-images", is_flag=True, help="Leave photographs out of report.html.")
@wide_option
def evaluate(
    place: Path,
    model: str | None,
    folds: Folds,
    data: str,
    by: str | None,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    tta: str | None,
    allow_leak: bool,
    out: Path,
    no_images: bool,
    wide: bool,
    **meanings: Any,
) -> None:
    """Score MODEL, as zoo predict takes it, on labelled images of another place.

    Decisions are made at the operating point that was chosen before, and probabilities scaled as before: nothing is
    fitted to these images.
    """
    from zoo.files import check_writable
    from zoo.report import evaluation_page, explained, tables, words
    from zoo.report.progress import StepProgress
    from zoo.report.screen import tell

    check_writable(out)
    predictor = opened(place, model, folds, operating_point, prevalence)
    with StepProgress(console(err=True)) as listen:
        done = predictor.evaluate(data, by=by, allow_leak=allow_leak, tta=tta, listen=listen, **meanings)
        maps = {} if no_images else explained.of_worst(predictor, done, listen)
    done.write(out)
    screen = console(wide)
    for sentence in words.of_evaluation(done):
        tell(screen, sentence, style="bold")
    screen.print(table_of([_score(row) for row in done.scores.to_dict("records")]))
    if done.sourced:
        screen.print(table_of([_of_source(row, by or "source") for row in done.by_source.to_dict("records")]))
    if len(done.calibration):
        screen.print(table_of([tables.calibration(row) for row in done.calibration.to_dict("records")]))
    for note in done.notes:
        say(screen, f"note: {note}", style="magenta")
    evaluation_page.write(done, out / "report.html", with_images=not no_images, maps=maps)
    say(screen, f"Page to share: {out / 'report.html'}")
    say(screen, f"Tables: {out}")
    refuse(done.refused)


def _score(row: Mapping[Any, Any]) -> dict[str, Any]:
    from zoo.evaluation.metrics import NAMES
    from zoo.report.tables import number

    name, between = NAMES.get(row["metric"], row["metric"]), _between(row["low"], row["high"])
    return {"metric": name, "value": number(row["value"], 3), "95 %": between}


def _of_source(row: Mapping[Any, Any], by: str) -> dict[str, Any]:
    from zoo.report.tables import number

    cells = {by: row["source"], "images": f"{row['images']:,}", "positive": f"{row['positives']:,}"}
    for name, heading in {"auc": "AUC", "recall": "sensitivity", "specificity": "specificity"}.items():
        between = _between(row[f"{name}_low"], row[f"{name}_high"])
        cells[heading] = number(row[name], 3) + (f" ({between})" if between else "")
    return cells


def _between(low: float, high: float) -> str:
    return "" if low != low else f"{low:.3f} – {high:.3f}"
