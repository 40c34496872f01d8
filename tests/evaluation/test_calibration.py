"""Calibration: what is wrong with probabilities is found and mended, on labels that test has no say in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from tests.evaluation.test_operating_point import predictions
from zoo.evaluation import calibration
from zoo.evaluation.calibration import CHOICES, Scaling, fit, net_benefit, reliability


def drawn(images: int, slope: float, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose log odds have to be times `slope` plus `shift` to be right."""
    rng = np.random.default_rng(seed)
    right = rng.normal(0, 1.5, images)
    labels = (rng.uniform(size=images) < expit(right)).astype(int)
    return labels, np.asarray(expit((right - shift) / slope))


def run(slope: float = 0.5, shift: float = 1.0, images: int = 2000) -> pd.DataFrame:
    parts = []
    for fold in range(2):
        for number, role in enumerate(("validation", "test")):
            labels, probabilities = drawn(images, slope, shift, 10 * fold + number)
            names = [f"{fold}{role}{row}" for row in range(images)]
            table = pd.DataFrame({"image": names, "label": labels, "probability": probabilities})
            parts.append(table.assign(fold=fold, role=role))
    return pd.concat(parts, ignore_index=True).assign(model="m", repeat=0, group="")


def test_a_scaling_finds_what_has_to_be_done() -> None:
    found = fit(*drawn(20_000, 0.5, 1.0))
    assert (found.slope, found.intercept) == pytest.approx((0.5, 1.0), abs=0.05)
    assert found.apply(np.array([0.5]))[0] == pytest.approx(expit(found.intercept))
    assert Scaling().apply(np.array([0.1, 0.9])) == pytest.approx([0.1, 0.9])


def test_a_scaling_of_few_or_one_sided_images_is_finite() -> None:
    apart = fit(np.array([0, 0, 1, 1]), np.array([0.0, 0.1, 0.9, 1.0]))
    assert np.isfinite([apart.slope, apart.intercept]).all()
    assert 0 < apart.slope < 10
    assert fit(np.array([1, 1]), np.array([0.2, 0.3])) == Scaling()
    labels, probabilities = drawn(300, 1.0, 0.0)
    wrong_way_round = fit(labels, 1 - probabilities)
    assert wrong_way_round.slope == 0
    assert wrong_way_round.apply(np.array([0.1, 0.9])) == pytest.approx(labels.mean(), abs=0.01)


def test_what_is_wrong_on_test_and_what_scaling_makes_of_it() -> None:
    table = run()
    rows = calibration.calibration(table)
    assert list(rows.columns) == calibration.COLUMNS
    assert rows[["fold", "scaled"]].to_numpy().tolist() == [[fold, s] for s in (0, 1) for fold in (0, 1, "all")]
    before, after = (rows[(rows["fold"] == "all") & (rows["scaled"] == number)].iloc[0] for number in (0, 1))
    test = table[table["role"] == "test"]
    assert before["brier"] == pytest.approx(brier_score_loss(test["label"], test["probability"]))
    assert before["slope"] == pytest.approx(0.5, abs=0.05)
    assert before["intercept"] > 0.5  # on the whole they are too low
    assert (after["slope"], after["intercept"]) == (pytest.approx(1, abs=0.1), pytest.approx(0, abs=0.1))
    assert after["brier"] < before["brier"]
    assert (before["images"], before["positives"]) == (4000, test["label"].sum())


def test_test_has_no_say_in_scalings() -> None:
    table = predictions()
    other = table.assign(label=np.where(table["role"] == "test", 1 - table["label"], table["label"]))
    assert calibration.scalings(table) == calibration.scalings(other)
    assert list(calibration.scalings(table)) == [("m", fold, 0) for fold in range(10)]


def test_classes_that_are_apart_have_no_slope() -> None:
    table = run(images=40).assign(probability=lambda rows: 0.2 + 0.6 * rows["label"])
    assert calibration.calibration(table)["slope"].isna().all()
    one = run(images=40).assign(label=1)
    assert calibration.calibration(one)[["slope", "intercept"]].isna().all(axis=None)
    assert calibration.calibration(table[:0]).empty


def test_reliability_counts_every_image_once() -> None:
    labels, probabilities = drawn(1000, 1.0, 0.0)
    table = reliability(labels, probabilities)
    assert table["images"].tolist() == [100] * 10
    assert (table["predicted"] - table["observed"]).abs().max() < 0.15
    assert reliability(labels, np.full(1000, 0.3))["images"].sum() in (0, 1000)


def test_net_benefit_is_that_of_its_definition() -> None:
    labels, probabilities = drawn(500, 1.0, 0.0)
    table = net_benefit(labels, probabilities)
    at = CHOICES[19]
    called = probabilities >= at
    found, alarms = (called & (labels == 1)).sum() / 500, (called & (labels == 0)).sum() / 500
    assert table["model"][19] == pytest.approx(found - alarms * at / (1 - at))
    assert table["all"].iloc[0] == pytest.approx(labels.mean() - (1 - labels.mean()) / 99, abs=1e-9)
    assert (table["model"] >= table["all"] - 0.02).all()  # well calibrated: never much worse than acting on everyone
