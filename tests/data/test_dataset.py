"""What --data may name, and groups from paths."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from tests.conftest import ROLES, write_folds
from zoo.data import dataset, loading, origin, splits
from zoo.data.config import DataConfig
from zoo.data.options import DataOptions
from zoo.errors import DataError

CONFIG = DataConfig()
OWN = {role: role for role in ROLES}


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder per class, with patients' names in the files' names; and a folder that is no class."""
    for class_name in ("normal", "abnormal", "unsorted"):
        for name in ("12_left.png", "12_right.png", "7_left.png"):
            path = tmp_path / "data" / class_name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    return tmp_path / "data"


def test_fold_folders(folds: Path) -> None:
    found = dataset.read_dataset(origin.of(folds), CONFIG, [1])
    assert found.in_folds
    assert list(found.table.columns) == ["fold", "role", "path", "label", "group", "source"]
    assert (found.root, found.config.roles, found.notes) == (folds, ROLES, [])


def test_class_folders(classes: Path) -> None:
    (classes / "normal/notes.txt").write_text("")
    found = dataset.read_dataset(origin.of(classes), CONFIG)
    assert not found.in_folds
    assert list(found.table.columns) == ["path", "label", "group", "source"]
    assert found.config.roles == OWN
    assert found.notes == [
        "folder left out, being no class: unsorted",
        "ignored in the folders of images, being no image files: .txt (1)",
    ]


def test_a_manifest(classes: Path) -> None:
    (classes / "m.csv").write_text("path,label,role\nnormal/7_left.png,normal,train\nunsorted/7_left.png,1,test\n")
    with pytest.raises(DataError, match="too few images to take a validation role out of train: a class has 1"):
        dataset.read_dataset(origin.of(classes / "m.csv"), CONFIG)
    found = dataset.read_dataset(origin.of(classes / "m.csv"), CONFIG, strict=False)
    assert found.notes[0].startswith("too few images to take a validation role")
    assert found.in_folds
    assert (found.root, found.config.roles) == (classes, OWN)


def test_a_data_frame_begins_at_the_working_folder(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(classes)
    found = dataset.read_dataset(
        origin.of(pd.DataFrame({"path": ["normal/7_left.png"], "label": ["abnormal"]})), CONFIG
    )
    assert found.root == classes
    assert found.table.to_dict("records") == [{"path": "normal/7_left.png", "label": 1, "group": "", "source": ""}]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"([0-9]+)_(?:left|right)", ["12", "12", "7"]),
        (r"(\d+)_(?P<group>\w+)\.png", ["left", "right", "left"]),
        (r"(\d+)_left|(1\d)_right", ["12", "12", "7"]),
        (r"(normal/\d)", ["normal/1", "normal/1", "normal/7"]),
    ],
    ids=["first capture group", "named group", "alternatives", "path"],
)
def test_groups_from_paths(classes: Path, pattern: str, expected: list[str]) -> None:
    table = dataset.read_dataset(origin.of(classes), DataConfig(groups=pattern)).table
    assert list(table["group"][table["label"] == 0]) == expected


@pytest.mark.parametrize("pattern", [r"(\d+)_left", r"(\d+)_left|()"])
def test_groups_that_miss_an_image_are_refused(classes: Path, pattern: str) -> None:
    with pytest.raises(DataError, match=r"captures nothing in [26] of 6 paths; widen it") as caught:
        dataset.read_dataset(origin.of(classes), DataConfig(groups=pattern))
    assert "'normal/12_right.png'" in str(caught.value)


NONE = ["NA", "N/A", "nan", "None", "null", "Unknown", "-", "?", ""]


def test_cells_that_say_that_no_patient_is_known_are_none(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").touch()
    groups = [*NONE, "7", "Nancy", "0"]
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(12)], "label": 0, "group": groups})
    table.to_csv(tmp_path / "m.csv", index=False)
    found = dataset.read_dataset(origin.of(tmp_path / "m.csv"), CONFIG)
    assert [*found.table["group"]] == [""] * 9 + ["7", "Nancy", "0"]
    assert found.notes == [
        f"{tmp_path / 'm.csv'}: 9 of 12 rows are of no known group, such as a patient "
        "(empty, '-', '?', 'N/A', 'NA', 'None', 'Unknown', 'nan', 'null')"
    ]
    table.assign(group="").to_csv(tmp_path / "m.csv", index=False)
    assert dataset.read_dataset(origin.of(tmp_path / "m.csv"), CONFIG).notes == []
    frame = table.assign(path=[str(tmp_path / path) for path in table["path"]], group=[None, float("nan"), *range(10)])
    assert [*dataset.read_dataset(origin.of(frame), CONFIG).table["group"]] == ["", "", *map(str, range(10))]


def test_names_that_say_that_no_patient_is_known_are_none(tmp_path: Path) -> None:
    for class_name in CONFIG.classes:
        (tmp_path / class_name).mkdir()
        for name in ("7_left.png", "NA_left.png", "unknown_right.png"):
            (tmp_path / class_name / name).touch()
    found = dataset.read_dataset(origin.of(tmp_path), DataConfig(groups="([^/_]+)_(?:left|right)"))
    assert [*found.table["group"]] == ["7", "", ""] * 2
    assert found.notes == [
        "groups = '([^/_]+)_(?:left|right)': 4 of 6 paths are of no known group, such as a patient ('NA', 'unknown')"
    ]


@pytest.mark.parametrize(("here", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_may_be_composed_otherwise_in_a_table(
    tmp_path: Path, here: Literal["NFC", "NFD"], there: Literal["NFC", "NFD"]
) -> None:
    """Paths, classes and groups of a table that was written on another system than its files."""
    name, lies = (unicodedata.normalize(form, "Jürgen é") for form in (here, there))
    root = tmp_path / lies
    for part in ("normal", lies):
        (root / part).mkdir(parents=True)
        (root / part / f"{lies}_1.png").touch()
    config = DataConfig(classes=("normal", unicodedata.normalize("NFC", name)), groups=f"({name})_")
    table = {"path": [f"normal/{name}_1.png", f"{name}/{lies}_1.png"], "label": ["normal", name]}
    pd.DataFrame(table).to_csv(root / "m.csv", index=False)
    settled = loading.settle(config, DataOptions(data=str(tmp_path / name)))
    listed = dataset.read_dataset(settled.origin, settled.config).table
    read = dataset.read_dataset(origin.of(root / "m.csv"), settled.config).table
    pd.testing.assert_frame_equal(read, listed, check_dtype=False)
    assert (read["group"] == unicodedata.normalize("NFC", name)).all()
    split = read.assign(fold=0, role="train", label=["normal", name], image="")[splits.SPLIT_COLUMNS]
    split["path"] = [unicodedata.normalize(here, path) for path in split["path"]]
    columns = ["path", "label", "group"]
    again = loading.listed(settled, split, None).table
    pd.testing.assert_frame_equal(again[columns], listed[columns], check_dtype=False)


def test_groups_win_over_the_manifest_s(classes: Path) -> None:
    (classes / "m.csv").write_text("path,label,group\nnormal/7_left.png,normal,someone\n")
    assert list(dataset.read_dataset(origin.of(classes / "m.csv"), CONFIG).table["group"]) == ["someone"]
    assert list(dataset.read_dataset(origin.of(classes / "m.csv"), DataConfig(groups=r"(\d+)_")).table["group"]) == [
        "7"
    ]


def test_what_is_no_data(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("normal/a.png", b"")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").mkdir()
    for name, says in {
        "images.zip": "is a zip archive; unpack it and name the folder",
        "notes.txt": r"is a file; expected a folder of Fold0, .* train, val, test, .*, or a manifest \(.csv",
        "nothing": "does not exist; expected a folder of Fold0",
        "loop": "does not exist|cannot be read",
        "empty": "holds neither fold folders .* normal is missing, abnormal is missing; folders there: none",
        "no.csv": "does not exist",
    }.items():
        with pytest.raises(DataError, match=says):
            dataset.read_dataset(origin.of(tmp_path / name), CONFIG)


def test_what_says_more_than_where_it_lies(folds: Path, classes: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label\n")
    assert dataset.is_laid_out(origin.of(folds), CONFIG)
    assert dataset.is_laid_out(origin.of(classes), CONFIG)
    assert dataset.is_laid_out(origin.of(tmp_path / "m.csv"), CONFIG)
    assert not dataset.is_laid_out(origin.of(classes / "normal"), CONFIG)


def test_two_fold_folders_of_one_number_are_no_data(tmp_path: Path) -> None:
    root = write_folds(tmp_path / "data", folds=1)
    (root / "fold_00").mkdir()
    with pytest.raises(DataError, match="are both fold"):
        dataset.read_dataset(origin.of(root), CONFIG)
