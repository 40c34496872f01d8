"""zoo cache: what is kept between runs."""

from __future__ import annotations

import click

from zoo.commands.options import Group, console, echo, table_of


@click.group(cls=Group)
def cache() -> None:
    """What is kept between runs: decoded images, features of frozen layers and the demo, which can be made again; and
    what audits found and weights have seen, which cannot."""


@cache.command("info")
def info() -> None:
    """How much of each kind there is, and where."""
    from zoo.data import cache as user_cache

    rows = [
        {"kind": kind.name, "entries": str(kind.entries), "size": f"{kind.size / 1e6:,.1f} MB"}
        for kind in user_cache.info()
    ]
    console().print(table_of(rows) if rows else "the cache is empty")
    echo(f"{user_cache.folder()}, at most {user_cache.limit() / 1e9:g} GB of each kind (ZOO_CACHE_LIMIT)")


@cache.command("clear")
@click.argument("kind", required=False)
def clear(kind: str | None) -> None:
    """Delete one KIND, or all that can be made again, but for what a run at work uses.

    What audits found and weights have seen (audits, provenance) is deleted only by name: without it a leak is not
    known any more.
    """
    from zoo.data import cache as user_cache

    freed, kept = user_cache.clear(kind)
    use = f"; kept {kept} entr{'ies' if kept > 1 else 'y'} that a run at work uses" if kept else ""
    left = [each.name for each in user_cache.info() if each.name in user_cache.KEPT] if kind is None else []
    stay = f"stay{'s' * (len(left) == 1)}, unless named" if left else ""
    what = f"; {' and '.join(left)} {stay}" if left else ""
    echo(f"{freed / 1e6:,.1f} MB freed{use}{what}")
