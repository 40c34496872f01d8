"""A split file that a person has edited: taken as meant, or refused with what, where and what to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.data import split_file, splits
from zoo.errors import DataError, ZooError
from zoo.files import write_csv

CLASSES = ["normal", "abnormal"]
NAMES = ["a.png", "b c.png", "new\nline.png", 'q"é,.png']


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"")
    rows = [
        (fold, role, f"{number:064d}", NAMES[number], number % 2, f"p {number}")
        for fold in (0, 1)
        for number, role in enumerate(["train", "train", "validation", "test"])
    ]
    return pd.DataFrame(rows, columns=splits.SPLIT_COLUMNS)


def read(tmp_path: Path, table: pd.DataFrame) -> pd.DataFrame:
    write_csv(tmp_path / "splits.csv", table)
    return split_file.read_split_file(tmp_path / "splits.csv", tmp_path, CLASSES)


def test_it_reads_what_zoo_writes(tmp_path: Path, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(read(tmp_path, table), table, check_dtype=False)
    pd.testing.assert_frame_equal(split_file.read_split_file(table, tmp_path, CLASSES), table, check_dtype=False)
    (tmp_path / "splits.csv").write_text(table.to_csv(index=False, sep=";").replace("\r", ""), encoding="utf-8-sig")
    again = split_file.read_split_file(tmp_path / "splits.csv", tmp_path, CLASSES)
    pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_image_and_group_may_be_missing_and_labels_be_names(tmp_path: Path, table: pd.DataFrame) -> None:
    short = table.drop(columns=["image", "group"]).assign(label=table["label"].map(dict(enumerate(CLASSES))))
    pd.testing.assert_frame_equal(read(tmp_path, short), table.assign(image="", group=""), check_dtype=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(note="x"), "unknown column 'note'; known: fold, group, image, label, path, role"),
        (lambda t: t.drop(columns="label"), "has no column label"),
        (lambda t: t.iloc[:0], "lists no image"),
        (lambda t: t.assign(role="valid"), "role must be one of train, validation, test\n  line 2: 'valid'"),
        (lambda t: t.assign(label=2), r"label must be a class \(normal, abnormal\) or its number"),
        (lambda t: t.assign(fold="x"), "fold must be a number"),
        (lambda t: t.replace("a.png", "z.png"), "line 2: 'z.png' not found"),
        (lambda t: pd.concat([t, t.iloc[:1]]), r"once in a fold; keep one row of each:\n  'a.png': lines 2, 12"),
        (lambda t: pd.concat([t, t.iloc[:1].assign(role="test")]), r"'a.png': lines 2, 12"),
    ],
    ids=["column", "no label", "no rows", "role", "label", "fold", "path", "row twice", "two roles"],
)
def test_wrong_edits(tmp_path: Path, table: pd.DataFrame, change: object, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path, change(table))  # type: ignore[operator]
    assert "splits.csv" in str(caught.value)


def test_files_that_have_changed_are_named_once(table: pd.DataFrame) -> None:
    hashes = {path: f"{number:064d}" for number, path in enumerate(NAMES)}
    pd.testing.assert_frame_equal(split_file.fill_images(table, hashes, "s.csv"), table)
    with pytest.raises(DataError, match=r"1 file has changed since s\.csv was made; .*empty the cells.*:\n  b c\.png$"):
        split_file.fill_images(table, {**hashes, "b c.png": "other"}, "s.csv")
    accepted = table.assign(image=table["image"].where(table["path"] != "b c.png", ""))
    filled = split_file.fill_images(accepted, {**hashes, "b c.png": "other"}, "s.csv")
    assert list(filled["image"]) == list(table["image"].where(table["path"] != "b c.png", "other"))


def test_labels_are_those_of_the_data(table: pd.DataFrame) -> None:
    data = pd.DataFrame({"path": NAMES[:3], "label": [0, 1, 0], "group": ["p 0", "x", ""]})
    pd.testing.assert_frame_equal(split_file.agree(table, data, "s.csv", CLASSES), table)
    with pytest.raises(
        DataError, match=r"order of the classes\n  'a.png' is normal in the split, abnormal in the data"
    ):
        split_file.agree(table, data.assign(label=[1, 1, 0]), "s.csv", CLASSES)


def test_groups_that_only_the_data_know_are_added(table: pd.DataFrame) -> None:
    data = pd.DataFrame({"path": NAMES[:3], "label": [0, 1, 0], "group": ["x", "y", ""]})
    given = table.assign(group=table["group"].where(table["path"] == "a.png", ""))
    assert list(split_file.agree(given, data, "s.csv", CLASSES)["group"][:4]) == ["p 0", "y", "", ""]


def test_groups_of_the_data_may_not_be_divided(table: pd.DataFrame) -> None:
    data = pd.DataFrame({"path": NAMES[:3], "label": [0, 1, 0], "group": ["odir1", "odir1", "2"]})
    finer = table.assign(group=table["path"].map({"a.png": "odir1-left", NAMES[1]: "odir1-right"}).fillna(""))
    with pytest.raises(DataError, match=r"(?s)into finer ones; empty its column group.*odir1: odir1-left, odir1-right"):
        split_file.agree(finer, data, "s.csv", CLASSES)
    split_file.agree(table.assign(group="clinic"), data, "s.csv", CLASSES)
    split_file.agree(
        table.assign(group=table["path"].map({"a.png": "odir1", NAMES[1]: "ODIR1"}).fillna("")), data, "s", CLASSES
    )


CELLS = st.one_of(st.sampled_from(["", "0", "1", "train", "test", *NAMES]), st.text(max_size=6))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=100),
        st.lists(st.lists(CELLS, min_size=6, max_size=6), max_size=4).map(
            lambda rows: pd.DataFrame(rows, columns=splits.SPLIT_COLUMNS).to_csv(index=False).encode("utf-8", "replace")
        ),
    )
)
def test_any_bytes_are_splits_or_an_error(tmp_path: Path, table: pd.DataFrame, data: bytes) -> None:
    (tmp_path / "fuzz.csv").write_bytes(data)
    try:
        found = split_file.read_split_file(tmp_path / "fuzz.csv", tmp_path, CLASSES)
    except ZooError:
        return
    assert list(found.columns) == splits.SPLIT_COLUMNS
    assert set(found["role"]) <= set(splits.ROLES)
