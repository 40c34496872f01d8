"""zoo threshold: what more found cases cost in false alarms, and the operating point that a run aims at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import PATH, Command, console, point_options, say, wide_option
from zoo.commands.report import remark, writing
from zoo.evaluation.config import require_two

if TYPE_CHECKING:
    from zoo.evaluation.config import OperatingPoint


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("model", required=False)
@point_options
@click.option("--out", type=PATH, metavar="DIR", help="Where tables and pictures go, and RUN stays as it is.")
@wide_option
def threshold(
    run: Path,
    model: str | None,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    out: Path | None,
    wide: bool,
) -> None:
    """Show what each further case that MODEL of RUN finds costs in false alarms, and set what RUN aims at.

    Thresholds are chosen on the validation role alone; those of the operating point are then scored on test. All
    models are shown unless one is named.
    """
    from zoo.report import comparison_plots, tables, words
    from zoo.report.screen import tell
    from zoo.run import results
    from zoo.run.folder import RunFolder

    folder = RunFolder(run)
    record = folder.read()
    require_two(record["data"]["classes"], f"{run}: ")
    folder.require_models(record, [model] if model else [])
    with writing(folder, out or run):
        done = results.compare(folder, point=operating_point, prevalence=prevalence)
        if out is None and (operating_point or prevalence):
            folder.write({**folder.read(), "evaluation": done.aim.table()})
        screen, pictures, aim = console(wide), (out or run) / "pictures", done.aim.operating_point
        for name, table in done.trade_offs().items():
            comparison_plots.trade_off(table, done.titles[name], aim, pictures / f"threshold-{name}")
            if model in (None, name):
                screen.print(tables.trade_off(table, done.titles[name]))
        done.write_point(out or run)
    screen.print(tables.operating_points(done, model))
    remark(screen, done)
    say(screen, f"Tables: {out or run}; pictures: {pictures}")
    for name in [model] if model else done.titles:
        for sentence in words.at_point(done, name):
            tell(screen, sentence, style="bold")
