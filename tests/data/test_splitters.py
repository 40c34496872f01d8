"""Every method makes folds that nothing leaks through; without groups they are scikit-learn's own."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from zoo.data import known_copies, splits, splitters
from zoo.data.config import METHODS, SplitConfig
from zoo.errors import DataError

CLASSES = ["normal", "abnormal"]


def images(count: int = 120, patients: int = 0, sources: int = 3, positive: float = 0.3, seed: int = 0) -> pd.DataFrame:
    """Made-up images; two in a hundred show a picture that another shows too."""
    rng = np.random.default_rng(seed)
    number = np.arange(count)
    patient = rng.integers(0, patients, count) if patients else number
    labels = (rng.random(count) < positive).astype(int)
    labels[49::50] = labels[48::50][: len(labels[49::50])]  # of one picture
    return pd.DataFrame(
        {
            "path": [f"{n:04d}.png" for n in number],
            "image": [f"picture {n - 1 if n % 50 == 49 else n}" for n in number],
            "label": labels,
            "group": [f"p{p}" for p in patient] if patients else "",
            "source": [f"s{p % sources}" for p in patient],
        }
    )


CASES = [
    SplitConfig("rotate", 5),
    SplitConfig("rotate", 5, combinations="all"),
    SplitConfig("rotate", 5, combinations=7),
    SplitConfig("stratified", 5),
    SplitConfig("stratified", 2),
    SplitConfig("grouped", 5),
    SplitConfig("repeated", 4, repeats=3),
    SplitConfig("leave-one-source-out", 5),
]


@pytest.mark.parametrize("how", CASES, ids=str)
@pytest.mark.parametrize("patients", [0, 60])
def test_folds_of_every_method_pass_every_check(how: SplitConfig, patients: int) -> None:
    if how.method == "grouped" and not patients:
        return
    table = images(patients=patients)
    if how.method == "leave-one-source-out":
        table = table.assign(image=table["path"])
    made, _ = splitters.divide(table, how, CLASSES)
    splits.check_splits(made, CLASSES)
    assert list(made.columns) == splits.SPLIT_COLUMNS
    assert (made.groupby("fold")["path"].nunique() == len(table)).all()
    assert not made.duplicated(["fold", "path"]).any()
    expected = {"repeated": 12, "leave-one-source-out": 3}.get(how.method, how.folds)
    expected = {None: expected, "all": 20}.get(how.combinations, how.combinations)
    assert list(made["fold"].unique()) == list(range(expected))


@pytest.mark.parametrize("how", [case for case in CASES if case.method != "grouped"], ids=str)
def test_the_same_seed_gives_the_same_folds_in_any_order(how: SplitConfig) -> None:
    table = images().assign(image=lambda t: t["path"])
    first, _ = splitters.divide(table, how, CLASSES)
    again, _ = splitters.divide(table.sample(frac=1, random_state=3), how, CLASSES)
    pd.testing.assert_frame_equal(first, again)


def test_another_seed_gives_other_folds() -> None:
    first, again = (splitters.divide(images(), SplitConfig("rotate", 5, seed=seed), CLASSES)[0] for seed in (0, 1))
    assert not first.equals(again)


def test_parts_are_scikit_learn_s() -> None:
    table = images().assign(image=lambda t: t["path"])
    made, _ = splitters.divide(table, SplitConfig("stratified", 5, seed=3), CLASSES)
    oracle = StratifiedKFold(5, shuffle=True, random_state=3).split(table, table["label"])
    for fold, (_, test) in enumerate(oracle):
        mine = made[(made["fold"] == fold) & (made["role"] == "test")]
        assert set(mine["path"]) == set(table["path"].iloc[test])


def test_rotate_tests_and_validates_every_image_once() -> None:
    made, _ = splitters.divide(images(), SplitConfig("rotate", 6), CLASSES)
    for role, times in {"test": 1, "validation": 1, "train": 4}.items():
        assert set(made[made["role"] == role].groupby("path").size()) == {times}
    parts = {fold: set(part["path"]) for fold, part in made[made["role"] == "test"].groupby("fold")}
    for fold, part in made[made["role"] == "validation"].groupby("fold"):
        assert set(part["path"]) == parts[(fold + 1) % 6]


def test_all_combinations_are_every_ordered_pair() -> None:
    pairs = splitters._pairs(5, "all", 0)
    assert pairs == [(test, validation) for test in range(5) for validation in range(5) if test != validation]


@pytest.mark.parametrize("count", [1, 4, 5, 7, 13, 20])
def test_some_combinations_test_each_part_alike(count: int) -> None:
    pairs = splitters._pairs(5, count, seed=2)
    assert len(set(pairs)) == count
    tested = np.bincount([test for test, _ in pairs], minlength=5)
    assert tested.max() - tested.min() <= 1


def test_stratified_tests_once_and_validates_a_share() -> None:
    made, _ = splitters.divide(images(200), SplitConfig("stratified", 5), CLASSES)
    assert set(made[made["role"] == "test"].groupby("path").size()) == {1}
    shares = made.groupby(["fold", "role"]).size().unstack() / 200
    assert ((shares["test"] - 0.2).abs() < 0.02).all()
    assert ((shares["validation"] - 0.2).abs() < 0.02).all()


def test_classes_are_even_with_groups_too() -> None:
    made, _ = splitters.divide(images(600, patients=200), SplitConfig("rotate", 5), CLASSES)
    counts = splits.class_counts(made, CLASSES)
    share = counts["abnormal"] / counts.sum(axis=1)
    assert share.max() - share.min() < 0.05


def test_leave_one_source_out_tests_each_source() -> None:
    table = images().assign(image=lambda t: t["path"])
    made, notes = splitters.divide(table, SplitConfig("leave-one-source-out", 10), CLASSES)
    source = table.set_index("path")["source"]
    for fold, part in made[made["role"] == "test"].groupby("fold"):
        assert set(part["path"].map(source)) == {f"s{fold}"}
        assert len(part) == (table["source"] == f"s{fold}").sum()
    assert notes == ["tested sources: s0 in fold 0, s1 in fold 1, s2 in fold 2"]


def test_a_source_of_one_class_is_only_trained_on() -> None:
    table = images().assign(image=lambda t: t["path"], group=lambda t: t["path"])
    table.loc[table["source"] == "s1", "label"] = 0
    made, notes = splitters.divide(table, SplitConfig("leave-one-source-out"), CLASSES)
    assert made["fold"].nunique() == 2
    assert notes == [
        "never tested, only trained on, having images of some classes only: s1",
        "tested sources: s0 in fold 0, s2 in fold 1",
    ]


def test_chains_of_groups_and_pictures_stay_together() -> None:
    table = pd.DataFrame({"image": ["A", "A", "B", "C", "D", "E"], "group": ["", "p1", "p1", "p2", "", ""]})
    units = known_copies.together(table)
    assert len(set(units[:3])) == 1
    assert len({units[0], *units[3:]}) == 4


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["", "p", "q", "r", "s"])), min_size=1, max_size=25)
)
def test_units_are_the_components_of_the_graph(pairs: list[tuple[int, str]]) -> None:
    """Against a plain union by repeated merging."""
    table = pd.DataFrame(pairs, columns=["image", "group"])
    sets = [{place} for place in range(len(pairs))]
    for one in range(len(pairs)):
        for other in range(one):
            same_group = pairs[one][1] and pairs[one][1] == pairs[other][1]
            if pairs[one][0] == pairs[other][0] or same_group:
                merged = sets[one] | sets[other]
                for place in merged:
                    sets[place] = merged
    units = known_copies.together(table)
    for one in range(len(pairs)):
        assert {place for place in range(len(pairs)) if units[place] == units[one]} == sets[one]


@pytest.mark.parametrize(
    ("how", "changes", "says"),
    [
        (SplitConfig("rotate", 60), {}, r"too few images of class abnormal for 60 parts: \d+; take fewer folds"),
        (SplitConfig("rotate", 5), {"label": 0}, "too few images of class abnormal for 5 parts: 0"),
        (SplitConfig("rotate", 5), {"group": "p"}, "too few groups of class normal for 5 parts: 1"),
        (SplitConfig("grouped", 5), {}, r"needs a group for every image; 120 of 120 have none: .* --groups REGEX"),
        (SplitConfig("leave-one-source-out"), {"source": ""}, "needs a source for every image; 120 of 120 have none"),
        (SplitConfig("leave-one-source-out"), {"group": "p"}, r"one group, or of the same pixels, .*:\n  '0000.png'"),
        (SplitConfig("leave-one-source-out"), {"source": "s"}, "two or more sources; there is only s"),
    ],
    ids=["folds", "class", "one group", "no groups", "no sources", "group in two", "one source"],
)
def test_what_cannot_be_divided(how: SplitConfig, changes: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        splitters.divide(images().assign(image=lambda t: t["path"], **changes), how, CLASSES)


def test_sources_of_one_class_each_cannot_be_left_out() -> None:
    table = images().assign(image=lambda t: t["path"], source=lambda t: t["label"].map({0: "a", 1: "b"}))
    with pytest.raises(DataError, match="no source has images of every class"):
        splitters.divide(table, SplitConfig("leave-one-source-out"), CLASSES)
    table.loc[table.index[:40], "source"] = "b"
    with pytest.raises(DataError, match="without b there are too few images of abnormal to train and validate on"):
        splitters.divide(table, SplitConfig("leave-one-source-out"), CLASSES)


ROWS = st.tuples(st.integers(0, 30), st.integers(0, 1), st.sampled_from(["", *"abcdefghij"]), st.sampled_from("xy"))


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=60),
    method=st.sampled_from(METHODS),
    folds=st.integers(3, 6),
    seed=st.integers(0, 9),
)
def test_any_images_are_folds_without_leaks_or_an_error(
    rows: list[tuple[int, int, str, str]], method: str, folds: int, seed: int
) -> None:
    table = pd.DataFrame(rows, columns=["image", "label", "group", "source"])
    table = table.assign(path=[f"{number}.png" for number in range(len(rows))], image=table["image"].astype(str))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made, _ = splitters.divide(table, SplitConfig(method, folds, seed=seed), CLASSES)
    except DataError:
        return
    splits.check_disjoint(made)
    splits.check_groups(made)
    assert (made.groupby("fold")["path"].nunique() == len(rows)).all()
