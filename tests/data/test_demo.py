"""The demo: deterministic, in the study's layout, learnable, and as hard as it says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats

from tests.conftest import ROLES, Main
from zoo.data import demo, folders, images
from zoo.errors import DataError


def test_the_same_images_every_time() -> None:
    np.testing.assert_array_equal(demo.draw(0.4, seed=3), demo.draw(0.4, seed=3))
    assert (demo.draw(0.4, seed=3) != demo.draw(0.4, seed=4)).any()
    assert demo.draw(0.4, seed=3).shape == (demo.SIZE, demo.SIZE, 3)
    assert demo.draw(0.4, seed=3).dtype == np.uint8


def test_the_best_accuracy_is_what_it_says() -> None:
    """By Monte Carlo over the rule "abnormal if r > 0.5", which is the best there is for symmetric noise."""
    table = demo.plan_images(images=400_000, seed=1)
    right = ((table["cup_to_disc"] > 0.5) == table["label"]).mean()
    assert right == pytest.approx(demo.BEST_ACCURACY, abs=0.002)
    assert f"{demo.BEST_ACCURACY:.1%}" == "92.0%"


def test_the_label_can_be_seen() -> None:
    """The share of pixels with much blue, as cups have it, grows with the ratio: pixels carry the label.

    How bright an image is, as a whole, says nothing.
    """
    table = demo.plan_images()
    files = {path.name: path for path in (demo.folder() / "Fold0").rglob("*.png")}
    bright, mean = [], []
    for name in table["file"]:
        image = cv2.imread(str(files[name]))
        bright.append((cv2.GaussianBlur(image, (0, 0), 2)[..., 0] > 120).mean())
        mean.append(image.mean())
    assert stats.spearmanr(bright, table["cup_to_disc"]).statistic > 0.4
    assert abs(stats.spearmanr(mean, table["cup_to_disc"]).statistic) < 0.1


def test_the_layout_is_the_study_s_and_a_partition(tmp_path: Path) -> None:
    root = demo.folder()
    table = folders.read_folds(root, demo.CLASSES, ROLES)
    _, hashes = images.decode(root, list(table["path"]), 32)
    table["image"] = table["path"].map(hashes)
    assert sorted(table["fold"].unique()) == list(range(10))
    assert table["image"].nunique() == demo.IMAGES
    assert (table.groupby(["fold", "image"]).size() == 1).all()
    for role in ("test", "validation"):
        assert (table[table["role"] == role].groupby("image").size() == 1).all()
    balance = table.groupby(["fold", "role"])["label"].mean()
    assert balance.between(0.4, 0.65).all()


def test_it_can_be_written_out_once(main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "draw", lambda ratio, seed: np.full((8, 8, 3), seed % 256, np.uint8))  # takes seconds
    status, output, errors = main("data", "demo", tmp_path / "out")
    assert status == 0, errors
    assert "600 images in 10 folds" in output
    written = folders.read_folds(tmp_path / "out", demo.CLASSES, ROLES)
    assert len(written) == demo.IMAGES * demo.FOLDS
    assert (tmp_path / "out" / "demo.csv").exists()
    with pytest.raises(DataError, match="already in use"):
        demo.write_demo(tmp_path / "out")
