"""Intervals and tests for comparing models over folds, or on the same images.

Everything is float64. What cannot be computed is NaN, without a warning. A NaN among the values of folds makes their
result NaN: a fold without a metric is never left out silently. docs/statistics.md says what each test assumes and
when not to trust it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Verdict = Literal["better", "worse", "equivalent", "undecided"]

# The bootstrap holds about this many weights at a time, 8 bytes each.
CHUNK = 1_000_000


@dataclass(frozen=True)
class TTest:
    """A mean difference over folds, its interval, the t statistic and the two-sided p-value."""

    difference: float
    low: float
    high: float
    t: float
    p: float


@dataclass(frozen=True)
class Probabilities:
    """Posterior probabilities of a difference above, within and below the region of practical equivalence."""

    better: float
    equivalent: float
    worse: float


@dataclass(frozen=True)
class DeLong:
    """Two AUCs on the same images, the difference a - b, its interval, z and the two-sided p-value."""

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    z: float
    p: float


@dataclass(frozen=True)
class McNemar:
    """How many images only a and only b classified correctly, and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class Spread:
    """Standard deviations between folds and between seeds, in the unit of the metric."""

    folds: float
    seeds: float


def interval(values: ArrayLike, test_to_train: float, confidence: float = 0.95) -> tuple[float, float]:
    """A t interval (low, high) of the mean of a metric over folds, not cut off at 0 or 1.

    `values` (k,) has one value a fold, `test_to_train` is the number of test images over that of training images.
    The variance of the mean is s² (1/k + test_to_train) instead of s²/k, because folds share training images
    (Nadeau and Bengio 2003, Inference for the generalization error). NaN for fewer than two folds; where all
    values are equal both ends are their mean.
    """
    test = corrected_t_test(values, test_to_train, confidence)
    return test.low, test.high


def corrected_t_test(differences: ArrayLike, test_to_train: float, confidence: float = 0.95) -> TTest:
    """The two-sided t test of no difference, with k - 1 degrees of freedom and the variance of `interval`.

    `differences` (k,) are the metric of a minus that of b, one a fold. For fewer than two folds all but the
    difference is NaN. Where all differences are equal there is no variance to judge them by: both ends of the
    interval are their mean, and p is 1 if that is 0, and 0 otherwise.
    """
    folds = np.asarray(differences, dtype=np.float64)
    mean, error = _mean(folds), math.sqrt(_variance_of_mean(folds, test_to_train))
    half = float(stats.t.ppf((1 + confidence) / 2, len(folds) - 1)) * error
    t = _standardised(mean, error)
    return TTest(mean, mean - half, mean + half, t, 2 * float(stats.t.sf(abs(t), len(folds) - 1)))


def correlated_t_test(differences: ArrayLike, test_to_train: float, rope: float) -> Probabilities:
    """The Bayesian correlated t-test: how probable it is that a is better than b, as good, or worse.

    `differences` (k,) as in `corrected_t_test`; as good is a difference from -`rope` to `rope`. The posterior of the
    mean difference is a Student t with k - 1 degrees of freedom, the mean as location and the standard error of
    `corrected_t_test` as scale (Corani and Benavoli 2015, A Bayesian approach for comparing cross-validated
    algorithms on multiple data sets; Benavoli, Corani, Demšar and Zaffalon 2017, Time for a change). NaN for fewer
    than two folds. Where all differences are equal one probability is 1. Raises ValueError for a negative `rope`.
    """
    if rope < 0:
        raise ValueError(f"half the width of the region of practical equivalence cannot be negative: {rope}")
    folds = np.asarray(differences, dtype=np.float64)
    mean, error = _mean(folds), math.sqrt(_variance_of_mean(folds, test_to_train))
    if error == 0:
        return Probabilities(float(mean > rope), float(abs(mean) <= rope), float(mean < -rope))
    posterior = stats.t(len(folds) - 1, mean, error)
    worse, not_better = float(posterior.cdf(-rope)), float(posterior.cdf(rope))
    return Probabilities(float(posterior.sf(rope)), not_better - worse, worse)


def verdict(probabilities: Probabilities, level: float = 0.95) -> Verdict:
    """The word whose probability reaches `level`; "undecided" where none does, or they are NaN."""
    if probabilities.better >= level:
        return "better"
    if probabilities.worse >= level:
        return "worse"
    return "equivalent" if probabilities.equivalent >= level else "undecided"


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values (m,) adjusted for there being m of them. NaN stays NaN and is not counted.

    The step-down procedure of Holm (1979, A simple sequentially rejective multiple test procedure).
    """
    adjusted = np.array(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(adjusted))
    ascending = known[np.argsort(adjusted[known])]
    raised = adjusted[ascending] * np.arange(len(known), 0, -1)
    adjusted[ascending] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted


def delong(labels: ArrayLike, a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> DeLong:
    """The paired comparison of two AUCs on the same images, taken as independent of one another.

    `labels` (n,) are 1 for the positive class and 0 for the other, `a` and `b` (n,) the scores of two models. The
    variance is that of DeLong, DeLong and Clarke-Pearson (1988, Comparing the areas under two or more correlated
    receiver operating characteristic curves). All is NaN where a class is missing, and all but AUCs and difference
    where a class has one image. Without variance both ends of the interval are the difference, and p is 1 if that
    is 0, as for identical scores, and 0 otherwise.
    """
    (positives_a, negatives_a), (positives_b, negatives_b) = _placements(labels, a), _placements(labels, b)
    auc_a, auc_b = _mean(positives_a), _mean(positives_b)
    difference, error = auc_a - auc_b, _auc_error(positives_a - positives_b, negatives_a - negatives_b)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * error
    z = _standardised(difference, error)
    return DeLong(auc_a, auc_b, difference, difference - half, difference + half, z, 2 * float(stats.norm.sf(abs(z))))


def auc_interval(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """One AUC and its interval (auc, low, high), cut off at 0 and 1, with the variance and the NaN of `delong`.

    The interval of an AUC of 1 has no width, which is too narrow.
    """
    positives, negatives = _placements(labels, scores)
    auc = _mean(positives)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * _auc_error(positives, negatives)
    low, high = np.clip([auc - half, auc + half], 0, 1)
    return auc, float(low), float(high)


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """The exact form of McNemar's test (1947) that two models are right equally often on the same images.

    `right_a` and `right_b` (n,) are true where the model is right. Only images on which one is right and the other
    wrong count; p is 1 where there are none.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    either = only_a + only_b
    return McNemar(only_a, only_b, float(stats.binomtest(only_a, either).pvalue) if either else 1.0)


def bootstrap_auc(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """AUCs (draws, models) of all models on the same resamples of whole groups, so that differences are paired.

    `labels` (n,) are 1 for the positive class and 0 for the other, `scores` (models, n), `groups` (n,) say whose
    image each is, such as the patient's; without them each image is its own group. A draw takes as many groups as
    there are, with replacement (Efron 1979, Bootstrap methods; of groups, Field and Welsh 2007, Bootstrapping
    clustered data). NaN in draws that lack a class.
    """
    positive, models = np.asarray(labels) == 1, np.asarray(scores, dtype=np.float64)
    aucs = np.full((draws, len(models)), np.nan)
    if positive.all() or not positive.any():
        return aucs
    names, group = np.unique(np.arange(len(positive)) if groups is None else groups, return_inverse=True)
    count, random = len(names), np.random.default_rng(seed)
    step = max(1, CHUNK // len(positive))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        weights = times.T[group].astype(np.float64)
        for model, row in enumerate(models):
            aucs[start : start + rows, model] = _weighted_auc(positive, row, weights)
    return aucs


def percentile_interval(draws: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval (low, high) of bootstrap draws (draws,), leaving out NaN; NaN where none is left.

    Efron and Tibshirani 1993, An introduction to the bootstrap.
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def spread(values: ArrayLike) -> Spread:
    """How much a metric varies between folds, and how much between seeds within a fold.

    `values` (folds, repeats), each repeat with another seed. The analysis-of-variance estimator of one-way random
    effects, a negative variance taken as 0 (Searle, Casella and McCulloch 1992, Variance components). With one
    repeat `seeds` is NaN and `folds` the plain standard deviation, in which both are mixed; with one fold `folds`
    is NaN.
    """
    table = np.asarray(values, dtype=np.float64)
    folds, repeats = table.shape
    between = _variance_of_mean(table.mean(axis=1)) * folds
    if repeats < 2:
        return Spread(math.sqrt(between), math.nan)
    within = _mean(table.var(axis=1, ddof=1))
    surplus = between - within / repeats
    return Spread(0.0 if surplus < 0 else math.sqrt(surplus), math.sqrt(within))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _variance_of_mean(values: np.ndarray, test_to_train: float = 0.0) -> float:
    """s² (1/k + test_to_train); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    if np.ptp(values) == 0:  # rounding of the mean would leave a little variance
        return 0.0
    return float(values.var(ddof=1) * (1 / len(values) + test_to_train))


def _standardised(difference: float, error: float) -> float:
    """The difference in standard errors; where the error is 0, infinite, or 0 for no difference."""
    if error == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / error


def _placements(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """For each positive image the share of negatives below it, for each negative that of positives above it.

    By mid-ranks, which count ties half (Sun and Xu 2014, Fast implementation of DeLong's algorithm). Both are empty
    where a class is missing.
    """
    positive, values = np.asarray(labels) == 1, np.asarray(scores, dtype=np.float64)
    if positive.all() or not positive.any():
        return np.empty(0), np.empty(0)
    above, below = values[positive], values[~positive]
    ranks = stats.rankdata(values)
    positives = (ranks[positive] - stats.rankdata(above)) / len(below)
    negatives = 1 - (ranks[~positive] - stats.rankdata(below)) / len(above)
    return positives, negatives


def _auc_error(positives: np.ndarray, negatives: np.ndarray) -> float:
    return math.sqrt(_variance_of_mean(positives) + _variance_of_mean(negatives))


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUCs (draws,) of scores (n,) under weights (n, draws), ties counted half; NaN where a class weighs nothing."""
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives])]
    below = np.vstack([np.zeros_like(weights[:1]), weights[negatives].cumsum(axis=0)])
    first, last = (np.searchsorted(scores[negatives], scores[positive], side) for side in ("left", "right"))
    in_order = np.einsum("nd,nd->d", weights[positive], below[first] + below[last]) / 2
    pairs = weights[positive].sum(axis=0) * below[-1]
    return np.divide(in_order, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
