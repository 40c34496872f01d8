from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROLES
from zoo.data import decoding, folders, images, labels, splits
from zoo.errors import ConfigError, DataError, LeakError
from zoo.files import write_csv

CLASSES = ["normal", "abnormal"]


@pytest.fixture
def table(folds: Path) -> pd.DataFrame:
    found = folders.read_folds(folds, CLASSES, ROLES)
    _, hashes = images.decode(folds, list(found["path"]), 32)
    return found.assign(image=found["path"].map(hashes), group="")[splits.SPLIT_COLUMNS]


def test_a_subset_pairs_pixels_with_labels(table: pd.DataFrame, folds: Path) -> None:
    store, _ = images.decode(folds, list(table["path"]), 32)
    test = splits.subset(table, 1, "test", store)
    assert len(test) == 4
    for row, label, path in zip(test.rows, test.labels, test.paths, strict=True):
        np.testing.assert_array_equal(store.pixels[row], decoding.read_image(folds / path).pixels)
        assert path.startswith(f"Fold1/valid/{['normal', 'abnormal'][label]}/")


def test_a_table_survives_being_written(table: pd.DataFrame, tmp_path: Path) -> None:
    write_csv(tmp_path / "splits.csv", labels.named(table, CLASSES))
    read = splits.read_splits(tmp_path / "splits.csv", CLASSES)
    pd.testing.assert_frame_equal(read, table, check_dtype=False)


@pytest.mark.parametrize(
    ("text", "folds"),
    [("all", None), ("first", "first"), ("3", (3,)), ("0,3", (0, 3)), ("0-2", (0, 1, 2)), ("7, 0-1,1", (7, 0, 1))],
)
def test_folds_as_people_write_them(text: str, folds: splits.Folds) -> None:
    assert splits.parse_folds(text) == folds


@pytest.mark.parametrize("text", ["", "one", "3-1", "1-", "-1", "0-1-2", "0,", "0-99999999", "first,0"])
def test_folds_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="neither all, first nor numbers such as 0, 0,3 or 0-4"):
        splits.parse_folds(text)


def test_a_fold_that_is_there_twice_is_refused(table: pd.DataFrame, folds: Path) -> None:
    splits.check_splits(table, CLASSES)
    copied = table[table["fold"] == 1].assign(fold=7, path=lambda rows: rows["path"].str.replace("Fold1", "Fold7"))
    with pytest.raises(DataError, match=r"(?s)were their folders copied or linked\?.*fold 7 is fold 1 again"):
        splits.check_splits(pd.concat([table, copied]), CLASSES)
    swapped = copied.assign(role=copied["role"].replace({"test": "validation", "validation": "test"}))
    splits.check_splits(pd.concat([table, swapped]), CLASSES)


def test_disjoint_roles_pass(table: pd.DataFrame) -> None:
    splits.check_disjoint(table)


@pytest.mark.parametrize("roles", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_picture_in_two_roles_is_refused(table: pd.DataFrame, roles: tuple[str, str]) -> None:
    first, second = (table.index[(table["fold"] == 1) & (table["role"] == role)][0] for role in roles)
    table.loc[second, "image"] = table.loc[first, "image"]
    with pytest.raises(LeakError, match="1 picture in more than one role") as caught:
        splits.check_disjoint(table)
    assert table.loc[first, "path"] in str(caught.value)
    assert table.loc[second, "path"] in str(caught.value)


def test_the_same_picture_may_play_other_roles_in_other_folds(table: pd.DataFrame) -> None:
    roles = table.groupby("image")["role"].nunique()
    assert (roles > 1).any()
    splits.check_disjoint(table)


def test_a_group_in_two_roles_is_refused(table: pd.DataFrame) -> None:
    first, second = (table.index[(table["fold"] == 1) & (table["role"] == role)][0] for role in ("train", "test"))
    table.loc[[first, second], "group"] = "patient 7"
    with pytest.raises(LeakError) as caught:
        splits.check_splits(table, CLASSES)
    text = str(caught.value)
    assert text.startswith("1 group in more than one role of a fold")
    assert f"fold 1, patient 7: test {table['path'][second]}, train {table['path'][first]}" in text


def test_groups_on_one_side_pass(table: pd.DataFrame) -> None:
    same = (table["fold"] == 1) & (table["role"] == "train")
    splits.check_splits(table.assign(group=np.where(same, "patient 7", "")), CLASSES)


def test_folds_without_a_role_or_a_class_are_refused(table: pd.DataFrame) -> None:
    lacking = table[~((table["fold"] == 0) & (table["role"] == "validation"))]
    lacking = lacking[~((lacking["fold"] == 1) & (lacking["role"] == "test") & (lacking["label"] == 1))]
    with pytest.raises(DataError) as caught:
        splits.check_splits(lacking, CLASSES)
    assert "fold 0, validation: no image at all" in str(caught.value)
    assert "fold 1, test: no image of abnormal" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_images_tested_twice_are_noted(table: pd.DataFrame) -> None:
    assert splits.notes(table) == []
    twice = pd.concat([table, table[table["fold"] == 0].assign(fold=2)])
    assert splits.notes(twice) == ["4 of 8 test images are tested in several folds"]


def test_evenness(table: pd.DataFrame) -> None:
    assert splits.evenness(table, CLASSES) == "Test roles hold 4 images, 50.0% of them abnormal (50.0% in all)"


def test_group_counts(table: pd.DataFrame) -> None:
    grouped = table.assign(group=np.where(table["label"] == 1, table["path"].str[-5], ""))
    counts = splits.group_counts(grouped)
    assert (counts[0, "train"], counts[0, "test"]) == (6, 2)
    assert splits.group_counts(table).sum() == 0


def test_class_counts(table: pd.DataFrame) -> None:
    counts = splits.class_counts(table, ["normal", "abnormal"])
    assert counts.loc[(0, "train")].to_dict() == {"normal": 6, "abnormal": 6}
    assert list(counts.index[:3]) == [(0, "train"), (0, "validation"), (0, "test")]
