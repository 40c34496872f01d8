"""zoo data: look at the images, audit them, divide them into folds, or write the demo out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import limits
from zoo.commands.options import (
    PATH,
    Group,
    Number,
    classes_option,
    console,
    data_option,
    echo,
    folds_option,
    groups_option,
    load_registry,
    positive_option,
    say,
    size_option,
    splits_option,
)  # fmt: skip

if TYPE_CHECKING:
    from zoo.data.splits import Folds


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

    demo.write(folder)
    echo(f"{folder}: {demo.IMAGES} images in {demo.FOLDS} folds; {folder / 'demo.csv'} has their cup-to-disc ratios")


@data.command("show")
@data_option
@splits_option
@groups_option
@classes_option
@positive_option
@folds_option("first")
@size_option
@click.option("--out", type=PATH, metavar="DIR", default=Path("pictures"), show_default=True)
def data_show(
    data: str | None,
    splits: Path | None,
    groups: str | None,
    classes: tuple[str, ...] | None,
    positive: str | None,
    folds: Folds,
    image_size: int | None,
    out: Path,
) -> None:
    """Count the images of each role, and write a picture of ten labelled images of each to DIR."""
    from zoo.data.loading import load_data
    from zoo.data.splits import class_counts
    from zoo.files import check_writable
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress
    from zoo.report.run_pictures import samples

    check_writable(out)
    screen = console()
    registry = load_registry()
    with DecodingProgress(screen) as progress:
        loaded = load_data(
            registry.data, data, image_size, folds, progress,
            splits_from=splits, groups=groups, classes=classes, positive=positive,
        )  # fmt: skip
    for note in loaded.notes:
        say(screen, note)
    counts = class_counts(loaded.splits, loaded.config.classes)
    screen.print(tables.class_counts(counts, loaded.config.image_size, loaded.config.roles))
    for path in samples(loaded.splits, loaded.store, loaded.config.classes, out):
        echo(path)


@data.command("audit")
@data_option
@splits_option
@groups_option
@classes_option
@positive_option
@folds_option("all")
@click.option(
    "--image-size", type=Number(limits.AUDIT_SIZE), help="Pixels a side for comparing pictures; 224 if not given."
)
@click.option("--near-duplicates/--no-near-duplicates", default=True, help="Look for changed copies; takes minutes.")
@click.option("--out", type=PATH, metavar="DIR", default=Path("audit"), show_default=True)
def data_audit(
    data: str | None,
    splits: Path | None,
    groups: str | None,
    classes: tuple[str, ...] | None,
    positive: str | None,
    folds: Folds,
    image_size: int | None,
    near_duplicates: bool,
    out: Path,
) -> int:
    """Look for what would spoil scores: files that cannot be read, copies, patients on two sides, shortcuts.

    Writes a report to DIR. Exit status 1 if something is wrong.
    """
    from zoo import auditing
    from zoo.data.groups import EYE_GROUPS
    from zoo.files import check_writable
    from zoo.report import audit as report
    from zoo.report.progress import StepProgress

    screen = console()
    registry = load_registry()
    check_writable(out)
    with StepProgress(screen) as listen:
        done = auditing.look(
            registry.data, data, splits, folds, groups=groups, classes=classes, positive=positive,
            image_size=image_size, near_duplicates=near_duplicates, listen=listen,
        )  # fmt: skip
    files = report.write(done, out)
    screen.print(report.shortcuts(done))
    screen.print(report.findings(done))
    say(screen, f"Report: {', '.join(map(str, files))}")
    given = [*_again(data, classes, positive), *(["--groups", groups] if groups else [])]
    if report.names_tell_patients(done):
        again = shlex.join(["zoo", "data", "audit", *given, "--groups", EYE_GROUPS])
        say(screen, f"Next: {again} (names seem to tell the patient; look whether they do)")
    elif report.split_would_help(done):
        say(screen, f"Next: {shlex.join(['zoo', 'data', 'split', *given])} (keeps groups and known copies together)")
    elif done.is_clean:
        command = ["compare"] if done.request["in_folds"] else ["data", "split"]
        given += ["--splits", str(splits)] if splits else []
        say(screen, f"Next: {shlex.join(['zoo', *command, *given])}")
    return 0 if done.is_clean else 1


@data.command("split")
@data_option
@groups_option
@classes_option
@positive_option
@click.option("--method", metavar="NAME", help="rotate, stratified, grouped, repeated or leave-one-source-out.")
@click.option("--folds", type=Number(limits.FOLDS), metavar="K", help="So many folds, or parts to rotate.")
@click.option("--repeats", type=Number(limits.FOLDS), metavar="R", help="repeated: K folds so often, with other seeds.")
@click.option(
    "--combinations", metavar="all|M", callback=_combinations, help="rotate: all K(K-1) folds, or M of them; else K."
)
@click.option("--seed", type=Number(limits.SPLIT_SEED), help="Of the division.")
@size_option
@click.option("--out", type=PATH, metavar="FILE", default=Path("splits.csv"), show_default=True)
@click.option("--force", is_flag=True, help="Replace FILE.")
def data_split(
    data: str | None, groups: str | None, classes: tuple[str, ...] | None, positive: str | None,
    image_size: int | None, out: Path, force: bool, **how: Any,
) -> None:  # fmt: skip
    """Divide the images into folds, and write them to FILE, to look at, edit and train with.

    What is not given is as `split` under [data] in the registry says. Images of one group (a patient) and files of one
    picture stay together whatever the method.
    """
    from zoo.data import labels, splits
    from zoo.data.loading import make_splits
    from zoo.errors import ConfigError, reason
    from zoo.files import check_writable, write_csv
    from zoo.registry import split_config
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress

    if out.exists() and not force:
        raise ConfigError(f"{out} exists; name another file with --out, or replace it with --force")
    check_writable(out.parent, "--out FILE")
    if out.exists() and not out.is_file():
        raise ConfigError(f"{out} is no file; name another with --out FILE")
    screen = console()
    registry = load_registry()
    method = split_config(registry.data.split, **how)
    with DecodingProgress(screen) as progress:
        made = make_splits(
            registry.data, data, image_size, method, progress, groups=groups, classes=classes, positive=positive
        )
    try:
        write_csv(out, labels.named(made.splits, made.config.classes))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {reason(error)}") from error
    for note in made.notes:
        say(screen, note)
    counts = splits.class_counts(made.splits, made.config.classes)
    screen.print(tables.folds(counts, splits.group_counts(made.splits)))
    folds = made.splits["fold"].nunique()
    if folds > tables.FOLDS_SHOWN:
        say(screen, f"… and {folds - tables.FOLDS_SHOWN} more folds")
    say(screen, splits.evenness(made.splits, made.config.classes))
    say(screen, f"{out}: {folds} folds of {made.splits['path'].nunique()} images, {method}")
    say(screen, f"fingerprint {splits.fingerprint(made.splits)}")
    again = shlex.join([*_again(data, classes, positive), "--splits", str(out)])
    say(screen, f"Train on them: zoo compare {again}")


def _again(data: str | None, classes: tuple[str, ...] | None, positive: str | None) -> list[str]:
    """The options that another command needs for the same images."""
    options = {"--data": data, "--classes": classes and ",".join(classes), "--positive": positive}
    return [word for option, value in options.items() if value for word in (option, value)]
