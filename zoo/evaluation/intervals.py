"""95 % intervals of the metrics of one model, over the images of all folds that it was tested on.

Every metric is a mean over folds. An interval is made for its kind: shares (accuracy, recall, specificity, precision,
F1) take the exact binomial interval, an AUC takes Newcombe's, the loss a t interval corrected for skewness. They begin
with what the metric's variance would be if images were independent, and widen it by the design effect: how many times
larger the variance is for images of one patient and for folds that differ more than their images explain. So they stay
within what the metric can be, have a width where nothing or everything is right, and one rule serves images, patients
and folds. benchmarks/intervals.py measures how often they hold the truth; docs/statistics.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from zoo.evaluation import metrics
from zoo.evaluation.statistics import auc_influence, group_sums

UNKNOWN = (math.nan, math.nan)
# Variances below this are rounding.
TINY = 1e-18
CLOSE = 1e-9


@dataclass(frozen=True)
class Scored:
    """The predictions of one model for the images of a role in one fold.

    `labels` (n,) class numbers, `probabilities` (n, classes), and `clusters` (n,) of any type that sorts: the patient,
    or where none is known the image itself. An image that several folds score is the same cluster in each. `threshold`
    is as for `metrics.predict`.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    clusters: np.ndarray
    threshold: float | np.ndarray = metrics.THRESHOLD


@dataclass(frozen=True)
class _Value:
    """A metric of one fold: its value, each image's influence on it, and the images that count.

    The sum of the squared influences (n,) estimates the variance of the value over independent images. `counted` (n,)
    says which images the metric is made of, such as the ill for recall; `sizes` are how many those are, for each class
    whose average the metric is: (counted,) of a share, (positives, negatives) of an AUC.
    """

    value: float
    influence: np.ndarray
    counted: np.ndarray
    sizes: list[tuple[int, ...]]


def interval(
    metric: str, folds: Sequence[Sequence[Scored]], to_train: float = 0.0, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval (low, high) of the mean of a metric over folds.

    `folds` holds for each fold its repeats (the same images in the same order, predicted after trainings with other
    seeds), which are averaged first; `to_train` is the number of scored images over that of training images. A fold in
    which the metric is not defined is left out, as from the mean; where no fold is left, or a share is one of no images
    at all (the precision of a model that calls nothing), both ends are NaN.

    Shares: Clopper and Pearson 1934 with the effective number of images, n over the design effect (Korn and Graubard
    1998, Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data); F1 as the share TP / (TP + FP + FN), of which it is a function. AUC: method 5 of Newcombe 2006, Confidence
    intervals for an effect size measure based on the Mann-Whitney statistic, its variance times the design effect.
    Loss: Hall 1992, On the removal of skewness by transformation.

    The variance between patients is that of the sums of influences by patient, for the AUC that of Obuchowski 1997,
    Nonparametric analysis of clustered ROC curve data. Where folds vary more than their images explain, the rest is
    variance of training, and counts 1/k + to_train times (after Nadeau and Bengio 2003, Inference for the
    generalization error). Quantiles are those of Student's t with Satterthwaite's degrees of freedom.
    """
    # Repeats are of the same images: the sizes of the first are those of all.
    values = [_mean([_value(metric, each) for each in repeats], 1) for repeats in folds]
    known = [(value, repeats[0]) for value, repeats in zip(values, folds, strict=True) if not math.isnan(value.value)]
    counted = np.concatenate([value.counted for value, _ in known]) if known else np.empty(0, dtype=bool)
    if not counted.any():
        return UNKNOWN
    each = np.array([value.value for value, _ in known])
    mean, slope = float(each.mean()), 1.0
    if metric == "f1":
        mean, slope = mean / (2 - mean), 2 / (2 - mean) ** 2
    influence = [slope * value.influence for value, _ in known]
    sizes = [size for value, _ in known for size in value.sizes]
    clusters = np.concatenate([scored.clusters for _, scored in known])[counted]
    pooled = np.concatenate(influence)[counted] / len(known)
    training = _training_variance(slope * each, influence, [scored.clusters for _, scored in known], to_train)
    return _interval(metric, mean, sizes, pooled, clusters, training, len(known) - 1, confidence)


def _interval(
    metric: str,
    mean: float,
    sizes: list[tuple[int, ...]],
    influence: np.ndarray,
    clusters: np.ndarray,
    training: float,
    folds_freedom: int,
    confidence: float,
) -> tuple[float, float]:
    images, groups = len(clusters), len(np.unique(clusters))
    between = _variance(influence, clusters)
    normal = float(stats.norm.ppf((1 + confidence) / 2))
    freedom = _freedom([(between, groups - 1), (training, folds_freedom)])
    student = float(stats.t.ppf((1 + confidence) / 2, freedom)) if freedom else math.nan
    if metric == "loss":
        return _hall(mean, group_sums(influence, clusters), between + training, student)
    # A variance that is known from the size alone needs no t.
    quantile = student if (groups < images or training) and freedom else normal
    alone = _variance(influence, np.arange(images))
    if metric == "auc":
        return _newcombe(mean, sizes, _effect(between + training, alone, images / groups), quantile)
    sizes_of = np.array([size for (size,) in sizes if size], dtype=np.float64)
    independent = len(sizes_of) ** 2 / float((1 / sizes_of).sum())
    binomial = mean * (1 - mean) / independent * images / max(images - 1, 1)  # unbiased, as the variances are
    effect = _effect(between + training, binomial, images / groups)
    low, high = _clopper_pearson(mean, independent / effect * (normal / quantile) ** 2, confidence)
    return (2 * low / (1 + low), 2 * high / (1 + high)) if metric == "f1" else (low, high)


def _effect(variance: float, alone: float, at_most: float) -> float:
    """How many times larger a variance is than that of independent images; `at_most` where nothing can tell."""
    return max(1.0, variance / alone) if alone > TINY and math.isfinite(variance) else max(1.0, at_most)


def _value(metric: str, scored: Scored) -> _Value:
    labels, probabilities = scored.labels, scored.probabilities
    everything = np.ones(len(labels), dtype=bool)
    if metric == "loss":
        losses = metrics.losses(labels, probabilities)
        return _Value(float(losses.mean()), (losses - losses.mean()) / len(losses), everything, [(len(losses),)])
    classes = [1] if probabilities.shape[1] == 2 else [*range(probabilities.shape[1])]
    if metric == "auc":
        return _mean([_auc(labels == one, probabilities[:, one]) for one in classes])
    predicted = metrics.predict(probabilities, scored.threshold)
    if metric == "accuracy":
        return _share(predicted == labels, everything)
    return _mean([_SHARES[metric](labels == one, predicted == one) for one in classes])


def _share(right: np.ndarray, counted: np.ndarray) -> _Value:
    """The share of the counted images that are right; 0 where none is counted, as scikit-learn has it."""
    size = int(counted.sum())
    value = float((right & counted).sum() / size) if size else 0.0
    return _Value(value, np.where(counted, (right - value) / max(size, 1), 0.0), counted, [(size,)])


def _f1(true: np.ndarray, called: np.ndarray) -> _Value:
    share = _share(true & called, true | called)
    value = 2 * share.value / (1 + share.value)
    return _Value(value, share.influence * 2 / (1 + share.value) ** 2, share.counted, share.sizes)


def _specificity(true: np.ndarray, called: np.ndarray) -> _Value:
    share = _share(~called, ~true)
    return share if share.counted.any() else _Value(math.nan, share.influence, share.counted, share.sizes)


_SHARES = {
    "recall": lambda true, called: _share(called, true),
    "precision": lambda true, called: _share(true, called),
    "specificity": _specificity,
    "f1": _f1,
}


def _auc(positive: np.ndarray, scores: np.ndarray) -> _Value:
    value, influence = auc_influence(positive, scores)
    ill = int(positive.sum())
    return _Value(value, influence, np.ones(len(positive), dtype=bool), [(ill, len(positive) - ill)])


def _mean(each: Sequence[_Value], sized: int | None = None) -> _Value:
    """The mean of values of the same images, such as those of several classes, with the sizes of the first `sized`."""
    return _Value(
        float(np.mean([value.value for value in each])),
        np.mean([value.influence for value in each], axis=0),
        np.any([value.counted for value in each], axis=0),
        [size for value in each[:sized] for size in value.sizes],
    )


def _variance(influence: np.ndarray, clusters: np.ndarray) -> float:
    """The variance of a statistic between clusters from the influence of each image; NaN for fewer than two."""
    sums = group_sums(influence, clusters)
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum()) if len(sums) > 1 else math.nan


def _training_variance(
    values: np.ndarray, influences: Sequence[np.ndarray], clusters: Sequence[np.ndarray], to_train: float
) -> float:
    """What folds vary by beyond what their images explain, as variance of the mean; 0 for fewer than two folds."""
    if len(values) < 2:
        return 0.0
    of_images = np.mean([_variance(*fold) for fold in zip(influences, clusters, strict=True)])
    surplus = float(values.var(ddof=1) - of_images)
    return max(0.0, surplus) * (1 / len(values) + to_train)


def _freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, each with its own; 0 where nothing is known of it."""
    known = [(variance, freedom) for variance, freedom in parts if variance > TINY and freedom > 0]
    if not known:
        return max(freedom for _, freedom in parts)
    return sum(variance for variance, _ in known) ** 2 / sum(variance**2 / freedom for variance, freedom in known)


def _clopper_pearson(share: float, size: float, confidence: float) -> tuple[float, float]:
    """The exact interval of a share; the number of images need not be whole."""
    right, tail = share * size, (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, right, size - right + 1)) if share > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, right + 1, size - right)) if share < 1 else 1.0
    return low, high


def _hall(mean: float, influence: np.ndarray, variance: float, quantile: float) -> tuple[float, float]:
    """A t interval of a mean that knows how skewed it is, from the influence of each cluster; 0 or more."""
    if not variance > TINY:
        return UNKNOWN
    error = math.sqrt(variance)
    skewness = float((influence**3).sum()) / variance**1.5

    def corrected(t: float) -> float:
        if abs(skewness) < CLOSE:
            return t
        return 3 / skewness * (math.cbrt(1 + skewness * (t - skewness / 6)) - 1)

    return max(0.0, mean - corrected(quantile) * error), mean - corrected(-quantile) * error


def _newcombe(auc: float, sizes: Sequence[tuple[int, ...]], effect: float, quantile: float) -> tuple[float, float]:
    """Where the distance to the AUC found is `quantile` standard errors that an AUC there would have.

    The variance is the mean over (positives, negatives) of that of Hanley and McNeil 1982, The meaning and use of the
    area under a ROC curve, both sizes in its products replaced by their mean, times the design effect.
    """
    positives, negatives = np.array(sizes, dtype=np.float64).T
    further = (positives + negatives) / 2 - 1

    def beyond(other: float) -> float:
        each = 1 + further * ((1 - other) / (2 - other) + other / (1 + other))
        variance = other * (1 - other) * float((each / (positives * negatives)).sum()) / len(positives) ** 2
        return (auc - other) ** 2 - quantile**2 * effect * variance

    # An AUC of 0 or 1 has no variance there, and a root in itself that isn't the end looked for.
    below, above = auc - CLOSE, auc + CLOSE
    low = optimize.brentq(beyond, 0, below) if below > 0 and beyond(below) < 0 else 0.0
    high = optimize.brentq(beyond, above, 1) if above < 1 and beyond(above) < 0 else 1.0
    return float(low), float(high)
