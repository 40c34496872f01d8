"""Which images are listed as missed: as many as are counted, the worst first, and by how many jobs and models."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.evaluation.test_operating_point import predictions
from zoo.evaluation import comparison, operating_point
from zoo.evaluation.config import HALF, OperatingPoint
from zoo.evaluation.missed import COLUMNS, missed

CLASSES = ["normal", "abnormal"]


def two_models(repeats: int = 2) -> pd.DataFrame:
    each = [
        predictions(seed=seed).assign(model=model, repeat=repeat)
        for seed, (model, repeat) in enumerate((model, repeat) for model in "ab" for repeat in range(repeats))
    ]
    table = pd.concat(each, ignore_index=True).assign(path=lambda rows: rows["image"] + ".png")
    label = table.groupby("image")["label"].transform("first")  # seeds deal them out anew
    return table.assign(label=label)


def test_as_many_as_are_counted_and_the_worst_first() -> None:
    table, point = two_models(), OperatingPoint(sensitivity=0.9)
    chosen = operating_point.thresholds(table, point)
    counted = operating_point.tested(table, chosen, point, 0.1, None).query("fold == 'all'").set_index("model")
    rows = missed(operating_point.with_thresholds(table, chosen), point, CLASSES)
    assert list(rows.columns) == COLUMNS
    assert set(rows["point"]) == {"sensitivity 0.9"}
    assert list(rows["model"].unique()) == ["a", "b"]
    for (model, kind), part in rows.groupby(["model", "kind"]):
        assert len(part) == counted.loc[model, {"missed": "missed", "alarm": "alarms"}[str(kind)]]
        far = (part["probability"] - part["threshold"]).abs()
        assert far.is_monotonic_decreasing
        ill = kind == "missed"
        assert (part["label"] == CLASSES[ill]).all()
        assert (part["called"] == CLASSES[not ill]).all()
        assert ((part["probability"] < part["threshold"]) == ill).all()
    assert rows.groupby("model")["kind"].first().tolist() == ["missed", "missed"]


def test_in_how_many_jobs_and_models() -> None:
    table = two_models()
    rows = missed(table, HALF, CLASSES)
    test = table[table["role"] == "test"]
    wrong = test.assign(wrong=(test["probability"] >= 0.5) != test["label"])
    first = wrong[wrong["repeat"] == 0].groupby("image")["wrong"].sum()
    each = wrong.groupby(["model", "image"])["wrong"].sum()
    assert (rows["jobs"] == 2).all()
    assert (rows["models"] == 2).all()
    assert rows["wrong"].tolist() == [each[row.model, row.image] for row in rows.itertuples()]
    assert rows["wrong_models"].tolist() == first[rows["image"]].tolist()
    assert {1, 2} <= set(rows["wrong"])


def test_more_classes_are_confused() -> None:
    rng = np.random.default_rng(0)
    table = predictions().assign(path="x.png").drop(columns="probability")
    names = ["none", "mild", "severe"]
    each = rng.dirichlet([1, 1, 1], len(table))
    table[[f"probability_{name}" for name in names]] = each
    rows = missed(table.assign(label=rng.integers(0, 3, len(table))), HALF, names)
    assert set(rows["kind"]) == {"confused"}
    assert (rows["label"] != rows["called"]).all()
    assert rows["threshold"].isna().all()
    assert (rows["probability"] < 0.5).all()


def test_nothing_is_missed_where_nothing_is_wrong() -> None:
    table = predictions().assign(path="x.png", probability=lambda rows: rows["label"] * 0.8 + 0.1)
    assert missed(table, HALF, CLASSES).empty
    assert list(missed(table[:0], HALF, CLASSES).columns) == COLUMNS
    assert comparison.called(table).tolist() == table["label"].tolist()
