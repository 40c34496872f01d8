"""The model card of a bundle: what its networks are, how they do, and what is not known of them, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from zoo import __version__
from zoo.data import splits
from zoo.errors import line
from zoo.evaluation import metrics
from zoo.evaluation.operating_point import ALL_FOLDS
from zoo.files import hash_file
from zoo.inference.members import Ensemble
from zoo.plugins.registry import Registry
from zoo.report import tables, words
from zoo.run.results import Comparison
from zoo.training import pretrained

ADD = (
    "for whom and for what it is meant, and for what it is not",
    "where, when and of whom the images are, and who labelled them",
    "in which groups of people it was looked at (`zoo evaluate --by`)",
    "who answers for it, and under which licence it is passed on",
)


def model_card(ensemble: Ensemble, done: Comparison, registry: Registry) -> str:
    """The card of the networks of a run; `done` has the tables of their model alone."""
    record, classes, model = done.run.read(), ensemble.classes, ensemble.model
    decided = (
        f"An image is called {_text(classes[1])} from a probability of {ensemble.threshold:.4g} on: {ensemble.point}."
        if ensemble.threshold is not None
        else "An image is called what is most probable."
    )
    many = len(ensemble.members)
    parts = [
        f"# {_text(model)}: {_text(' or '.join(classes))}?",
        f"Made by zoo {__version__} of a run of {record['started'][:10]}. {many} network{'s' * (many > 1)}"
        + (", whose probabilities are averaged." if many > 1 else "."),
        "## What it takes and gives",
        f"RGB images, stretched to {ensemble.image_size} x {ensemble.image_size} pixels. Of each a probability of "
        f"{_text(classes[-1] if len(classes) == 2 else 'each class')}. {decided}",
        "    zoo predict FILE.zoo IMAGE…",
        "## Images that it was made of",
        *_data(done, record),
        "## How it does",
        "Each network was tested on images that it had not seen; the numbers are means over these tests with 95 % "
        "intervals." + (" Their average was not tested." if many > 1 else ""),
        *(_text(sentence) for sentence in words.at_point(done, model)),
        _scores(done),
        *_calibration(done),
        "## What is not known, and what to heed",
        _listed([*done.notes, *_limits(many)]),
        "To be added by whoever passes it on:",
        _listed(ADD),
        "## Where it comes from",
        _listed(_origins(ensemble, done, record, registry)),
        "| network | sha256 |\n|---|---|\n"
        + "\n".join(f"| {_text(each.title)} | `{hash_file(each.file)}` |" for each in ensemble.members),
        "Each network's own file lists the sha256 of every image that it was trained or selected on.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(done: Comparison, record: Mapping[str, Any]) -> list[str]:
    table = done.run.read_splits(record)
    images = table.drop_duplicates("image")
    counts, groups = images["label"].value_counts(), images.loc[images["group"] != "", "group"].nunique()
    said = ", ".join(f"{counts.get(number, 0):,} {_text(name)}" for number, name in enumerate(done.classes))
    known = f"{groups:,} patients or other groups" if groups else "patients are not known"
    rows = splits.class_counts(table, done.classes)
    lines = [f"| {fold} | {role} | {' | '.join(map(str, rows.loc[(fold, role)]))} |" for fold, role in rows.index]
    head = ["fold", "role", *map(_text, done.classes)]
    return [
        f"{len(images):,} different images: {said}; {known}. Fingerprint {record['data']['fingerprint'][:16]}.",
        "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]),
    ]


def _scores(done: Comparison) -> str:
    rows = done.summary[done.summary["role"] == "test"].to_dict("records")
    lines = [
        f"| {metrics.NAMES.get(row['metric'], row['metric'])} | {tables.number(row['mean'], 3)} | "
        + ("" if pd.isna(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}")
        + " |"
        for row in rows
    ]
    where = f" at {done.point}" if len(done.classes) == 2 else ""
    return "\n".join([f"| test{where} | mean | 95 % |", "|---|---|---|", *lines])


def _calibration(done: Comparison) -> list[str]:
    table = done.calibration[done.calibration["fold"] == ALL_FOLDS]
    if table.empty:
        return []
    rows = [tables.calibration(row) for row in table.to_dict("records")]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], *(row.values() for row in rows))]
    return ["\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])]


def _limits(networks: int) -> list[str]:
    said = [
        "the numbers are about images like these; on those of another place `zoo evaluate` tells how it does",
        "it is no medical device: nobody has approved it for decisions about patients",
    ]
    return said + (["the average of the networks was not tested, each network was"] if networks > 1 else [])


def _origins(ensemble: Ensemble, done: Comparison, record: Mapping[str, Any], registry: Registry) -> list[str]:
    about = ensemble.members[0].about
    backbone = str(about.recipe["backbone"]["name"])
    licences = {(source.backbone.name, source.start): source.file.licence for source in pretrained.sources(registry)[0]}
    said = []
    for start in done.results["weights"].unique():
        licence = licences.get((backbone, start.partition(",")[0]))
        told = "" if start.startswith("random") else f" (licence of these: {licence or 'not known'})"
        said.append(f"backbone {backbone}, from {start} weights{told}")
    parts = ", ".join(dict.fromkeys(about.origins.values()))
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return [*said, f"parts of {parts}", f"trained with {versions}", f"recipe: `{line(str(dict(about.recipe)), 2000)}`"]


def _listed(sentences: Any) -> str:
    return "\n".join(f"- {_text(sentence)}" for sentence in sentences)


def _text(text: object) -> str:
    """Names of others as text: no tag and no cell of a table begins in them."""
    return line(str(text), 2000).replace("<", "&lt;").replace("|", "\\|")
