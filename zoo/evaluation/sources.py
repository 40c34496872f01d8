"""How a model does on the images of each source, such as a hospital or a camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from zoo.evaluation import comparison, intervals, metrics

METRICS = ("auc", "recall", "specificity")
COLUMNS = [
    "model",
    "source",
    "images",
    "positives",
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
]


def by_source(predictions: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """A row for each model and source, of two classes: its test images over all folds, each counted once.

    `predictions` as in zoo.evaluation.comparison, `sources` the source of each image by its path. Columns as COLUMNS;
    intervals of 95 %, by patient where patients are known. Images without a source are left out.
    """
    rows: list[dict[str, Any]] = []
    for model, of_model in predictions.groupby("model", sort=False):
        images = comparison.tested_images(of_model).reset_index()
        for source, part in images.groupby(images["path"].map(sources), sort=True):
            row: dict[str, Any] = {"model": model, "source": source, "images": len(part)}
            row["positives"] = int((part["label"] == 1).sum())
            for name, (value, low, high) in with_intervals(part, METRICS).items():
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def with_intervals(images: pd.DataFrame, names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """(value, low, high) of these metrics, of predictions with a row an image; by patient where patients are known."""
    scored = comparison.scored(images)
    values = metrics.score(scored.labels, scored.probabilities, scored.threshold)
    return {name: (values[name], *intervals.interval(name, [[scored]])) for name in names}
