"""Heat maps as they stand in the files of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zoo.run import heatmaps

PARTS = [(0, 0, 1.5), (0, 1, -0.5), (0, 2, 0.25), (1, 0, 0.0), (1, 1, 3.0), (1, 2, 4.0)]


def written(file: Path, **maps: list[tuple[object, ...]]) -> Path:
    rows = [(image, f"{image}.png", "ill", *part) for image, parts in maps.items() for part in parts]
    pd.DataFrame(rows, columns=heatmaps.COLUMNS).to_csv(file, index=False)
    return file


def test_a_map_is_read_whatever_the_order_of_its_parts(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", one=PARTS, other=PARTS[:1])
    second = written(tmp_path / "b.csv", one=PARTS[:1], third=PARTS[::-1])
    maps = heatmaps.read([first, tmp_path / "none.csv", second])
    assert list(maps) == ["one", "other", "third"]
    for image in ("one", "third"):
        np.testing.assert_array_equal(maps[image], [[1.5, -0.5, 0.25], [0, 3, 4]])
        assert maps[image].dtype == np.float32
    assert maps["other"].shape == (1, 1)


@pytest.mark.parametrize(
    "part",
    [
        (1, 1, 3.0),
        (1, 3, 3.0),
        (-1, 2, 3.0),
        (0.5, 2, 3.0),
        (10**30, 2, 3.0),
        (float("nan"), 2, 3.0),
        (float("inf"), 2, 3.0),
        ("x", 2, 3.0),
        (1, 2, float("nan")),
        (1, 2, "x"),
    ],
    ids=str,
)
def test_a_damaged_map_is_none(tmp_path: Path, part: tuple[object, ...]) -> None:
    assert heatmaps.read([written(tmp_path / "a.csv", one=[*PARTS[:-1], part])]) == {}


def test_a_table_of_something_else_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,row\none,1\n")
    (tmp_path / "b.csv").write_bytes(b"\xff\x00")
    assert heatmaps.read([tmp_path / "a.csv", tmp_path / "b.csv"]) == {}
