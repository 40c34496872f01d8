"""Metrics of one role, computed once over all of its predictions by scikit-learn.

For two classes f1, precision and recall are those of the positive class (the last one), specificity is the
recall of the other, and a prediction is positive where the probability reaches the threshold. For more classes
they are macro averages over classes, each against the rest, the AUC is the macro average of one class against
the rest, and the prediction is the most probable class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import metrics

from zoo.errors import ConfigError, unknown

# The columns of results.csv, each followed by _validation and _test.
METRICS = ("loss", "accuracy", "f1", "precision", "recall", "specificity", "auc")
NAMES = {"f1": "F1", "auc": "AUC"}  # what people are shown, where it isn't the same
THRESHOLD = 0.5
LEAST = 1e-7  # the probability that a loss counts at least with, as Keras has it: float32 tells no smaller one from 0


def check_metric(name: str) -> None:
    """Raise ConfigError for a name that is none of METRICS."""
    if name not in METRICS:
        raise ConfigError(unknown("metric", name, list(METRICS)))


def column(metric: str, role: str) -> str:
    """The column of results.csv that holds a metric of a role."""
    return f"{metric}_{role}"


def per_class(probabilities: np.ndarray) -> np.ndarray:
    """Network outputs, (n, 1) of the positive class or (n, classes), as float64 (n, classes) that add up to 1."""
    outputs = np.asarray(probabilities, dtype=np.float64)
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    return outputs / outputs.sum(axis=1, keepdims=True)


def predict(probabilities: np.ndarray, threshold: float | np.ndarray = THRESHOLD) -> np.ndarray:
    """Class numbers (n,) from probabilities (n, classes); `threshold` may be one for each image (n,)."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(int)
    return np.asarray(probabilities.argmax(axis=1))


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The cross-entropy of each image in nats (n,), from class numbers (n,) and probabilities (n, classes).

    It is the same in every backend of Keras, some of which go back to what the last layer saw before its sigmoid.
    """
    of_truth = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(of_truth, LEAST, 1)))


def score(labels: np.ndarray, probabilities: np.ndarray, threshold: float | np.ndarray = THRESHOLD) -> dict[str, Any]:
    """All METRICS, the confusion matrix (row: true class, column: predicted), the threshold and the image count.

    `labels` (n,) are class numbers, `probabilities` (n, classes), `threshold` as for `predict`. The loss is the mean of
    `losses`. A metric that is not defined, such as an AUC where one class is missing, is NaN.
    """
    classes = probabilities.shape[1]
    known = list(range(classes))
    predicted = predict(probabilities, threshold)
    confusion = metrics.confusion_matrix(labels, predicted, labels=known)
    averaging: dict[str, Any] = (
        {"pos_label": 1, "average": "binary"} if classes == 2 else {"labels": known, "average": "macro"}
    )
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, zero_division=0.0, **averaging
    )
    return {
        "loss": float(losses(labels, probabilities).mean()),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "specificity": _specificity(confusion),
        "auc": auc(labels, probabilities),
        "confusion_matrix": confusion.tolist(),
        "threshold": threshold if classes == 2 else None,
        "images": len(labels),
    }


def _specificity(confusion: np.ndarray) -> float:
    """True negatives among all negatives: of the positive class for two classes, else averaged over classes."""
    total = confusion.sum()
    false_positives = confusion.sum(axis=0) - confusion.diagonal()
    negatives = total - confusion.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = 1 - false_positives / negatives
    return float(each[1] if len(confusion) == 2 else np.nanmean(each))


def auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The area under the ROC curve, see above; NaN where a class is missing."""
    classes = probabilities.shape[1]
    present = np.unique(labels)
    if len(present) < classes:
        return float("nan")
    if classes == 2:
        return float(metrics.roc_auc_score(labels, probabilities[:, 1]))
    return float(metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))
