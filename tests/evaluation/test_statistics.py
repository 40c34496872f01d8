"""Tests of models against other libraries, published examples, definitions and simulation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import product

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
    tests = [statistics.corrected_t_test(row, 1 / 9, confidence=0.8) for row in correlated(3000, 10, 1 / 9)]
    assert np.mean([test.low < 0 < test.high for test in tests]) == pytest.approx(0.8, abs=0.022)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        pytest.param([], [NAN] * 5, id="no fold"),
        pytest.param([0.1], [0.1, NAN, NAN, NAN, NAN], id="one fold"),
        pytest.param([0.1, NAN, 0.2], [NAN] * 5, id="a fold without a metric"),
        pytest.param([0.0, 0.0], [0, NAN, NAN, NAN, NAN], id="no difference"),
        pytest.param([0.1, 0.1, 0.1], [0.1, NAN, NAN, NAN, NAN], id="always the same gain"),
        pytest.param([0.5 - 0.45, 0.525 - 0.475], [0.05, NAN, NAN, NAN, NAN], id="the same but for rounding"),
    ],
)
def test_t_test_where_there_is_little_to_go_by(differences: list[float], expected: list[float]) -> None:
    assert fields(statistics.corrected_t_test(differences, 0.1)) == about(expected)


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
        pytest.param([0.0, 0.0], [NAN, NAN, NAN], id="no difference"),
        pytest.param([0.5 - 0.45, 0.525 - 0.475], [NAN, NAN, NAN], id="the same but for rounding"),
    ],
)
def test_posterior_where_there_is_little_to_go_by(differences: list[float], expected: list[float]) -> None:
    assert fields(statistics.correlated_t_test(differences, 0.1, rope=0.01)) == about(expected)


def test_a_negative_region_of_equivalence_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        statistics.correlated_t_test([0.1, 0.2], 0.1, rope=-0.01)


SURELY = Probabilities(0.96, 0.03, 0.01)


@pytest.mark.parametrize(
    ("probabilities", "p", "folds", "word"),
    [
        pytest.param(SURELY, 0.049, 5, "better", id="better"),
        pytest.param(Probabilities(0.01, 0.03, 0.96), 0.01, 10, "worse", id="worse"),
        pytest.param(SURELY, 0.05, 10, "undecided", id="not after adjusting for many pairs"),
        pytest.param(SURELY, 0.001, 4, "undecided", id="too few folds"),
        pytest.param(Probabilities(0.02, 0.96, 0.02), 0.8, 5, "equivalent", id="equivalent"),
        pytest.param(Probabilities(0.0, 1.0, 0.0), 0.8, 4, "undecided", id="equivalent in too few folds"),
        pytest.param(Probabilities(0.94, 0.05, 0.01), 0.01, 10, "undecided", id="none reaches the level"),
        pytest.param(Probabilities(NAN, NAN, NAN), NAN, 10, "undecided", id="unknown"),
    ],
)
def test_verdict(probabilities: Probabilities, p: float, folds: int, word: str) -> None:
    assert statistics.verdict(probabilities, p, folds) == word


def test_verdict_at_another_level() -> None:
    assert statistics.verdict(Probabilities(0.85, 0.1, 0.05), 0.01, 10, level=0.8) == "better"


@pytest.mark.parametrize("folds", [5, 10])
def test_among_ten_equal_models_hardly_ever_is_one_called_better(folds: int) -> None:
    rng, ratio, comparisons, said = np.random.default_rng(0), 1 / (folds - 1), 150, 0
    shared = math.sqrt(ratio / (1 + ratio))
    for _ in range(comparisons):
        own = rng.normal(size=(10, folds)) * math.sqrt(1 - shared**2)
        models = 0.85 + 0.05 * (shared * rng.normal(size=(10, 1)) + own)
        pairs = [models[a] - models[b] for a in range(10) for b in range(a)]
        p = statistics.holm([statistics.corrected_t_test(pair, ratio).p for pair in pairs])
        words = {
            statistics.verdict(statistics.correlated_t_test(pair, ratio, rope=0.01), adjusted, folds)
            for pair, adjusted in zip(pairs, p, strict=True)
        }
        said += bool({"better", "worse"} & words)
    assert said / comparisons < 0.06  # without the adjusted p-values it is 0.4 and more


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


def test_the_influences_on_an_auc_add_up_to_its_variance() -> None:
    labels, scores = tied_scores(150, models=2)
    aucs, covariance = delong_by_definition(labels, scores)
    for row, auc, variance in zip(scores, aucs, covariance.diagonal(), strict=True):
        ours, influence = statistics.auc_influence(labels == 1, row)
        assert ours == pytest.approx(auc)
        assert influence.sum() == pytest.approx(0, abs=1e-12)
        assert (influence**2).sum() == pytest.approx(variance, rel=0.03)


def test_delong_between_patients_by_the_definition_of_obuchowski() -> None:
    labels, scores = tied_scores(90, models=2)
    groups = np.random.default_rng(3).integers(0, 30, 90)
    positive = labels == 1
    ill, healthy = positive.sum(), (~positive).sum()
    sums = []
    for row in scores:
        kernel = np.sign(row[positive][:, None] - row[~positive]) / 2 + 0.5
        v10, v01 = kernel.mean(axis=1) - kernel.mean(), kernel.mean(axis=0) - kernel.mean()
        of = np.unique(groups)
        x = np.array([v10[groups[positive] == group].sum() for group in of])
        y = np.array([v01[groups[~positive] == group].sum() for group in of])
        sums.append((x, y))
    count = len(sums[0][0])

    def covariance(one: int, two: int) -> float:  # equations 4 to 6 of the paper, all sums over clusters
        (x1, y1), (x2, y2) = sums[one], sums[two]
        factor = count / (count - 1)
        return factor * (x1 @ x2 / ill**2 + y1 @ y2 / healthy**2 + (x1 @ y2 + x2 @ y1) / (ill * healthy))

    error = math.sqrt(covariance(0, 0) + covariance(1, 1) - 2 * covariance(0, 1))
    ours = statistics.delong(labels, *scores, groups)
    assert ours.difference / ours.z == pytest.approx(error)
    assert ours.p == pytest.approx(2 * stats.t.sf(abs(ours.z), count - 1))


def two_equal_models(patients: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of two models that are equally good, and patients, of two eyes that look alike."""
    labels = np.repeat(np.arange(patients) % 3 == 0, 2).astype(int)

    def eyes() -> np.ndarray:
        return np.sqrt(0.9) * np.repeat(rng.normal(size=patients), 2) + np.sqrt(0.1) * rng.normal(size=2 * patients)

    shared = eyes() + 1.7 * labels
    return labels, shared + eyes(), shared + eyes(), np.repeat(np.arange(patients), 2)


def test_two_eyes_of_a_patient_cause_no_more_false_alarms_than_promised() -> None:
    rng, alarms = np.random.default_rng(1), np.zeros((2, 2))
    for _ in range(400):
        labels, a, b, groups = two_equal_models(100, rng)
        right = (a > 0.85) == labels, (b > 0.85) == labels
        for row, known in enumerate((groups, None)):
            p = statistics.delong(labels, a, b, known).p, statistics.mcnemar(*right, known).p
            alarms[row] += np.array(p) < 0.05
    by_patient, by_image = alarms / 400
    assert (by_patient < 0.08).all()
    assert (by_image > 0.09).all()


def test_delong_of_many_images_has_the_auc_of_sklearn() -> None:
    labels, scores = tied_scores(20_000, models=2)
    ours = statistics.delong(labels, *scores)
    assert [ours.auc_a, ours.auc_b] == about([roc_auc_score(labels, row) for row in scores])


def test_delong_of_models_that_rank_alike() -> None:
    labels, (scores, _) = tied_scores(50, models=2)
    ours = statistics.delong(labels, scores, np.exp(scores))
    assert fields(ours) == about([ours.auc_a, ours.auc_a, 0, NAN, NAN, NAN, NAN])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([1, 1, 1, 1], [NAN] * 7, id="no negative"),
        pytest.param([0, 0, 0, 0], [NAN] * 7, id="no positive"),
        pytest.param([0, 0, 0, 1], [1, 0, 1, NAN, NAN, NAN, NAN], id="one positive"),
        pytest.param([0, 0, 1, 1], [1, 0, 1, NAN, NAN, NAN, NAN], id="all right against all wrong"),
    ],
)
def test_delong_where_there_is_little_to_go_by(labels: list[int], expected: list[float]) -> None:
    ours = statistics.delong(labels, [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])
    assert fields(ours) == about(expected)


@pytest.mark.parametrize("images", [1, 8, 30, 300])
def test_mcnemar_is_that_of_statsmodels(images: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    rng = np.random.default_rng(images)
    a, b = rng.uniform(size=images) < 0.9, rng.uniform(size=images) < 0.7
    counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    ours = statistics.mcnemar(a, b)
    assert (ours.only_a, ours.only_b) == (counts[0][1], counts[1][0])
    assert ours.p == pytest.approx(tables.mcnemar(counts, exact=True).pvalue)


def test_mcnemar_by_patient_tries_every_sign() -> None:
    rng = np.random.default_rng(5)
    a, b, groups = rng.uniform(size=24) < 0.8, rng.uniform(size=24) < 0.5, np.arange(24) // 3
    within = np.array([(a[groups == group].astype(int) - b[groups == group]).sum() for group in range(8)])
    sums = np.array([within @ signs for signs in product((-1, 1), repeat=8)])
    ours = statistics.mcnemar(a, b, groups)
    assert ours.p == pytest.approx(np.mean(np.abs(sums) >= abs(within.sum())))
    assert ours.only_a - ours.only_b == within.sum()


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
    low, high = statistics.bootstrap_interval(aucs[:, 0] - aucs[:, 1], by_formula.difference, 400)
    assert (low, high) == pytest.approx((by_formula.low, by_formula.high), abs=0.006)


def test_copies_of_a_patients_image_do_not_narrow_a_grouped_interval() -> None:
    labels, scores = tied_scores(60, models=1)
    patients = np.arange(60)

    def width(copies: int, groups: np.ndarray | None) -> float:
        many = np.tile(labels, copies), np.tile(scores, copies)
        low, high = statistics.bootstrap_interval(statistics.bootstrap_auc(*many, groups)[:, 0], 0.7, 60)
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


def test_draws_without_a_class_are_nan() -> None:
    labels = np.array([1, 0, 0, 0])
    aucs = statistics.bootstrap_auc(labels, [[0.5, 0.1, 0.2, 0.9]], draws=1000)[:, 0]
    # The positive is never drawn with probability (3/4)⁴, and nothing else with (1/4)⁴.
    assert np.isnan(aucs).mean() == pytest.approx((81 + 1) / 256, abs=0.05)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]], ids=["no image", "no positive", "no negative"])
def test_bootstrap_of_one_class(labels: list[int]) -> None:
    aucs = statistics.bootstrap_auc(labels, np.zeros((2, len(labels))), draws=3)
    assert aucs.shape == (3, 2)
    assert np.isnan(aucs).all()


def test_bootstrap_interval() -> None:
    draws = np.insert(np.random.default_rng(0).normal(0.1, 0.02, 100_000), 50, NAN)
    low, high = statistics.bootstrap_interval(draws, 0.1, groups=11, confidence=0.9)
    assert (low, high) == pytest.approx(stats.t.interval(0.9, 10, 0.1, 0.02), abs=2e-4)
    for nothing in ([NAN, NAN], [], [0.1], [0.1, 0.1]):
        assert statistics.bootstrap_interval(nothing, 0.1, groups=11) == about([NAN, NAN])
    assert statistics.bootstrap_interval(draws, 0.1, groups=1) == about([NAN, NAN])


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
