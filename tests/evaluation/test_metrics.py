"""Metrics by hand and by their definitions, not by the library that computes them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from zoo.evaluation import metrics


def two(probabilities: list[float]) -> np.ndarray:
    return metrics.per_class(np.asarray(probabilities)[:, None])


def test_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    score = metrics.score(labels, two([0.1, 0.2, 0.6, 0.3, 0.9, 0.7, 0.4]))
    assert score["confusion_matrix"] == [[3, 1], [1, 2]]
    assert score["accuracy"] == pytest.approx(5 / 7)
    assert score["precision"] == pytest.approx(2 / 3)
    assert score["recall"] == pytest.approx(2 / 3)
    assert score["specificity"] == pytest.approx(3 / 4)
    assert score["f1"] == pytest.approx(2 / 3)
    right = [0.9, 0.8, 0.4, 0.7, 0.9, 0.7, 0.4]
    assert score["loss"] == pytest.approx(-np.mean(np.log(right)))
    assert score["auc"] == pytest.approx(11 / 12)  # of 12 pairs only (0.6, 0.4) is in the wrong order
    assert score["threshold"] == 0.5
    assert score["images"] == 7


def test_against_definitions_on_many_images() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    probability = np.clip(labels * 0.2 + rng.uniform(0, 0.8, 500), 0, 1)
    score = metrics.score(labels, two(list(probability)), threshold=0.4)
    called = probability >= 0.4
    true = (called & (labels == 1)).sum()
    precision, recall = true / called.sum(), true / labels.sum()
    assert score["precision"] == pytest.approx(precision)
    assert score["recall"] == pytest.approx(recall)
    assert score["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    u = stats.mannwhitneyu(probability[labels == 1], probability[labels == 0]).statistic
    assert score["auc"] == pytest.approx(u / (labels.sum() * (labels == 0).sum()))


def test_a_probability_at_the_threshold_is_positive() -> None:
    assert metrics.predict(two([0.5, 0.4999999])).tolist() == [1, 0]


def test_more_than_two_classes_are_averaged() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 0]] * 0.94 + 0.02
    score = metrics.score(labels, probabilities)
    assert score["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert score["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert score["precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert score["specificity"] == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)
    assert score["threshold"] is None


def test_what_is_not_defined_is_nan_and_nothing_fails() -> None:
    score = metrics.score(np.array([0, 0]), two([0.1, 0.2]))
    assert math.isnan(score["auc"])
    assert score["recall"] == 0
    assert score["precision"] == 0


def test_certain_and_wrong_costs_much_but_not_infinity() -> None:
    assert metrics.score(np.array([1, 0]), two([0.0, 0.0]))["loss"] == pytest.approx(-np.log(1e-7) / 2)
    assert np.isnan(metrics.losses(np.array([1]), two([np.nan]))).all()
