"""Copies of one picture are found whatever was done to them; pictures of one kind are not."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import pytest

from zoo.data import demo
from zoo.data.duplicates import near_duplicates

Change = Callable[[np.ndarray], np.ndarray]


def texture(seed: int, size: int = 128) -> np.ndarray:
    """Coloured blobs of many sizes on an uneven ground: uint8 RGB (size, size, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), rng.uniform(60, 200, 3), np.float32)
    for _ in range(150):
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(2, size // 8, 2))
        colour = tuple(float(v) for v in rng.uniform(0, 255, 3))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 0.8).round().astype(np.uint8)


def drawing(seed: int) -> np.ndarray:
    return demo.draw(0.3 + 0.05 * seed, seed)


def warp(degrees: float, zoom: float = 1.0, shift: tuple[float, float] = (0, 0)) -> Change:
    """As the usual augmentation does it: about the centre, the edge repeated outwards. Shifts in shares of the side."""

    def change(image: np.ndarray) -> np.ndarray:
        side = len(image)
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, zoom)
        matrix[:, 2] += np.multiply(shift, side)
        return cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)

    return change


def crop(image: np.ndarray) -> np.ndarray:
    side = len(image)
    part = image[side // 10 : side * 9 // 10, side // 5 :]
    return cv2.resize(part, (side, side))


def recompress(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


def shrink(image: np.ndarray) -> np.ndarray:
    side = len(image)
    return cv2.resize(cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), (side, side))


def tone(image: np.ndarray, factor: float = 1.0, gamma: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return np.clip(255 * (image / 255) ** gamma * factor + offset, 0, 255).round().astype(np.uint8)


CHANGES: dict[str, tuple[Change, str]] = {
    "flipped": (lambda image: image[:, ::-1], "flipped"),
    "upside-down": (lambda image: image[::-1], "flipped upside down"),
    "rotated-90": (lambda image: np.rot90(image), "rotated 90"),
    "rotated-180": (lambda image: np.rot90(image, 2), "rotated 180"),
    "rotated-270": (lambda image: np.rot90(image, 3), "rotated 90"),
    "transposed": (lambda image: image.transpose(1, 0, 2), "flipped, rotated 90"),
    "rotated-7": (warp(7), "rotated 7"),
    "rotated-20": (warp(-20), "rotated 20"),
    "cropped": (crop, "cropped"),
    "shifted": (warp(0, shift=(0.15, -0.1)), "shifted"),
    "brightened": (lambda image: tone(image, factor=1.2), "brightened"),
    "darkened": (lambda image: tone(image, factor=0.6), "darkened"),
    "gamma": (lambda image: tone(image, gamma=0.6), "brightened"),
    "jpeg": (recompress, "recompressed or resized"),
    "shrunk": (shrink, "recompressed or resized"),
    "augmented": (lambda image: tone(warp(15, 1.1, (-0.1, 0.1))(image[:, ::-1]), factor=0.8), "flipped, rotated 15"),
    "everything": (lambda image: recompress(crop(warp(10)(tone(np.rot90(image), gamma=1.4)))), "rotated"),
}


@pytest.fixture(scope="module")
def originals() -> list[np.ndarray]:
    return [texture(seed) for seed in range(4)] + [drawing(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def found(originals: list[np.ndarray]) -> pd.DataFrame:
    """A texture and a drawing, every change of both, and other pictures like them; found all at once."""
    changed = [change(originals[row]) for change, _ in CHANGES.values() for row in (0, 4)]
    return near_duplicates(np.stack([*originals, *changed]))


@pytest.mark.parametrize("kind", ["texture", "drawing"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found(change: str, kind: str, found: pd.DataFrame) -> None:
    original = {"texture": 0, "drawing": 4}[kind]
    copy = 8 + 2 * list(CHANGES).index(change) + (kind == "drawing")
    pair = found[(found["first"] == original) & (found["second"] == copy)]
    assert len(pair) == 1
    assert CHANGES[change][1] in pair["change"].item()
    assert 0.7 <= pair["similarity"].item() <= 1


def test_other_pictures_like_them_are_not(found: pd.DataFrame) -> None:
    def origin(row: int) -> int:
        return row if row < 8 else (0, 4)[row % 2]

    assert (found["first"].map(origin) == found["second"].map(origin)).all()


def test_rows_are_in_order_and_pairs_occur_once(found: pd.DataFrame) -> None:
    assert list(found.columns) == ["first", "second", "similarity", "change"]
    assert (found["first"] < found["second"]).all()
    assert not found.duplicated(["first", "second"]).any()
    assert found.equals(found.sort_values(["first", "second"], ignore_index=True))


def test_drawings_of_one_kind_do_not_match() -> None:
    assert near_duplicates(np.stack([drawing(seed) for seed in range(8, 40)])).empty


@pytest.mark.parametrize("size", [64, 224, 300])
def test_any_size(size: int) -> None:
    pictures = [texture(seed, size) for seed in range(3)]
    found = near_duplicates(np.stack([*pictures, np.rot90(pictures[1])]))
    assert found[["first", "second"]].to_numpy().tolist() == [[1, 3]]


def test_each_pair_of_three_copies_is_found() -> None:
    image = texture(5)
    found = near_duplicates(np.stack([image, texture(6), image[:, ::-1], tone(image, factor=0.7)]))
    assert found[["first", "second"]].to_numpy().tolist() == [[0, 2], [0, 3], [2, 3]]


def test_plain_pictures_match_only_if_identical() -> None:
    plain = [np.full((96, 96, 3), level, np.uint8) for level in (0, 0, 128, 255)]
    rng = np.random.default_rng(0)
    noisy = [rng.integers(120, 124, (96, 96, 3), dtype=np.uint8) for _ in range(3)]
    slope = [np.tile(np.linspace(0, top, 96).astype(np.uint8)[:, None, None], (1, 96, 3)) for top in (200, 250)]
    found = near_duplicates(np.stack([*plain, *noisy, *slope]))
    assert found.to_numpy().tolist() == [[0, 1, 1.0, "identical"]]


def test_identical_pictures_share_their_copies() -> None:
    image = texture(7)
    found = near_duplicates(np.stack([image, np.rot90(image), image]))
    assert found["change"].tolist() == ["rotated 90", "identical", "rotated 90"]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count: int) -> None:
    assert near_duplicates(np.zeros((count, 64, 64, 3), np.uint8)).empty


def test_a_memory_mapped_array_and_progress(tmp_path: object) -> None:
    pictures = np.stack([texture(8), texture(9), texture(8)[::-1]])
    np.save(f"{tmp_path}/pixels.npy", pictures)
    calls: list[tuple[int, int]] = []
    found = near_duplicates(
        np.load(f"{tmp_path}/pixels.npy", mmap_mode="r"), lambda done, total: calls.append((done, total))
    )
    assert found.equals(near_duplicates(pictures))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]
