"""The shortcut baseline: artefacts that were planted are found, and where there is none nothing is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from zoo.auditing import shortcuts
from zoo.auditing.facts import CORNERS

CLASSES = ("normal", "abnormal")


def pictures(number: int = 200, classes: int = 2, seed: int = 0) -> pd.DataFrame:
    """Facts that have nothing to do with the label."""
    rng = np.random.default_rng(seed)
    names = ["red", "green", "blue", "border_mean", "border_spread", "border_black", *CORNERS]
    table = pd.DataFrame(rng.uniform(0, 255, (number, len(names))), columns=names)
    return table.assign(
        width=640,
        height=480,
        aspect=640 / 480,
        bytes=rng.integers(5000, 9000, number),
        format="JPEG",
        source="",
        label=np.arange(number) % classes,
        unit=np.arange(number),
    )


def aucs(table: pd.DataFrame, scope: str = "all", classes: tuple[str, ...] = CLASSES) -> pd.DataFrame:
    found = shortcuts.baseline(table, classes)
    assert list(found.columns) == shortcuts.SHORTCUT_COLUMNS
    return found[found["scope"] == scope].set_index("feature")


def test_facts_without_a_shortcut_are_chance() -> None:
    found = aucs(pictures())
    assert ((found["low"] <= 0.5) & (found["high"] >= 0.5)).all()
    assert (found.loc[["size", "aspect", "format"], "auc"] == 0.5).all()
    assert found.loc["size", "remark"] == "the same in all: 640 x 480"
    assert not list(shortcuts.findings(shortcuts.baseline(pictures(), CLASSES)))


PLANTED = {
    "size": lambda table: table.assign(width=np.where(table["label"], 800, 640)),
    "format": lambda table: table.assign(format=np.where(table["label"], "PNG", "JPEG")),
    "bytes": lambda table: table.assign(bytes=table["bytes"] + 5000 * table["label"]),
    "mean colour": lambda table: table.assign(red=table["red"] / 4 + 150 * table["label"]),
    "border": lambda table: table.assign(border_black=table["label"] / 2),
    "corners": lambda table: table.assign(corner_ne_mean=200 * table["label"]),
}


@pytest.mark.parametrize("feature", PLANTED)
def test_a_planted_artefact_is_found_where_it_is(feature: str) -> None:
    table = shortcuts.baseline(PLANTED[feature](pictures()), CLASSES)
    strong = table[table["low"] > shortcuts.STRONG]["feature"]
    assert set(strong) == {feature, shortcuts.TOGETHER}
    (finding,) = shortcuts.findings(table)
    assert (finding.severity, finding.kind) == ("error", "shortcut-strong")
    assert f"from {feature}" in finding.text or "from all together" in finding.text


def test_a_weaker_shortcut_is_a_warning() -> None:
    rng = np.random.default_rng(1)
    table = pictures(600)
    same = rng.random(600) < 0.7
    table["format"] = np.where(same == (table["label"] == 1), "PNG", "JPEG")
    (finding,) = shortcuts.findings(shortcuts.baseline(table, CLASSES))
    assert (finding.severity, finding.kind) == ("warning", "shortcut-weak")


def test_pictures_of_one_unit_do_not_betray_each_other() -> None:
    """Ten pictures of each patient in the patient's own colour: known patients are a shortcut, new ones are not."""
    rng = np.random.default_rng(2)
    table = pictures(400).assign(unit=np.arange(400) // 10, label=np.arange(400) // 10 % 2)
    table["red"] = rng.uniform(0, 255, 40)[table["unit"]]
    apart = aucs(table.assign(unit=np.arange(400))).loc["mean colour"]
    together = aucs(table).loc["mean colour"]
    assert apart["low"] > 0.8
    assert together["low"] < 0.5 < together["high"]


def test_sources_are_looked_at_one_by_one() -> None:
    """Each source has its own format, and one more of a class: a shortcut overall, none within a source."""
    table = pictures(400)
    second = np.random.default_rng(3).random(400) < np.where(table["label"], 0.8, 0.2)
    table = table.assign(source=np.where(second, "B", "A"), format=np.where(second, "PNG", "JPEG"))
    found = shortcuts.baseline(table, CLASSES).set_index(["scope", "feature"])
    assert found.loc[("all", "format"), "low"] > 0.7
    assert found.loc[("source A", "format"), "auc"] == 0.5
    assert found.loc[("source B", "format"), "auc"] == 0.5


def test_too_few_images_are_said_instead_of_a_number() -> None:
    table = pictures(60).assign(label=lambda table: (table.index < 12).astype(int))
    (row,) = shortcuts.baseline(table, CLASSES).to_dict("records")
    assert math.isnan(row["auc"])
    assert row["remark"] == "too few images (12 images of abnormal; it needs 20)"
    (note,) = shortcuts.findings(shortcuts.baseline(table, CLASSES))
    assert note.severity == "note"
    one_patient = pictures(60).assign(unit=lambda table: np.where(table["label"], 999, table.index))
    assert "all of abnormal are of one group" in shortcuts.baseline(one_patient, CLASSES)["remark"].item()


def test_three_classes() -> None:
    names = ("a", "b", "c")
    chance = aucs(pictures(300, 3), classes=names)
    assert ((chance["low"] < 0.55) & (chance["high"] > 0.45)).all()
    table = pictures(300, 3)
    table["format"] = table["label"].map({0: "PNG", 1: "JPEG", 2: "JPEG"})
    found = aucs(table, classes=names).loc["format"]
    assert found["auc"] == pytest.approx((1 + 0.75 + 0.75) / 3, abs=0.03)
    assert found["low"] < found["auc"] < found["high"]


def test_the_same_pictures_give_the_same_numbers() -> None:
    pd.testing.assert_frame_equal(shortcuts.baseline(pictures(), CLASSES), shortcuts.baseline(pictures(), CLASSES))
