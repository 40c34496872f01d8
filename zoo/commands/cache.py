"""zoo cache: what is kept between runs."""

from __future__ import annotations

import click

from zoo.commands.options import Group, print_rows


@click.group(cls=Group)
def cache() -> None:
    """What is kept between runs: decoded images, features of frozen layers, the demo. All of it can be made again."""


@cache.command("info")
def info() -> None:
    """How much of each kind there is, and where."""
    from zoo.data import cache as user_cache

    rows = [
        {"kind": kind.name, "entries": str(kind.entries), "size": f"{kind.size / 1e6:,.1f} MB"}
        for kind in user_cache.info()
    ]
    print_rows(rows, empty="the cache is empty")
    click.echo(f"{user_cache.folder()}, at most {user_cache.limit() / 1e9:g} GB of each kind (ZOO_CACHE_LIMIT)")


@cache.command("clear")
@click.argument("kind", required=False)
def clear(kind: str | None) -> None:
    """Delete one KIND, or all. A run at work is not disturbed."""
    from zoo.data import cache as user_cache

    click.echo(f"{user_cache.clear(kind) / 1e6:,.1f} MB freed")
