from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROLES
from zoo.data import dataset, images, splits
from zoo.errors import LeakError
from zoo.store import write_csv


@pytest.fixture
def table(folds: Path) -> pd.DataFrame:
    found = dataset.read_folds(folds, ["normal", "abnormal"], ROLES)
    _, hashes = images.decode(folds, list(found["path"]), 32)
    found["image"] = found["path"].map(hashes)
    return found[splits.COLUMNS]


def test_a_subset_pairs_pixels_with_labels(table: pd.DataFrame, folds: Path) -> None:
    store, _ = images.decode(folds, list(table["path"]), 32)
    test = splits.subset(table, 1, "test", store)
    assert len(test) == 4
    for row, label, path in zip(test.rows, test.labels, test.paths, strict=True):
        np.testing.assert_array_equal(store.pixels[row], images.read_image(folds / path))
        assert path.startswith(f"Fold1/valid/{['normal', 'abnormal'][label]}/")


def test_a_table_survives_being_written(table: pd.DataFrame, tmp_path: Path) -> None:
    write_csv(tmp_path / "splits.csv", table)
    pd.testing.assert_frame_equal(splits.read(tmp_path / "splits.csv"), table, check_dtype=False)


def test_disjoint_roles_pass(table: pd.DataFrame) -> None:
    splits.check_disjoint(table)


@pytest.mark.parametrize("roles", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_picture_in_two_roles_is_refused(table: pd.DataFrame, roles: tuple[str, str]) -> None:
    first, second = (table.index[(table["fold"] == 1) & (table["role"] == role)][0] for role in roles)
    table.loc[second, "image"] = table.loc[first, "image"]
    with pytest.raises(LeakError, match="1 picture in more than one role") as caught:
        splits.check_disjoint(table)
    assert table.loc[first, "path"] in str(caught.value)
    assert table.loc[second, "path"] in str(caught.value)


def test_the_same_picture_may_play_other_roles_in_other_folds(table: pd.DataFrame) -> None:
    roles = table.groupby("image")["role"].nunique()
    assert (roles > 1).any()
    splits.check_disjoint(table)


def test_class_counts(table: pd.DataFrame) -> None:
    counts = splits.class_counts(table, ["normal", "abnormal"])
    assert counts.loc[(0, "train")].to_dict() == {"normal": 6, "abnormal": 6}
    assert list(counts.index[:3]) == [(0, "train"), (0, "validation"), (0, "test")]
