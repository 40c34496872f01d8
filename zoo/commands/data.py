"""zoo data: look at the images, audit them, divide them into folds, or write the demo out."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import limits
from zoo.commands.data_options import again, data_options, size_option, splits_option
from zoo.commands.options import PATH, Group, Number, console, echo, folds_option, load_registry, say
from zoo.data.config import METHODS

if TYPE_CHECKING:
    from zoo.data.splits import Folds


PICTURES = Path("pictures")


@click.group(cls=Group)
def data() -> None:
    """Look at the images, audit them, divide them into folds, or write the demo out."""


def _combinations(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    """ "all", or "20" to 20."""
    if value in (None, "all"):
        return value
    try:
        return int(limits.COMBINATIONS.read(str(value)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@data.command("demo")
@click.argument("folder", metavar="DIR", type=PATH)
def data_demo(folder: Path) -> None:
    """Write the demo's images to DIR, laid out as ten folds."""
    from zoo.data import demo

    demo.write_demo(folder)
    echo(f"{folder}: {demo.IMAGES} images in {demo.FOLDS} folds; {folder / 'demo.csv'} has their cup-to-disc ratios")


@data.command("show")
@data_options(splits_option, folds_option("first"), size_option)
@click.option("--out", type=PATH, metavar="DIR", help="Default pictures, or pictures-2 and so on where that is taken.")
@click.option("--force", is_flag=True, help="Replace the pictures in DIR.")
def data_show(splits: Path | None, folds: Folds, out: Path | None, force: bool, **said: Any) -> None:
    """Count the images of each role, and write a picture of ten labelled images of each to DIR."""
    from zoo.data.loading import load_data
    from zoo.data.options import DataOptions
    from zoo.data.splits import class_counts
    from zoo.files import check_writable
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress
    from zoo.report.run_pictures import samples

    out = _for_pictures(out, force)
    check_writable(out)
    screen = console()
    registry = load_registry()
    with DecodingProgress(screen) as progress:
        loaded = load_data(registry.data, DataOptions(**said), folds, progress, splits)
    for note in loaded.notes:
        say(screen, note)
    counts = class_counts(loaded.splits, loaded.config.classes)
    screen.print(tables.class_counts(counts, loaded.config.image_size, loaded.config.roles))
    for path in samples(loaded.splits, loaded.store, loaded.config.classes, out):
        echo(path)


def _for_pictures(out: Path | None, force: bool) -> Path:
    """The folder for pictures: the one that was named, else the first of pictures, pictures-2, … that holds none.

    Raises ConfigError for a named one that holds some, unless `force`.
    """
    from zoo.errors import ConfigError

    def holds_some(folder: Path) -> bool:
        return folder.is_dir() and any(folder.glob("fold-*.png"))

    if out is None and force:
        return PICTURES
    if out is None:
        others = (Path(f"{PICTURES}-{number}") for number in itertools.count(2))
        return next(folder for folder in itertools.chain([PICTURES], others) if not holds_some(folder))
    if holds_some(out) and not force:
        raise ConfigError(f"{out} holds pictures; name another folder with --out, or replace them with --force")
    return out


@data.command("audit")
@data_options(splits_option, folds_option("all"))
@click.option(
    "--image-size", type=Number(limits.AUDIT_SIZE), help="Pixels a side for comparing pictures; 224 if not given."
)
@click.option("--near-duplicates/--no-near-duplicates", default=True, help="Look for changed copies; takes minutes.")
@click.option("--out", type=PATH, metavar="DIR", default=Path("audit"), show_default=True)
def data_audit(
    splits: Path | None, folds: Folds, near_duplicates: bool, image_size: int | None, out: Path, **said: Any
) -> int:
    """Look for what would spoil scores: files that cannot be read, copies, patients on two sides, shortcuts.

    Writes a report to DIR. Exit status 1 if something is wrong.
    """
    from zoo.auditing import run
    from zoo.data.groups import EYE_GROUPS
    from zoo.data.options import DataOptions
    from zoo.files import check_writable
    from zoo.report import audit as report
    from zoo.report.progress import StepProgress

    screen = console()
    registry = load_registry()
    check_writable(out)
    with StepProgress(screen) as listen:
        options = DataOptions(**said, image_size=image_size)
        done = run.look(registry.data, options, splits, folds, near_duplicates=near_duplicates, listen=listen)
    files = report.write_report(done, out)
    screen.print(report.shortcuts(done))
    screen.print(report.findings(done))
    say(screen, f"Report: {', '.join(map(str, files))}")
    given = again(said)
    if report.names_tell_patients(done):
        audited = shlex.join(["zoo", "data", "audit", *given, "--groups", EYE_GROUPS])
        say(screen, f"Next: {audited} (names seem to tell the patient; look whether they do)")
    elif report.split_would_help(done) and not said["test_data"]:
        say(screen, f"Next: {shlex.join(['zoo', 'data', 'split', *given])} (keeps groups and known copies together)")
    elif done.is_clean:
        command = ["zoo", *(["compare"] if done.request["in_folds"] else ["data", "split"]), *given]
        say(screen, f"Next: {shlex.join([*command, *(['--splits', str(splits)] if splits else [])])}")
    return 0 if done.is_clean else 1


@data.command("split")
@data_options(size_option)
@click.option("--method", metavar="NAME", help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}.")
@click.option("--folds", type=Number(limits.FOLDS), metavar="K", help="So many folds, or parts to rotate.")
@click.option("--repeats", type=Number(limits.FOLDS), metavar="R", help="repeated: K folds so often, with other seeds.")
@click.option(
    "--combinations", metavar="all|M", callback=_combinations, help="rotate: all K(K-1) folds, or M of them; else K."
)
@click.option("--seed", type=Number(limits.SPLIT_SEED), help="Of the division.")
@click.option("--out", type=PATH, metavar="FILE", default=Path("splits.csv"), show_default=True)
@click.option("--force", is_flag=True, help="Replace FILE.")
def data_split(
    out: Path,
    force: bool,
    method: str | None,
    folds: int | None,
    repeats: int | None,
    combinations: int | str | None,
    seed: int | None,
    **said: Any,
) -> None:
    """Divide the images into folds, and write them to FILE, to look at, edit and train with.

    What is not given is as `split` under [data] in the registry says. Images of one group (a patient) and files of one
    picture stay together whatever the method.
    """
    from zoo.data import labels, splits
    from zoo.data.loading import make_splits
    from zoo.data.options import DataOptions
    from zoo.errors import ConfigError, reason
    from zoo.files import check_writable, write_csv
    from zoo.plugins.registry import split_config
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress

    if out.exists() and not force:
        raise ConfigError(f"{out} exists; name another file with --out, or replace it with --force")
    check_writable(out.parent, "--out FILE")
    if out.exists() and not out.is_file():
        raise ConfigError(f"{out} is no file; name another with --out FILE")
    screen = console()
    registry = load_registry()
    how = split_config(
        registry.data.split, method=method, folds=folds, repeats=repeats, combinations=combinations, seed=seed
    )
    with DecodingProgress(screen) as progress:
        made = make_splits(registry.data, DataOptions(**said), how, progress)
    try:
        write_csv(out, labels.named(made.splits, made.config.classes))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {reason(error)}") from error
    for note in made.notes:
        say(screen, note)
    counts = splits.class_counts(made.splits, made.config.classes)
    screen.print(tables.folds(counts, splits.group_counts(made.splits)))
    count = made.splits["fold"].nunique()
    if count > tables.FOLDS_SHOWN:
        say(screen, f"… and {count - tables.FOLDS_SHOWN} more folds")
    say(screen, splits.evenness(made.splits, made.config.classes))
    say(screen, f"{out}: {count} folds of {made.splits['path'].nunique()} images, {how}")
    say(screen, f"fingerprint {splits.fingerprint(made.splits)}")
    command = ["zoo", "compare", *again({**said, "groups": None}), "--splits", str(out)]  # the split has the groups
    say(screen, f"Train on them: {shlex.join(command)}")
