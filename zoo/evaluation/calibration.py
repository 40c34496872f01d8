"""Whether probabilities mean what they say, a scaling that makes them do so, and what decisions by them are worth.

Of two classes. A scaling is fitted on the validation role of each job and told of on test, before and after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from zoo.evaluation import comparison
from zoo.evaluation.comparison import JOB
from zoo.evaluation.metrics import LEAST
from zoo.evaluation.operating_point import ALL_FOLDS

COLUMNS = ["model", "fold", "repeat", "scaled", "brier", "slope", "intercept", "images", "positives"]
BINS = 10
FAR = 30.0  # no calibration in the large lies beyond, in log odds
# The probabilities at which decision curves have a point.
CHOICES = np.arange(0.01, 0.995, 0.01)


@dataclass(frozen=True)
class Scaling:
    """Platt's: the log odds of a probability, times `slope`, plus `intercept`, are those of the scaled one."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Scaled probabilities (n,) of probabilities (n,)."""
        return np.asarray(expit(self.intercept + self.slope * _log_odds(probabilities)))


def fit(labels: np.ndarray, probabilities: np.ndarray) -> Scaling:
    """The scaling under which these labels (n,), 0 or 1, are the likeliest; as it was where a class is missing.

    Labels are drawn in from 0 and 1 by what one more image of each class would say (Platt 1999, Probabilistic outputs
    for support vector machines), so that classes which are wholly apart have a scaling too. The order of images is
    never turned round: where that would be likelier, all get the share of positives.
    """
    ill = int(labels.sum())
    healthy = len(labels) - ill
    if not ill or not healthy:
        return Scaling()
    of_ill = np.where(labels == 1, (ill + 1) / (ill + 2), 1 / (healthy + 2))
    odds = np.tile(_log_odds(probabilities)[:, None], (2, 1))
    slope, intercept = _logistic(odds, np.repeat([1, 0], len(labels)), np.concatenate([of_ill, 1 - of_ill]))
    return Scaling(slope, intercept) if slope >= 0 else Scaling(0.0, float(logit(of_ill.mean())))


def scalings(predictions: pd.DataFrame) -> dict[Any, Scaling]:
    """The scaling of each job, from its own validation images, by (model, fold, repeat)."""
    jobs = predictions[predictions["role"] == "validation"].groupby(JOB, sort=False)
    return {key: fit(job["label"].to_numpy(), comparison.probabilities(job)[:, 1]) for key, job in jobs}


def scaled(predictions: pd.DataFrame) -> pd.DataFrame:
    """The test predictions with the probabilities of each job scaled by its own scaling."""
    each = scalings(predictions)
    test = predictions[predictions["role"] == "test"]
    parts = [
        job.assign(probability=each.get(key, Scaling()).apply(comparison.probabilities(job)[:, 1]))
        for key, job in test.groupby(JOB, sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else test


def calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """How well the test probabilities are calibrated: a row for each job and for each model, before and after scaling.

    Columns as COLUMNS. `brier` is the mean squared distance from the label; `slope` and `intercept` are 1 and 0 where
    probabilities are right: a slope below 1 says that they are too extreme, an intercept above 0 that they are too low
    on the whole (Cox 1958, Two further applications of a model for binary regression; Van Calster et al. 2016, A
    calibration hierarchy for risk models was defined). Over all folds an image counts once.
    """
    rows = []
    test = predictions[predictions["role"] == "test"]
    for number, table in enumerate((test, scaled(predictions))):
        for (model, fold, repeat), job in table.groupby(JOB, sort=False):
            about = {"model": model, "fold": fold, "repeat": repeat, "scaled": number}
            rows.append(about | measured(job["label"].to_numpy(), job["probability"].to_numpy(dtype=np.float64)))
        for model, of_model in table.groupby("model", sort=False):
            pooled = comparison.pooled(of_model)
            about = {"model": model, "fold": ALL_FOLDS, "repeat": 0, "scaled": number}
            rows.append(about | measured(pooled.labels, pooled.probabilities[:, 1]))
    return pd.DataFrame(rows, columns=COLUMNS)


def measured(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The numbers of a row of `calibration`, of labels (n,), 0 or 1, and probabilities (n,)."""
    slope = intercept = math.nan
    odds, ill = _log_odds(probabilities), int(labels.sum())
    if 0 < ill < len(labels):
        intercept = float(brentq(lambda shift: expit(odds + shift).mean() - labels.mean(), -FAR, FAR))
        if _overlap(odds[labels == 1], odds[labels == 0]):
            slope, _ = _logistic(odds[:, None], labels, None)
    brier = float(brier_score_loss(labels, probabilities, pos_label=1))
    return {"brier": brier, "slope": slope, "intercept": intercept, "images": len(labels), "positives": ill}


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether no threshold parts the two: else the likeliest slope is infinite."""
    return bool(one.min() < other.max() and other.min() < one.max())


def _logistic(odds: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Slope and intercept of a logistic regression, not shrunk."""
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(odds, labels, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(np.asarray(probabilities, dtype=np.float64), LEAST, 1 - LEAST)))


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Predicted against observed: columns predicted, observed, images, a row for each of `bins` equally large groups.

    Images of one probability stay together, so that there may be fewer groups.
    """
    groups = pd.qcut(probabilities, bins, labels=False, duplicates="drop")
    table = pd.DataFrame({"predicted": probabilities, "observed": labels, "group": groups}).groupby("group")
    return table.agg(predicted=("predicted", "mean"), observed=("observed", "mean"), images=("observed", "size"))


def net_benefit(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """What decisions are worth at each probability of CHOICES from which one would act: columns at, model, all.

    True positives less false positives, these weighted by the odds of that probability, an image: `model` acts by the
    probabilities, `all` on everyone, and on nobody is 0 (Vickers and Elkin 2006, Decision curve analysis).
    """
    called = probabilities[:, None] >= CHOICES
    odds, ill = CHOICES / (1 - CHOICES), labels[:, None] == 1
    model = (called & ill).mean(axis=0) - odds * (called & ~ill).mean(axis=0)
    return pd.DataFrame({"at": CHOICES, "model": model, "all": ill.mean() - odds * (~ill).mean()})
