"""Which pictures stand where in a run folder, and what is on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from zoo.data import splits as splits_table
from zoo.data.decoding import read_image
from zoo.data.images import ImageStore, resize
from zoo.errors import DataError
from zoo.evaluation import calibration, missed
from zoo.evaluation.comparison import JOB, first_repeats, pooled
from zoo.files import read_csv
from zoo.interfaces import Monitored
from zoo.report import comparison_plots, plots
from zoo.run import heatmaps
from zoo.run.folder import JobFolder
from zoo.run.results import Comparison, mark

THUMBNAIL = 128  # pixels


def draw(job: JobFolder, title: str, classes: Sequence[str], monitor: Monitored) -> None:
    """curves.png and confusion.png beside the results of a job that is done."""
    scores = job.scores()
    title += mark(scores["test"])
    plots.curves(read_csv(job.history), title, job.path / "curves.png", monitor)
    plots.confusion_matrices(scores, classes, title, job.path / "confusion.png")


def drawn(job: JobFolder) -> bool:
    """Whether the pictures of a job are there."""
    return all((job.path / name).is_file() for name in ("curves.png", "confusion.png"))


def histories_of(done: Comparison) -> dict[str, dict[str, pd.DataFrame]]:
    """The history.csv of each job, by model and by what tells the jobs of one apart."""
    histories: dict[str, dict[str, pd.DataFrame]] = {}
    for model, fold, repeat in done.predictions[JOB].drop_duplicates().itertuples(index=False, name=None):
        label = f"{fold} repeat {repeat}" if repeat else str(fold)
        histories.setdefault(model, {})[label] = read_csv(done.run.job(model, fold, repeat).history)
    return histories


def draw_comparison(done: Comparison, out: Path) -> None:
    """pictures/, of all models together, and curves and roc of each model in its own folder; PNG and SVG."""
    histories = histories_of(done)
    titles, shown = done.titles, done.marked()
    first = first_repeats(shown.predictions)  # as the pooled tests do
    for model, each in histories.items():
        title = titles[model]
        comparison_plots.learning_curves(each, title, out / model / "curves")
        comparison_plots.roc_and_pr(first[first["model"] == title], title, "test", out / model / "roc")
    pictures = out / "pictures"
    for role in ("validation", "test"):
        predictions, results = shown.predictions, shown.results
        comparison_plots.confusion_sums(predictions, done.classes, role, done.point, pictures / f"confusion-{role}")
        name = f"{done.metric}-{role}"
        comparison_plots.metric_by_model(results, shown.summary, done.metric, role, pictures / name)
    aimed = done.missed[done.missed["point"] == missed.named(done.aim.operating_point, done.classes)]
    maps = {model: heat_maps(done, model) for model in histories}
    for model, kind in product(histories, missed.KINDS):
        rows = aimed[(aimed["model"] == model) & (aimed["kind"] == kind)]
        _draw_missed(rows, done.root, done.classes, titles[model], maps[model], pictures / f"{kind}-{model}.png")
    for model in histories if len(done.classes) == 2 else ():
        draw_calibration(done, model, pictures / f"calibration-{model}")
    comparison_plots.roc_of_models(first, "test", pictures / "roc")
    comparison_plots.verdicts(shown.comparison, pictures / "verdicts")


def draw_calibration(done: Comparison, model: str, path: Path) -> list[Path]:
    """Are the probabilities of a model right, before and after scaling? On all test images."""
    own = first_repeats(done.predictions[done.predictions["model"] == model])
    return comparison_plots.calibration(pooled(own), pooled(calibration.scaled(own)), done.titles[model], path)


def heat_maps(done: Comparison, model: str) -> dict[str, np.ndarray]:
    """What a model looked at in its test images, by image hash, as far as its jobs have written it down."""
    jobs = done.predictions.loc[done.predictions["model"] == model, JOB].drop_duplicates()
    return heatmaps.read([done.run.job(*job).heatmaps for job in jobs.itertuples(index=False, name=None)])


def _draw_missed(
    rows: pd.DataFrame, root: Path, classes: Sequence[str], title: str, maps: Mapping[str, np.ndarray], path: Path
) -> None:
    """The worst of the images that a model gets wrong, each with its probability and file; none for no rows.

    Beside each, where there are any, what the network looked at. Files that are no longer there are grey.
    """
    path.unlink(missing_ok=True)
    if rows.empty:
        return
    shown, (kind, point) = rows[: missed.SHOWN], rows[["kind", "point"]].iloc[0]
    images = [thumbnail(root / file) for file in shown["path"]]
    captions = [f"{row['probability']:.2f}  {Path(row['path']).name[-16:]}" for row in shown.to_dict("records")]
    ill = classes[-1]
    what = {missed.MISSED: f"{ill}, missed", missed.ALARM: f"{classes[0]}, called {ill}"}
    about = f"{what.get(kind, 'called another class')}: the worst {len(shown):,} of {len(rows):,} at {point}"
    if with_maps := not maps.keys().isdisjoint(shown["image"]):
        images = [
            plots.overlaid(picture, maps.get(image, np.zeros((1, 1))))
            for picture, image in zip(images, shown["image"], strict=True)
        ]
        asked = "the class it is called" if kind == missed.CONFUSED else ill
        about += f"\nbeside each what speaks for {asked} (orange) and against it (blue)"
    plots.image_grid(np.stack(images), captions, f"{title}\n{about}", path, columns=3 if with_maps else 5)


def thumbnail(file: Path) -> np.ndarray:
    """An image, small: uint8 RGB (THUMBNAIL, THUMBNAIL, 3)."""
    try:
        return resize(read_image(file).pixels, THUMBNAIL)
    except (OSError, DataError):
        return np.full((THUMBNAIL, THUMBNAIL, 3), 200, dtype=np.uint8)


def samples(splits: pd.DataFrame, store: ImageStore, classes: Sequence[str], out: Path, count: int = 10) -> list[Path]:
    """One picture per fold and role with `count` images, as even over the classes as can be; their paths."""
    paths = []
    for fold, role in splits[["fold", "role"]].drop_duplicates().itertuples(index=False, name=None):
        subset = splits_table.subset(splits, fold, role, store)
        rng = np.random.default_rng(0)
        mixed = [rng.permutation(np.flatnonzero(subset.labels == label)) for label in range(len(classes))]
        turns = [images[turn] for turn in range(count) for images in mixed if turn < len(images)]
        chosen = np.sort(turns[:count])
        path = out / f"fold-{fold}-{role}.png"
        title = f"fold {fold}, {role}: {len(chosen)} of {len(subset)} images"
        captions = [classes[label] for label in subset.labels[chosen]]
        plots.image_grid(subset.pixels[subset.rows[chosen]], captions, title, path)
        paths.append(path)
    return paths
