"""The store of decoded images: what is kept, what is told, and the reuse of what was decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from zoo.data import decoding, images
from zoo.data.remarks import Remarks
from zoo.errors import DataError


def file(path: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


def test_a_gif_is_refused_by_name(tmp_path: Path) -> None:
    file(tmp_path / "a.png", Image.new("P", (60, 40)), "GIF")
    with pytest.raises(DataError, match=r"1 image cannot be used.*\n.*a\.png: a GIF; save it as PNG"):
        images.decode(tmp_path, ["a.png"], 32)


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    file(tmp_path / "a.png", Image.new("RGB", (1, 1), (1, 2, 3)))
    store, _ = images.decode(tmp_path, ["a.png"], 32)
    np.testing.assert_array_equal(np.unique(store.pixels.reshape(-1, 3), axis=0), [[1, 2, 3]])


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """20,000 x 20,000 pixels: 1.2 GB decoded, 50 kB as a file."""
    return file(tmp_path / "huge.png", Image.new("1", (20_000, 20_000)))


def test_too_many_pixels_are_refused_undecoded(huge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(DataError, match=r"huge.png: 20000 x 20000 pixels, more than the 100,000,000 .* ZOO_MAX_PIXELS"):
        images.decode(huge.parent, [huge.name], 32)


def test_large_images_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", 1000)
    at_once: list[bool] = []
    decode = cv2.imdecode

    def watched(*arguments: Any) -> Any:
        at_once.append(decoding._one_large.locked())
        return decode(*arguments)

    monkeypatch.setattr(cv2, "imdecode", watched)
    write(tmp_path, ["a.png", "b.png"])
    images.decode(tmp_path, ["a.png", "b.png"], 36)
    assert at_once == [True, True]


def test_a_file_that_vanishes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ["a.png"])

    def gone(path: Path) -> np.ndarray:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(images, "read_image", gone)
    with pytest.raises(DataError, match=r"a\.png: cannot be read: No such file"):
        images.decode(tmp_path, ["a.png"], 37)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, ["a.png"])
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(DataError, match=r"a\.png cannot be read: Permission denied"):
        images.decode(tmp_path, ["a.png"], 38)


@pytest.mark.parametrize(("height", "width", "size"), [(40, 60, 32), (20, 30, 64), (32, 32, 32), (500, 8, 32)])
def test_images_are_stretched_to_a_square(height: int, width: int, size: int) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    assert (images.resize(image, size) == np.full((size, size, 3), 77)).all()


def write(folder: Path, names: list[str]) -> list[str]:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((40, 50, 3), number, np.uint8))
    return names


def test_a_store_holds_each_distinct_image_once(tmp_path: Path) -> None:
    names = write(tmp_path / "d", ["a.png", "b.png", "c é.png"])
    (tmp_path / "d" / "copy.png").write_bytes((tmp_path / "d" / "b.png").read_bytes())
    store, hash_of = images.decode(tmp_path / "d", [*names, "copy.png"], size=32)
    assert store.pixels.shape == (3, 32, 32, 3)
    assert isinstance(store.pixels, np.memmap)
    assert hash_of["copy.png"] == hash_of["b.png"]
    rows = store.rows([hash_of[name] for name in names])
    assert [store.pixels[row].max() for row in rows] == [0, 1, 2]


def test_the_hash_is_of_the_pixels_not_the_file(tmp_path: Path) -> None:
    write(tmp_path / "d", ["a.png"])
    cv2.imwrite(str(tmp_path / "d" / "b.bmp"), cv2.imread(str(tmp_path / "d" / "a.png")))
    _, small = images.decode(tmp_path / "d", ["a.png", "b.bmp"], size=32)
    _, large = images.decode(tmp_path / "d", ["a.png", "b.bmp"], size=48)
    assert len({*small.values(), *large.values()}) == 1


def test_decoding_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write(tmp_path / "d", ["once.png", "twice.png"])
    first, _ = images.decode(tmp_path / "d", names, size=33)
    (tmp_path / "elsewhere").mkdir()
    for name in names:  # the same content in another place, in another order
        (tmp_path / "elsewhere" / name).write_bytes((tmp_path / "d" / name).read_bytes())

    def never(path: Path) -> np.ndarray:
        raise AssertionError(f"{path} decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(images, "read_image", never)
        again, _ = images.decode(tmp_path / "elsewhere", names[::-1], size=33)
    assert again.folder == first.folder
    write(tmp_path / "d", ["twice.png"])  # now another picture under the same name
    changed, _ = images.decode(tmp_path / "d", names, size=33)
    assert changed.folder != first.folder


def test_all_broken_files_are_named_at_once(tmp_path: Path) -> None:
    names = write(tmp_path / "d", [f"{number:02d}.png" for number in range(14)])
    for number, name in enumerate(names[:12]):
        (tmp_path / "d" / name).write_bytes(b"" if number else b"no image")
    with pytest.raises(DataError) as caught:
        images.decode(tmp_path / "d", names, size=32)
    text = str(caught.value)
    assert "12 images cannot be used" in text
    assert "00.png: not an image" in text
    assert "01.png: empty file" in text
    assert "… and 2 more" in text
    assert len(text.splitlines()) == 12


def test_a_failed_decoding_leaves_no_store(tmp_path: Path) -> None:
    names = write(tmp_path / "d", ["good.png", "bad.png"])
    (tmp_path / "d" / "bad.png").write_bytes(b"bad")
    for _ in range(2):
        with pytest.raises(DataError, match=r"bad\.png"):
            images.decode(tmp_path / "d", names, size=34)


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    names = write(tmp_path / "d", ["p.png", "q.png"])
    told: list[tuple[int, int]] = []
    images.decode(tmp_path / "d", names, size=35, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)


def test_what_to_know_of_a_file_is_told_again_when_it_comes_from_the_cache(tmp_path: Path) -> None:
    deep = (np.arange(1200, dtype=np.uint16) % 1024).reshape(30, 40)
    file(tmp_path / "NA.png", Image.fromarray(deep))
    file(tmp_path / "good.png", Image.new("RGB", (40, 30)))
    paths = ["good.png", "NA.png"]
    first, _ = images.decode(tmp_path, paths, 32)
    again, _ = images.decode(tmp_path, paths, 32)
    assert first.remarks == again.remarks == {"NA.png": Remarks(span=(0, 1023))}


def test_a_file_that_is_in_ten_folds_is_told_of_once(tmp_path: Path) -> None:
    pages = [Image.new("L", (40, 30), shade) for shade in (10, 20)]
    pages[0].save(tmp_path / "0.tif", save_all=True, append_images=pages[1:])
    names = [f"{fold}.tif" for fold in range(10)]
    for name in names[1:]:
        os.link(tmp_path / "0.tif", tmp_path / name)
    store, _ = images.decode(tmp_path, names, 32)
    assert store.remarks == {"0.tif": Remarks(further=1)}
