"""Command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Command(click.Command):
    """A command with the options that every command takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [_registry_option(), _debug_option()]


class Group(click.Group):
    command_class = Command
    group_class = type  # groups within this group are of this class too

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [_registry_option(), _debug_option()]


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Both options may stand before or after the command's name: remember the one that was given."""
    if value:
        ctx.find_root().meta[f"zoo.{param.name}"] = value


def _registry_option() -> click.Option:
    return click.Option(
        ["--registry"], type=click.Path(path_type=Path), expose_value=False, callback=_keep,
        help="The registry file; default ./registry.toml, else the one shipped with zoo.",
    )  # fmt: skip


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=_keep, help="Show the traceback of an error."
    )


def given(name: str) -> Any:
    """The value of --registry or --debug, wherever on the command line it stood."""
    return click.get_current_context().find_root().meta.get(f"zoo.{name}")


def _folds(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...] | None:
    """ "all" to None, "0,3" to (0, 3)."""
    if value == "all":
        return None
    try:
        return tuple(dict.fromkeys(int(fold) for fold in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither all nor numbers such as 0 or 0,3") from None


folds_option = click.option(
    "--folds", default="0", show_default=True, callback=_folds, help="all, a fold, or several as 0,3."
)
data_option = click.option("--data", metavar="DIR", help="Folder of Fold0, Fold1, …; default what the registry says.")
size_option = click.option("--image-size", type=click.IntRange(min=32), help="Height and width in pixels.")
