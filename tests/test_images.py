"""Files to RGB 0..255, against Pillow as an independent reader, and the reuse of what was decoded."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from zoo.data import images
from zoo.errors import ConfigError, DataError


@pytest.fixture
def picture() -> np.ndarray:
    """40 x 60 RGB, smooth enough for JPEG, the same along no axis."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, (x + y) * 2], axis=-1).astype(np.uint8)


def file(path: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


def test_rgb_is_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    read = images.read_image(file(tmp_path / "a.png", Image.fromarray(picture)))
    np.testing.assert_array_equal(read, picture)
    assert read.dtype == np.uint8


def test_greyscale_is_repeated(tmp_path: Path, picture: np.ndarray) -> None:
    read = images.read_image(file(tmp_path / "a.png", Image.fromarray(picture[..., 0])))
    np.testing.assert_array_equal(read, np.repeat(picture[..., :1], 3, axis=2))


def test_alpha_is_dropped(tmp_path: Path, picture: np.ndarray) -> None:
    transparent = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    np.testing.assert_array_equal(images.read_image(file(tmp_path / "a.png", Image.fromarray(transparent))), picture)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_become_8(tmp_path: Path, picture: np.ndarray, kind: str) -> None:
    deep = picture[..., 0].astype(np.uint16) * 257
    read = images.read_image(file(tmp_path / "a.img", Image.fromarray(deep), kind))
    np.testing.assert_array_equal(read[..., 1], picture[..., 0])


def test_palette_is_resolved(tmp_path: Path, picture: np.ndarray) -> None:
    palette = Image.fromarray(picture).convert("P")
    np.testing.assert_array_equal(images.read_image(file(tmp_path / "a.png", palette)), palette.convert("RGB"))


def test_cmyk_is_converted(tmp_path: Path, picture: np.ndarray) -> None:
    path = file(tmp_path / "a.jpg", Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(images.read_image(path) - expected).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, picture: np.ndarray, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    path = file(tmp_path / "a.jpg", Image.fromarray(picture), "JPEG", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
    read = images.read_image(path)
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() < 2


def test_floating_point_pixels_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    path = file(tmp_path / "a.tif", Image.fromarray(picture[..., 0].astype(np.float32)), "TIFF")
    with pytest.raises(DataError, match=r"8 or 16 bits|not an image"):
        images.read_image(path)


def test_16_bits_round_as_numpy_does(tmp_path: Path) -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    read = images.read_image(file(tmp_path / "a.png", Image.fromarray(every)))
    np.testing.assert_array_equal(read[..., 2], np.round(every / 257))


def test_the_content_counts_not_the_ending(tmp_path: Path, picture: np.ndarray) -> None:
    read = images.read_image(file(tmp_path / "a.jpg", Image.fromarray(picture), "PNG"))
    np.testing.assert_array_equal(read, picture)


def test_a_text_is_no_png(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("patient 7, left eye")
    with pytest.raises(DataError, match="not an image"):
        images.read_image(tmp_path / "a.png")


def test_a_gif_is_refused_by_name(tmp_path: Path, picture: np.ndarray) -> None:
    file(tmp_path / "a.png", Image.fromarray(picture).convert("P"), "GIF")
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


def test_the_pixel_limit_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "wide.png", Image.new("L", (20_000, 20)))
    assert images.read_image(path).shape == (20, 20_000, 3)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "399999")
    with pytest.raises(DataError, match="more than the 399,999"):
        images.read_image(path)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "many")
    with pytest.raises(ConfigError, match="ZOO_MAX_PIXELS is 'many'; it must be a number of pixels"):
        images.read_image(path)


def test_large_images_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGE", 1000)
    at_once: list[bool] = []
    decode = cv2.imdecode

    def watched(*arguments: Any) -> Any:
        at_once.append(images._one_large.locked())
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_off_file_is_refused(tmp_path: Path, kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    data = stream.getvalue()
    path = tmp_path / "a.img"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"cut off|cannot decode|not an image"):
        images.read_image(path)


def test_a_thumbnail_does_not_hide_that_a_jpeg_is_cut_off(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    plain, small = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise[:20, :20]).save(small, "JPEG")
    Image.fromarray(noise).save(plain, "JPEG", exif=b"Exif\x00\x00" + small.getvalue())
    path = tmp_path / "a.jpg"
    path.write_bytes(plain.getvalue()[:-1000])
    assert small.getvalue() in path.read_bytes()
    with pytest.raises(DataError, match="cut off"):
        images.read_image(path)


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
