"""What files tell of themselves: against pictures of which all is known."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from zoo.auditing import facts
from zoo.data import decoding, images


def framed(tmp_path: Path, name: str = "a.png") -> Path:
    """100 x 50 pixels of red 200, green 100 and blue 50, with a black frame, two thirds of it, and a white corner."""
    picture = np.empty((50, 100, 3), np.uint8)
    picture[:] = (200, 100, 50)
    picture[0], picture[:, 0] = 0, 0
    picture[-6:, -12:] = 255
    cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
    return tmp_path / name


def test_a_picture_of_which_all_is_known(tmp_path: Path) -> None:
    file = framed(tmp_path)
    (row,) = facts.read_facts(tmp_path, ["a.png"]).to_dict("records")
    picture = decoding.read_image(file).pixels
    assert (row["width"], row["height"], row["aspect"]) == (100, 50, 2.0)
    assert (row["format"], row["bytes"], row["fault"]) == ("PNG", file.stat().st_size, "")
    assert row["image"] == images.hash_image(picture)
    np.testing.assert_allclose([row[name] for name in ("red", "green", "blue")], picture.mean(axis=(0, 1)))
    mask = np.zeros((50, 100), bool)
    mask[[0, -1]], mask[:, [0, -1]] = True, True
    border = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[mask]
    assert row["border_black"] == pytest.approx((border == 0).mean())
    assert row["border_mean"] == pytest.approx(border.mean())
    assert row["border_spread"] == pytest.approx(border.std())
    assert row["corner_se_mean"] > row["corner_sw_mean"] > row["corner_nw_mean"]


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    framed(tmp_path, "a.jpg").rename(tmp_path / "b.png")
    assert facts.read_facts(tmp_path, ["b.png"])["format"].item() == "JPEG"


def test_what_cannot_be_read_says_why_and_the_rest_is_read(tmp_path: Path) -> None:
    framed(tmp_path)
    (tmp_path / "text.png").write_text("left eye, sharp")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    seen: list[tuple[int, int]] = []
    paths = ["text.png", "a.png", "gone.png", "empty.png", "folder.png"]
    table = facts.read_facts(tmp_path, paths, lambda done, total: seen.append((done, total)))
    assert list(table["path"]) == paths
    assert dict(zip(table["path"], table["fault"], strict=True)) == {
        "text.png": "not an image (no PNG, JPEG, BMP, TIFF or WebP)",
        "a.png": "",
        "gone.png": "not found",
        "empty.png": "empty file",
        "folder.png": "cannot be read: Is a directory",
    }
    assert list(table["image"] != "") == [False, True, False, False, False]
    assert seen[-1] == (5, 5)


def test_hard_links_are_read_once(tmp_path: Path) -> None:
    file = framed(tmp_path)
    os.link(file, tmp_path / "b.png")
    seen: list[tuple[int, int]] = []
    table = facts.read_facts(tmp_path, ["a.png", "b.png", "a.png"], lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]
    assert list(table["path"]) == ["a.png", "b.png"]
    assert table["image"].nunique() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)], ids=str)
def test_the_smallest_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((*shape, 3), 90, np.uint8))
    row = facts.read_facts(tmp_path, ["a.png"]).iloc[0]
    assert row["border_mean"] == 90
    assert row.notna().all()
