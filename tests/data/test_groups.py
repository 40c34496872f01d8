"""What is one patient: cells that say none, names that mean the same, and what file names tell."""

from __future__ import annotations

import pandas as pd
import pytest

from zoo.auditing import findings
from zoo.data import groups


def test_cells_that_say_that_no_group_is_known() -> None:
    found, (note,) = groups.known(["7", "NA", "", "nan", "7"], "m.csv")
    assert found == ["7", "", "", "", "7"]
    assert note == "m.csv: 3 of 5 rows are of no known group, such as a patient (empty, 'NA', 'nan')"


@pytest.mark.parametrize("other", ["ODIR1", "odir1 ", "Odir 1", "odir_1", "odir-001", "ODIR.1", "odir１"])
def test_groups_that_are_written_in_several_ways_are_one(other: str) -> None:
    found, (note,) = groups.known(["odir1", other, "odir2"], "m.csv")
    assert found == ["odir1", "odir1", "odir2"]
    assert note.startswith("m.csv: 1 group is written in several ways, and each is taken as one (")


def test_different_groups_stay_apart() -> None:
    names = ["p1", "p10", "p11", "1-1", "11", "1-11", "11-1", "left", "lefty"]
    assert groups.known(names, "m.csv") == (names, [])


def test_a_pattern_that_holds_nothing_together_is_told() -> None:
    paths = ["a/1_left.png", "a/1_right.png", "b/2_left.png"]
    _, (note,) = groups.from_paths(paths, r"([^/]+)\.png")
    assert "captures another group in each of 3 paths ('1_left', …): it holds none together" in note
    assert groups.from_paths(paths, "([0-9]+)_") == (["1", "1", "2"], [])


def test_second_eyes_of_no_group_and_eyes_in_two() -> None:
    paths = ["n/1_left.png", "p/1_right.png", "n/2_left.png", "n/2_right.png", "n/3_left.png", "n/3_right.png", "x.png"]
    files = pd.DataFrame({"path": paths, "group": ["1", "", "a", "b", "3", "3", ""], "fold": 0})
    assert groups.loose_eyes(files)["path"].tolist() == paths[:4]
    files["role"] = ["train", "test", *["train"] * 5]
    (note,) = groups.notes(files)
    assert note.startswith("file names look like left and right eyes of 2 patients whom no group holds together (")
    assert ", 1 of them in two roles of a fold; if so:" in note
    table = files.assign(label=0, source="", image=paths, photograph=range(7))
    (found, *_) = findings.groups(table, True)
    assert (found.severity, found.kind) == ("error", "eyes-across-roles")
    assert found.rows["group"].tolist() == ["1"]
    (found, *_) = findings.groups(table.assign(role="train"), True)
    assert (found.severity, found.kind) == ("warning", "eyes")
    assert found.rows["path"].tolist() == paths[:4]


def test_eyes_of_one_group_are_no_doubt() -> None:
    files = pd.DataFrame({"path": ["1_left.png", "1_right.png"], "group": "1", "fold": 0, "role": ["train", "test"]})
    assert groups.notes(files) == []
