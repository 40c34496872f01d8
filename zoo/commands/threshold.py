"""zoo threshold: what more found cases cost in false alarms, and the operating point that a run aims at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import PATH, Command, console, folds_option, point_options, say, wide_option
from zoo.errors import ConfigError, unknown

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("model", required=False)
@folds_option("all")
@point_options
@click.option("--out", type=PATH, metavar="DIR", help="Where threshold.csv and the pictures go; default RUN.")
@wide_option
def threshold(
    run: Path,
    model: str | None,
    folds: Folds,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    out: Path | None,
    wide: bool,
) -> None:
    """Show what each further case that MODEL of RUN finds costs in false alarms, and choose its threshold.

    Thresholds are chosen on the validation role alone; the one that is aimed at is then scored on test. All models
    unless one is named.
    """
    from zoo.evaluation.config import HALF
    from zoo.files import check_writable, write_csv
    from zoo.report import comparison_plots, tables, words
    from zoo.report.screen import tell
    from zoo.run import results
    from zoo.run.folder import RunFolder

    folder, out = RunFolder(run), out or run
    record = folder.read()
    if len(record["data"]["classes"]) != 2:
        raise ConfigError(f"{run}: an operating point is for two classes, not {len(record['data']['classes'])}")
    if model is not None and model not in record["recipes"]:
        raise ConfigError(f"{run}: {unknown('model', model, [*record['recipes']])}")
    check_writable(out)
    names = () if model is None else (model,)
    done = results.compare(folder, names, folds, point=operating_point or HALF, prevalence=prevalence)
    screen = console(wide)
    for name, table in done.trade_offs().items():
        screen.print(tables.trade_off(table, done.titles[name]))
        comparison_plots.trade_off(
            table, done.titles[name], done.aim.operating_point, out / "pictures" / f"threshold-{name}"
        )
    screen.print(tables.operating_points(done))
    for note in done.notes:
        say(screen, f"note: {note}", style="magenta")
    for job in done.missing:
        say(screen, f"missing: {job}", style="red")
    write_csv(out / "threshold.csv", done.thresholds)
    say(screen, f"Table: {out / 'threshold.csv'}; pictures: {out / 'pictures'}")
    for name in done.titles if model is None else names:
        for sentence in words.at_point(done, name):
            tell(screen, sentence, style="bold")
