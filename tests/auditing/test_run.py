"""zoo.audit and zoo data audit over whole data sets, clean and spoilt in every way we know."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import Main
from zoo.data import cache, demo, known_copies
from zoo.errors import DataError

IMAGES = 48
SIZE = 96
PARTS = 4  # part k tests in fold k, k + 1 validates


@pytest.fixture(scope="module")
def drawings() -> list[np.ndarray]:
    """Discs of all sizes and colours, cups of two sizes: nothing but the cup tells the class."""
    return [demo.draw(0.45 + 0.1 * (number % 2), number, SIZE) for number in range(IMAGES)]


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture
def classes(drawings: list[np.ndarray], tmp_path: Path) -> Path:
    """A folder per class, both eyes of a patient after one another."""
    root = tmp_path / "photos"
    for number, image in enumerate(drawings):
        side = "left" if number // 2 % 2 else "right"
        write(root / demo.CLASSES[number % 2] / f"{number // 4}{number % 2}_{side}.png", image)
    return root


EYES = "([0-9]+)_(?:left|right)"


@pytest.fixture
def folds(classes: Path, tmp_path: Path) -> Path:
    """The same as fold folders; a patient's eyes stay together."""
    root = tmp_path / "folds"
    for fold in range(PARTS):
        for file in sorted(classes.rglob("*.png")):
            part = (int(file.name.split("_")[0][:-1]) - fold) % PARTS
            role = {0: "valid", 1: "test"}.get(part, "train")
            target = root / f"Fold{fold}" / role / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, target)
    return root


def errors(done: zoo.Audit) -> set[str]:
    return {finding.kind for finding in done.findings if finding.severity == "error"}


def a_file(root: Path, role: str, fold: int = 0, label: str = "normal") -> Path:
    return sorted((root / f"Fold{fold}" / role / label).iterdir())[0]


def turned_copy(root: Path) -> None:
    image = cv2.imread(str(a_file(root, "train")))
    brighter = np.clip(np.rot90(image).astype(int) + 20, 0, 255).astype(np.uint8)
    cv2.imwrite(str(root / "Fold0/valid/normal/new.png"), brighter)


def same_pixels(root: Path) -> None:
    cv2.imwrite(str(root / "Fold0/valid/normal/new.bmp"), cv2.imread(str(a_file(root, "train"))))


def two_labels(root: Path) -> None:
    shutil.copy(a_file(root, "train"), root / "Fold0/train/abnormal/new.png")


def swapped_eyes(root: Path) -> None:
    left = a_file(root, "train")
    left.rename(root / "Fold0/valid/normal" / left.name)


def no_class(root: Path) -> None:
    shutil.rmtree(root / "Fold2/test/abnormal")


def broken(root: Path) -> None:
    file = a_file(root, "train", label="abnormal")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:300])


def larger(root: Path) -> None:
    """Abnormal images come from another camera."""
    for file in root.rglob("abnormal/*.png"):
        image = cv2.resize(cv2.imread(str(file)), None, fx=1.5, fy=1.5)
        file.unlink()
        cv2.imwrite(str(file), image)


SPOILT = {
    "copies-across-roles": [turned_copy, same_pixels],
    "label-conflict": [two_labels],
    "eyes-across-roles": [swapped_eyes],
    "missing-class": [no_class],
    "unreadable": [broken],
    "shortcut-strong": [larger],
}


def test_clean_folds(folds: Path, main: Main, tmp_path: Path) -> None:
    status, output, _ = main("data", "audit", "--data", folds, "--groups", EYES, "--out", "here/audit")
    assert status == 0, output
    assert "nothing is wrong" in output
    assert f"Next: zoo compare --data {folds}" in output
    out = tmp_path / "here/audit"
    assert {file.name for file in out.iterdir()} == {"audit.html", "audit.json", "duplicates.csv"}
    content = json.loads((out / "audit.json").read_text())
    assert content["counts"] | {"notes": 0} == {
        "files": IMAGES * PARTS,
        "unreadable": 0,
        "pictures": IMAGES,
        "photographs": IMAGES,
        "folds": PARTS,
        "groups": IMAGES // 2,
        "sources": 0,
        "errors": 0,
        "warnings": 0,
        "notes": 0,
    }
    assert "partition" in {finding["kind"] for finding in content["findings"]}
    assert pd.read_csv(out / "duplicates.csv").empty


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [(kind, spoil) for kind, each in SPOILT.items() for spoil in each],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_an_error_and_the_rest_is_audited(kind: str, spoil: Callable[[Path], None], folds: Path) -> None:
    spoil(folds)
    done = zoo.audit(folds, near_duplicates=spoil is turned_copy)
    assert not done.is_clean
    assert kind in errors(done)
    assert done.counts["pictures"] >= IMAGES - 1
    assert len(done.balance) == 1


def test_what_is_found_is_said_drawn_and_remembered(folds: Path, main: Main, tmp_path: Path) -> None:
    turned_copy(folds)
    broken(folds)
    groups = f"{EYES}|(new)"
    status, output, _ = main("data", "audit", "--data", folds, "--groups", groups)
    assert status == 1
    for text in (
        "1 photograph is in two roles of a fold",
        "rotated 90",
        "1 file cannot be read",
        "Report: audit/audit.html",
    ):
        assert text in " ".join(output.replace("│", " ").split()), text
    assert f"Next: zoo data split --data {folds} --groups '{groups}'" in output
    assert cv2.imread(str(tmp_path / "audit/pairs.png")) is not None
    (pair,) = pd.read_csv(tmp_path / "audit/duplicates.csv").to_dict("records")
    assert {pair["first_role"], pair["second_role"]} == {"train", "test"}
    assert "rotated 90" in known_copies.known([pair["first_image"], pair["second_image"]])["change"].item()
    status, output, _ = main("data", "audit", "--data", folds, "--no-near-duplicates")
    assert "were not looked for; 1 pair known of earlier audits" in " ".join(output.replace("│", " ").split())
    assert status == 1


def test_tests_that_overlap_are_listed(folds: Path, main: Main, tmp_path: Path) -> None:
    """An image of fold 0's test role, copied by name into that of fold 1."""
    file = a_file(folds, "valid")
    (folds / f"Fold1/train/normal/{file.name}").unlink(missing_ok=True)
    (folds / f"Fold1/test/normal/{file.name}").unlink(missing_ok=True)
    shutil.copy(file, folds / f"Fold1/valid/normal/{file.name}")
    assert main("data", "audit", "--data", folds, "--no-near-duplicates", "--groups", EYES)[0] == 1  # its other eye
    content = json.loads((tmp_path / "audit/audit.json").read_text())
    (overlap,) = (finding for finding in content["findings"] if finding["kind"] == "test-overlap")
    assert overlap["rows"] == [{"path": f"Fold0/valid/normal/{file.name}", "folds": [0, 1], "times": 2}]


def test_without_near_duplicates_nothing_is_forgotten(folds: Path) -> None:
    before = sorted(cache.folder("audits").rglob("*.csv"))
    assert "not-compared" in {finding.kind for finding in zoo.audit(folds, near_duplicates=False).findings}
    assert sorted(cache.folder("audits").rglob("*.csv")) == before


def test_a_manifest_with_groups_and_sources_may_name_files_that_are_gone(classes: Path) -> None:
    files = sorted(path.relative_to(classes).as_posix() for path in classes.rglob("*.png"))
    table = pd.DataFrame({"path": [*files, "normal/gone.png"]})
    table["label"] = table["path"].str.split("/").str[0]
    table["group"] = table["path"].str.extract(EYES).fillna("x")
    table["source"] = np.where((table["label"] == "abnormal") & (table.index % 2 == 0), "HRF", "ODIR")
    table.to_csv(classes / "manifest.csv", index=False)
    done = zoo.audit(classes / "manifest.csv", near_duplicates=False)
    assert errors(done) == {"unreadable", "source-tells-label"}
    unreadable = next(finding for finding in done.findings if finding.kind == "unreadable")
    assert unreadable.rows.to_dict("records") == [{"path": "normal/gone.png", "fault": "not found"}]
    assert done.balance.loc["HRF"].tolist() == [0, 12]


def test_a_split_file_that_someone_edited(classes: Path, tmp_path: Path) -> None:
    splits = zoo.make_splits(classes, folds=4, groups=EYES)
    assert zoo.audit(classes, splits=splits, near_duplicates=False, groups=EYES).is_clean
    edited = splits.copy()
    first = edited[(edited["fold"] == 0) & (edited["role"] == "train")].index[0]
    edited.loc[first, "role"] = "test"
    edited.loc[edited.index[-1], "image"] = "0" * 64
    edited.to_csv(tmp_path / "splits.csv", index=False)
    done = zoo.audit(classes, splits=tmp_path / "splits.csv", near_duplicates=False)
    assert errors(done) == {"groups-across-roles", "changed"}
    one = zoo.audit(classes, splits=tmp_path / "splits.csv", folds=[2], near_duplicates=False)
    assert one.is_clean
    assert one.counts["folds"] == 1


def test_a_split_of_files_in_one_heap_takes_groups_from_their_names(classes: Path, tmp_path: Path) -> None:
    splits = zoo.make_splits(classes, folds=4, groups=EYES)
    heap = tmp_path / "heap"
    heap.mkdir()
    for file in classes.rglob("*.png"):
        shutil.move(file, heap / file.name)
    splits["path"] = splits["path"].str.split("/").str[1]
    done = zoo.audit(heap, splits=splits.drop(columns="group"), groups=EYES, near_duplicates=False)
    assert done.is_clean
    assert done.counts["groups"] == IMAGES // 2
    swapped = splits.drop(columns="group")
    first = swapped[(swapped["fold"] == 0) & (swapped["role"] == "train")].index[0]
    swapped.loc[first, "role"] = "test"
    assert errors(zoo.audit(heap, splits=swapped, groups=EYES, near_duplicates=False)) == {"groups-across-roles"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", "photos/normal"], "normal is missing, abnormal is missing"),
        (["--data", "photos", "--groups", "x(y)"], "captures nothing in 48 of 48 paths"),
        (["--data", "photos", "--splits", "nothing.csv"], "nothing.csv cannot be read"),
        (["--data", "photos", "--out", "photos/normal/00_right.png/x"], "cannot be written"),
    ],
    ids=lambda value: " ".join(value[2:4]) if isinstance(value, list) else "",
)
def test_what_cannot_be_audited_is_one_clear_message(main: Main, classes: Path, options: list[str], says: str) -> None:
    status, output, told = main("data", "audit", "--no-near-duplicates", *options)
    assert status == 2
    assert says in told
    assert "Traceback" not in output + told


def test_no_readable_image_at_all(classes: Path) -> None:
    for file in classes.rglob("*.png"):
        file.write_text("left eye, sharp")
    with pytest.raises(DataError, match=r"none of 48 images can be read, such as 'normal/00_left.png': not an image"):
        zoo.audit(classes)


def test_the_demo_is_clean(main: Main) -> None:
    status, output, _ = main("data", "audit", "--no-near-duplicates")
    assert status == 0
    assert "nothing is wrong" in output
