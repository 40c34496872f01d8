"""Images of one's own as public data sets lay them out: what is said in one option, understood, or written down."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import Main, disc
from zoo.data import labels, loading, origin, search, table
from zoo.data.config import DataConfig, data_lines
from zoo.data.options import DataOptions
from zoo.errors import ConfigError, DataError

CONFIG = DataConfig(image_size=32)


def write(root: Path, *names: str, ill: Any = lambda number: number % 2 > 0) -> list[str]:
    """Pictures of these names, all different; every second one has a bright disc."""
    rng = np.random.default_rng(len(names))
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), disc(rng, ill(number), 32))
    return [*names]


def load(data: Path | pd.DataFrame, **said: Any) -> loading.Data:
    return loading.load_data(CONFIG, DataOptions(data=data, **said), None)


def count(data: loading.Data) -> dict[str, dict[str, int]]:
    """Images of each role by class."""
    named = labels.named(data.splits[data.splits["fold"] == 0], data.config.classes)
    return {str(role): rows["label"].value_counts().to_dict() for role, rows in named.groupby("role")}


def sizes(data: loading.Data) -> dict[str, int]:
    return {role: sum(each.values()) for role, each in count(data).items()}


@pytest.fixture
def grades(tmp_path: Path) -> pd.DataFrame:
    """Grades of retinopathy as APTOS has them: names without endings, of images in a folder of their own."""
    names = [f"{number:04d}" for number in range(60)]
    write(tmp_path, *(f"train_images/{name}.png" for name in names))
    given = pd.DataFrame({"id_code": names, "diagnosis": [number % 6 for number in range(60)]})
    given.to_csv(tmp_path / "train.csv", index=False)
    return given


def test_a_condition_makes_two_classes(grades: pd.DataFrame, tmp_path: Path) -> None:
    data = load(tmp_path / "train.csv", label="diagnosis>=2")
    assert data.config.classes == ("diagnosis<2", "diagnosis>=2")
    named = labels.named(data.splits[data.splits["fold"] == 0], data.config.classes)["label"]
    assert named.value_counts().to_dict() == {"diagnosis>=2": 40, "diagnosis<2": 20}
    assert "columns are taken by their headings: id_code as path" in data.notes
    assert any(f"60 of 60 images are found by their names below {tmp_path / 'train_images'}" in n for n in data.notes)
    other = load(tmp_path / "train.csv", label="diagnosis>=2", classes=("mild", "referable"), positive="referable")
    assert other.config.classes == ("mild", "referable")
    with pytest.raises(ConfigError, match="true of diagnosis>=2, the positive class; turn the condition round"):
        load(tmp_path / "train.csv", label="diagnosis>=2", positive="diagnosis<2")


def test_a_mapping_joins_classes_and_leaves_some_out(grades: pd.DataFrame, tmp_path: Path) -> None:
    said = {"0": "healthy", "1": "", "2": "ill", "3": "ill", "4": "ill", "5": ""}
    data = load(tmp_path / "train.csv", labels=said)
    assert data.config.classes == ("healthy", "ill")
    assert data.splits["path"].nunique() == 40
    assert "images left out, as labels says: 1 (10), 5 (10)" in data.notes
    assert load(tmp_path / "train.csv", labels={0: "ill", **dict.fromkeys(range(1, 6), "healthy")}).config.classes == (
        "healthy",
        "ill",
    )
    with pytest.raises(DataError, match=r"(?s)diagnosis|label must be a class.*line 7: '5'"):
        load(tmp_path / "train.csv", labels={key: value for key, value in said.items() if key != "5"})
    with pytest.raises(ConfigError, match="labels: ill is no class; the classes are healthy, sick"):
        load(tmp_path / "train.csv", labels=said, classes=("healthy", "sick"))


def test_a_mapping_joins_folders_too(tmp_path: Path) -> None:
    write(tmp_path, *(f"{number % 3}/{number}.png" for number in range(60)))
    data = load(tmp_path, labels={"0": "healthy", "1": "ill", "2": "ill"})
    assert data.splits.drop_duplicates("path")["label"].value_counts().to_dict() == {1: 40, 0: 20}
    roles = tmp_path / "roles"
    write(roles, *(f"{('train', 'test')[n % 4 == 0]}/{n % 3}/{n}.png" for n in range(96) if n % 12 != 8))
    assert not (roles / "test/2").exists()  # a part of the class ill alone
    assert set(count(load(roles, labels={"0": "healthy", "1": "ill", "2": "ill"}))["test"]) == {"healthy", "ill"}


@pytest.mark.parametrize(
    ("text", "cells", "numbers"),
    [
        ("Exudates>0", ["0", "1.5", "2"], [0, 1, 1]),
        ("grade<=1", ["0", "1.0", "2"], [1, 1, 0]),
        ("dx != nevus", ["nevus", "melanoma"], [0, 1]),
        ("dx=melanoma", ["nevus", "melanoma"], [0, 1]),
        ("n==1", ["1.0", "2"], [1, 0]),
    ],
)
def test_conditions(text: str, cells: list[str], numbers: list[int]) -> None:
    condition = labels.condition(text)
    assert condition
    given = table.read_table(pd.DataFrame({condition.column: cells}))
    assert condition.numbers(given, "t.csv") == numbers
    opposite = labels.condition(condition.classes[0])
    assert opposite
    assert opposite.numbers(given, "t.csv") == [1 - number for number in numbers]


def test_conditions_that_cannot_be_asked() -> None:
    assert labels.condition("Diagnosis") is None
    for text in ("grade>", ">2", "grade>mild"):
        with pytest.raises(ConfigError, match="must be a column, or COLUMN>NUMBER"):
            labels.condition(text)
    condition = labels.condition("grade>1")
    assert condition
    with pytest.raises(DataError, match=r"(?s)grade must be a number.*row 1: 'mild'\n  row 2: ''"):
        condition.numbers(table.read_table(pd.DataFrame({"grade": ["2", "mild", ""]})), "t.csv")
    with pytest.raises(DataError, match="has no column grade"):
        condition.numbers(table.read_table(pd.DataFrame({"other": ["2"]})), "t.csv")


def test_what_is_said_of_columns_wins(tmp_path: Path) -> None:
    names = write(tmp_path, *(f"{number}.png" for number in range(40)))
    given = pd.DataFrame({"file": "x", "Foto": names, "a": ["no", "yes"] * 20, "class": "c", "who": range(40)})
    given.to_csv(tmp_path / "m.csv", index=False)
    read = zoo.read_data(tmp_path / "m.csv", columns={"path": "Foto", "group": "who"}, label="a")
    assert (set(read["label"]), read["group"].nunique()) == ({"no", "yes"}, 40)
    with pytest.raises(DataError, match=r"has no column wo; its columns: .*\nsay which it is: --columns group=COLUMN"):
        zoo.read_data(tmp_path / "m.csv", columns={"path": "Foto", "group": "wo"}, label="a")
    with pytest.raises(ConfigError, match="columns: unknown column 'image'"):
        zoo.read_data(tmp_path / "m.csv", columns={"image": "Foto"})
    with pytest.raises(ConfigError, match="columns and label go with a table of images"):
        zoo.read_data(tmp_path, label="a>1")


def test_an_excel_table(tmp_path: Path) -> None:
    names = write(tmp_path, *(f"images/{number}.jpg" for number in range(40)))
    given = pd.DataFrame({"Image name": [Path(name).name for name in names], "Retinopathy grade": [0, 2] * 20})
    given.to_excel(tmp_path / "grades.xlsx", index=False)
    data = load(tmp_path / "grades.xlsx", label="Retinopathy grade>0")
    assert data.splits["path"].nunique() == 40
    cells = table.read_table(tmp_path / "grades.xlsx")
    assert (cells.index[0], cells.index.name, cells["Retinopathy grade"].iloc[1]) == (2, "row", "2")
    assert not any("sheet" in note for note in data.notes)
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in ("eyes", "legend"):
            given.to_excel(book, sheet_name=sheet, index=False)
    notes = load(tmp_path / "two.xlsx", label="Retinopathy grade>0").notes
    assert f"sheet 'eyes' of {tmp_path / 'two.xlsx'} is read, the first of 2" in notes
    (tmp_path / "odd.xlsx").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"odd.xlsx is not an Excel table: .*; save it as CSV UTF-8"):
        table.read_table(tmp_path / "odd.xlsx")
    pd.DataFrame().to_excel(tmp_path / "empty.xlsx", index=False)
    with pytest.raises(DataError, match=r"empty.xlsx is empty"):
        table.read_table(tmp_path / "empty.xlsx")


def test_an_excel_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({"path": ["a.png"] * 100}).to_excel(tmp_path / "large.xlsx", index=False)
    monkeypatch.setattr(table, "LARGEST", 1000)
    with pytest.raises(DataError, match="unpacks to more than"):
        table.read_table(tmp_path / "large.xlsx")


def test_test_images_that_lie_apart(tmp_path: Path) -> None:
    names = ("healthy", "ill")
    write(tmp_path / "A", *(f"{names[number % 2]}/{number}.png" for number in range(40)))
    write(tmp_path / "B", *(f"{names[number % 2]}/{number}.png" for number in range(20)), ill=lambda n: n % 2 < 1)
    data = load(tmp_path / "A", test_data=tmp_path / "B")
    assert count(data) == {
        "train": {"healthy": 16, "ill": 16},
        "validation": {"healthy": 4, "ill": 4},
        "test": {"healthy": 10, "ill": 10},
    }
    tested = data.splits[data.splits["role"] == "test"]["path"]
    assert all(Path(path).is_relative_to(tmp_path / "B") for path in tested)
    assert data.config.test_root == str(tmp_path / "B")
    assert zoo.audit(tmp_path / "A", test_data=tmp_path / "B", near_duplicates=False).request["test_data"]
    assert zoo.read_data(tmp_path / "A", test_data=tmp_path / "B")["role"].value_counts()["test"] == 20
    config = dataclasses.replace(CONFIG, root=str(tmp_path / "A"), test_root=str(tmp_path / "B"))
    assert count(loading.load_data(config, DataOptions(), None)) == count(data)
    assert not loading.settle(config, DataOptions(data=str(tmp_path / "B"))).test  # other data than the registry's
    with pytest.raises(ConfigError, match="data and test data are one"):
        load(tmp_path / "A", test_data=tmp_path / "A/../A")
    with pytest.raises(ConfigError, match="divided from the rest already"):
        zoo.make_splits(tmp_path / "A", test_data=tmp_path / "B")


def test_test_images_beside_train_and_validation(tmp_path: Path) -> None:
    names = ("healthy", "ill")
    for number, part in enumerate(("all/train", "all/val", "out")):
        write(tmp_path / part, *(f"{names[n % 2]}/{n}.png" for n in range(20 + number)))
    data = load(tmp_path / "all", test_data=tmp_path / "out")
    assert sizes(data) == {"train": 20, "validation": 21, "test": 22}
    write(tmp_path / "all/test", *(f"{names[n % 2]}/{n}.png" for n in range(23)))
    with pytest.raises(ConfigError, match="the data have a test role of their own"):
        load(tmp_path / "all", test_data=tmp_path / "out")
    with pytest.raises(ConfigError, match="have roles or folds of their own"):
        load(tmp_path / "out", test_data=tmp_path / "all")


def test_a_table_that_says_train_and_val(tmp_path: Path) -> None:
    names = write(tmp_path, *(f"{number}.png" for number in range(40)))
    given = pd.DataFrame({"filename": names, "target": [0, 1] * 20, "split": ["Train"] * 30 + ["val"] * 10})
    given.to_csv(tmp_path / "m.csv", index=False)
    data = load(tmp_path / "m.csv")
    assert sizes(data) == {"train": 24, "validation": 6, "test": 10}
    assert "there is no test role: what is called validation plays it, read once at the end" in data.notes
    given.assign(split=range(40)).to_csv(tmp_path / "m.csv", index=False)
    assert "role" not in zoo.read_data(tmp_path / "m.csv")


def test_folds_of_train_and_val(tmp_path: Path) -> None:
    for fold in range(2):
        for role, images in (("train", 20), ("val", 12)):
            write(
                tmp_path / f"fold_{fold}" / role,
                *(f"{('benign', 'malignant')[n % 2]}/{n}.png" for n in range(images + fold)),
            )
    data = load(tmp_path)
    assert data.config.classes == ("benign", "malignant")
    assert sizes(data) == {"train": 16, "validation": 4, "test": 12}
    assert "folders are taken by their names: train as train, val as validation" in data.notes


def test_images_beside_the_table_and_names_that_are_no_help(tmp_path: Path) -> None:
    write(tmp_path / "images", "a.jpg", "b.jpg", "sub/b.png")
    (tmp_path / "labels").mkdir()
    cells = pd.Series(["a", "nothing"])
    found, notes = search.by_name(cells, tmp_path / "labels", "t.csv")
    assert [*found] == [str(tmp_path / "images/a.jpg"), "nothing"]
    assert notes == [f"1 of 2 images are found by their names below {tmp_path / 'images'}"]
    with pytest.raises(DataError, match=r"(?s)several images below .* have that name.*'b': b.jpg, sub/b.png"):
        search.by_name(pd.Series(["b"]), tmp_path / "images", "t.csv")
    assert [*search.by_name(pd.Series(["x/b.png"]), tmp_path / "images", "t.csv")[0]] == ["sub/b.png"]
    assert search.by_name(pd.Series(["a.jpg", ""]), tmp_path / "images", "t.csv")[1] == []


def test_the_demo_has_its_own_classes(main: Main) -> None:
    for option in (("--positive", "normal"), ("--classes", "a,b"), ("--test-data", "x"), ("--labels", "0=a,1=b")):
        status, _, errors = main("data", "show", "--data", "demo", *option)
        assert status == 2
        assert f"{option[0]} goes with data of your own" in errors
    for option in (("--labels", "0"), ("--columns", "path=a,path=b"), ("--labels", "=a")):
        status, _, errors = main("data", "show", "--data", "demo", *option)
        assert (status, "is not NAME=NAME" in errors) == (2, True)


def test_lines_for_the_registry() -> None:
    classes = ['a "quoted"', "back\\slash", "é\x7f"]
    lines = data_lines(classes=classes, roles={"train": "x", "my test": "y"})
    assert tomllib.loads(lines) == {"data": {"classes": classes, "roles": {"train": "x", "my test": "y"}}}


def test_pictures_are_not_replaced(tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "photos", *(f"{('healthy', 'ill')[n % 2]}/{n}.png" for n in range(40)))
    monkeypatch.chdir(tmp_path)
    show = ("data", "show", "--data", "photos", "--image-size", 32)
    for folder in ("pictures", "pictures-2"):
        status, output, errors = main(*show)
        assert (status, f"{folder}/fold-0-test.png" in output) == (0, True), errors
    status, _, errors = main(*show, "--out", "pictures")
    assert (status, "pictures holds pictures; name another folder with --out" in errors) == (2, True)
    assert main(*show, "--out", "pictures", "--force")[0] == 0


@pytest.mark.parametrize("kind", ["classes", "folds", "table", "test data"])
def test_init_writes_what_the_other_commands_need(
    tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    root, said = tmp_path / "my photos", []
    if kind == "folds":
        for fold in range(2):
            for role in ("train", "test", "valid"):
                write(
                    root / f"Fold{fold}/{role}", *(f"{('ill', 'well')[n % 2]}/{fold}{role}{n}.png" for n in range(20))
                )
        said = ["--data", root, "--positive", "ill"]
    elif kind == "table":
        names = write(root, *(f"{number // 2}_{('left', 'right')[number % 2]}.png" for number in range(40)))
        pd.DataFrame({"Image": names, "grade": [0, 3] * 20}).to_csv(root / "m.csv", index=False)
        said = ["--data", root / "m.csv", "--label", "grade>1", "--groups", "([0-9]+)_(?:left|right)"]
    else:
        write(root, *(f"{('healthy', 'ill')[n % 2]}/{n // 2}_{'LR'[n % 2]}.png" for n in range(40)))
        said = ["--data", "my photos"]
    if kind == "test data":
        write(tmp_path / "other", *(f"{('healthy', 'ill')[n % 2]}/{n}.png" for n in range(22)), ill=lambda n: n % 2 < 1)
        said += ["--test-data", "other"]
    status, output, errors = main("init", *said)
    assert status == 0, errors
    assert "Next: zoo data audit" in output
    told = DataOptions(**{str(a).lstrip("-").replace("-", "_"): b for a, b in zip(said[::2], said[1::2], strict=True)})
    settled = loading.settle(DataConfig(), told)
    from zoo.plugins import discovery, registry

    written = registry.load_registry(Path("registry.toml"), discovery.discover())
    again = loading.settle(written.data, DataOptions())
    same = ("root", "test_root", "classes", "roles", "columns", "label", "labels", "groups")
    assert {name: getattr(again.config, name) for name in same} == {
        name: getattr(settled.config, name) for name in same
    }
    assert "efficientnet-staged" in written.names()
    if kind == "classes":
        assert '# groups = "(?i)' in Path("registry.toml").read_text()
        assert main("data", "split", "--image-size", 32)[0] == 0
    status, _, errors = main("init", *said)
    assert (status, "registry.toml exists; name another file" in errors) == (2, True)
    assert main("init")[0] == 2


def test_a_source_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write(tmp_path, *(f"{number}.png" for number in range(40)))
    pd.DataFrame({"path": names, "label": ["no", "yes"] * 20}).to_csv(tmp_path / "m.csv", index=False)
    times = []
    read = table.read_table
    monkeypatch.setattr(origin.table, "read_table", lambda source: times.append(source) or read(source))
    zoo.read_data(tmp_path / "m.csv")
    assert len(times) == 1


def test_what_to_name_instead_is_told(tmp_path: Path) -> None:
    def said(root: Path) -> str:
        with pytest.raises(DataError) as caught:
            load(root)
        return str(caught.value)

    write(tmp_path / "chest/chest xray", *(f"{role}/{name}/1.png" for role in ("train", "test") for name in "ab"))
    assert f"did you mean --data '{tmp_path / 'chest/chest xray'}'" in said(tmp_path / "chest")
    write(tmp_path / "set", "images/1.png")
    (tmp_path / "set/labels.csv").write_text("image,label\n1.png,a\n")
    assert f"did you mean --data {tmp_path / 'set/labels.csv'}" in said(tmp_path / "set")
    write(tmp_path / "parts", "part_1/1.png", "part_2/2.png")
    (tmp_path / "parts/labels.csv").write_text("image,label\n1.png,a\n")
    assert f"or is it a table of images? --data {tmp_path / 'parts/labels.csv'}" in said(tmp_path / "parts")
    (tmp_path / "empty/below").mkdir(parents=True)
    assert "name the folder that holds one of images for each class: --data DIR" in said(tmp_path / "empty")


@pytest.mark.parametrize("ill", [2, 3, 7])
def test_too_few_images_for_the_folds_say_how_many_there_can_be(tmp_path: Path, ill: int) -> None:
    write(tmp_path, *(f"healthy/{n}.png" for n in range(30)), *(f"ill/{n}.png" for n in range(ill)))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    if ill < 3:
        assert "there must be 3 or more to divide them at all" in str(caught.value)
        return
    assert f"zoo data split --method stratified --folds {ill}, or write into registry.toml:\n[data]" in str(
        caught.value
    )
    split = tomllib.loads(str(caught.value).partition("registry.toml:\n")[2])["data"]["split"]
    assert zoo.make_splits(tmp_path, **split)["fold"].nunique() == ill
