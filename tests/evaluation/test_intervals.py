"""Intervals of one model's metrics: against exact ones, at the edges, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks import intervals as simulation
from zoo.evaluation import intervals, metrics
from zoo.evaluation.intervals import Scored, interval

SHARES = ("accuracy", "recall", "specificity", "precision", "f1")


def scored(labels: list[int], probabilities: list[float], clusters: list[object] | None = None) -> Scored:
    each = np.array(probabilities)
    names = np.arange(len(labels)) if clusters is None else np.array(clusters)
    return Scored(np.array(labels), np.column_stack([1 - each, each]), names)


def some(images: int = 60, classes: int = 2, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    logits = rng.normal(size=(images, classes)) + 1.2 * np.eye(classes)[labels]
    each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Scored(labels, each, np.arange(images))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", metrics.METRICS)
def test_the_value_and_the_influences_are_those_of_the_metric(metric: str, classes: int) -> None:
    part = some(80, classes)
    value = intervals._value(metric, part)
    assert value.value == pytest.approx(metrics.score(part.labels, part.probabilities)[metric])
    assert value.influence.sum() == pytest.approx(0, abs=1e-12)
    jackknife = []
    for left_out in range(80):
        rest = np.arange(80) != left_out
        without = Scored(part.labels[rest], part.probabilities[rest], part.clusters[rest])
        jackknife.append(value.value - intervals._value(metric, without).value)
    assert value.influence == pytest.approx(np.array(jackknife), rel=0.15, abs=3e-4)


@pytest.mark.parametrize(("found", "ill"), [(0, 12), (7, 12), (12, 12), (45, 50)])
def test_the_interval_of_recall_is_that_of_clopper_and_pearson(found: int, ill: int) -> None:
    part = scored([1] * ill + [0] * 9, [0.9] * found + [0.1] * (ill - found + 9))
    exact = stats.binomtest(found, ill).proportion_ci(0.95, "exact")
    assert interval("recall", [[part]]) == pytest.approx((exact.low, exact.high))


def test_f1_is_bounded_by_the_share_it_is_made_of() -> None:
    part = scored([1] * 12 + [0] * 9, [0.9] * 7 + [0.1] * 5 + [0.9] * 3 + [0.1] * 6)
    exact = stats.binomtest(7, 15).proportion_ci(0.95, "exact")
    assert interval("f1", [[part]]) == pytest.approx(
        (2 * exact.low / (1 + exact.low), 2 * exact.high / (1 + exact.high))
    )


def test_the_interval_of_an_auc_solves_newcombe_s_equation() -> None:
    part = some()
    auc = metrics.score(part.labels, part.probabilities)["auc"]
    for end in interval("auc", [[part]]):
        variance = end * (1 - end) * (1 + 29 * (1 - end) / (2 - end) + 29 * end / (1 + end)) / 900
        assert abs(auc - end) == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(variance))


def test_a_model_that_finds_nothing_or_everything_has_an_interval() -> None:
    nothing = scored([0] * 20 + [1] * 10, [0.1] * 30)
    assert interval("recall", [[nothing]]) == pytest.approx((0, 0.3085), abs=1e-4)
    assert interval("specificity", [[nothing]]) == pytest.approx((0.8316, 1), abs=1e-4)
    assert interval("f1", [[nothing]])[0] == 0
    assert np.isnan(interval("precision", [[nothing]])).all()  # it calls nothing: a share of no image
    perfect = scored([0] * 20 + [1] * 10, [0.1] * 20 + [0.9] * 10)
    low, high = interval("auc", [[perfect]])
    assert 0.8 < low < 0.95
    assert high == 1


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_copies_of_a_patient_s_image_tell_nothing_new(metric: str) -> None:
    part = some()
    copies = Scored(*(np.repeat(each, 3, axis=0) for each in (part.labels, part.probabilities, part.clusters)))
    once, three_times = (np.ptp(interval(metric, [[each]])) for each in (part, copies))
    assert three_times == pytest.approx(once, rel=0.08)
    apart = Scored(copies.labels, copies.probabilities, np.arange(180))
    assert np.ptp(interval(metric, [[apart]])) < 0.7 * once


def test_folds_that_test_the_same_images_are_no_new_images() -> None:
    once, often = (np.ptp(interval("accuracy", [[some()]] * folds)) for folds in (1, 5))
    assert often == pytest.approx(once, rel=0.05)


def test_folds_that_differ_more_than_their_images_explain_widen_it() -> None:
    def fold(right: int, first: int) -> list[Scored]:
        return [scored([1] * 40, [0.9] * right + [0.1] * (40 - right), [*range(first, first + 40)])]

    alike = [fold(30, 40 * number) for number in range(6)]
    apart = [fold(right, 40 * number) for number, right in enumerate((16, 22, 28, 32, 38, 40))]
    assert np.ptp(interval("accuracy", apart, to_train=0.2)) > 2 * np.ptp(interval("accuracy", alike, to_train=0.2))


def test_where_there_is_little_to_go_by() -> None:
    assert np.isnan(interval("auc", [])).all()
    assert np.isnan(interval("auc", [[scored([1, 1], [0.2, 0.9])]])).all()
    one = scored([0, 1], [0.2, 0.9])
    assert interval("auc", [[one]])[1] == 1
    assert interval("recall", [[one]]) == pytest.approx((0.025, 1))
    twins = scored([1, 1], [0.9, 0.1], ["patient", "patient"])
    assert interval("recall", [[twins]]) == pytest.approx((0.0, 1.0), abs=0.03)
    assert np.isnan(interval("loss", [[twins]])).all()


@pytest.mark.parametrize("metric", (*SHARES, "auc"))
@pytest.mark.parametrize("setting", simulation.SETTINGS, ids=str)
def test_the_truth_lies_within_as_often_as_promised(setting: simulation.Setting, metric: str) -> None:
    covered = simulation.coverage(setting, (metric,), samples=120)[metric].share
    assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 120)
