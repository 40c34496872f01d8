"""What several commands share: options, the console, the registry."""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import limits
from zoo.errors import ConfigError, debugging, line, printable
from zoo.evaluation.config import point_of
from zoo.interfaces import PRECISIONS

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.data.splits import Folds
    from zoo.plugins.discovery import Plugins
    from zoo.plugins.registry import Registry
    from zoo.report.screen import Screen


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def all_of(*options: Decorator) -> Decorator:
    """Several arguments and options as one decorator; help shows them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class _Path(click.Path):
    """A path; an empty one, as of a variable that isn't set, is none, and not the working folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("empty; name a file or folder", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)


class Command(click.Command):
    """A command with the options that every command takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _everywhere()


class Group(click.Group):
    command_class = Command
    group_class = type  # groups within this group are of this class too

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _everywhere()


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """The options of every command may stand before or after its name: remember what was given."""
    if value:
        ctx.find_root().meta[f"zoo.{param.name}"] = value


def _switch_off(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    """Through the environment, so that the processes that train leave out the same plug-ins."""
    if names:
        from zoo.plugins import discovery

        discovery.switch_off(names)


def _debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        os.environ["ZOO_DEBUG"] = "1"


def _everywhere() -> list[click.Parameter]:
    return [
        click.Option(
            ["--registry"],
            type=PATH,
            expose_value=False,
            callback=_keep,
            help="The registry file; default ./registry.toml, else the one shipped with zoo.",
        ),
        click.Option(
            ["--no-plugin"],
            metavar="NAME",
            multiple=True,
            expose_value=False,
            callback=_switch_off,
            help="Leave a plug-in out; may be repeated.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_debug,
            help="Show the traceback of an error.",
        ),
    ]


def given(name: str) -> Any:
    """The value of --registry, wherever on the command line it stood."""
    return click.get_current_context().find_root().meta.get(f"zoo.{name}")


class Number(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A number within a limit."""

    def __init__(self, limit: limits.Limit) -> None:
        self.limit = limit
        self.name = f"{limit.least}..{limit.most}" if math.isfinite(limit.most) else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.limit.read(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _folds(ctx: click.Context, param: click.Parameter, value: str) -> Folds:
    from zoo.data.splits import parse_folds

    try:
        return parse_folds(value)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


def folds_option(default: str) -> Decorator:
    """--folds, which gives a tuple of numbers, "first", or None for all."""
    return click.option(
        "--folds",
        default=default,
        show_default=True,
        callback=_folds,
        help="all, first, a fold, or several as 0,3 or 0-4.",
    )


def console(wide: bool = False, err: bool = False) -> Screen:
    """Where commands print tables, on standard error if `err`; `wide` ones may be wider than the terminal."""
    from zoo.report.screen import Screen

    # Piped output is read by people and programs alike: don't fold it at the width of no terminal.
    told = (sys.stderr if err else sys.stdout).isatty() or "COLUMNS" in os.environ
    return Screen(wide, stderr=err, width=None if told else 160)


def table_of(rows: list[dict[str, Any]], sentences: Sequence[str] = ()) -> Table:
    """A table with a column per key, of which some hold `sentences`."""
    from rich.table import Table

    from zoo.report import screen

    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(*(screen.sentences(column) if column in sentences else column for column in columns))
    for row in rows:
        table.add_row(*(line(str(row.get(column, "")), 2000) for column in columns))
    return table


wide_option = click.option("--wide", is_flag=True, help="All columns, however wide the table is.")


def load_registry() -> Registry:
    """The registry that the command line asks for."""
    from zoo.plugins import discovery, registry

    return registry.load_registry(given("registry"), discovery.discover())


def warn(found: Plugins) -> None:
    """Say on standard error which plug-ins are left out; with --debug also where they fail."""
    for problem in found.problems:
        echo(f"warning: {problem}", err=True)
    if debugging():
        for plugin in found.found:
            if plugin.error:
                echo("".join(traceback.format_exception(plugin.error)).rstrip(), err=True)


def echo(text: object, err: bool = False) -> None:
    """Print text as it is, to standard error if `err`; what isn't printable becomes a mark."""
    click.echo(printable(str(text), keep="\n"), err=err)


def say(screen: Screen, text: str, style: str | None = None) -> None:
    """Print a sentence as it is, on one line however long."""
    from zoo.report.screen import say

    say(screen, text, style)


def _jobs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """ "MODEL:FOLD" to (model, fold)."""
    pairs = []
    for value in values:
        model, _, fold = value.rpartition(":")
        try:
            pairs.append((model, limits.FOLD.read(fold if model else "")))
        except ValueError:
            raise click.BadParameter(f"{limits.shown(value)} is not MODEL:FOLD, such as scratch-cnn:3") from None
    return tuple(pairs)


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names, of which ZOO_TRACKERS may hold several with commas between them."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


# The options of the commands that train, beside those of the data.
training_options = all_of(
    click.option("--out", type=PATH, metavar="DIR", help="The run folder; the same again resumes it."),
    click.option("--weights", metavar="auto|imagenet|none|FILE", help="What the backbone starts from."),
    click.option(
        "--start-from",
        type=PATH,
        metavar="FILE.keras",
        help="A model of the same recipe whose weights training starts from.",
    ),
    click.option(
        "--allow-leak",
        is_flag=True,
        help="Score weights on images that they have seen, and mark every number as leaked.",
    ),
    click.option("--seed", type=Number(limits.SEED), help="Of initial weights, shuffling, dropout, augmentation."),
    click.option("--max-epochs", type=Number(limits.EPOCHS), help="At most so many epochs a stage."),
    click.option(
        "--feature-cache/--no-feature-cache",
        default=True,
        help="Whether what frozen layers make of an image is computed once and kept.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default=PRECISIONS[0],
        show_default=True,
        help="What the backbone computes in while it is trained; the mixed ones are for GPUs.",
    ),
    click.option(
        "--tracker",
        "trackers",
        metavar="NAME",
        multiple=True,
        envvar="ZOO_TRACKERS",
        show_envvar=True,
        callback=_names,
        help="Tell a tracker how the run goes, see zoo list trackers; may be repeated.",
    ),
    click.option("--fresh", is_flag=True, help="Delete what the run folder holds and start over."),
    click.option(
        "--redo", metavar="MODEL:FOLD", multiple=True, callback=_jobs, help="Run one job again; may be repeated."
    ),
)


def pair(value: str, separator: str, limit: limits.Limit, such: str) -> tuple[Any, Any]:
    """The two numbers of an option such as "2/8". Raises BadParameter for another text, which is not `such`."""
    try:
        one, other = (limit.read(part) for part in value.split(separator))
    except ValueError:
        raise click.BadParameter(f"{limits.shown(value)} is not {such}") from None
    return one, other


def _cost(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, float] | None:
    """ "10:1" to what a missed positive and a false alarm cost."""
    if value is None:
        return None
    missed, alarm = pair(value, ":", limits.COST, "MISSED:ALARM, such as 10:1")
    return {"missed": missed, "false_alarm": alarm}


POINTS = ("sensitivity", "specificity", "threshold", "youden", "cost")


def point_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The operating point and the prevalence; the command is given `operating_point`, None for none, and `prevalence`.

    The options are `--sensitivity`, `--specificity`, `--threshold`, `--youden` and `--cost`, of which one is taken.
    """

    @wraps(command)
    def with_point(*arguments: Any, **options: Any) -> Any:
        fields = {name: value for name in POINTS if (value := options.pop(name)) is not None and value is not False}
        if len(fields) > 1:
            raise ConfigError(f"{' and '.join(f'--{name}' for name in fields)} exclude each other: give one")
        return command(*arguments, operating_point=point_of(fields) if fields else None, **options)

    share = Number(limits.SHARE)
    options = all_of(
        click.option("--sensitivity", type=share, help="The share of positive images that is to be found."),
        click.option("--specificity", type=share, help="The share of negative images that is to be left alone."),
        click.option(
            "--threshold", type=Number(limits.THRESHOLD), help="The probability from which an image is called positive."
        ),
        click.option("--youden", is_flag=True, help="The largest sum of sensitivity and specificity."),
        click.option("--cost", metavar="MISSED:ALARM", callback=_cost, help="The least cost, such as 10:1."),
        click.option("--prevalence", type=share, help="The share of positives that predictive values are for."),
    )
    return options(with_point)


metric_option = click.option(
    "--metric",
    default="auc",
    show_default=True,
    help="What models are compared by: auc, accuracy, f1, precision, recall, specificity or loss.",
)
rope_option = click.option(
    "--rope",
    type=Number(limits.ROPE),
    default=0.01,
    show_default=True,
    help="Differences up to this count as none (region of practical equivalence).",
)
