"""report.html of an evaluation: the page of a run, with what can be said of labelled images of another place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from zoo import __version__
from zoo.evaluation import comparison, metrics
from zoo.files import hash_file, write_text
from zoo.inference.evaluation import Evaluation
from zoo.report import comparison_plots, page, plots, tables, words

Maps = Mapping[str, np.ndarray]  # what networks looked at, (rows, columns), by image hash


def write(done: Evaluation, file: Path, with_images: bool = True, maps: Maps | None = None) -> None:
    """Write the page; without images it holds no photographs. Raises OSError if the file cannot be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, html(done, with_images, maps))


def html(done: Evaluation, with_images: bool = True, maps: Maps | None = None) -> str:
    """The page as text. Whatever stands in names of files, classes and models is escaped."""
    ensemble, classes = done.ensemble, done.ensemble.classes
    two, charts = len(classes) == 2, _charts(done)
    tested = {done.title: comparison.tested_images(done.scored)}
    heat = {done.title: maps or {}}
    explorer = page.explorer(tested, classes, ensemble.point, ensemble.prevalence, done.root, heat, with_images)
    by_source = done.by_source.replace({"model": {ensemble.model: done.title}})
    return page.render(
        title=f"{' or '.join(classes)}? {ensemble.model} on images of {done.name}",
        about=_about(len(explorer["thumbnails"])),
        verdict=words.of_evaluation(done),
        notes=done.notes,
        missing=[],
        models=_scores(done),
        pairs=[],
        charts=charts["scores"],
        explorer=explorer,
        classes=classes,
        aim=str(ensemble.point),
        intervals_by=", by patient" if (done.scored["group"] != "").any() else "",
        points=_points(done) if two else None,
        calibration=_calibration(done) | {"charts": charts["calibration"]} if two else None,
        data=_data(done),
        sources=page.of_sources(by_source, classes, ensemble.point) if done.sourced else None,
        training=None,
        settings=_settings(done),
        guidelines=None,
        cite=[f"zoo {__version__}, a model zoo for image classification."],
    )


def _about(pictures: int) -> str:
    said = f"Evaluation of {datetime.now(UTC).strftime('%d %B %Y')} by zoo {__version__}."
    if pictures:
        said += (
            f" This page holds {pictures:,} small pictures of these images and names of files: share it accordingly."
        )
    return said


def _scores(done: Evaluation) -> dict[str, Any]:
    rows = [
        [metrics.NAMES.get(row["metric"], row["metric"]), page.value(row["value"], row["low"], row["high"])]
        for row in done.scores.to_dict("records")
    ]
    where = f", decided at {done.ensemble.point}" if len(done.ensemble.classes) == 2 else ""
    caption = f"All images, with 95 % interval{where}"
    return {"heading": "Scores", "columns": ["metric", done.title], "rows": rows, "caption": caption}


def _charts(done: Evaluation) -> dict[str, list[dict[str, str]]]:
    scored, two = done.scored, len(done.ensemble.classes) == 2
    charts: dict[str, list[dict[str, str]]] = {"scores": [], "calibration": []}
    with plots.svg_only(), TemporaryDirectory() as folder:
        named = scored.assign(model=done.title)
        roc = comparison_plots.roc_of_models(named, "test", Path(folder) / "roc")
        charts["scores"] = [page.chart("ROC and precision-recall curves of all images", file) for file in roc]
        if two and scored["calibrated"].notna().all():
            scaled = scored.assign(probability=scored["calibrated"].astype(float))
            both = (comparison.pooled(scored), comparison.pooled(scaled))
            drawn = comparison_plots.calibration(*both, done.title, Path(folder) / "calibration")
            charts["calibration"] = [page.chart("Reliability and net benefit", file) for file in drawn]
    return charts


def _points(done: Evaluation) -> dict[str, Any]:
    headings, cells = page.points(done.thresholds, done.ensemble.classes[1])
    rows = [[point, *numbers] for point, numbers in zip(done.thresholds["point"], cells, strict=True)]
    chosen = "The threshold was chosen before, on validation images of the run that the networks come from."
    return {"columns": ["point", *headings], "rows": rows, "folds": [], "chosen": chosen}


def _calibration(done: Evaluation) -> dict[str, Any]:
    rows = [tables.calibration(row) for row in done.calibration.to_dict("records")]
    return {"columns": [*rows[0]], "rows": [[*row.values()] for row in rows]}


def _data(done: Evaluation) -> dict[str, Any]:
    scored, refused = done.scored, len(done.refused)
    patients = scored.loc[scored["group"] != "", "group"].nunique()
    said = [
        f"{len(scored):,} different pictures of {len(done.predictions):,} files"
        + (f"; {patients:,} patients or other groups." if patients else "; patients are not known.")
    ]
    if refused:
        said.append(f"Left out, as they cannot be used: {', '.join(done.refused['path'][:10])}{', …' * (refused > 10)}")
    leaked = int((scored["seen"] > 0).sum())
    told = f"{leaked:,} of the images were seen in training or selection." if leaked else (
        "No network has seen any of these images, nor a known copy of one, as far as its file tells."
    )  # fmt: skip
    return {"heading": "Images", "said": said, "columns": [], "rows": [], "leaks": [told]}


def _settings(done: Evaluation) -> list[tuple[str, list[tuple[str, str]]]]:
    ensemble = done.ensemble
    members = [(each.title, f"sha256 {hash_file(each.file)}") for each in ensemble.members]
    about = ensemble.members[0].about
    rows = [("image_size", str(ensemble.image_size)), ("threshold", str(ensemble.threshold))]
    return [
        ("Networks", members),
        ("Decisions", [*rows, ("operating_point", str(ensemble.point))]),
        (f"Model {ensemble.model}", page.flat(about.recipe)),
        ("Versions at training", page.flat(about.versions)),
    ]
