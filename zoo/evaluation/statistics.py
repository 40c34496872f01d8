"""Tests for comparing models over folds, or on the same images.

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
# "better" and "equivalent" are said of this many folds or more, and "better" of an adjusted p below this.
FEW_FOLDS = 5
SIGNIFICANT = 0.05
# Standard deviations below this are rounding: no metric is known to so many digits.
ROUNDING = 1e-9


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


def corrected_t_test(differences: ArrayLike, test_to_train: float, confidence: float = 0.95) -> TTest:
    """The two-sided t test of no difference, with k - 1 degrees of freedom.

    `differences` (k,) are the metric of a minus that of b, one a fold, `test_to_train` is the number of test images
    over that of training images. The variance of the mean is s² (1/k + test_to_train) instead of s²/k, because folds
    share training images (Nadeau and Bengio 2003, Inference for the generalization error). All but the difference is
    NaN for fewer than two folds, and where all differences are equal: there is no variance to judge them by.
    """
    folds = np.asarray(differences, dtype=np.float64)
    mean, error = _mean(folds), _error(math.sqrt(_variance_of_mean(folds, test_to_train)))
    half = float(stats.t.ppf((1 + confidence) / 2, len(folds) - 1)) * error
    t = mean / error
    return TTest(mean, mean - half, mean + half, t, 2 * float(stats.t.sf(abs(t), len(folds) - 1)))


def correlated_t_test(differences: ArrayLike, test_to_train: float, rope: float) -> Probabilities:
    """The Bayesian correlated t-test: how probable it is that a is better than b, as good, or worse.

    `differences` (k,) as in `corrected_t_test`; as good is a difference from -`rope` to `rope`. The posterior of the
    mean difference is a Student t with k - 1 degrees of freedom, the mean as location and the standard error of
    `corrected_t_test` as scale (Corani and Benavoli 2015, A Bayesian approach for comparing cross-validated
    algorithms on multiple data sets; Benavoli, Corani, Demšar and Zaffalon 2017, Time for a change). NaN for fewer
    than two folds, and where all differences are equal. Raises ValueError for a negative `rope`.
    """
    if rope < 0:
        raise ValueError(f"half the width of the region of practical equivalence cannot be negative: {rope}")
    folds = np.asarray(differences, dtype=np.float64)
    mean, error = _mean(folds), _error(math.sqrt(_variance_of_mean(folds, test_to_train)))
    if math.isnan(error):
        return Probabilities(math.nan, math.nan, math.nan)
    posterior = stats.t(len(folds) - 1, mean, error)
    worse, not_better = float(posterior.cdf(-rope)), float(posterior.cdf(rope))
    return Probabilities(float(posterior.sf(rope)), not_better - worse, worse)


def verdict(probabilities: Probabilities, p_adjusted: float, folds: int, level: float = 0.95) -> Verdict:
    """The word whose probability reaches `level`; "undecided" where none does, or they are NaN.

    "better" and "worse" also need a p-value, adjusted for all pairs that are compared, below SIGNIFICANT: the
    probabilities know of no other pair, and among ten equal models two would be called better in every third
    comparison. Of fewer than FEW_FOLDS folds nothing is said.
    """
    if folds < FEW_FOLDS:
        return "undecided"
    if p_adjusted < SIGNIFICANT and max(probabilities.better, probabilities.worse) >= level:
        return "better" if probabilities.better >= level else "worse"
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


def delong(
    labels: ArrayLike, a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> DeLong:
    """The paired comparison of two AUCs on the same images.

    `labels` (n,) are 1 for the positive class and 0 for the other, `a` and `b` (n,) the scores of two models, `groups`
    (n,) say whose image each is, such as the patient's. Without groups images are taken as independent, and the
    variance is that of DeLong, DeLong and Clarke-Pearson (1988, Comparing the areas under two or more correlated
    receiver operating characteristic curves); with groups it is the one between them of Obuchowski (1997,
    Nonparametric analysis of clustered ROC curve data), and z is compared with Student's t of one degree of freedom
    less than there are groups. All is NaN where a class is missing, and all but AUCs and difference where a class has
    one image, or where there is no variance, as for identical scores.
    """
    positive = np.asarray(labels) == 1
    auc_a, influence_a = auc_influence(positive, a)
    auc_b, influence_b = auc_influence(positive, b)
    difference, each = auc_a - auc_b, influence_a - influence_b
    if groups is None:
        classes = (each[positive], each[~positive])
        error, freedom = math.sqrt(sum(_variance_of_mean(part) * len(part) ** 2 for part in classes)), math.inf
    else:
        sums = group_sums(each, groups)
        error, freedom = math.sqrt(_variance_of_mean(sums)) * len(sums), len(sums) - 1
    error = _error(error)
    half, z = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error, difference / error
    p = 2 * float(stats.t.sf(abs(z), freedom))
    return DeLong(auc_a, auc_b, difference, difference - half, difference + half, z, p)


def mcnemar(right_a: ArrayLike, right_b: ArrayLike, groups: ArrayLike | None = None) -> McNemar:
    """The exact test that two models are right equally often on the same images.

    `right_a` and `right_b` (n,) are true where the model is right, `groups` (n,) say whose image each is. Only images
    on which one is right and the other wrong count; p is 1 where there are none. Without groups it is the exact form of
    McNemar's test (1947). With groups the difference within each has either sign with the same probability, whatever
    its size (the randomisation test of Fisher 1935, The design of experiments), which is McNemar's for one image each.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    each = a.astype(int) - b.astype(int)
    sums = np.abs(each if groups is None else group_sums(each, groups)).astype(int)
    chances = np.ones(1)
    for size in sums[sums > 0]:  # of every sum that the signs can give, the lowest first
        chances = (np.pad(chances, (0, 2 * size)) + np.pad(chances, (2 * size, 0))) / 2
    farther = np.abs(np.arange(len(chances)) - len(chances) // 2) >= abs(int(each.sum()))
    return McNemar(int((each > 0).sum()), int((each < 0).sum()), min(1.0, float(chances[farther].sum())))


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


def bootstrap_interval(draws: ArrayLike, value: float, groups: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of a value whose standard error is the standard deviation of its bootstrap draws.

    `draws` (draws,), of which NaN is left out, are of so many `groups`, of which Student's t has one degree of freedom
    less (Efron and Tibshirani 1993, An introduction to the bootstrap, chapter 12). Quantiles of the draws themselves,
    bias-corrected or not, are too narrow for few patients: of a true difference of 0 between two AUCs they held 86 and
    90 % with ten ill patients of two eyes, this interval 96 %. NaN for fewer than two draws or groups.
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2 or groups < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + confidence) / 2, groups - 1)) * _error(float(values.std(ddof=1)))
    return value - half, value + half


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


def auc_influence(positive: np.ndarray, scores: ArrayLike) -> tuple[float, np.ndarray]:
    """An AUC and the influence of each image on it (n,), whose squares add up to its variance; NaN for one class.

    For a positive image it is how far the share of negatives below it lies above the AUC, over the number of positives,
    and so for the negatives; by mid-ranks, which count ties half (Sun and Xu 2014, Fast implementation of DeLong's
    algorithm).
    """
    values = np.asarray(scores, dtype=np.float64)
    if positive.all() or not positive.any():
        return math.nan, np.full(len(positive), math.nan)
    above, below = values[positive], values[~positive]
    ranks, influence = stats.rankdata(values), np.empty(len(values))
    influence[positive] = (ranks[positive] - stats.rankdata(above)) / len(below)
    auc = float(influence[positive].mean())
    influence[~positive] = 1 - (ranks[~positive] - stats.rankdata(below)) / len(above)
    return auc, (influence - auc) / np.where(positive, len(above), len(below))


def group_sums(values: np.ndarray, groups: ArrayLike) -> np.ndarray:
    """The sum of the values (n,) of each group, in the order of the groups' names."""
    names, group = np.unique(groups, return_inverse=True)
    return np.bincount(group, values, minlength=len(names))


def _error(error: float) -> float:
    """A standard error, NaN where it is no more than rounding."""
    return error if error > ROUNDING else math.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _variance_of_mean(values: np.ndarray, test_to_train: float = 0.0) -> float:
    """s² (1/k + test_to_train); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    return float(values.var(ddof=1) * (1 / len(values) + test_to_train))


def _weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUCs (draws,) of scores (n,) under weights (n, draws), ties counted half; NaN where a class weighs nothing."""
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives])]
    below = np.vstack([np.zeros_like(weights[:1]), weights[negatives].cumsum(axis=0)])
    first, last = (np.searchsorted(scores[negatives], scores[positive], side) for side in ("left", "right"))
    in_order = np.einsum("nd,nd->d", weights[positive], below[first] + below[last]) / 2
    pairs = weights[positive].sum(axis=0) * below[-1]
    return np.divide(in_order, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
