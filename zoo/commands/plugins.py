"""zoo plugins: what is installed, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from zoo.commands.options import Command, Group, print_rows, warn


@click.group(cls=Group)
def plugins() -> None:
    """The installed plug-ins."""


@plugins.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Each plug-in: where it comes from, what it adds, how long it took to load, and what is wrong with it."""
    from zoo.plugins import discover

    found = discover()
    if as_json:
        click.echo(json.dumps([plugin.table() for plugin in found.found], indent=2))
    else:
        print_rows([_row(plugin.table()) for plugin in found.found], empty="no plug-in is installed and switched on")
    warn(found)


def _row(table: dict[str, Any]) -> dict[str, str]:
    return {
        "plug-in": table["name"],
        "distribution": f"{table['distribution']} {table['version']}",
        "from": table["path"],
        "adds": "; ".join(f"{kind} {', '.join(names)}" for kind, names in table["adds"].items()),
        "load time": f"{table['seconds'] * 1000:.0f} ms",
        "problem": table["problem"] or "",
    }


@plugins.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """What is wrong with plug-ins, and how to mend it. Exit status 1 if anything is."""
    from zoo.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(diagnosis), indent=2))
    else:
        for finding in diagnosis.findings:
            click.echo(f"{finding.plugin}: {finding.fault}\n  to mend it: {finding.remedy}")
        faults = len(diagnosis.findings)
        click.echo(f"plug-ins: {len(diagnosis.plugins)}, faults: {faults or 'none'}")
    ctx.exit(1 if diagnosis.findings else 0)
