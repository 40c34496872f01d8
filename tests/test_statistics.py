"""Intervals and tests against other libraries, published examples, definitions and simulation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from zoo.evaluation import statistics
from zoo.evaluation.statistics import Probabilities, Spread

NAN = math.nan


def about(expected: Sequence[float], absolute: float = 1e-12) -> object:
    return pytest.approx(expected, rel=1e-9, abs=absolute, nan_ok=True)


def fields(result: object) -> tuple[float, ...]:
    return dataclasses.astuple(result)  # type: ignore[call-overload]


def some_folds(folds: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies of two models, alike enough for every verdict to have a fair chance."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0.85, 0.03, folds)
    return a, a - rng.normal(0.01, 0.02, folds)


def correlated(simulations: int, folds: int, test_to_train: float) -> np.ndarray:
    """Differences (simulations, folds) without a true one, correlated as Nadeau and Bengio suppose folds to be."""
    rng = np.random.default_rng(0)
    rho = test_to_train / (1 + test_to_train)
    shared, own = rng.normal(size=(simulations, 1)), rng.normal(size=(simulations, folds))
    return math.sqrt(rho) * shared + math.sqrt(1 - rho) * own


def tied_scores(images: int, models: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and correlated scores (models, n) of one decimal, so that many are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(images) % 3 == 0).astype(int)
    shared = labels + rng.normal(size=images)
    return labels, np.round(shared + rng.normal(size=(models, images)), 1)


def delong_by_definition(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs (models,) and their covariance (models, models), from the definition of DeLong and others (1988)."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    kernel = np.zeros((len(scores), len(positive), len(negative)))
    for model, row in enumerate(scores):
        for i, x in enumerate(row[positive]):
            for j, y in enumerate(row[negative]):
                kernel[model, i, j] = 1.0 if y < x else 0.5 if y == x else 0.0
    covariance = np.cov(kernel.mean(axis=2)) / len(positive) + np.cov(kernel.mean(axis=1)) / len(negative)
    return kernel.mean(axis=(1, 2)), covariance


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_without_shared_training_images_it_is_the_paired_t_test(folds: int) -> None:
    a, b = some_folds(folds)
    theirs = stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.9)
    ours = statistics.corrected_t_test(a - b, test_to_train=0, confidence=0.9)
    assert fields(ours) == about([np.mean(a - b), low, high, theirs.statistic, theirs.pvalue])
    assert statistics.interval(a - b, 0, confidence=0.9) == about([low, high])


def test_p_and_interval_agree_at_the_same_level() -> None:
    for seed in range(20):
        a, b = some_folds(10, seed)
        test = statistics.corrected_t_test(a - b, 1 / 9)
        edge = statistics.corrected_t_test(a - b, 1 / 9, confidence=1 - test.p)
        assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-9)


def test_correlated_folds_cause_no_more_false_alarms_than_promised() -> None:
    differences = correlated(simulations=3000, folds=10, test_to_train=1 / 9)
    corrected = np.array([statistics.corrected_t_test(row, 1 / 9).p for row in differences])
    plain = stats.ttest_1samp(differences, 0, axis=1).pvalue
    assert np.mean(corrected < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(plain < 0.05) > 0.12


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    ends = np.array([statistics.interval(row, 1 / 9, confidence=0.8) for row in correlated(3000, 10, 1 / 9)])
    assert np.mean((ends[:, 0] < 0) & (ends[:, 1] > 0)) == pytest.approx(0.8, abs=0.022)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        pytest.param([], [NAN] * 5, id="no fold"),
        pytest.param([0.1], [0.1, NAN, NAN, NAN, NAN], id="one fold"),
        pytest.param([0.1, NAN, 0.2], [NAN] * 5, id="a fold without a metric"),
        pytest.param([0.0, 0.0], [0, 0, 0, 0, 1], id="no difference"),
        pytest.param([0.1, 0.1, 0.1], [0.1, 0.1, 0.1, math.inf, 0], id="always the same gain"),
        pytest.param([-0.1, -0.1, -0.1], [-0.1, -0.1, -0.1, -math.inf, 0], id="always the same loss"),
    ],
)
def test_t_test_where_there_is_little_to_go_by(differences: list[float], expected: list[float]) -> None:
    assert fields(statistics.corrected_t_test(differences, 0.1)) == about(expected)
    assert statistics.interval(differences, 0.1) == about(expected[1:3])


@pytest.mark.parametrize("rope", [0.001, 0.01, 0.03])
@pytest.mark.parametrize("folds", [2, 5, 10])
def test_posterior_is_that_of_baycomp(folds: int, rope: float) -> None:
    baycomp = pytest.importorskip("baycomp")
    a, b = some_folds(folds)
    left, middle, right = baycomp.CorrelatedTTest.probs(a, b, rope=rope)  # left: the first is better
    ours = statistics.correlated_t_test(a - b, 1 / (folds - 1), rope)
    assert fields(ours) == about([left, middle, right])


def test_without_a_region_of_equivalence_the_posterior_mirrors_the_p_value() -> None:
    a, b = some_folds(10)
    probabilities = statistics.correlated_t_test(a - b, 1 / 9, rope=0)
    p = statistics.corrected_t_test(a - b, 1 / 9).p
    assert sorted(fields(probabilities)) == about([0, p / 2, 1 - p / 2])


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        pytest.param([], [NAN, NAN, NAN], id="no fold"),
        pytest.param([0.1], [NAN, NAN, NAN], id="one fold"),
        pytest.param([0.1, NAN], [NAN, NAN, NAN], id="a fold without a metric"),
        pytest.param([0.0, 0.0], [0, 1, 0], id="no difference"),
        pytest.param([0.2, 0.2, 0.2], [1, 0, 0], id="always the same gain"),
        pytest.param([-0.2, -0.2, -0.2], [0, 0, 1], id="always the same loss"),
    ],
)
def test_posterior_where_there_is_little_to_go_by(differences: list[float], expected: list[float]) -> None:
    assert fields(statistics.correlated_t_test(differences, 0.1, rope=0.01)) == about(expected)


def test_a_negative_region_of_equivalence_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        statistics.correlated_t_test([0.1, 0.2], 0.1, rope=-0.01)


@pytest.mark.parametrize(
    ("probabilities", "word"),
    [
        (Probabilities(0.95, 0.04, 0.01), "better"),
        (Probabilities(0.01, 0.03, 0.96), "worse"),
        (Probabilities(0.02, 0.96, 0.02), "equivalent"),
        (Probabilities(0.94, 0.05, 0.01), "undecided"),
        (Probabilities(NAN, NAN, NAN), "undecided"),
    ],
    ids=["better", "worse", "equivalent", "none reaches the level", "unknown"],
)
def test_verdict(probabilities: Probabilities, word: str) -> None:
    assert statistics.verdict(probabilities) == word


def test_verdict_at_another_level() -> None:
    assert statistics.verdict(Probabilities(0.85, 0.1, 0.05), level=0.8) == "better"


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_holm_is_that_of_statsmodels(count: int) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.round(np.random.default_rng(count).uniform(0, 0.2, count), 2)  # some are equal
    expected = multitest.multipletests(p_values, method="holm")[1]
    assert statistics.holm(p_values) == about(expected)
    with_gaps = np.insert(p_values, [0, count], NAN)
    assert statistics.holm(with_gaps) == about([NAN, *expected, NAN])


@pytest.mark.parametrize("p_values", [[], [NAN, NAN]], ids=["none", "all unknown"])
def test_holm_of_nothing(p_values: list[float]) -> None:
    assert statistics.holm(p_values) == about(p_values)


def test_auc_interval_of_the_ct_ratings_of_hanley_and_mcneil() -> None:
    """The ratings of Hanley and McNeil (1982); the numbers are printed in the entry roctab of Stata's manual."""
    ratings = np.repeat([1, 2, 3, 4, 5] * 2, [33, 6, 6, 11, 2, 3, 2, 2, 11, 33])
    labels = np.repeat([0, 1], [58, 51])
    auc, low, high = statistics.auc_interval(labels, ratings)
    assert auc == pytest.approx(0.8932, abs=5e-5)
    assert (high - low) / 2 / stats.norm.ppf(0.975) == pytest.approx(0.0307, abs=5e-5)
    assert (low, high) == about((0.83295, 0.95339), absolute=5e-6)


@pytest.mark.parametrize("images", [12, 60, 150])
def test_delong_by_definition(images: int) -> None:
    labels, scores = tied_scores(images, models=2)
    aucs, covariance = delong_by_definition(labels, scores)
    difference = aucs[0] - aucs[1]
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    low, high = stats.norm.interval(0.9, difference, error)
    p = stats.chi2.sf((difference / error) ** 2, 1)
    ours = statistics.delong(labels, scores[0], scores[1], confidence=0.9)
    assert fields(ours) == about([*aucs, difference, low, high, difference / error, p])
    ends = np.clip(stats.norm.interval(0.95, aucs[0], math.sqrt(covariance[0, 0])), 0, 1)
    assert statistics.auc_interval(labels, scores[0]) == about([aucs[0], *ends])


def test_delong_of_many_images_has_the_auc_of_sklearn() -> None:
    labels, scores = tied_scores(20_000, models=2)
    ours = statistics.delong(labels, *scores)
    assert [ours.auc_a, ours.auc_b] == about([roc_auc_score(labels, row) for row in scores])


def test_delong_of_models_that_rank_alike() -> None:
    labels, (scores, _) = tied_scores(50, models=2)
    ours = statistics.delong(labels, scores, np.exp(scores))
    assert fields(ours) == about([ours.auc_a, ours.auc_a, 0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([1, 1, 1, 1], [NAN] * 7, id="no negative"),
        pytest.param([0, 0, 0, 0], [NAN] * 7, id="no positive"),
        pytest.param([0, 0, 0, 1], [1, 0, 1, NAN, NAN, NAN, NAN], id="one positive"),
        pytest.param([0, 0, 1, 1], [1, 0, 1, 1, 1, math.inf, 0], id="all right against all wrong"),
    ],
)
def test_delong_where_there_is_little_to_go_by(labels: list[int], expected: list[float]) -> None:
    ours = statistics.delong(labels, [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])
    assert fields(ours) == about(expected)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([], [NAN, NAN, NAN], id="no image"),
        pytest.param([1, 1], [NAN, NAN, NAN], id="one class"),
        pytest.param([0, 1], [1, NAN, NAN], id="one image a class"),
        pytest.param([0, 0, 1, 1], [1, 1, 1], id="perfect"),
        pytest.param(
            [0, 1, 0, 1, 0, 1], [2 / 3, 2 / 3 - stats.norm.ppf(0.975) * math.sqrt(2 / 27), 1], id="cut off at 1"
        ),
    ],
)
def test_auc_interval_where_there_is_little_to_go_by(labels: list[int], expected: list[float]) -> None:
    assert statistics.auc_interval(labels, np.arange(len(labels))) == about(expected)


@pytest.mark.parametrize("images", [1, 8, 30, 300])
def test_mcnemar_is_that_of_statsmodels(images: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    rng = np.random.default_rng(images)
    a, b = rng.uniform(size=images) < 0.9, rng.uniform(size=images) < 0.7
    counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    ours = statistics.mcnemar(a, b)
    assert (ours.only_a, ours.only_b) == (counts[0][1], counts[1][0])
    assert ours.p == pytest.approx(tables.mcnemar(counts, exact=True).pvalue)


@pytest.mark.parametrize("right", [[], [True, False]], ids=["no image", "no disagreement"])
def test_mcnemar_of_nothing(right: list[bool]) -> None:
    assert fields(statistics.mcnemar(right, right)) == (0, 0, 1)


def probes(labels: np.ndarray) -> np.ndarray:
    """Scores (n, n) of one model an image, whose AUC tells that image's weight: it stands out, all others are tied."""
    return np.eye(len(labels)) * np.where(labels == 1, 1, -1)[:, None]


def recovered_weights(labels: np.ndarray, aucs: np.ndarray) -> np.ndarray:
    """Weights (draws, n) from the AUCs (draws, n) of `probes`, as shares of the weight of the image's class.

    An image of share w that stands out the right way wins w of all pairs, and half of the others.
    """
    shares = 2 * aucs - 1
    return np.where(np.isnan(shares), 0, shares)


@pytest.mark.parametrize("grouped", [False, True], ids=["images", "groups"])
def test_bootstrap_aucs_are_those_of_sklearn_on_the_same_resamples(grouped: bool) -> None:
    labels, scores = tied_scores(45, models=3)
    groups = np.random.default_rng(1).choice(list("abcdefghijklmno"), 45) if grouped else None
    aucs = statistics.bootstrap_auc(labels, np.vstack([scores, probes(labels)]), groups, draws=50)
    for drawn, weights in zip(aucs[:, :3], recovered_weights(labels, aucs[:, 3:]), strict=True):
        assert drawn == about([roc_auc_score(labels, row, sample_weight=weights) for row in scores])


def test_bootstrap_draws_whole_groups_with_replacement() -> None:
    labels = np.array([0, 1] * 30)
    groups = np.arange(60) // 4  # 15 of two negatives and two positives each
    aucs = statistics.bootstrap_auc(labels, probes(labels), groups, draws=400)
    times = recovered_weights(labels, aucs) * 30  # 15 groups are drawn, so a class always has 30 images
    assert times == pytest.approx(np.round(times), abs=1e-9)
    by_group = times.reshape(-1, 15, 4)
    assert np.ptp(by_group, axis=2).max() == pytest.approx(0, abs=1e-9)
    assert by_group[:, :, 0].sum(axis=1) == pytest.approx(15)
    variance = by_group[:, :, 0].var()
    assert variance == pytest.approx(14 / 15, rel=0.05)  # of a multinomial count: 15 · 1/15 · 14/15


def test_bootstrap_of_independent_images_is_as_wide_as_delong() -> None:
    labels, scores = tied_scores(400, models=2)
    aucs = statistics.bootstrap_auc(labels, scores)
    by_formula = statistics.delong(labels, *scores)
    low, high = statistics.percentile_interval(aucs[:, 0] - aucs[:, 1])
    assert (low, high) == pytest.approx((by_formula.low, by_formula.high), abs=0.006)


def test_copies_of_a_patients_image_do_not_narrow_a_grouped_interval() -> None:
    labels, scores = tied_scores(60, models=1)
    patients = np.arange(60)

    def width(copies: int, groups: np.ndarray | None) -> float:
        many = np.tile(labels, copies), np.tile(scores, copies)
        low, high = statistics.percentile_interval(statistics.bootstrap_auc(*many, groups)[:, 0])
        return high - low

    once = width(1, None)
    assert width(4, np.tile(patients, 4)) == pytest.approx(once)
    assert width(4, None) == pytest.approx(once / 2, rel=0.15)


def test_bootstrap_with_a_seed_repeats_and_models_do_not_disturb_one_another() -> None:
    labels, scores = tied_scores(40, models=3)
    together = statistics.bootstrap_auc(labels, scores, draws=30, seed=5)
    assert together.shape == (30, 3)
    assert together.dtype == np.float64
    alone = statistics.bootstrap_auc(labels, scores[1:2], draws=30, seed=5)
    assert np.array_equal(together[:, 1:2], alone, equal_nan=True)
    assert not np.array_equal(together, statistics.bootstrap_auc(labels, scores, draws=30, seed=6))


def test_bootstrap_in_small_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores = tied_scores(40, models=2)
    whole = statistics.bootstrap_auc(labels, scores, draws=30)
    monkeypatch.setattr(statistics, "CHUNK", 7 * 40)
    assert np.array_equal(whole, statistics.bootstrap_auc(labels, scores, draws=30))


def test_draws_without_a_class_are_nan_and_the_interval_leaves_them_out() -> None:
    labels = np.array([1, 0, 0, 0])
    aucs = statistics.bootstrap_auc(labels, [[0.5, 0.1, 0.2, 0.9]], draws=1000)[:, 0]
    # The positive is never drawn with probability (3/4)⁴, and nothing else with (1/4)⁴.
    assert np.isnan(aucs).mean() == pytest.approx((81 + 1) / 256, abs=0.05)
    assert statistics.percentile_interval(aucs) == pytest.approx((0, 1))


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]], ids=["no image", "no positive", "no negative"])
def test_bootstrap_of_one_class(labels: list[int]) -> None:
    aucs = statistics.bootstrap_auc(labels, np.zeros((2, len(labels))), draws=3)
    assert aucs.shape == (3, 2)
    assert np.isnan(aucs).all()


def test_percentile_interval() -> None:
    draws = np.insert(np.arange(101.0), 50, NAN)
    assert statistics.percentile_interval(draws, confidence=0.9) == pytest.approx((5, 95))
    assert statistics.percentile_interval([NAN, NAN]) == about([NAN, NAN])
    assert statistics.percentile_interval([]) == about([NAN, NAN])


def test_spread_of_the_dyestuff_data() -> None:
    """Davies (1947); R's lme4 prints 42.00 between batches and 49.51 within. REML is the same for balanced data."""
    batches = [
        [1545, 1440, 1440, 1520, 1580],
        [1540, 1555, 1490, 1560, 1495],
        [1595, 1550, 1605, 1510, 1560],
        [1445, 1440, 1595, 1465, 1545],
        [1595, 1630, 1515, 1635, 1625],
        [1520, 1455, 1450, 1480, 1445],
    ]
    assert fields(statistics.spread(batches)) == pytest.approx((42.00, 49.51), abs=0.006)


def test_spread_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(0)
    values = 0.9 + rng.normal(0, 0.03, (4000, 1)) + rng.normal(0, 0.01, (4000, 3))
    assert fields(statistics.spread(values)) == pytest.approx((0.03, 0.01), rel=0.04)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([[1.0], [2.0], [4.0]], Spread(math.sqrt(7 / 3), NAN), id="one repeat"),
        pytest.param([[1.0, 3.0]], Spread(NAN, math.sqrt(2)), id="one fold"),
        pytest.param([[1.0]], Spread(NAN, NAN), id="one fold, one repeat"),
        pytest.param([[1.0, 3.0], [3.0, 1.0]], Spread(0.0, math.sqrt(2)), id="folds alike"),
        pytest.param([[1.0, 1.0], [3.0, 3.0]], Spread(math.sqrt(2), 0.0), id="seeds alike"),
        pytest.param([[1.0, NAN], [3.0, 3.0]], Spread(NAN, NAN), id="a run without a metric"),
        pytest.param(np.empty((0, 2)), Spread(NAN, NAN), id="no fold"),
    ],
)
def test_spread_where_there_is_little_to_go_by(values: np.ndarray, expected: Spread) -> None:
    assert fields(statistics.spread(values)) == about(fields(expected))
