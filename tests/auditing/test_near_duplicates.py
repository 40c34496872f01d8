"""Copies of one picture are found whatever was done to them; pictures of one kind are not."""

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.copies import Change, border, jpeg, noise, several, small, stamp, tone, warp
from zoo.auditing.near_duplicates import near_duplicates
from zoo.data import demo


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


def crop(image: np.ndarray) -> np.ndarray:
    side = len(image)
    part = image[side // 10 : side * 9 // 10, side // 5 :]
    return cv2.resize(part, (side, side))


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
    "brightened": (tone(1.2), "brightened"),
    "darkened": (tone(0.6), "darkened"),
    "gamma": (tone(gamma=0.6), "brightened"),
    "jpeg": (jpeg(60), "recompressed or resized"),
    "jpeg-20": (jpeg(20), "recompressed or resized"),
    "noisy": (noise(20), ""),
    "negative": (lambda image: 255 - image, "negative"),
    "negative-flipped": (lambda image: 255 - np.rot90(image[:, ::-1]), "negative, flipped, rotated 90"),
    "stamped": (stamp, ""),
    "white-border": (border(0.08, 255), "cropped"),
    "shrunk": (small(0.6), "recompressed or resized"),
    "augmented": (several(lambda image: image[:, ::-1], warp(15, 1.1, (-0.1, 0.1)), tone(0.8)), "flipped, rotated 15"),
    "everything": (several(np.rot90, tone(gamma=1.4), warp(10), crop, jpeg(60)), "rotated"),
}


@pytest.fixture(scope="module")
def originals() -> list[np.ndarray]:
    return [texture(seed) for seed in range(4)] + [drawing(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def found(originals: list[np.ndarray]) -> pd.DataFrame:
    """A texture and a drawing, every change of both, and other pictures like them; found all at once."""
    changed = [change(originals[row]) for change, _ in CHANGES.values() for row in (0, 4)]
    return near_duplicates(np.stack([*originals, *changed])).pairs


@pytest.mark.parametrize("kind", ["texture", "drawing"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found(change: str, kind: str, found: pd.DataFrame) -> None:
    """Each is told to be one with its original, if not of the two themselves then by way of other copies.

    A picture is compared with the few that are most like it, and here twenty copies crowd each other out: which ones
    depends on how a processor rounds.
    """
    original = {"texture": 0, "drawing": 4}[kind]
    copy = 8 + 2 * list(CHANGES).index(change) + (kind == "drawing")
    ends = found[["first", "second"]].to_numpy()
    size = 8 + 2 * len(CHANGES)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    alike = connected_components(links, directed=False)[1]
    assert alike[copy] == alike[original]
    for pair in found[(found["first"] == original) & (found["second"] == copy)].itertuples():
        assert CHANGES[change][1] in pair.change
        assert 0.7 <= pair.similarity <= 1


def test_nearly_all_are_found_beside_their_original(found: pd.DataFrame) -> None:
    copies = 8 + np.arange(2 * len(CHANGES))
    direct = found[(found["first"] == np.where(found["second"] % 2, 4, 0)) & found["second"].isin(copies)]
    assert len(direct) >= 0.85 * len(copies)


def test_other_pictures_like_them_are_not(found: pd.DataFrame) -> None:
    def origin(row: int) -> int:
        return row if row < 8 else (0, 4)[row % 2]

    assert (found["first"].map(origin) == found["second"].map(origin)).all()


def again(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same thing photographed once more: from a little aside, lit from elsewhere."""
    side = len(image)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bend = 0.009 * side * np.sin(np.stack([x, y]) * 2 * np.pi / side + rng.uniform(0, 6, (2, 1, 1))).astype(np.float32)
    moved = cv2.remap(image, x + bend[1], y + bend[0], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    light = 0.25 + 0.75 * (x / side) * (1 - y / side)
    return np.clip(moved * light[..., None] + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def test_one_scene_photographed_twice_is_no_copy_but_told() -> None:
    pictures = [texture(seed, 224) for seed in range(6)]
    found, _ = near_duplicates(np.stack([*pictures, again(pictures[2]), again(pictures[3], 1)]))
    assert found[["first", "second"]].to_numpy().tolist() == [[2, 6], [3, 7]]
    assert found["change"].str.startswith("same scene").all()


def test_two_pictures_with_one_stamp_are_two() -> None:
    assert near_duplicates(np.stack([stamp(texture(seed, 224)) for seed in range(6)])).pairs.empty


def test_rows_are_in_order_and_pairs_occur_once(found: pd.DataFrame) -> None:
    assert list(found.columns) == ["first", "second", "similarity", "change"]
    assert (found["first"] < found["second"]).all()
    assert not found.duplicated(["first", "second"]).any()
    assert found.equals(found.sort_values(["first", "second"], ignore_index=True))


def test_drawings_of_one_kind_do_not_match() -> None:
    assert near_duplicates(np.stack([drawing(seed) for seed in range(8, 40)])).pairs.empty


@pytest.mark.parametrize("size", [64, 224, 300])
def test_any_size(size: int) -> None:
    pictures = [texture(seed, size) for seed in range(3)]
    found = near_duplicates(np.stack([*pictures, np.rot90(pictures[1])])).pairs
    assert found[["first", "second"]].to_numpy().tolist() == [[1, 3]]


def test_each_pair_of_three_copies_is_found() -> None:
    image = texture(5)
    found = near_duplicates(np.stack([image, texture(6), image[:, ::-1], tone(0.7)(image)])).pairs
    assert found[["first", "second"]].to_numpy().tolist() == [[0, 2], [0, 3], [2, 3]]


def test_plain_pictures_match_only_if_identical() -> None:
    plain = [np.full((96, 96, 3), level, np.uint8) for level in (0, 0, 128, 255)]
    rng = np.random.default_rng(0)
    noisy = [rng.integers(120, 124, (96, 96, 3), dtype=np.uint8) for _ in range(3)]
    slope = [np.tile(np.linspace(0, top, 96).astype(np.uint8)[:, None, None], (1, 96, 3)) for top in (200, 250)]
    found, too_plain = near_duplicates(np.stack([*plain, *noisy, *slope, texture(1, 96)]))
    assert too_plain == [*range(9)]
    assert found.to_numpy().tolist() == [[0, 1, 1.0, "identical"]]


def test_identical_pictures_share_their_copies() -> None:
    image = texture(7)
    found = near_duplicates(np.stack([image, np.rot90(image), image])).pairs
    assert found["change"].tolist() == ["rotated 90", "identical", "rotated 90"]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count: int) -> None:
    assert near_duplicates(np.zeros((count, 64, 64, 3), np.uint8)).pairs.empty


def test_a_memory_mapped_array_and_progress(tmp_path: object) -> None:
    pictures = np.stack([texture(8), texture(9), texture(8)[::-1]])
    np.save(f"{tmp_path}/pixels.npy", pictures)
    calls: list[tuple[int, int]] = []
    found, _ = near_duplicates(
        np.load(f"{tmp_path}/pixels.npy", mmap_mode="r"), lambda done, total: calls.append((done, total))
    )
    assert found.equals(near_duplicates(pictures).pairs)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]
