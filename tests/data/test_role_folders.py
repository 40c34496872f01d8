"""Images that somebody has divided once: a folder per role, by whatever name, with a folder per class in each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.conftest import disc
from zoo.data import dataset, loading, origin
from zoo.data.config import DataConfig
from zoo.data.options import DataOptions
from zoo.errors import ConfigError, DataError

CONFIG = DataConfig(image_size=32)


def write(root: Path, **roles: int) -> Path:
    """So many images of each class in each folder; two of each patient."""
    rng = np.random.default_rng(0)
    for role, count in roles.items():
        for label, name in enumerate(CONFIG.classes):
            folder = root / role / name
            folder.mkdir(parents=True)
            for number in range(count):
                eye = "left" if number % 2 else "right"
                file = folder / f"{role}{label}x{number // 2}_{eye}.png"
                cv2.imwrite(str(file), disc(rng, label > 0, 32))
    return root


def counts(splits: pd.DataFrame) -> dict[str, int]:
    return splits.groupby("role").size().to_dict()


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "valid", "TESTING"),
        ("TRAIN", "Validation", "Test"),
        ("train", "dev", "test"),
    ],
    ids="-".join,
)
def test_roles_by_the_usual_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    write(tmp_path, **dict(zip(names, (10, 4, 6), strict=True)))
    data = loading.load_data(CONFIG, DataOptions(data=str(tmp_path)), None)
    assert counts(data.splits) == {"train": 20, "validation": 8, "test": 12}
    assert set(data.splits["fold"]) == {0}
    assert data.config.roles == {role: role for role in ("train", "validation", "test")}
    train, val, test = names
    assert f"folders are taken by their names: {train} as train, {val} as validation, {test} as test" in data.notes
    validation = data.splits.loc[data.splits["role"] == "validation", "path"]
    assert validation.str.startswith(names[1] + "/").all()


def test_validation_is_taken_out_of_train_where_it_is_missing(tmp_path: Path) -> None:
    write(tmp_path, train=20, test=6)
    data = loading.load_data(CONFIG, DataOptions(data=str(tmp_path), groups="([a-z0-9]+)_(?:left|right)"), None)
    assert counts(data.splits) == {"train": 32, "validation": 8, "test": 12}
    assert data.splits[data.splits["role"] == "validation"]["label"].tolist().count(1) == 4
    assert (data.splits.groupby("group")["role"].nunique() == 1).all()
    said = "there is no validation role: 8 of 40 train images play it, with the classes' shares, patients kept together"
    assert said in data.notes
    again = loading.load_data(CONFIG, DataOptions(data=str(tmp_path), groups="([a-z0-9]+)_(?:left|right)"), None)
    pd.testing.assert_frame_equal(data.splits, again.splits)


def test_what_is_called_validation_is_the_test_where_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path, train=10, val=6)
    data = loading.load_data(CONFIG, DataOptions(data=str(tmp_path)), "first")
    assert counts(data.splits) == {"train": 16, "validation": 4, "test": 12}
    assert data.splits.loc[data.splits["role"] == "test", "path"].str.startswith("val/").all()
    assert any(note.startswith("there is no test role: what is called validation plays it") for note in data.notes)


def test_faults_are_named(tmp_path: Path) -> None:
    write(tmp_path / "few", train=4, test=4)
    with pytest.raises(DataError, match="too few images to take a validation role out of train: a class has 4"):
        dataset.read_dataset(origin.of(tmp_path / "few"), CONFIG)
    write(tmp_path / "two", train=4, val=4, valid=4)
    with pytest.raises(DataError, match="val and valid both play the role validation; keep one"):
        dataset.read_dataset(origin.of(tmp_path / "two"), CONFIG)
    write(tmp_path / "other", train=4, test=4)
    (tmp_path / "other/train/abnormal").rename(tmp_path / "other/train/ill")
    with pytest.raises(
        DataError, match=r"(?s)not the class folders in them:.*train/abnormal is missing.*folders in train: ill"
    ):
        dataset.read_dataset(origin.of(tmp_path / "other"), CONFIG)
    with pytest.raises(ConfigError, match="has no fold 1; it has folds 0"):
        loading.load_data(CONFIG, DataOptions(data=str(write(tmp_path / "good", train=10, test=4))), (1,))


def test_classes_that_are_called_like_roles_are_classes(tmp_path: Path) -> None:
    config = DataConfig(image_size=32, classes=("train", "test"))
    for name in config.classes:
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.zeros((32, 32, 3), np.uint8))
    assert "fold" not in dataset.read_dataset(origin.of(tmp_path), config).table


def test_they_can_be_divided_anew_and_audited(tmp_path: Path) -> None:
    from zoo.auditing import run
    from zoo.data.config import SplitConfig

    write(tmp_path, train=10, test=6)
    made = loading.make_splits(CONFIG, DataOptions(data=str(tmp_path)), SplitConfig("rotate", 4))
    assert made.splits["fold"].nunique() == 4
    found = run.look(CONFIG, DataOptions(data=str(tmp_path)), near_duplicates=False)
    assert set(found.files["role"]) == {"train", "validation", "test"}
