"""Thresholds: what they promise of new images, that test has no say in them, and numbers that can be recomputed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from zoo.errors import ConfigError
from zoo.evaluation import comparison, intervals, operating_point
from zoo.evaluation.config import Cost, EvaluationConfig, OperatingPoint, point_of
from zoo.evaluation.operating_point import Chosen, choose

AUC = 0.895  # of the founding study's size, about
FOLDS = 10


def predictions(images: int = 400, seed: int = 0, shift: float = 0.3, patients: int = 1) -> pd.DataFrame:
    """One model on ten folds whose networks differ in how high their scores are, not in what they know."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation((np.arange(images) % 10 < 4).astype(int))
    own = rng.normal(0, 0.7, images)
    parts = []
    for fold in range(FOLDS):
        scores = np.sqrt(2) * stats.norm.ppf(AUC) * (labels - 0.5) + own + rng.normal(0, np.sqrt(0.51), images)
        scores = scores * np.exp(rng.normal(0, shift / 2)) + rng.normal(0, shift)
        for role, part in (("validation", (fold + 1) % FOLDS), ("test", fold)):
            rows = np.flatnonzero(np.arange(images) // patients % FOLDS == part)
            table = {"image": [f"{row:05}" for row in rows], "label": labels[rows], "probability": _p(scores[rows])}
            groups = [f"p{row // patients}" if patients > 1 else "" for row in rows]
            parts.append(pd.DataFrame(table).assign(fold=fold, role=role, group=groups))
    return pd.concat(parts, ignore_index=True).assign(model="m", repeat=0)


def _p(scores: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-2 * scores)))


def chosen(point: OperatingPoint, labels: Any, scores: Any, weights: Any = None, prevalence: Any = None) -> Chosen:
    labels, scores = np.array(labels), np.array(scores, dtype=float)
    return choose(point, labels, scores, np.ones(len(labels)) if weights is None else np.array(weights), prevalence)


def found(table: pd.DataFrame) -> float:
    test = table[(table["role"] == "test") & (table["label"] == 1)]
    return float((comparison.called(test) == 1).mean())


@pytest.mark.parametrize("images", [400, 1480])
def test_a_sensitivity_is_kept_on_new_images(images: int) -> None:
    """What each fold's own validation reaches, test does not: so the promise has to be made another way."""
    point = OperatingPoint(sensitivity=0.95)
    kept, plain = [], []
    for seed in range(25):
        table = predictions(images, seed)
        decided = operating_point.with_thresholds(table, operating_point.thresholds(table, point))
        kept.append(found(decided))
        of_ill = table[(table["role"] == "validation") & (table["label"] == 1)].groupby("fold")["probability"]
        highest = of_ill.agg(lambda scores: np.sort(scores)[int(0.05 * len(scores) + 1e-9)])  # that reaches 0.95 there
        plain.append(found(table.assign(threshold=table["fold"].map(highest))))
    assert 0.945 < np.mean(kept) < 0.965
    assert np.mean(plain) < np.mean(kept) - 0.005


def test_test_has_no_say() -> None:
    table = predictions()
    rng = np.random.default_rng(0)
    other = table.copy()
    test = other["role"] == "test"
    other.loc[test, "label"] = rng.permutation(other.loc[test, "label"])
    other.loc[test, "probability"] = rng.uniform(size=test.sum())
    for point in ({"sensitivity": 0.9}, {"specificity": 0.9}, {"youden": True}, {"cost": {"missed": 10}}):
        both = [operating_point.thresholds(each, point_of(point)) for each in (table, other)]
        pd.testing.assert_frame_equal(*both)


def test_images_and_patients_that_a_fold_tests_choose_nothing_for_it() -> None:
    """Fold 3 tests what fold 2 validates on: those labels move the threshold of every fold but its own."""
    table = predictions(patients=2)
    other = table.copy()
    tested = set(table.loc[(table["role"] == "test") & (table["fold"] == 3), "group"])
    theirs = other["group"].isin(tested) & (other["role"] == "validation")
    other.loc[theirs, "probability"] = 0.001
    before, after = (
        operating_point.thresholds(each, OperatingPoint(sensitivity=0.9)).set_index("fold")["threshold"]
        for each in (table, other)
    )
    assert before[3] == after[3]
    assert (before.drop(3) > after.drop(3)).all()


def test_the_quantile_is_that_of_the_next_image() -> None:
    scores = np.arange(1, 40) / 40
    ill = np.ones(39, dtype=int)
    healthy = [0, 0]
    labels, both = [*healthy, *ill], [0.01, 0.02, *scores]
    # (1 - 0.95) 40 = 2: the second lowest of 39.
    assert chosen(OperatingPoint(sensitivity=0.95), labels, both) == Chosen(2 / 40)
    # Mirrored: with two healthy the highest score passes, and 2 of 3 of the next ones.
    assert chosen(OperatingPoint(specificity=0.66), labels, both).threshold == np.nextafter(0.02, 1)
    # An image that stands in two rows counts once.
    twice = [*labels, *ill], [*both, *scores], [1, 1, *[0.5] * 78]
    assert chosen(OperatingPoint(sensitivity=0.95), *twice) == Chosen(2 / 40)


def test_too_few_images_are_said_to_be_too_few() -> None:
    few = chosen(OperatingPoint(sensitivity=0.95), [0, 1, 1], [0.1, 0.4, 0.9])
    assert few == Chosen(0.4, "validation has 2 positive images, and 19 are the least for it")
    enough = chosen(OperatingPoint(sensitivity=0.95), [0, *[1] * 19], [0.1, *np.linspace(0.3, 0.9, 19)])
    assert enough == Chosen(0.3)
    assert chosen(OperatingPoint(specificity=0.9), [0, 1], [0.1, 0.9]).fault.startswith("validation has 1 negative")
    assert chosen(OperatingPoint(youden=True), [1, 1], [0.1, 0.9]).fault == "validation has no healthy image"
    assert chosen(OperatingPoint(sensitivity=0.9), [0], [0.1]).fault == "validation has no positive image"
    assert chosen(OperatingPoint(threshold=0.3), [0], [0.1]) == Chosen(0.3)


def test_youden_and_cost_are_the_best_of_all_thresholds() -> None:
    table = predictions()
    labels, scores = table["label"].to_numpy(), table["probability"].to_numpy()

    def spent(threshold: float, missed: float, prevalence: float) -> float:
        called = scores >= threshold
        of_ill, of_healthy = (~called)[labels == 1].mean(), called[labels == 0].mean()
        return float(missed * prevalence * of_ill + (1 - prevalence) * of_healthy)

    each = [*np.unique(scores), 1.1]
    best = chosen(OperatingPoint(youden=True), labels, scores).threshold
    assert spent(best, 1, 0.5) == pytest.approx(min(spent(one, 1, 0.5) for one in each))
    for missed, prevalence in ((10, None), (10, 0.01), (0.1, 0.3)):
        best = chosen(OperatingPoint(cost=Cost(missed)), labels, scores, prevalence=prevalence).threshold
        share = (labels == 1).mean() if prevalence is None else prevalence
        assert spent(best, missed, share) == pytest.approx(min(spent(one, missed, share) for one in each))


@pytest.mark.parametrize("prevalence", [None, 0.03])
def test_what_test_makes_of_it_can_be_recomputed(prevalence: float | None) -> None:
    table, point = predictions(), OperatingPoint(sensitivity=0.9)
    thresholds = operating_point.thresholds(table, point)
    rows = operating_point.tested(table, thresholds, point, 0.125, prevalence)
    assert list(rows.columns) == operating_point.COLUMNS
    assert rows["fold"].tolist() == [*range(FOLDS), "all"]
    assert (rows["chosen_on"] == 360).all()  # all but those that the fold tests
    test = operating_point.with_thresholds(table, thresholds).query("role == 'test'")
    test = test.assign(called=(test["probability"] >= test["threshold"]).astype(int))
    for fold, part in test.groupby("fold"):
        row = rows[rows["fold"] == fold].iloc[0]
        assert row["sensitivity"] == pytest.approx(sklearn_metrics.recall_score(part["label"], part["called"]))
        healthy = 1 - sklearn_metrics.recall_score(part["label"], part["called"], pos_label=0)
        assert row["specificity"] == pytest.approx(1 - healthy)
    row = rows.iloc[-1]
    counts = sklearn_metrics.confusion_matrix(test["label"], test["called"])
    assert [row["negatives"] - row["alarms"], row["alarms"], row["missed"], row["positives"] - row["missed"]] == [
        *counts.ravel()
    ]
    share = test["label"].mean() if prevalence is None else prevalence
    right = row["sensitivity"] * share
    assert row["prevalence"] == pytest.approx(share)
    assert row["ppv"] == pytest.approx(right / (right + (1 - row["specificity"]) * (1 - share)))
    right = row["specificity"] * (1 - share)
    assert row["npv"] == pytest.approx(right / (right + (1 - row["sensitivity"]) * share))
    assert all(row[f"{name}_low"] < row[name] < row[f"{name}_high"] for name in ("sensitivity", "ppv", "npv"))
    decided = operating_point.with_thresholds(table, thresholds)
    summary = comparison.summary(decided, comparison.results(decided), {"validation": 0.125, "test": 0.125})
    recall = summary.query("role == 'test' and metric == 'recall'").iloc[0]
    assert row[["sensitivity", "sensitivity_low", "sensitivity_high"]].tolist() == pytest.approx(
        recall[["mean", "low", "high"]].tolist()
    )


def test_predictive_values_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    sensitivity, specificity, prevalence = 0.9, 0.8, 0.1
    truth = sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))
    held = []
    for _ in range(300):
        labels = np.repeat([1, 0], [60, 120])
        called = np.where(labels == 1, rng.uniform(size=180) < sensitivity, rng.uniform(size=180) > specificity)
        scored = intervals.Scored(labels, np.column_stack([1 - called, called]).astype(float), np.arange(180))
        both = [
            (float(value), *intervals.interval(metric, [[scored]]))
            for metric, value in (
                ("recall", called[labels == 1].mean()),
                ("specificity", 1 - called[labels == 0].mean()),
            )
        ]
        (_, low, high), _ = operating_point.predictive_values(both[0], both[1], prevalence)
        held.append(low <= truth <= high)
    assert 0.93 < np.mean(held) <= 1


def test_predictive_values_at_the_ends() -> None:
    nothing_wrong = (1.0, 0.9, 1.0)
    (ppv, low, high), npv = operating_point.predictive_values(nothing_wrong, nothing_wrong, 0.5)
    assert (ppv, high) == npv[::2] == (1.0, 1.0)
    assert 0.85 < low < 0.95
    alarm, rest = operating_point.predictive_values((0.0, 0.0, 0.1), (1.0, 0.9, 1.0), 0.5)
    assert np.isnan(alarm[0])  # nothing is called
    assert rest[0] == 0.5


def test_the_trade_off_says_what_each_further_case_costs() -> None:
    table = predictions()
    rows = operating_point.trade_off(table, EvaluationConfig(OperatingPoint(specificity=0.9)))
    assert {"specificity 0.9", "threshold 0.5", "sensitivity 0.95"} <= {*rows["point"]}
    assert rows["threshold"].is_monotonic_decreasing
    assert rows["missed"].is_monotonic_decreasing
    assert (rows["positives"] == 160).all()
    last, before = rows.iloc[-1], rows.iloc[-2]
    gained = before["missed"] - last["missed"]
    assert last["price"] == pytest.approx((last["alarms"] - before["alarms"]) / gained)
    assert np.isnan(rows["price"].iloc[0])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"sensitivity": 0.95}, "sensitivity 0.95"),
        ({"threshold": 0}, "threshold 0"),
        ({"youden": True}, "Youden's index"),
        ({"cost": {"missed": 10}}, "cost 10 to 1"),
    ],
)
def test_a_point_says_what_it_is(fields: dict[str, Any], text: str) -> None:
    assert str(point_of(fields)) == text
    assert point_of(point_of(fields).table()) == point_of(fields)


@pytest.mark.parametrize("fields", [{}, {"youden": False}, {"sensitivity": 0.9, "specificity": 0.9}])
def test_a_point_is_one(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^operating point: must be one of threshold, .*, not [02] of them"):
        point_of(fields)
