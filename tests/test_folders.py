from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROLES, write_folds
from zoo.data.folders import fold_folders, read_folds
from zoo.errors import ConfigError, DataError

CLASSES = ["normal", "abnormal"]


def test_every_image_of_every_fold_is_a_row(folds: Path) -> None:
    table = read_folds(folds, CLASSES, ROLES)
    assert list(table.columns) == ["fold", "role", "path", "label", "group"]
    assert table.groupby(["fold", "role", "label"]).size().to_dict() == {
        (fold, role, label): count
        for fold in (0, 1)
        for role, count in {"train": 6, "validation": 2, "test": 2}.items()
        for label in (0, 1)
    }
    row = table[(table["fold"] == 1) & (table["role"] == "test")].iloc[0]
    assert row["path"].startswith("Fold1/valid/normal/normal ")


def test_roles_are_configuration(folds: Path) -> None:
    swapped = {"train": "train", "validation": "valid", "test": "test"}
    table = read_folds(folds, CLASSES, swapped, [0])
    assert table[table["role"] == "test"]["path"].str.startswith("Fold0/test/").all()


def test_class_order_gives_the_labels(folds: Path) -> None:
    table = read_folds(folds, CLASSES[::-1], ROLES, [0])
    assert set(table[table["path"].str.contains("/abnormal/")]["label"]) == {0}


def test_junk_beside_the_images_is_ignored(folds: Path) -> None:
    before = len(read_folds(folds, CLASSES, ROLES))
    for junk in (".DS_Store", "._hidden.png", "Thumbs.db", "notes.txt"):
        (folds / "Fold0/train/normal" / junk).write_text("junk")
    (folds / "Fold0/train/normal" / "folder.png").mkdir()
    (folds / "Folder").mkdir()
    assert len(read_folds(folds, CLASSES, ROLES)) == before


@pytest.mark.parametrize("name", ["fold3", "Fold-3", "fold_3", "FOLD 03"])
def test_spellings_of_a_fold(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert fold_folders(tmp_path) == {3: tmp_path / name}


def test_folds_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"Fold{number}").mkdir()
    assert list(fold_folders(tmp_path)) == [1, 2, 10]


def test_two_folders_of_one_number(tmp_path: Path) -> None:
    for name in ("Fold1", "fold_1"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="are both fold 1"):
        fold_folders(tmp_path)


def test_no_data_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; expected a folder of Fold0"):
        read_folds(tmp_path / "no", CLASSES, ROLES)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file; expected a folder of Fold0"):
        read_folds(tmp_path / "file", CLASSES, ROLES)
    with pytest.raises(DataError, match="holds no fold folders; expected Fold0"):
        read_folds(tmp_path, CLASSES, ROLES)


def test_a_fold_that_is_not_there(folds: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no fold 3, 7; it has folds 0, 1"):
        read_folds(folds, CLASSES, ROLES, [0, 7, 3])


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    root = write_folds(tmp_path / "data")
    shutil.rmtree(root / "Fold0/test")
    for image in (root / "Fold1/valid/abnormal").iterdir():
        image.unlink()
    with pytest.raises(DataError) as caught:
        read_folds(root, CLASSES, ROLES)
    text = str(caught.value)
    for fault in (
        "Fold0/test/normal is missing", "Fold0/test/abnormal is missing", "Fold1/valid/abnormal holds no image",
    ):  # fmt: skip
        assert fault in text
    assert "expected FoldN / train|test|valid / normal|abnormal / images" in text
