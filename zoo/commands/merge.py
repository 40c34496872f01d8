"""zoo merge: shards of one comparison joined."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.commands.options import PATH, Command, console, metric_option, rope_option, say, wide_option


@click.command(cls=Command)
@click.argument("shards", type=PATH, nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=PATH, metavar="DIR", required=True, help="A run folder to be made.")
@metric_option
@rope_option
@wide_option
def merge(shards: tuple[Path, ...], out: Path, metric: str, rope: float, wide: bool) -> None:
    """Join run folders of one zoo compare --shard, as if all had been run in one, and say which model is better.

    They must be of the same request, and no job may be done in two. Jobs that no folder has done are named; the
    command without --shard and with this --out runs them.
    """
    from zoo import api
    from zoo.commands.report import publish
    from zoo.files import check_writable

    check_writable(out.parent)
    screen = console(wide)
    done = api.merge(shards, out, metric=metric, rope=rope)
    publish(screen, done, done.run.path)
    say(screen, f"Run folder: {done.run.path}, joined from {len(shards)}")
    if done.missing:
        click.get_current_context().exit(1)
