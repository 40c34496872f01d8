"""zoo plugins: what is installed, what is wrong with it, and a new one."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import click

from zoo.commands.options import PATH, Command, Group, console, echo, load_registry, table_of, warn, wide_option
from zoo.plugins.scaffold import KINDS, LICENSES


@click.group(cls=Group)
def plugins() -> None:
    """The installed plug-ins, and new ones."""


@plugins.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wide_option
def list_(as_json: bool, wide: bool) -> None:
    """Each plug-in: where it comes from, what it adds, how long it took to load, and what is wrong with it."""
    from zoo.plugins.discovery import discover

    found = discover()
    if as_json:
        click.echo(json.dumps([plugin.table() for plugin in found.found], indent=2))
    elif not found.found:
        echo("no plug-in is installed and switched on")
    else:
        rows = [_row(plugin.table()) for plugin in found.found]
        console(wide).print(table_of(rows, ["adds", "problem"]))
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
    from zoo.plugins.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(diagnosis), indent=2))
    else:
        for finding in diagnosis.findings:
            echo(f"{finding.plugin}: {finding.fault}\n  to mend it: {finding.remedy}")
        faults = len(diagnosis.findings)
        echo(f"plug-ins: {len(diagnosis.plugins)}, faults: {faults or 'none'}")
    ctx.exit(1 if diagnosis.findings else 0)


@plugins.command(cls=Command)
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="backbone", show_default=True, help="What it adds.")
@click.option(
    "--license",
    "spdx",
    type=click.Choice(LICENSES),
    default="MIT",
    show_default=True,
    help="Under which others may use it.",
)
@click.option("--author", metavar="TEXT", default="", help="Who wrote it, as 'Your Name <you@example.org>'.")
@click.option("--out", type=PATH, metavar="DIR", help="The folder to write; default ./zoo-NAME.")
def new(name: str, kind: str, spdx: str, author: str, out: Path | None) -> None:
    """Write a package with a plug-in called NAME: it installs, passes its tests, and is there to be edited."""
    from zoo.plugins import scaffold

    folder = scaffold.create(name, kind, spdx, author, out, load_registry())
    name = name.removeprefix("zoo-")
    echo(f"{folder}: the package zoo-{name}; what it adds stands in {scaffold.module_of(name)}.py")
    echo("what to do next:")
    echo(f"  cd {shlex.quote(str(folder))}")
    echo('  pip install -e ".[test]"        # from now on zoo finds it')
    echo("  pytest                          # it passes as it is; edit, and test again")
    echo(f"  zoo list {'trackers' if kind == 'tracker' else 'models'}")
    what = f"scratch-cnn --tracker {name}" if kind == "tracker" else name
    echo(f"  zoo run {what} --max-epochs 1")
