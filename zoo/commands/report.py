"""zoo report: every table and picture of a run again, from its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import (
    PATH,
    Command,
    console,
    folds_option,
    metric_option,
    point_options,
    rope_option,
    say,
    wide_option,
)
from zoo.errors import one_line

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint
    from zoo.report.screen import Screen
    from zoo.run.folder import RunFolder
    from zoo.run.results import Comparison


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--models", metavar="MODEL,…", help="Only these models.")
@folds_option("all")
@metric_option
@rope_option
@point_options
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Where to write tables and pictures; default RUN for all models and folds at 0.5, else nowhere.",
)
@click.option("--html", type=PATH, metavar="FILE", help="Write the page to share there too.")
@click.option("--no-images", is_flag=True, help="No photographs in the page.")
@wide_option
def report(
    run: Path,
    models: str | None,
    folds: Folds,
    metric: str,
    rope: float,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    out: Path | None,
    html: Path | None,
    no_images: bool,
    wide: bool,
) -> None:
    """Rebuild every table and picture of RUN from its predictions, with other choices if you like. Trains nothing."""
    from zoo.run import results
    from zoo.run.folder import RunFolder

    names = () if models is None else tuple(models.split(","))
    narrowed = bool(names) or folds is not None or operating_point is not None or prevalence is not None
    folder, out = RunFolder(run), out or (None if narrowed else run)
    folder.read()
    with writing(folder, out):
        done = results.compare(folder, names, folds, metric, operating_point, rope, prevalence)
        if out:
            done.write(out)
        screen = console(wide)
        publish(screen, done, out, not no_images)
        if html:
            share(screen, done, html, not no_images)


@contextmanager
def writing(folder: RunFolder, out: Path | None) -> Iterator[None]:
    """Sees to it that `out`, None for nowhere, can be written, and if it is the run folder that no run writes there."""
    from zoo.files import check_writable

    with ExitStack() as stack:
        if out:
            check_writable(out)
            if out.resolve() == folder.path.resolve():
                stack.callback(folder.lock().release)
        yield


def remark(screen: Screen, done: Comparison) -> None:
    """Say what a reader must know of the numbers, and which jobs are missing."""
    for note in done.notes:
        say(screen, f"note: {note}", style="magenta")
    for job in done.missing:
        say(screen, f"missing: {job}", style="red")


def publish(screen: Screen, done: Comparison, out: Path | None, with_images: bool = True) -> None:
    """Tell what a comparison means, print its tables, and put pictures and page beside those written to `out`.

    That is None for nowhere; `with_images` is whether the page has photographs.
    """
    from zoo.report import pairs, tables, words
    from zoo.report.screen import tell

    shown = done.marked()
    for sentence in [*words.verdict(done), *words.of_each(shown), *pairs.said(shown)]:
        tell(screen, sentence, style="bold")
    if len(shown.results):
        screen.show(tables.summary(shown), tables.summary(shown, wide=False))
    for sentence in tables.spread(shown):
        say(screen, f"  {sentence}")
    if len(shown.comparison):
        screen.print(pairs.other_tests(shown.comparison))
        for line in pairs.explained(shown.comparison):
            tell(screen, f"  {line}")
    remark(screen, done)
    if out is None:
        say(screen, "Nothing was written; --out DIR keeps these tables and their pictures.")
    else:
        draw(screen, done, out)
        share(screen, done, out / "report.html", with_images)
        say(screen, f"Tables: {out}")
    if len(done.results):
        say(screen, "Next:")
    for step in words.next_of(done) if len(done.results) else ():
        say(screen, f"  {step}")


def draw(screen: Screen, done: Comparison, out: Path) -> None:
    """The pictures of a comparison beside its tables, which are there without them."""
    from zoo.report.run_pictures import draw_comparison

    try:
        draw_comparison(done, out)
    except Exception as error:
        say(screen, f"warning: the pictures cannot be drawn: {one_line(error)}", style="magenta")


def share(screen: Screen, done: Comparison, file: Path, with_images: bool = True) -> None:
    """Write the page of a run, and say where it is; its tables are there without it."""
    from zoo.report import run_page

    try:
        run_page.write(done, file, with_images)
    except Exception as error:
        say(screen, f"warning: the page cannot be made: {one_line(error)}", style="magenta")
    else:
        say(screen, f"Page to share: {file}")
