from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROLES, write_folds
from zoo.data.folders import Ignored, read_classes, read_folds, said
from zoo.data.layout import fold_folders
from zoo.errors import ConfigError, DataError

CLASSES = ["normal", "abnormal"]


def test_every_image_of_every_fold_is_a_row(folds: Path) -> None:
    table = read_folds(folds, CLASSES, ROLES)
    assert list(table.columns) == ["fold", "role", "path", "label"]
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


def test_junk_beside_the_images_is_ignored_and_counted(folds: Path) -> None:
    before = len(read_folds(folds, CLASSES, ROLES))
    for junk in (".DS_Store", "._hidden.png", "Thumbs.db", "notes.txt", "a.GIF", "b.gif", "README"):
        (folds / "Fold0/train/normal" / junk).write_text("junk")
    (folds / "Fold0/train/normal" / "folder.png").mkdir()
    (folds / "Fold0/train/normal" / "gone.png").symlink_to("nowhere.png")
    (folds / "Folder").mkdir()
    ignored: Ignored = Counter()
    assert len(read_folds(folds, CLASSES, ROLES, ignored=ignored)) == before
    expected = ".gif (2), .txt (1), broken link (1), folder (1), no ending (1)"
    assert said(ignored) == f"ignored in the folders of images, being no image files: {expected}"


def test_nothing_ignored_is_nothing_said(folds: Path) -> None:
    ignored: Ignored = Counter()
    read_folds(folds, CLASSES, ROLES, ignored=ignored)
    assert said(ignored) == ""


def write_classes(root: Path, names: list[str]) -> Path:
    for class_name in CLASSES:
        (root / class_name).mkdir(parents=True)
        for name in names:
            (root / class_name / name).write_bytes(class_name.encode())
    return root


def test_a_folder_per_class(tmp_path: Path) -> None:
    table = read_classes(write_classes(tmp_path / "data", ["b.png", "a.JPG"]), CLASSES)
    assert table.to_dict("list") == {
        "path": ["normal/a.JPG", "normal/b.png", "abnormal/a.JPG", "abnormal/b.png"],
        "label": [0, 0, 1, 1],
    }


def test_class_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", [])
    (root / "abnormal").rename(root / "glaucoma")
    with pytest.raises(DataError) as caught:
        read_classes(root, CLASSES)
    assert "normal holds no image, abnormal is missing; folders there: glaucoma, normal" in str(caught.value)


def test_what_folders_hold_instead_of_images_is_told(folds: Path) -> None:
    """DICOM files, or a folder per patient, in the place of images."""
    for image in (folds / "Fold1/valid/abnormal").iterdir():
        image.rename(image.with_suffix(".dcm"))
    (folds / "Fold1/valid/abnormal/patient 7").mkdir()
    with pytest.raises(DataError, match=r"Fold1/valid/abnormal holds no image, but \.dcm \(2\), folder \(1\)\n"):
        read_folds(folds, CLASSES, ROLES)
    root = folds / "Fold1/valid"
    with pytest.raises(
        DataError,
        match=r"normal is missing, abnormal is missing; folders there: test, train, valid\ndid you mean --data ",
    ):
        read_classes(folds / "Fold1", CLASSES)
    with pytest.raises(DataError, match=r": abnormal holds no image, but \.dcm \(2\), folder \(1\); folders there: ab"):
        read_classes(root, CLASSES)
    with pytest.raises(DataError, match=r"folders there: patient 7; files there: \.dcm \(2\)\nname the folder"):
        read_classes(root / "abnormal", CLASSES)


NFC, NFD = (unicodedata.normalize(form, "kräftig é") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("here", "there"), [(NFC, NFD), (NFD, NFC)], ids=["NFD on disk", "NFC on disk"])
def test_letters_may_be_composed_otherwise_on_the_disk(tmp_path: Path, here: str, there: str) -> None:
    """A registry that was written on another system than the folders."""
    for fold in (0, 1):
        for class_name in (there, "normal"):
            for role in (f"train {there}", "b", "c"):
                (tmp_path / f"data/Fold{fold}/{role}/{class_name}").mkdir(parents=True)
                (tmp_path / f"data/Fold{fold}/{role}/{class_name}/a.png").touch()
    roles = {"train": f"train {here}", "validation": "b", "test": "c"}
    table = read_folds(tmp_path / "data", ["normal", here], roles)
    assert len(table) == 12
    assert f"Fold1/train {there}/{there}/a.png" in [*table["path"]]
    assert [*read_classes(tmp_path / "data/Fold0/b", ["normal", here])["path"]] == ["normal/a.png", f"{there}/a.png"]


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in (NFC, NFD, "normal"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    with pytest.raises(DataError) as caught:
        read_classes(tmp_path, ["normal", NFC])
    assert ascii(NFC) in str(caught.value)
    assert ascii(NFD) in str(caught.value)


ODD_NAMES = ["ünïcödé 日本.png", " two  spaces.png", "new\nline.png", 'a "quoted", name.png', "-dash.png", "#1%20.png"]


def test_odd_names_survive(tmp_path: Path) -> None:
    table = read_classes(write_classes(tmp_path / "dätä set", ODD_NAMES), CLASSES)
    assert set(table["path"][table["label"] == 0].str.removeprefix("normal/")) == set(ODD_NAMES)


@pytest.mark.parametrize("name", ["carriage\rreturn.png", os.fsdecode(b"latin-\xe9.png")], ids=["control", "encoding"])
def test_names_that_cannot_be_written_down(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="rename it"):
        read_classes(write_classes(tmp_path / "data", [name]), CLASSES)


def test_symlink_loops_end(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", ["a.png"])
    (root / "normal/loop").symlink_to(root)
    (root / "normal/self.png").symlink_to(root / "normal/self.png")
    (root / "circle").symlink_to(root)
    ignored: Ignored = Counter()
    assert len(read_classes(root, CLASSES, ignored)) == 2
    assert ignored == {"folder": 1, "broken link": 1}


def test_links_to_images_are_images(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", ["a.png"])
    (root / "normal/b.png").symlink_to(root / "normal/a.png")
    assert len(read_classes(root, CLASSES)) == 3


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", ["a.png"])
    (root / "normal").chmod(0)
    try:
        with pytest.raises(DataError, match="normal cannot be read: Permission denied"):
            read_classes(root, CLASSES)
    finally:
        (root / "normal").chmod(0o755)


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
        "Fold0/test/normal is missing",
        "Fold0/test/abnormal is missing",
        "Fold1/valid/abnormal holds no image",
    ):
        assert fault in text
    assert "expected FoldN / train|test|valid / normal|abnormal / images" in text
