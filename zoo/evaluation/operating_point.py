"""The operating point: the probability from which an image is called positive, chosen on the validation role alone.

A threshold that reaches a sensitivity on a few validation images reaches less on new ones: of 20 ill images the second
lowest score misses 1 in 20 of these, and 2 in 21 of the next ones. So what is asked for is promised of new images, and
the scores of all folds choose together, but for those of images (and patients) that the fold at hand tests.
benchmarks/operating_point.py measures what test makes of it; docs/statistics.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from zoo.evaluation import comparison, intervals, metrics
from zoo.evaluation.comparison import JOB
from zoo.evaluation.config import HALF, EvaluationConfig, OperatingPoint

COLUMNS = [
    *JOB,
    "point",
    "threshold",
    "chosen_on",
    "supported",
    *(f"{name}{end}" for name in ("sensitivity", "specificity", "ppv", "npv") for end in ("", "_low", "_high")),
    "prevalence",
    "positives",
    "missed",
    "negatives",
    "alarms",
]
ALL_FOLDS = "all"  # the `fold` of the row of `tested` that is over all folds of a model
ROUNDING = 1e-9  # 0.1 times 10 images is a whole image


@dataclass(frozen=True)
class Chosen:
    """A threshold, and what is wrong with it: why the images that it was chosen on cannot support it, '' if they do."""

    threshold: float
    fault: str = ""


def choose(
    point: OperatingPoint, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, prevalence: float | None = None
) -> Chosen:
    """The threshold that a point comes to on these images.

    `labels` (n,) are 0 or 1, `scores` (n,) probabilities of 1, `weights` (n,) what each counts: less than 1 where an
    image stands in several rows. `prevalence` is the share of positives where the costs are paid, None for that here.

    A sensitivity s is kept by the highest threshold with at most (1 - s)(n + 1) - 1 of n positives below it: the next
    positive, if it is like these, is then found with probability s or more, whatever the distribution of scores (the
    quantile of split conformal prediction: Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world).
    That takes s / (1 - s) positives at least; with fewer, the lowest of their scores is taken. Specificity alike.
    """
    if point.threshold is not None:
        return Chosen(point.threshold)
    ill = labels == 1
    if not ill.any() or ill.all():
        return Chosen(metrics.THRESHOLD, f"validation has no {'healthy' if ill.any() else 'positive'} image")
    if point.sensitivity is not None:
        return _kept(point.sensitivity, scores[ill], weights[ill], "positive")
    if point.specificity is not None:
        mirrored = _kept(point.specificity, -scores[~ill], weights[~ill], "negative")
        return Chosen(float(np.nextafter(-mirrored.threshold, math.inf)), mirrored.fault)
    curve = roc_curve(ill, scores, sample_weight=weights, drop_intermediate=False)
    alarmed, found, each = (values[::-1] for values in curve)  # from the lowest threshold: of equals it misses least
    if point.cost is None:
        return Chosen(float(each[np.argmax(found - alarmed)]))
    share = float(weights[ill].sum() / weights.sum()) if prevalence is None else prevalence
    spent = point.cost.missed * share * (1 - found) + point.cost.false_alarm * (1 - share) * alarmed
    return Chosen(min(float(each[np.argmin(spent)]), float(np.nextafter(scores.max(), math.inf))))


def _kept(share: float, scores: np.ndarray, weights: np.ndarray, kind: str) -> Chosen:
    """The highest of the scores that keeps a share of the next ones at or above it."""
    images = weights.sum()
    allowed = (1 - share) * (images + 1) - 1 + ROUNDING
    each, which = np.unique(scores, return_inverse=True)
    of_each = np.bincount(which, weights)
    below = np.cumsum(of_each) - of_each
    if allowed < 0:
        needed = math.ceil(share / (1 - share) - ROUNDING)
        return Chosen(float(each[0]), f"validation has {images:.0f} {kind} images, and {needed} are the least for it")
    return Chosen(float(each[below <= allowed][-1]))


def thresholds(predictions: pd.DataFrame, point: OperatingPoint, prevalence: float | None = None) -> pd.DataFrame:
    """The threshold of each job: columns of JOB, threshold, chosen_on (validation images) and fault.

    `predictions` as in zoo.evaluation.comparison, of two classes. Nothing of the test role is read but which images,
    and whose, it holds.
    """
    rows = []
    for _, of_model in predictions.groupby("model", sort=False):
        of_model = of_model.assign(cluster=comparison.clusters(of_model))
        validation = of_model[of_model["role"] == "validation"]
        tested = of_model[of_model["role"] == "test"].groupby("fold")["cluster"].agg(set)
        for fold, jobs in of_model.groupby("fold", sort=False):
            pool = validation[~validation["cluster"].isin(tested.get(fold, set()))]
            copies = pool.groupby("image")["image"].transform("size")
            scores = comparison.probabilities(pool)[:, 1]
            chosen = choose(point, pool["label"].to_numpy(), scores, 1 / copies.to_numpy(dtype=np.float64), prevalence)
            about = {"threshold": chosen.threshold, "chosen_on": pool["image"].nunique(), "fault": chosen.fault}
            rows += [{**key, **about} for key in jobs[JOB].drop_duplicates().to_dict("records")]
    return pd.DataFrame(rows, columns=[*JOB, "threshold", "chosen_on", "fault"])


def tested(
    predictions: pd.DataFrame, chosen: pd.DataFrame, point: OperatingPoint, to_train: float, prevalence: float | None
) -> pd.DataFrame:
    """What test makes of the thresholds `chosen`: a row for each job, then one for each model over its folds.

    Columns as COLUMNS. Sensitivity and specificity are means over folds, with the intervals of summary.csv; predictive
    values are those at `prevalence`, None for the share of positives in the test role. Counts are of images.
    """
    rows = []
    for model, of_model in with_thresholds(predictions, chosen).groupby("model", sort=False):
        own = chosen[chosen["model"] == model]
        test = of_model[of_model["role"] == "test"]
        for job in own.to_dict("records"):
            part = test[(test["fold"] == job["fold"]) & (test["repeat"] == job["repeat"])]
            about = {name: job[name] for name in [*JOB, "threshold", "chosen_on"]}
            about |= {"supported": int(not job["fault"]), "point": str(point)}
            labels, called = part["label"].to_numpy(), comparison.called(part)
            rows.append(about | _tested([[comparison.scored(part)]], labels, called, 0.0, prevalence))
        pooled = comparison.pooled(of_model)
        about = {"model": model, "fold": ALL_FOLDS, "repeat": 0, "point": str(point)}
        about |= {"threshold": own["threshold"].mean(), "chosen_on": own["chosen_on"].min()}
        about |= {"supported": int((own["fault"] == "").all())}
        folds = comparison.scored_folds(test)
        rows.append(about | _tested(folds, pooled.labels, pooled.called, to_train, prevalence))
    return pd.DataFrame(rows, columns=COLUMNS)


STEPS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


def trade_off(predictions: pd.DataFrame, aim: EvaluationConfig) -> pd.DataFrame:
    """What more sensitivity costs on the validation role of one model: a row for each of STEPS, and for the aim.

    Columns point, threshold (the mean over jobs), supported, positives, missed, negatives, alarms, and `price`: the
    false alarms for each further case that is found, compared with the row before; NaN for the first one, and where no
    further one is found. Each image counts once a job that validates on it.
    """
    validation = predictions[predictions["role"] == "validation"]
    points = [OperatingPoint(sensitivity=step) for step in STEPS]
    rows = []
    for point in dict.fromkeys([*points, HALF, aim.operating_point]):
        chosen = thresholds(predictions, point, aim.prevalence)
        decided = with_thresholds(validation, chosen)
        ill, called = decided["label"].to_numpy() == 1, comparison.called(decided) == 1
        about = {
            "point": str(point),
            "threshold": chosen["threshold"].mean(),
            "supported": (chosen["fault"] == "").all(),
        }
        counts = {"positives": ill, "missed": ill & ~called, "negatives": ~ill, "alarms": ~ill & called}
        rows.append(about | {name: int(which.sum()) for name, which in counts.items()})
    table = pd.DataFrame(rows).sort_values(["threshold", "alarms"], ascending=[False, True], ignore_index=True)
    found, alarms = -table["missed"].diff(), table["alarms"].diff()
    return table.assign(price=(alarms / found).where(found > 0))


def with_thresholds(predictions: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The predictions with the threshold of the job of each."""
    return predictions.drop(columns="threshold", errors="ignore").merge(
        chosen[[*JOB, "threshold"]], on=JOB, how="left", sort=False
    )


def _tested(
    folds: list[list[intervals.Scored]],
    labels: np.ndarray,
    called: np.ndarray,
    to_train: float,
    prevalence: float | None,
) -> dict[str, Any]:
    """The numbers of a row of `tested`; `labels` and `called` (n,) are what is counted."""
    share = float((labels == 1).mean()) if prevalence is None else prevalence
    row: dict[str, Any] = {}
    for name, metric in (("sensitivity", "recall"), ("specificity", "specificity")):
        each = [np.mean([_of(metric, scored) for scored in repeats]) for repeats in folds]
        low, high = intervals.interval(metric, folds, to_train)
        row |= {name: float(np.nanmean(each)) if not np.isnan(each).all() else math.nan}
        row |= {f"{name}_low": low, f"{name}_high": high}
    both = [tuple(row[f"{name}{end}"] for end in ("", "_low", "_high")) for name in ("sensitivity", "specificity")]
    for name, values in zip(("ppv", "npv"), predictive_values(both[0], both[1], share), strict=True):
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    ill = labels == 1
    counts = {"positives": ill, "missed": ill & (called == 0), "negatives": ~ill, "alarms": ~ill & (called == 1)}
    return row | {"prevalence": share, **{name: int(which.sum()) for name, which in counts.items()}}


def _of(metric: str, scored: intervals.Scored) -> float:
    positive = metric == "recall"
    of = scored.labels == int(positive)
    called = metrics.predict(scored.probabilities, scored.threshold)
    return float((called[of] == int(positive)).mean()) if of.any() else math.nan


Interval = tuple[float, float, float]


def predictive_values(sensitivity: Interval, specificity: Interval, prevalence: float) -> tuple[Interval, Interval]:
    """The positive and the negative predictive value at a prevalence, each with the ends of its interval.

    Both are given as (value, low, high). A predictive value grows with a likelihood ratio, such as sensitivity over
    (1 - specificity); the interval of that ratio is put together from those of both (Donner and Zou 2012, Closed-form
    confidence intervals for functions of the normal mean and standard deviation, the method MOVER).
    """
    alarm: Interval = (1 - specificity[0], 1 - specificity[2], 1 - specificity[1])
    miss: Interval = (1 - sensitivity[0], 1 - sensitivity[2], 1 - sensitivity[1])
    odds = prevalence / (1 - prevalence) if prevalence < 1 else math.inf
    positive, low, high = (_share(odds * each) for each in _ratio(sensitivity, alarm))
    negative, less, more = (_share(1 / odds * each if odds else math.inf) for each in _ratio(specificity, miss))
    return (positive, low, high), (negative, less, more)


def _share(odds: float) -> float:
    return 1.0 if odds == math.inf else odds / (1 + odds)


def _ratio(one: Interval, other: Interval) -> Interval:
    """The ratio of two independent values, with the interval that follows from theirs; infinite over 0."""
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    product = a * b

    def root(above: float, below: float) -> float:
        return product + math.sqrt(max(0.0, product**2 - above * below))

    least, greatest = a_low * (2 * a - a_low), a_high * (2 * a - a_high)
    under, over = b_high * (2 * b - b_high), b_low * (2 * b - b_low)
    value = a / b if b else (math.inf if a else math.nan)
    return value, least / (root(least, under) or math.inf), root(greatest, over) / over if over else math.inf
