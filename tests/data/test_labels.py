"""Labels of tables: class names and numbers as people and programs write them, never another class than meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install, Main, write_folds
from zoo.data import labels, loading, table
from zoo.data.config import DataConfig, SplitConfig
from zoo.data.options import DataOptions
from zoo.errors import DataError, ZooError
from zoo.files import write_json
from zoo.run import plan
from zoo.run.request import Request


def read(cells: list[object], *classes: str) -> list[str]:
    """The names of the classes that the cells of a data frame are taken for."""
    numbers = labels.numbers(table.read_table(pd.DataFrame({"label": cells})), "label", classes, "t.csv")
    return [classes[number] for number in numbers]


@pytest.mark.parametrize(
    ("classes", "cells", "expected"),
    [
        (("normal", "abnormal"), ["0", "1", "normal", "abnormal"], ["normal", "abnormal"] * 2),
        (("normal", "abnormal"), ["0.0", "1.0", "1.", "+1", "1e0"], ["normal", *["abnormal"] * 4]),
        (("normal", "abnormal"), ["True", "FALSE", "true", "false"], ["abnormal", "normal"] * 2),
        (("normal", "abnormal"), [True, False, np.True_, np.float32(0), 1.0, np.int8(1)], [*"anaNAA"]),
        (("1", "2", "3"), ["1", "2.0", "3", 3.0], ["1", "2", "3", "3"]),
        (("1", "0"), ["1", "0", "1.0", True, False], ["1", "0", "1", "1", "0"]),
        (("01", "02"), ["01", "2"], ["01", "02"]),
        (("1", "01"), ["1", "01"], ["1", "01"]),
        (("1.5", "2.5"), ["2.50", 1.5], ["2.5", "1.5"]),
        (("true", "false"), ["True", False, "0"], ["true", "false", "false"]),
        (("yes", "no"), ["yes", "no", 0], ["yes", "no", "yes"]),
    ],
    ids=str,
)
def test_a_label_is_the_class_that_it_names(classes: tuple[str, ...], cells: list[object], expected: list[str]) -> None:
    short = {"a": "abnormal", "A": "abnormal", "n": "normal", "N": "normal"}
    assert read(cells, *classes) == [short.get(name, name) for name in expected]


@pytest.mark.parametrize(
    ("classes", "cell"),
    [
        (("normal", "abnormal"), "2"),
        (("normal", "abnormal"), "-1"),
        (("normal", "abnormal"), "0.5"),
        (("normal", "abnormal"), "nan"),
        (("normal", "abnormal"), "inf"),
        (("normal", "abnormal"), "yes"),
        (("1", "2"), "0"),
        (("1", "2"), "False"),
        (("1", "2"), "1.5"),
        (("0", "other"), "1"),
        (("1", "01"), "1.0"),
        (("true", "healthy"), "0"),
    ],
    ids=str,
)
def test_no_label_is_guessed(classes: tuple[str, ...], cell: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv: label must be a class .*\n  row 1: "):
        read([classes[0], cell], *classes)


def test_a_grade_is_no_position() -> None:
    """BI-RADS 0 must not become class 1."""
    with pytest.raises(DataError, match=r"\(1, 2\) by its name: where names are numbers, no number is taken for a pos"):
        read(["0", "1"], "1", "2")


@pytest.mark.parametrize("classes", [("1", "2", "3"), ("1", "0"), ("normal", "abnormal"), ("NA", "$x$")], ids=str)
def test_splits_come_back_as_they_were_made(main: Main, install: Install, tmp_path: Path, classes: list[str]) -> None:
    """By the command line and from Python, from the split file and from the run folder."""
    install(TINY_PLUGIN)
    data = write_folds(tmp_path / "data", folds=1, classes=classes)
    (tmp_path / "registry.toml").write_text(f"[data]\nclasses = {[*classes]}\nimage_size = 32")
    config = DataConfig(classes=tuple(classes), image_size=32)
    made = loading.make_splits(config, DataOptions(data=str(data)), SplitConfig("stratified", 4)).splits
    assert [*made["label"].map(dict(enumerate(classes)))] == [*made["path"].str.split("/").str[2]]  # as folders say
    status, output, errors = main("data", "split", "--data", data, "--method", "stratified", "--folds", 4)
    assert status == 0, output + errors
    written = pd.read_csv(tmp_path / "splits.csv", dtype=str, keep_default_na=False)
    assert [*written["label"]] == [*made["label"].map(dict(enumerate(classes)))]

    ask = {"models": ("tiny",), "data": str(data), "registry": tmp_path / "registry.toml", "folds": None}
    again = zoo.make_splits(data, method="stratified", folds=4, registry=tmp_path / "registry.toml")
    with plan.make_plan(Request(**ask, splits=tmp_path / "splits.csv", out=tmp_path / "run")) as first:
        pd.testing.assert_frame_equal(first.splits, made, check_dtype=False)
    for splits in (tmp_path / "run/splits.csv", again):
        with plan.make_plan(Request(**ask, splits=splits, out=tmp_path / "run")) as same:  # as the fingerprint says
            assert same.resumed


def test_what_read_data_gives_is_data_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_folds(tmp_path / "data", folds=1, classes=("1", "0"))
    (tmp_path / "registry.toml").write_text('[data]\nclasses = ["1", "0"]')
    found = zoo.read_data(data, registry=tmp_path / "registry.toml")
    assert [*found["label"]] == [*found["path"].str.split("/").str[2]]
    monkeypatch.chdir(data)
    again = zoo.read_data(found, registry=tmp_path / "registry.toml")
    pd.testing.assert_frame_equal(again, found, check_dtype=False)


def test_numbers_that_zoo_once_wrote_are_read_where_they_can_only_be_meant(install: Install, tmp_path: Path) -> None:
    """A run folder whose splits.csv holds positions goes on, or is refused: no label is another class."""
    install(TINY_PLUGIN)
    for classes in (["normal", "abnormal"], ["1", "0"], ["1", "2"]):
        place = tmp_path / "-".join(classes)
        data = write_folds(place / "data", folds=1, classes=classes)
        (place / "registry.toml").write_text(f"[data]\nclasses = {classes}\nimage_size = 32")
        request = Request(models=("tiny",), data=str(data), registry=place / "registry.toml", out=place / "run")
        plan.make_plan(request).lock.release()
        file = place / "run/splits.csv"
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        table.assign(label=[classes.index(label) for label in table["label"]]).to_csv(file, index=False)
        record = json.loads((place / "run/run.json").read_text())
        write_json(place / "run/run.json", {key: record[key] for key in record if key not in ("sha256", "files")})
        if classes == ["normal", "abnormal"]:
            plan.make_plan(request).lock.release()
        else:
            with pytest.raises(ZooError, match=r"splits\.csv"):
                plan.make_plan(request)
