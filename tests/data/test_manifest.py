"""Manifests and other tables from people: what is right is read, what is wrong is one clear error, never another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.data import manifest, table
from zoo.data.config import DataConfig
from zoo.data.origin import Origin
from zoo.errors import DataError, ZooError

CLASSES = ["normal", "abnormal"]
FILES = ["a.png", "b.png", "c d.png", "sub/é.png", "new\nline.png"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a manifest may name; nothing decodes them."""
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "sub").mkdir()
    (folder / "folder.png").mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"")
    return folder


def read_manifest(source: table.Source, root: Path, columns: dict[str, str] | None = None) -> pd.DataFrame:
    return manifest.read_manifest(
        Origin(table.name(source), root, table.read_table(source)), DataConfig(columns=columns or {})
    )[0]


def read(root: Path, text: str, name: str = "m.csv", **columns: str) -> pd.DataFrame:
    (root / name).write_bytes(text.encode())
    return read_manifest(root / name, root, columns)


def test_path_and_label_are_enough(root: Path) -> None:
    found = read(root, 'path,label\na.png,normal\n"c d.png",1\nsub/é.png,abnormal\n"new\nline.png",0\n')
    assert found.to_dict("list") == {
        "path": ["a.png", "c d.png", "sub/é.png", "new\nline.png"],
        "label": [0, 1, 1, 0],
        "group": ["", "", "", ""],
        "source": ["", "", "", ""],
    }


@pytest.mark.parametrize(
    "text",
    [
        "path,label,group,source,eye\na.png,0,p1,clinic,left\nb.png,1,p2,,\n",
        "path;label;group;source\r\na.png;0;p1;clinic\r\nb.png;1;p2;\r\n",
        "\ufeffpath\tlabel\tgroup\tsource\na.png\t0\tp1\tclinic\nb.png\t1\tp2\t\n\n\n",
        '"source" , "path" , label , group\nclinic, a.png , 0 , p1 \n,b.png,1,p2\n',
        "path,label,group,source,,\na.png,0,p1,clinic,,\nb.png,1,p2,,,\n,,,,,\n",
    ],
    ids=["commas", "semicolons", "tabs and a byte-order mark", "blanks", "a spreadsheet's empty cells"],
)
def test_ways_to_write_one_table(root: Path, text: str) -> None:
    found = read(root, text.replace('"source" , "path"', "source , path"))
    assert found.to_dict("records") == [
        {"path": "a.png", "label": 0, "group": "p1", "source": "clinic"},
        {"path": "b.png", "label": 1, "group": "p2", "source": ""},
    ]


def test_columns_may_have_other_names(root: Path) -> None:
    found = read(root, "file,grade,patient,path\na.png,1,p1,ignored\n", path="file", label="grade", group="patient")
    assert found.to_dict("records") == [{"path": "a.png", "label": 1, "group": "p1", "source": ""}]
    with pytest.raises(DataError, match="has no column person; its columns: path, label"):
        read(root, "path,label\na.png,1\n", group="person")


def test_absolute_and_roundabout_paths(root: Path) -> None:
    found = read(root, f"path,label\n{root / 'a.png'},0\n./sub/../b.png,1\nsub//é.png,1\n")
    assert list(found["path"]) == [(root / "a.png").as_posix(), "sub/../b.png", "sub/é.png"]


def test_fold_and_role_are_ready_folds(root: Path) -> None:
    found = read(root, "path,label,fold,role\na.png,0,1,train\nb.png,1,1,test\na.png,0,2,validation\n")
    assert found[["fold", "role", "path"]].values.tolist() == [
        [1, "train", "a.png"],
        [1, "test", "b.png"],
        [2, "validation", "a.png"],
    ]


def test_role_alone_is_one_fold(root: Path) -> None:
    found = read(root, "path,label,role\na.png,0,train\nb.png,1,test\n")
    assert found[["fold", "role", "path"]].values.tolist() == [[0, "train", "a.png"], [0, "test", "b.png"]]
    found = read(root, "path,label,role,fold\na.png,0,train,1.0\nb.png,1,test,2.\n")
    assert found["fold"].tolist() == [1, 2]


def test_fold_alone_is_the_part_of_an_image(root: Path) -> None:
    found = read(root, "path,label,fold\na.png,0,2\nb.png,1,5\nc d.png,1,9\n")
    roles = found.pivot_table(index="fold", columns="path", values="role", aggfunc="first")
    assert roles.loc[2].to_dict() == {"a.png": "test", "b.png": "validation", "c d.png": "train"}
    assert roles.loc[9].to_dict() == {"c d.png": "test", "a.png": "validation", "b.png": "train"}
    with pytest.raises(DataError, match="at least 3 parts, not 2"):
        read(root, "path,label,fold\na.png,0,2\nb.png,1,5\n")


REFUSALS = {
    "no label": ("path\na.png", "has no column label; its columns: path"),
    "nothing": ("", "is empty"),
    "blank lines": ("\n\n  \n", "is empty"),
    "heading only": ("path,label\n", "lists no image"),
    "unknown class": ("path,label\na.png,0\nb.png,ill\n", r"abnormal\) or its number from 0.*\n  line 3: 'ill'"),
    "class number": ("path,label\na.png,2\n", "line 2: '2'"),
    "empty label": ("path,label\na.png,\n", "line 2: ''"),
    "empty path": ("path,label\n,0\n", "line 2: '' is empty"),
    "missing file": ("path,label\nno.png,0\n", "line 2: 'no.png' not found"),
    "folder": ("path,label\nfolder.png,0\n", "line 2: 'folder.png' is a folder"),
    "name too long": (f"path,label\n{'x' * 5000},0\n", "line 2: .*(cannot be read|not found)"),
    "control character": ("path,label\n\0.png,0\n", "has a control character in its name; rename it"),
    "twice": ("path,label\na.png,0\nb.png,1\n./a.png,0\n", "'a.png': lines 2, 4"),
    "twice in a fold": ("path,label,fold,role\na.png,0,1,train\na.png,0,1,test\n", "once in a fold.*\n.*lines 2, 3"),
    "column twice": ("path,label,path\na.png,0,b.png\n", "has the column path twice"),
    "cells missing": ("path,label,group\na.png,0,p\nb.png\n", "line 3 has 1 cells, the heading 3"),
    "cells too many": ("path,label\na.png,0,p,q\n", "line 2 has 4 cells, the heading 2"),
    "open quote": ('path,label\n"a.png,0\n', "line 2: unexpected end of data"),
    "role": ("path,label,role\na.png,0,odd\n", "role must be one of train, validation, test\n  line 2: 'odd'"),
    "role in a fold": (
        "path,label,role,fold\na.png,0,valid,0\n",
        "role must be one of train, validation, test\n  line 2: 'valid'",
    ),
    "fold": ("path,label,fold\na.png,0,first\n", "fold must be a number, 0 or more\n  line 2: 'first'"),
    "negative fold": ("path,label,fold\na.png,0,-1\n", "line 2: '-1'"),
}


@pytest.mark.parametrize(("text", "says"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_wrong_manifest_says_what_and_where(root: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(root, text)
    assert "m.csv" in str(caught.value)


def test_many_faults_are_shortened(root: Path) -> None:
    with pytest.raises(DataError, match="… and 90 more"):
        read(root, "path,label\n" + "".join(f"{number}.png,0\n" for number in range(100)))


def test_other_encodings_are_refused(root: Path) -> None:
    (root / "m.csv").write_bytes("path,label\na.png,0\n".encode("utf-16"))
    with pytest.raises(DataError, match="is not text in UTF-8; save it as CSV UTF-8"):
        read_manifest(root / "m.csv", root)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_manifest(root / "sub", root)


def test_a_data_frame_is_a_manifest(root: Path) -> None:
    frame = pd.DataFrame(
        {
            "path": [root / "a.png", "b.png"],
            "label": [0.0, 1.0],
            "group": pd.array([7, None], dtype="Int64"),
            "source": pd.Categorical(["x", None]),
            "more": [np.array([1, 2]), {}],
        },
        index=["i", "i"],
    )
    found = read_manifest(frame, root)
    assert found.to_dict("records") == [
        {"path": (root / "a.png").as_posix(), "label": 0, "group": "7", "source": "x"},
        {"path": "b.png", "label": 1, "group": "", "source": ""},
    ]
    with pytest.raises(DataError, match=r"table of 2 rows: label must be .*\n  row 1: '0.5'"):
        read_manifest(frame.assign(label=[0, 0.5]), root)


def test_a_parquet_file_is_a_manifest(root: Path) -> None:
    pytest.importorskip("pyarrow")
    for label in ([True, False], [1, 0], [1.0, 0.0], ["abnormal", "normal"], pd.array([1.0, 0.0], "float32")):
        pd.DataFrame({"path": ["a.png", "b.png"], "label": label, "group": [1, 2]}).to_parquet(root / "m.parquet")
        found = read_manifest(root / "m.parquet", root)
        assert found[["label", "group"]].to_dict("list") == {"label": [1, 0], "group": ["1", "2"]}
    pd.DataFrame({"path": ["a.png"], "label": [0.5]}).to_parquet(root / "m.parquet")
    with pytest.raises(DataError, match=r"row 0: '0\.5'"):
        read_manifest(root / "m.parquet", root)
    (root / "m.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(DataError, match="is not a Parquet table"):
        read_manifest(root / "m.parquet", root)


def test_parquet_without_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> pd.DataFrame:
        raise ImportError("pyarrow")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(DataError, match="Parquet needs pyarrow: pip install pyarrow"):
        table.read_table(root / "any.parquet")


# Cells that a reader must survive, and those it knows.
CELLS = st.one_of(st.sampled_from(["", "0", "1", "normal", "train", "test", *FILES, "..", "/"]), st.text(max_size=8))
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_table_or_error(source: Any, root: Path) -> None:
    try:
        found = read_manifest(source, root)
    except ZooError as error:
        assert len(str(error).splitlines()) < 30
        return
    assert set(found["label"]) <= {0, 1}
    assert all((root / path).is_file() for path in found["path"])
    assert not found.isna().any(axis=None)


@QUICK
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error(root: Path, data: bytes) -> None:
    (root / "fuzz.csv").write_bytes(data)
    is_table_or_error(root / "fuzz.csv", root)


@QUICK
@given(
    header=st.lists(st.one_of(st.sampled_from(["path", "label", "group", "fold", "role"]), CELLS), max_size=5),
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=4),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_any_text_is_a_table_or_an_error(root: Path, header: list[str], rows: list[list[str]], separator: str) -> None:
    text = "\n".join(separator.join(row) for row in [["path", "label", *header], *rows])
    (root / "fuzz.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    is_table_or_error(root / "fuzz.csv", root)


VALUES = st.one_of(CELLS, st.none(), st.integers(), st.floats(), st.booleans(), st.binary(max_size=3), st.just([1, 2]))


@QUICK
@given(
    columns=st.dictionaries(
        st.sampled_from(["path", "label", "group", "source", "fold", "role", 7, None, ("a", 1)]),
        st.lists(VALUES, min_size=3, max_size=3),
        max_size=7,
    )
)
def test_any_data_frame_is_a_table_or_an_error(root: Path, columns: dict[Any, list[Any]]) -> None:
    frame = pd.DataFrame({place: pd.Series(values, dtype=object) for place, values in enumerate(columns.values())})
    frame.columns = pd.Index(list(columns), dtype=object)
    is_table_or_error(frame, root)


@QUICK
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(FILES[:4]), st.integers(0, 1), st.text(st.characters(codec="utf-8"), max_size=5)),
        min_size=1,
        max_size=4,
        unique_by=lambda row: row[0],
    )
)
def test_what_is_written_is_read_again(root: Path, rows: list[tuple[str, int, str]]) -> None:
    """pandas' own writer is the other side."""
    frame = pd.DataFrame(rows, columns=["path", "label", "group"])
    frame["group"] = frame["group"].str.replace(r"[\r\0]", "", regex=True).str.strip()
    frame.to_csv(root / "again.csv", index=False)
    found = read_manifest(root / "again.csv", root)
    pd.testing.assert_frame_equal(found[["path", "label", "group"]], frame, check_dtype=False)
