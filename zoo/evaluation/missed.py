"""Which test images a model gets wrong: the missed ones first, the worst of each kind at the top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from zoo.evaluation import comparison
from zoo.evaluation.config import OperatingPoint

MISSED, ALARM, CONFUSED = KINDS = ("missed", "alarm", "confused")  # the last for more than two classes
COLUMNS = [
    "model",
    "point",
    "kind",
    "path",
    "group",
    "label",
    "called",
    "probability",
    "threshold",
    "wrong",
    "jobs",
    "wrong_models",
    "models",
    "image",
]
SHOWN = 20  # of each kind, of one model, that people are shown: the worst


def named(point: OperatingPoint, classes: Sequence[str]) -> str:
    """What the column `point` says."""
    return str(point) if len(classes) == 2 else "most probable"


def missed(predictions: pd.DataFrame, point: OperatingPoint, classes: Sequence[str]) -> pd.DataFrame:
    """A row for each model and test image that it gets wrong, as the counts of `operating_point.tested` have it.

    `predictions` as in zoo.evaluation.comparison. Columns as COLUMNS: `label` and `called` are class names,
    `probability` that of the positive class, of more than two that of the true one; `wrong` of `jobs` (folds and
    repeats of the model that test it) call it wrong, and `wrong_models` of `models`. Worst first: by how far the
    probability is from the threshold, or below that of the class it is called.
    """
    test = predictions[predictions["role"] == "test"]
    each = [_of_model(of_model, classes) for _, of_model in test.groupby("model", sort=False)]
    if not each:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(each, ignore_index=True)
    of_image = table.groupby("image")["is_wrong"]
    table = table.assign(wrong_models=of_image.transform("sum"), models=of_image.transform("size"))
    table = table[table["is_wrong"]].assign(point=named(point, classes))
    order = {model: number for number, model in enumerate(predictions["model"].unique())}
    table = table.assign(of_model=table["model"].map(order), of_kind=table["kind"].map(KINDS.index))
    table = table.sort_values(["of_model", "of_kind", "far"], ascending=[True, True, False], kind="stable")
    return table[COLUMNS].reset_index(drop=True)


def worst(test: pd.DataFrame, classes: int, most: int = SHOWN) -> pd.DataFrame:
    """The test predictions of one job that may be among those shown, whatever the threshold: `most` of each kind.

    Its column `called` is the number of the class that a reader asks about: of two the positive one, of more the one
    that the image is called by mistake.
    """
    probabilities, labels = comparison.probabilities(test), test["label"].to_numpy()
    if classes == 2:
        far = np.where(labels == 1, -probabilities[:, 1], probabilities[:, 1])
        ranked = test.assign(called=1, far=far).sort_values("far", ascending=False, kind="stable")
        return ranked.groupby("label", sort=False).head(most)
    called = probabilities.argmax(axis=1)
    rows = np.arange(len(test))
    ranked = test.assign(called=called, far=probabilities[rows, called] - probabilities[rows, labels])
    return ranked[called != labels].sort_values("far", ascending=False, kind="stable").head(most)


def _of_model(test: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """A row for each image that a model tests, decided as `comparison.pooled` has it."""
    images = comparison.tested_images(test)
    probabilities, called = comparison.probabilities(images), comparison.called(images)
    labels, rows = images["label"].to_numpy(), np.arange(len(images))
    if len(classes) == 2:
        kinds, thresholds = np.where(labels == 1, MISSED, ALARM), comparison.thresholds(images)
        shown, far = probabilities[:, 1], np.abs(probabilities[:, 1] - thresholds)
    else:
        kinds, thresholds = np.full(len(rows), CONFUSED), np.full(len(rows), np.nan)
        shown = probabilities[rows, labels]
        far = probabilities[rows, called] - shown
    jobs = test.assign(is_wrong=comparison.called(test) != test["label"]).groupby("image", sort=True)["is_wrong"]
    names = np.asarray(classes, dtype=object)
    return images.assign(
        label=names[labels],
        called=names[called],
        kind=kinds,
        probability=shown,
        threshold=thresholds,
        far=far,
        is_wrong=called != labels,
        wrong=jobs.sum(),
        jobs=jobs.size(),
    ).reset_index()
