"""Data and folds of a request, from files to checked splits."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import disc
from zoo.data import known_copies, loading, splits
from zoo.data.config import DataConfig, SplitConfig
from zoo.data.options import DataOptions
from zoo.errors import ConfigError, DataError, LeakError
from zoo.files import write_csv

CONFIG = DataConfig(image_size=32, split=SplitConfig("rotate", 5, seed=1))


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder per class: 2 x 20 images, two of each patient, in a folder with an odd name."""
    rng = np.random.default_rng(0)
    root = tmp_path / "dätä set"
    for label, class_name in enumerate(CONFIG.classes):
        (root / class_name).mkdir(parents=True)
        for number in range(20):
            side = "left" if number % 2 else "right"
            cv2.imwrite(str(root / class_name / f"{label}{number // 2} {side}.png"), disc(rng, label > 0, 32))
    return root


GROUPS = r"(\d+) (?:left|right)"


def test_images_in_no_folds_are_divided(classes: Path) -> None:
    data = loading.load_data(CONFIG, DataOptions(data=str(classes)), None)
    assert list(data.splits["fold"].unique()) == [0, 1, 2, 3, 4]
    divided, eyes = data.notes
    assert (
        divided
        == "The data are in no folds; divided by method rotate, 5 folds, seed 1 (zoo data split writes them to a file)"
    )
    assert eyes.startswith(
        "no groups (such as patients) are known; file names look like left and right eyes of 20 patients whom no group "
        "holds together (abnormal/10 left.png, abnormal/10 right.png), "
    )
    assert "of them in two roles of a fold; if so: --groups REGEX" in eyes
    first = loading.load_data(CONFIG, DataOptions(data=str(classes)), (0,))
    pd.testing.assert_frame_equal(first.splits, data.splits[data.splits["fold"] == 0])
    with pytest.raises(ConfigError, match="has no fold 5; it has folds 0, 1, 2, 3, 4"):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), (0, 5))


def test_groups_stay_together(classes: Path) -> None:
    data = loading.load_data(CONFIG, DataOptions(data=str(classes), groups=GROUPS), None)
    assert (data.splits.groupby(["fold", "group"])["role"].nunique() == 1).all()
    assert data.splits["group"].nunique() == 20
    assert len(data.notes) == 1


def test_files_of_one_picture_stay_together(classes: Path) -> None:
    for number in range(0, 20, 2):
        image = cv2.imread(str(classes / f"normal/0{number // 2} right.png"))
        cv2.imwrite(str(classes / f"normal/copy{number}.bmp"), image)
    data = loading.load_data(CONFIG, DataOptions(data=str(classes)), None)
    assert (data.splits.groupby(["fold", "image"])["role"].nunique() == 1).all()
    assert len(data.splits) == 5 * 50


def test_one_picture_under_two_labels_is_refused(classes: Path, tmp_path: Path) -> None:
    """As a person sorts a file into one folder, and later into another."""
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4)).splits
    image = cv2.imread(str(classes / "normal/03 left.png"))
    cv2.imwrite(str(classes / "abnormal/copy.bmp"), image)
    cv2.imwrite(str(classes / "abnormal/again.png"), image)
    says = (
        r"1 picture has two labels \(files with the same pixels\); .* mend or remove the other:\n"
        r"  (abnormal/again\.png \(abnormal\) = normal/03 left\.png \(normal\)"
        r"|normal/03 left\.png \(normal\) = abnormal/again\.png \(abnormal\)) and 1 more of its files$"
    )
    with pytest.raises(DataError, match=says):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), None)
    with pytest.raises(DataError, match=says):
        loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4))
    cells = {"path": "abnormal/copy.bmp", "label": 1, "image": ""}
    added = pd.concat([made, made[made["path"] == "normal/03 left.png"].assign(**cells)])
    with pytest.raises(DataError, match="1 picture has two labels"):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=added)


def test_one_picture_under_two_labels_in_two_folds_is_refused(folds: Path) -> None:
    """Within each fold it has one label, and plays one role."""
    place = folds / "Fold1/train/abnormal/odd.png"
    place.write_bytes((folds / "Fold0/train/normal/normal 3.png").read_bytes())
    (folds / "Fold1/train/normal/normal 3.png").unlink()
    loading.load_data(CONFIG, DataOptions(data=str(folds)), (0,))
    for made in (
        lambda: loading.load_data(CONFIG, DataOptions(data=str(folds)), None),
        lambda: loading.make_splits(CONFIG, DataOptions(data=str(folds)), SplitConfig("rotate", 5)),
    ):
        with pytest.raises(DataError, match=r"Fold0/train/normal/normal 3\.png \(normal\) = Fold1/train/abnormal/odd"):
            made()


def test_one_path_under_two_labels_is_refused(classes: Path) -> None:
    rows = [
        (path.relative_to(classes).as_posix(), fold, role, path.parent.name)
        for fold, (validation, test) in enumerate((("67", "89"), ("89", "67")))
        for role, digits in (("train", "012345"), ("validation", validation), ("test", test))
        for path in sorted(classes.rglob("*.png"))
        if path.name[1] in digits
    ]
    table = pd.DataFrame(rows, columns=["path", "fold", "role", "label"])
    made = loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=table).splits
    table.loc[table["path"].eq("normal/03 left.png") & table["fold"].eq(1), "label"] = "abnormal"
    table.to_csv(classes / "m.csv", index=False)
    twice = r"normal/03 left\.png \(normal\) = normal/03 left\.png \(abnormal\)$"
    with pytest.raises(DataError, match=twice):
        loading.load_data(CONFIG, DataOptions(data=str(classes / "m.csv")), None)
    with pytest.raises(DataError, match=twice):
        loading.make_splits(CONFIG, DataOptions(data=str(classes / "m.csv")), SplitConfig("rotate", 4))
    with pytest.raises(DataError, match=r"'normal/03 left\.png' is normal in the split, abnormal in the data"):
        loading.load_data(CONFIG, DataOptions(data=str(classes / "m.csv")), None, splits_from=made)


def test_near_duplicates_with_different_labels_are_named(classes: Path) -> None:
    data = loading.load_data(CONFIG, DataOptions(data=str(classes)), None)
    image = dict(zip(data.splits["path"], data.splits["image"], strict=True))
    chosen = [f"{name}/{label}{number} left.png" for number in range(4) for label, name in enumerate(CONFIG.classes)]
    ends = [image[path] for path in chosen]
    pairs = pd.DataFrame({"first": [*ends[::2], ends[0]], "second": [*ends[1::2], ends[2]], "similarity": 0.9})
    known_copies.remember(image.values(), pairs.assign(change="flipped"))
    try:
        said = loading.load_data(CONFIG, DataOptions(data=str(classes)), None).notes
        made = loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4)).notes
    finally:
        known_copies.remember(image.values(), pairs.assign(change="flipped")[:0])
    note = (
        "4 pairs of near-duplicates have different labels, as an audit found: normal/00 left.png (normal) = "
        "abnormal/10 left.png (abnormal), normal/01 left.png (normal) = abnormal/11 left.png (abnormal), normal/02 "
        "left.png (normal) = abnormal/12 left.png (abnormal), …; look at them: zoo data audit"
    )
    assert note in said
    assert note in made


def test_a_split_file_gives_the_folds(classes: Path, tmp_path: Path) -> None:
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes), groups=GROUPS), SplitConfig("stratified", 4))
    write_csv(tmp_path / "splits.csv", made.splits)
    read = loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=tmp_path / "splits.csv")
    pd.testing.assert_frame_equal(read.splits, made.splits, check_dtype=False)
    assert read.split_file and set(read.split_file) == {"path", "sha256"}
    again = loading.load_data(CONFIG, DataOptions(data=str(classes)), (2,), splits_from=made.splits)
    assert set(again.splits["fold"]) == {2}
    assert again.split_file is None
    with pytest.raises(ConfigError, match=r"splits\.csv has no fold 4"):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), (4,), splits_from=tmp_path / "splits.csv")


def test_a_split_file_may_say_all_that_there_is_to_know(classes: Path) -> None:
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4)).splits
    loose = classes.parent / "loose"
    (loose / "deep").mkdir(parents=True)
    names = {path: f"deep/{number}.png" for number, path in enumerate(made["path"].unique())}
    for path, name in names.items():
        shutil.copy(classes / path, loose / name)
    moved = made.assign(path=made["path"].map(names))
    data = loading.load_data(CONFIG, DataOptions(data=str(loose)), None, splits_from=moved)
    pd.testing.assert_frame_equal(data.splits, splits.in_order(moved), check_dtype=False)
    again = loading.load_data(
        CONFIG, DataOptions(data=str(loose)), None, splits_from=moved.sample(frac=1, random_state=0)
    )
    pd.testing.assert_frame_equal(again.splits, data.splits)


def test_a_file_that_changed_since_the_split_is_noticed(classes: Path) -> None:
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4)).splits
    (classes / "normal/03 left.png").write_bytes((classes / "normal/04 left.png").read_bytes())
    with pytest.raises(
        DataError, match=r"1 file has changed since table of 160 rows was made.*\n  normal/03 left\.png"
    ):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=made)
    with pytest.raises(LeakError, match="3 pictures in more than one role"):  # two files of one picture now
        loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=made.assign(image=""))
    (classes / "normal/03 left.png").unlink()
    with pytest.raises(DataError, match=r"normal/03 left\.png' not found"):
        loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=made)


def test_a_split_that_parts_a_patient_is_refused(classes: Path) -> None:
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes)), SplitConfig("rotate", 4, seed=2)).splits
    loading.load_data(CONFIG, DataOptions(data=str(classes)), None, splits_from=made)
    with pytest.raises(LeakError, match="groups in more than one role of a fold"):
        loading.load_data(CONFIG, DataOptions(data=str(classes), groups=GROUPS), None, splits_from=made)


def test_patients_are_checked_in_ready_made_folds_too(folds: Path) -> None:
    loading.load_data(CONFIG, DataOptions(data=str(folds)), None)
    with pytest.raises(LeakError, match=r"fold 0, abnormal: test Fold0/valid/abnormal/abnormal 0\.png, train"):
        loading.load_data(CONFIG, DataOptions(data=str(folds), groups=r"(abnormal|normal) \d"), None)


def test_data_in_folds_can_be_divided_anew(folds: Path) -> None:
    made = loading.make_splits(CONFIG, DataOptions(data=str(folds)), SplitConfig("rotate", 5))
    assert made.splits["fold"].nunique() == 5
    assert (made.splits.groupby("fold")["image"].agg(["size", "nunique"]) == 20).all(axis=None)
    loading.load_data(CONFIG, DataOptions(data=str(folds)), None, splits_from=made.splits)


def test_the_first_fold_is_that_of_the_lowest_number(folds: Path, classes: Path) -> None:
    """By folders, manifest and split file; what is taken is said unless it is fold 0."""
    none = "no groups (such as patients) are known: one patient's images may be in several roles of a fold"
    roles = "folders of each fold are taken as [data] roles says: train as train, test as validation, valid as test"
    said = [none, "Fold 2 is taken, the first there is; --folds takes others"]
    assert loading.load_data(CONFIG, DataOptions(data=str(folds)), "first").notes == [roles, none]
    (folds / "Fold0").rename(folds / "Fold12")
    (folds / "Fold1").rename(folds / "Fold2")
    found = loading.load_data(CONFIG, DataOptions(data=str(folds)), "first")
    assert (set(found.splits["fold"]), found.notes) == ({2}, [roles, *said])
    made = loading.make_splits(CONFIG, DataOptions(data=str(classes), groups=GROUPS), SplitConfig("rotate", 4)).splits
    made = made.assign(fold=made["fold"] + 2)
    for source, splits_from in ((classes, made), (classes / "m.csv", None)):
        made.drop(columns="image").to_csv(classes / "m.csv", index=False)
        found = loading.load_data(CONFIG, DataOptions(data=str(source)), "first", splits_from=splits_from)
        assert (set(found.splits["fold"]), found.notes) == ({2}, said[1:])
        assert len(found.splits) == 40


def test_a_manifest_is_data(classes: Path, tmp_path: Path) -> None:
    paths = sorted(path for path in classes.rglob("*.png"))
    frame = pd.DataFrame(
        {
            "file": [path.relative_to(classes).as_posix() for path in paths],
            "grade": [path.parent.name for path in paths],
            "patient": [path.name.split()[0] for path in paths],
            "site": ["ab"[number % 4 < 2] for number in range(40)],
        }
    )
    frame.to_csv(classes / "manifest.csv", index=False)
    columns = {"path": "file", "label": "grade", "group": "patient", "source": "site"}
    config = DataConfig(image_size=32, columns=columns, split=SplitConfig("leave-one-source-out", 4))
    data = loading.load_data(config, DataOptions(data=str(classes / "manifest.csv")), None)
    assert data.splits["fold"].nunique() == 2
    assert data.config.root == str(classes / "manifest.csv")
    absolute = frame.assign(file=[str(path) for path in paths])
    same = loading.load_data(config, DataOptions(data=absolute), None)
    assert list(same.splits["image"]) == list(data.splits["image"])


def test_groups_of_the_request_are_checked(classes: Path) -> None:
    for groups, says in {"(": "no regular expression", "left": "must hold a capture group"}.items():
        with pytest.raises(ConfigError, match=says):
            loading.load_data(CONFIG, DataOptions(data=str(classes), groups=groups), None)


def test_from_python(classes: Path) -> None:
    (classes / "registry.toml").write_text("[data]\nimage_size = 32")
    options = {"registry": classes / "registry.toml", "groups": GROUPS}
    table = zoo.read_data(classes, **options)
    assert (len(table), table["group"].nunique()) == (40, 20)
    made = zoo.make_splits(classes, method="repeated", folds=3, repeats=2, **options)
    assert made["fold"].nunique() == 6
    assert (made["label"] == made["path"].str.split("/").str[0]).all()
    pd.testing.assert_frame_equal(made, zoo.make_splits(str(classes), method="repeated", folds=3, repeats=2, **options))
    with pytest.raises(ConfigError, match="split: unknown method 'repeat'; did you mean 'repeated'"):
        zoo.make_splits(classes, method="repeat")


def test_thousands_of_files(tmp_path: Path) -> None:
    for class_name, shade in (("normal", 0), ("abnormal", 128)):
        (tmp_path / "many" / class_name).mkdir(parents=True)
        for number in range(2500):
            image = np.full((2, 2, 3), (shade, number % 256, number // 256), np.uint8)
            cv2.imwrite(str(tmp_path / "many" / class_name / f"{number}_{number % 7}.bmp"), image)
    began = time.monotonic()
    data = loading.load_data(CONFIG, DataOptions(data=str(tmp_path / "many"), groups=r"(\w+/\d+)_"), None)
    assert len(data.splits) == 5 * 5000
    assert time.monotonic() - began < 60
