"""zoo export: trained networks as one file for ONNX, LiteRT or TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.commands.data_options import MEANINGS
from zoo.commands.options import PATH, Command, all_of, console, point_options, say, table_of
from zoo.commands.predict import model_options, opened
from zoo.inference.foreign import FORMATS

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint


@click.command(cls=Command)
@model_options
@click.option("--format", "form", type=click.Choice([*FORMATS]), required=True, help="What is written.")
@click.option("--data", metavar="DIR|FILE", help="Labelled images to compare on; default some that zoo draws.")
@all_of(*MEANINGS)
@click.option("--quantize", is_flag=True, help="A smaller file of 8 bits too, with its AUC on --data.")
@point_options
@click.option(
    "--out", type=PATH, metavar="DIR", default=Path("exported"), show_default=True, help="A folder to be made."
)
def export(
    place: Path,
    model: str | None,
    folds: Folds,
    form: str,
    data: str | None,
    quantize: bool,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    out: Path,
    **meanings: Any,
) -> None:
    """Write MODEL, as zoo predict takes it, as one network that runs without zoo.

    What it says under onnxruntime, LiteRT's interpreter or TensorFlow is compared with what zoo predict says; if
    probabilities differ by more than 1e-4, nothing is written.
    """
    from zoo.inference.export import check
    from zoo.report.progress import StepProgress

    check(form, quantize, data is not None, out)
    predictor = opened(place, model, folds, operating_point, prevalence)
    with StepProgress(console(err=True)) as listen:
        done = predictor.export(out, form, data=data, quantize=quantize, listen=listen, **meanings)
    screen, many = console(), len(predictor.networks)
    who = f"{predictor.ensemble.model}, mean of {many} networks" if many > 1 else predictor.ensemble.model
    say(screen, f"{who}, under {done.runtime} on {done.images:,} images:", style="bold")
    screen.print(table_of([_row(row) for row in done.files.to_dict("records")]))
    for note in done.notes:
        say(screen, f"note: {note}", style="magenta")
    say(screen, f"Folder: {out}; about.json in it says what goes in and comes out")
    say(screen, f"Next, where zoo need not be: python {out}/predict.py IMAGE…")


def _row(row: Mapping[Any, Any]) -> dict[str, str]:
    from zoo.report.tables import number

    cells = {
        "file": row["file"],
        "MB": f"{row['mb']:.1f}",
        "largest difference": f"{row['difference']:.2g}",
        "other decisions": f"{row['decisions']:,}",
    }
    if "auc" in row:
        cells |= {"AUC": number(row["auc"]), "AUC before": number(row["auc_before"])}
    if row.get("low", float("nan")) == row.get("low"):
        cells["95 % of the difference"] = f"{row['low']:+.4f} to {row['high']:+.4f}"
    return cells
