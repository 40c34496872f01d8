"""zoo bundle: the networks of a model in one file, to hand over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import PATH, Command, console, folds_option, load_registry, point_options, say
from zoo.errors import ConfigError, of_system

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--model", metavar="NAME", help="The model whose folds are bundled; may be left out where there is one.")
@folds_option("all")
@point_options
@click.option("--out", type=PATH, metavar="FILE.zoo", help="Default NAME.zoo.")
def bundle(
    run: Path,
    model: str | None,
    folds: Folds,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    out: Path | None,
) -> None:
    """Write the networks of a model of RUN into one file, with its operating point, scalings and a model card.

    zoo predict, zoo evaluate and zoo explain take the file wherever zoo is installed.
    """
    from zoo.files import check_writable
    from zoo.inference import opening
    from zoo.inference.bundle import ENDING, write
    from zoo.report import card
    from zoo.run import results
    from zoo.run.folder import RunFolder

    if out is not None and out.suffix != ENDING:
        raise ConfigError(f"--out {out}: the name must end in {ENDING}")
    RunFolder(run).read()  # says what is wrong with a folder, or a file, that is no run
    ensemble = opening.open_model(run, model, folds, operating_point, prevalence)
    out = out or Path(f"{ensemble.model}{ENDING}")
    check_writable(out.parent, "--out FILE")
    done = results.compare(RunFolder(run), [ensemble.model], point=operating_point, prevalence=prevalence)
    try:
        write(ensemble, card.model_card(ensemble, done, load_registry()), out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {of_system(error)}") from error
    again = opening.open_model(out)
    screen = console()
    many = len(again.members)
    decided = f"; decides at {again.threshold:.4g} ({again.point})" if again.threshold is not None else ""
    say(screen, f"{out}: {again.model}, {many} network{'s' * (many > 1)}, {out.stat().st_size / 1e6:.1f} MB{decided}")
    say(screen, f"its model card: unzip -p {out} model-card.md; say in it what zoo cannot know before you pass it on")
    say(screen, f"Next: zoo predict {out} IMAGE…")
