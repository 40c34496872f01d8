"""Files to RGB 0..255, against Pillow and tifffile as independent readers and writers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.data import decoding
from zoo.data.remarks import Remarks
from zoo.errors import ConfigError, DataError


def pixels(path: Path) -> np.ndarray:
    return decoding.read_image(path).pixels


@pytest.fixture
def picture() -> np.ndarray:
    """40 x 60 RGB, smooth enough for JPEG, the same along no axis."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, (x + y) * 2], axis=-1).astype(np.uint8)


def file(path: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


def test_rgb_is_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    read = pixels(file(tmp_path / "a.png", Image.fromarray(picture)))
    np.testing.assert_array_equal(read, picture)
    assert read.dtype == np.uint8


def test_greyscale_is_repeated(tmp_path: Path, picture: np.ndarray) -> None:
    read = pixels(file(tmp_path / "a.png", Image.fromarray(picture[..., 0])))
    np.testing.assert_array_equal(read, np.repeat(picture[..., :1], 3, axis=2))


def test_alpha_is_dropped(tmp_path: Path, picture: np.ndarray) -> None:
    transparent = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    np.testing.assert_array_equal(pixels(file(tmp_path / "a.png", Image.fromarray(transparent))), picture)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_become_8(tmp_path: Path, picture: np.ndarray, kind: str) -> None:
    deep = picture[..., 0].astype(np.uint16) * 257
    read = pixels(file(tmp_path / "a.img", Image.fromarray(deep), kind))
    np.testing.assert_array_equal(read[..., 1], picture[..., 0])


def test_palette_is_resolved(tmp_path: Path, picture: np.ndarray) -> None:
    palette = Image.fromarray(picture).convert("P")
    np.testing.assert_array_equal(pixels(file(tmp_path / "a.png", palette)), palette.convert("RGB"))


def test_cmyk_is_converted(tmp_path: Path, picture: np.ndarray) -> None:
    path = file(tmp_path / "a.jpg", Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(pixels(path) - expected).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, picture: np.ndarray, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    path = file(tmp_path / "a.jpg", Image.fromarray(picture), "JPEG", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
    read = pixels(path)
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() < 2


def test_16_bits_round_as_numpy_does(tmp_path: Path) -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    read = pixels(file(tmp_path / "a.png", Image.fromarray(every)))
    np.testing.assert_array_equal(read[..., 2], np.round(every / 257))


def test_the_content_counts_not_the_ending(tmp_path: Path, picture: np.ndarray) -> None:
    read = pixels(file(tmp_path / "a.jpg", Image.fromarray(picture), "PNG"))
    np.testing.assert_array_equal(read, picture)


def test_a_text_is_no_png(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("patient 7, left eye")
    with pytest.raises(DataError, match="not an image"):
        pixels(tmp_path / "a.png")


def test_the_pixel_limit_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "wide.png", Image.new("L", (20_000, 20)))
    assert pixels(path).shape == (20, 20_000, 3)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "399999")
    with pytest.raises(DataError, match="more than the 399,999"):
        pixels(path)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "many")
    with pytest.raises(ConfigError, match="ZOO_MAX_PIXELS is 'many'; it must be a number of pixels"):
        pixels(path)


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
        pixels(path)


def test_a_thumbnail_does_not_hide_that_a_jpeg_is_cut_off(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    plain, small = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise[:20, :20]).save(small, "JPEG")
    Image.fromarray(noise).save(plain, "JPEG", exif=b"Exif\x00\x00" + small.getvalue())
    path = tmp_path / "a.jpg"
    path.write_bytes(plain.getvalue()[:-1000])
    assert small.getvalue() in path.read_bytes()
    with pytest.raises(DataError, match="cut off"):
        pixels(path)


HEIGHT, WIDTH = 40, 60
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
NOISE = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
RGB = np.stack([COLUMNS * 4, ROWS * 6, (ROWS + COLUMNS) * 2], axis=-1).astype(np.uint8)
ALPHA = (COLUMNS * 7 % 256).astype(np.uint8)
GREY = RGB[..., 0]


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def as_8_bits(values: np.ndarray) -> np.ndarray:
    return np.round(values / 257).astype(np.uint8)


def tiff(values: np.ndarray, photometric: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.ascontiguousarray(values), photometric=photometric, metadata=None, **options)
    return stream.getvalue()


def planes(values: np.ndarray) -> np.ndarray:
    return values.transpose(2, 0, 1)


LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 7},
    "one strip": {},
    "tiles": {"tile": (64, 64)},
    "deflated": {"compression": "zlib"},
    "deflated tiles": {"compression": "zlib", "tile": (16, 16)},
}
ORDERS: dict[str, dict[str, Any]] = {
    "little": {"byteorder": "<"},
    "big": {"byteorder": ">"},
    "little BigTIFF": {"byteorder": "<", "bigtiff": True},
    "big BigTIFF": {"byteorder": ">", "bigtiff": True},
}
COLOURS = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257


def tiffs() -> Iterator[tuple[str, bytes, np.ndarray]]:
    deep_alpha, alpha = np.dstack([NOISE, NOISE[..., 0]]), np.dstack([RGB, ALPHA])
    for layout, order in [(layout, order) for layout in LAYOUTS for order in ORDERS]:
        options = LAYOUTS[layout] | ORDERS[order]
        separate = options | {"planarconfig": "separate"}
        kinds = {
            "grey": (tiff(GREY, "minisblack", **options), grey(GREY)),
            "grey, white 0": (tiff(~GREY, "miniswhite", **options), grey(GREY)),
            "grey 16": (tiff(NOISE[..., 0], "minisblack", **options), grey(as_8_bits(NOISE[..., 0]))),
            "grey 16, white 0": (tiff(~NOISE[..., 0], "miniswhite", **options), grey(as_8_bits(NOISE[..., 0]))),
            "palette": (
                tiff(GREY, "palette", colormap=COLOURS, **options),
                as_8_bits(COLOURS[:, GREY].T).swapaxes(0, 1),
            ),
            "RGB": (tiff(RGB, "rgb", **options), RGB),
            "RGB in planes": (tiff(planes(RGB), "rgb", **separate), RGB),
            "RGB 16": (tiff(NOISE, "rgb", **options), as_8_bits(NOISE)),
            "RGB 16 in planes": (tiff(planes(NOISE), "rgb", **separate), as_8_bits(NOISE)),
            "CMYK": (tiff(np.dstack([~RGB, 0 * GREY]), "separated", **options), RGB),
        }
        for kind in ("unassalpha", "assocalpha", "unspecified"):
            extra = {"extrasamples": [kind]}
            kinds |= {
                f"RGBA {kind}": (tiff(alpha, "rgb", **options, **extra), RGB),
                f"RGBA {kind} in planes": (tiff(planes(alpha), "rgb", **separate, **extra), RGB),
                f"RGBA 16 {kind}": (tiff(deep_alpha, "rgb", **options, **extra), as_8_bits(NOISE)),
                f"RGBA 16 {kind} in planes": (tiff(planes(deep_alpha), "rgb", **separate, **extra), as_8_bits(NOISE)),
            }
        for name, (data, expected) in kinds.items():
            yield f"{name}, {layout}, {order}", data, expected


def packed_tiffs() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """What tifffile cannot write by itself: LZW and PackBits."""
    written = {"grey": GREY, "grey 16": NOISE[..., 0], "RGB": RGB, "RGB 16": NOISE, "RGBA": np.dstack([RGB, ALPHA])}
    for name, values in written.items():
        expected = values[..., :3] if values.ndim == 3 else grey(values)
        stored = values if values.ndim == 2 else np.dstack([values[..., 2::-1], values[..., 3:]])
        for how, code in {"LZW": 5, "PackBits": 32773, "deflate": 8}.items():
            for predictor in (1, 2):
                options = [cv2.IMWRITE_TIFF_COMPRESSION, code, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
                data = cv2.imencode(".tif", stored, options)[1].tobytes()
                yield f"{name} {how} {predictor}", data, expected if values.dtype == np.uint8 else as_8_bits(expected)


def png(values: np.ndarray, bits: int, colour: int, interlaced: bool, extra: bytes = b"") -> bytes:
    """A PNG of any of its kinds, which no library writes all of."""
    values = values.reshape(*values.shape[:2], -1)
    steps = [(0, 0, 1, 1)]
    if interlaced:  # the seven passes of Adam7
        steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [row for x, y, right, down in steps for row in values[y::down, x::right]]
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    packed = [np.packbits((row.reshape(-1, 1) >> shifts & 1).astype(bool)).tobytes() for row in rows]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed))), (b"IEND", b"")]
    written = [chunk(*each) for each in chunks]
    return b"\x89PNG\r\n\x1a\n" + written[0] + extra + written[1] + written[2]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def pngs() -> Iterator[tuple[str, bytes, np.ndarray]]:
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    for place in (False, True):
        how = ", interlaced" if place else ""
        for bits in (1, 2, 4, 8):
            values = (GREY.astype(int) * ((1 << bits) - 1) // 255).astype(np.uint16)
            expected = grey(np.round(values * (255 / ((1 << bits) - 1))).astype(np.uint8))
            see_through = chunk(b"tRNS", struct.pack(">H", 1))
            palette = chunk(b"PLTE", colours[: 1 << bits].tobytes())
            yield f"grey {bits}{how}", png(values, bits, 0, place), expected
            yield f"grey {bits}, tRNS{how}", png(values, bits, 0, place, see_through), expected
            yield f"palette {bits}{how}", png(values, bits, 3, place, palette), colours[values]
            palette += chunk(b"tRNS", bytes(1 << bits))
            yield f"palette {bits}, tRNS{how}", png(values, bits, 3, place, palette), colours[values]
        wide, deep = RGB.astype(np.uint16), NOISE[..., 0]
        yield f"grey 16{how}", png(deep, 16, 0, place), grey(as_8_bits(deep))
        yield f"grey, alpha{how}", png(np.dstack([wide[..., 0], ALPHA]), 8, 4, place), grey(GREY)
        yield f"grey 16, alpha{how}", png(np.dstack([deep, NOISE[..., 1]]), 16, 4, place), grey(as_8_bits(deep))
        yield f"RGB{how}", png(wide, 8, 2, place), RGB
        yield f"RGB, tRNS{how}", png(wide, 8, 2, place, chunk(b"tRNS", struct.pack(">HHH", *wide[5, 5]))), RGB
        yield f"RGB, gamma{how}", png(wide, 8, 2, place, chunk(b"gAMA", struct.pack(">I", 100_000))), RGB
        yield f"RGB 16{how}", png(NOISE, 16, 2, place), as_8_bits(NOISE)
        yield f"RGBA{how}", png(np.dstack([wide, ALPHA]), 8, 6, place), RGB
        yield f"RGBA 16{how}", png(np.dstack([NOISE, NOISE[..., 0]]), 16, 6, place), as_8_bits(NOISE)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def as_pillow_reads(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    if image.mode == "RGBA":
        return np.asarray(image)[..., :3]  # convert("RGB") does the same
    return np.asarray(image.convert("RGB"))


def others() -> Iterator[tuple[str, bytes, np.ndarray]]:
    colour, clear = Image.fromarray(RGB), Image.fromarray(np.dstack([RGB, ALPHA]))
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        data = encoded(clear if mode == "RGBA" else colour.convert(mode), "BMP")
        yield f"BMP {mode}", data, as_pillow_reads(data)
    for options in ({"quality": 80}, {"lossless": True}):
        for image in (colour, clear):
            data = encoded(image, "WEBP", exact=True, **options)
            yield f"WebP {image.mode} {options}", data, as_pillow_reads(data)
    for mode in ("1", "P", "LA"):
        image = (
            Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(ALPHA))) if mode == "LA" else colour.convert(mode)
        )
        data = encoded(image, "TIFF", compression="tiff_lzw")
        yield f"TIFF {mode}", data, grey(GREY) if mode == "LA" else as_pillow_reads(data)
    data = encoded(colour.convert("1"), "TIFF", compression="group4")
    yield "TIFF of a fax", data, as_pillow_reads(data)


EXACT = {"tiff": tiffs, "packed tiff": packed_tiffs, "png": pngs, "other": others}


@pytest.mark.parametrize("family", EXACT)
def test_every_depth_and_layout_decodes_to_its_pixels(family: str) -> None:
    """Each file of a family, whatever lay in memory before."""
    wrong = []
    for name, data, expected in EXACT[family]():
        dirt = [np.full(WIDTH * HEIGHT * 6, shade, np.uint8) for shade in range(4)]
        del dirt
        read = decoding.read_bytes(data)
        if read.remarks != Remarks() or not np.array_equal(read.pixels, expected):
            wrong.append(name)
    assert not wrong


def close() -> Iterator[tuple[str, bytes, np.ndarray]]:
    colour = Image.fromarray(RGB)
    kinds = {"grey": "L", "RGB": "RGB", "CMYK": "CMYK"}
    ways = {"": {}, " progressive": {"progressive": True}, " 4:4:4": {"subsampling": 0}, " kept": {"optimize": True}}
    for (name, mode), (how, options) in [(kind, way) for kind in kinds.items() for way in ways.items()]:
        data = encoded(colour.convert(mode), "JPEG", quality=95, **options)
        yield f"JPEG {name}{how}", data, as_pillow_reads(data)
    ycck = bytearray(encoded(Image.fromarray(np.dstack([RGB, 255 - GREY])).convert("RGBA").convert("CMYK"), "JPEG"))
    ycck[ycck.index(b"Adobe") + 11] = 2  # the same numbers, now said to be YCCK
    yield "JPEG YCCK", bytes(ycck), as_pillow_reads(bytes(ycck))
    yield "JPEG that keeps RGB", encoded(colour, "JPEG", keep_rgb=True, quality=95), RGB
    for mode in ("RGB", "L", "YCbCr"):
        data = encoded(colour.convert(mode), "TIFF", compression="jpeg")
        yield f"TIFF {mode} JPEG", data, as_pillow_reads(data)
    data = encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "TIFF", compression="jpeg")
    yield "TIFF RGBA JPEG", data, as_pillow_reads(data)
    data = encoded(colour.convert("YCbCr"), "TIFF")
    yield "TIFF YCbCr", data, as_pillow_reads(data)


def test_lossy_kinds_decode_as_pillow_decodes_them() -> None:
    for name, data, expected in close():
        read = decoding.read_bytes(data)
        assert np.abs(read.pixels.astype(int) - expected).max() <= 2, name
        assert read.remarks == Remarks(), name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("layout", ["RGB 16", "RGB 16 in planes", "RGBA", "grey 16, white 0"])
def test_a_tiff_is_turned_as_it_says(layout: str, orientation: int) -> None:
    kinds = {
        "RGB 16": (NOISE, "rgb", {}, as_8_bits(NOISE)),
        "RGB 16 in planes": (planes(NOISE), "rgb", {"planarconfig": "separate"}, as_8_bits(NOISE)),
        "RGBA": (np.dstack([RGB, ALPHA]), "rgb", {"extrasamples": ["unassalpha"]}, RGB),
        "grey 16, white 0": (~NOISE[..., 0], "miniswhite", {}, grey(as_8_bits(NOISE[..., 0]))),
    }
    values, photometric, options, expected = kinds[layout]
    data = tiff(values, photometric, extratags=[(274, "H", 1, orientation, True)], **options)
    flip = Image.Transpose
    turns = [flip.FLIP_LEFT_RIGHT, flip.ROTATE_180, flip.FLIP_TOP_BOTTOM, flip.TRANSPOSE, flip.ROTATE_270]
    turned = Image.fromarray(expected)
    if orientation > 1:
        turned = turned.transpose([*turns, flip.TRANSVERSE, flip.ROTATE_90][orientation - 2])
    np.testing.assert_array_equal(decoding.read_bytes(data).pixels, np.asarray(turned))


def test_two_processes_read_the_same_pixels(tmp_path: Path) -> None:
    files = [(name, data) for name, data, _ in [*tiffs(), *packed_tiffs()] if "16" in name]
    for number, (_, data) in enumerate(files):
        (tmp_path / f"{number}.tif").write_bytes(data)
    code = (
        "import hashlib, json, pathlib, sys; from zoo.data import decoding; root = pathlib.Path(sys.argv[1])\n"
        "read = (decoding.read_image(root / f'{number}.tif') for number in range(int(sys.argv[2])))\n"
        "print(json.dumps([hashlib.sha256(each.pixels.tobytes()).hexdigest() for each in read]))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path, str(len(files))], capture_output=True, text=True)
    here = [hashlib.sha256(decoding.read_bytes(data).pixels.tobytes()).hexdigest() for _, data in files]
    assert json.loads(done.stdout) == here


def bare_tiff(bits: int, photometric: int, samples: int = 1, size: int = 4) -> bytes:
    """An uncompressed TIFF of so many bits a sample, all zeros."""
    content = bytes((size * bits * samples + 7) // 8 * size)
    tags = [(256, 4, size), (257, 4, size), (259, 3, 1), (262, 3, photometric), (273, 4, 200), (277, 3, samples)]
    tags = sorted([*tags, (258, 3, bits), (278, 4, size), (279, 4, len(content))])
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries).ljust(200, b"\0") + content


def bmp(bits: int, masks: tuple[int, ...] = ()) -> bytes:
    start = 54 + 4 * len(masks)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, bits, 3 if masks else 0, 16 * bits // 8, 0, 0, 0, 0)
    return (
        b"BM" + struct.pack("<IHHI", start, 0, 0, start) + header + struct.pack(f"<{len(masks)}I", *masks) + bytes(64)
    )


UNSURE: dict[str, Any] = {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
REFUSED = {
    "floating point": (tiff(GREY.astype(np.float32), "minisblack"), "floating-point numbers of 32 bits; save it with"),
    "floating point RGB": (tiff(RGB.astype(np.float16), "rgb"), "floating-point numbers of 16 bits"),
    "signed": (tiff(GREY.astype(np.int16), "minisblack"), "signed numbers of 16 bits; save it with 8 or 16"),
    "signed bytes": (tiff(GREY.astype(np.int8), "minisblack"), "signed numbers of 8 bits"),
    "32 bits": (tiff(GREY.astype(np.uint32), "minisblack"), "a TIFF of 32-bit channels; save it with 8 or 16"),
    "CIELAB": (tiff(RGB, "cielab"), "pixels are CIELAB; save it as RGB"),
    "CMYK 16": (tiff(np.dstack([NOISE, NOISE[..., 0]]), "separated"), "16-bit channels with these colours; save it"),
    "five channels": (tiff(np.dstack([RGB, ALPHA, ALPHA]), "rgb", extrasamples=[0, 0]), "5 channels; save it as RGB"),
    "grey and alpha 16": (tiff(NOISE[..., :2], "minisblack", **UNSURE), "with alpha; save it as RGB"),
    "grey and alpha in tiles": (tiff(RGB[..., :2], "minisblack", tile=(16, 16), **UNSURE), "tiles of grey and alpha"),
    "two bits": (bare_tiff(2, 1), "a TIFF of 2-bit channels; save it with 8 or 16"),
    "palette 16": (bare_tiff(16, 3), "16-bit channels with these colours"),
    "a small version": (tiff(RGB, "rgb", subfiletype=1), "a small version of another"),
    "BMP of 16 bits": (bmp(16), "a BMP of 16 bits a pixel; save it with 24"),
    "BMP in odd order": (bmp(32, (0xFF, 0xFF00, 0xFF0000)), "channels in an unusual place; save it with 24"),
    "JPEG of 12 bits": (b"\xff\xd8\xff\xc1\x00\x0b\x0c" + bytes(16), "a JPEG of 12 bits a channel; save it as PNG"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
def test_what_would_become_other_pixels_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        decoding.read_bytes(data)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_values_of_a_tiff_fill_the_range(bits: int) -> None:
    data = bytearray(bare_tiff(bits, 1))
    data[200:] = b"\xff" * (len(data) - 200)
    assert decoding.read_bytes(bytes(data)).pixels.min() == 255
    assert decoding.read_bytes(bare_tiff(bits, 0)).pixels.min() == 255  # here white is 0


@pytest.mark.parametrize("most", [1023, 4095, 300])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "white 0"])
def test_values_that_use_little_of_16_bits_are_remarked(kind: str, most: int) -> None:
    values = np.linspace(0, most, WIDTH * HEIGHT).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    data = tiff(values, "miniswhite") if kind == "white 0" else encoded(Image.fromarray(values), kind)
    assert decoding.read_bytes(data).remarks == Remarks(span=(0, most))


def test_values_that_use_16_bits_or_are_all_one_are_not_remarked() -> None:
    for values in (GREY.astype(np.uint16) * 257, np.full((9, 9), 700, np.uint16), GREY):
        assert decoding.read_bytes(encoded(Image.fromarray(values), "PNG")).remarks == Remarks()


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "MPO"])
def test_further_pictures_in_a_file_are_counted(kind: str) -> None:
    pages = [Image.fromarray(np.roll(RGB, shift, axis=1)) for shift in range(4)]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(pages[0], kind, save_all=True, append_images=pages[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 4
    read = decoding.read_bytes(data)
    assert read.remarks == Remarks(further=3)
    assert np.abs(read.pixels.astype(int) - RGB).mean() < 2


def test_an_apng_whose_first_image_is_no_frame_has_one_more() -> None:
    pages = [Image.fromarray(np.roll(RGB, shift, axis=1)) for shift in range(3)]
    data = encoded(pages[0], "PNG", save_all=True, append_images=pages[1:], default_image=True)
    assert decoding.read_bytes(data).remarks == Remarks(further=2)


def test_smaller_versions_of_a_page_are_no_further_pictures() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(NOISE, photometric="rgb")
        writer.write(NOISE[::2, ::2], photometric="rgb", subfiletype=1)
        writer.write(NOISE[::4, ::4], photometric="rgb", subfiletype=1)
    assert decoding.read_bytes(stream.getvalue()).remarks == Remarks()


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """Of 300 x 200 pixels, smooth, coloured, with a black border as fundus photographs have."""
    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    values = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    values[:20], values[-20:] = 0, 0
    return Image.fromarray(values)


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 4},
    "progressive with restart markers": {"progressive": True, "restart_marker_rows": 1},
}


@pytest.mark.parametrize("how", JPEGS)
def test_what_stands_behind_the_end_of_a_jpeg_is_nothing(photograph: Image.Image, how: str) -> None:
    """A motion photo's film, which by chance holds the marker of a scan, or a whole JPEG that is cut off."""
    data = encoded(photograph, "JPEG", **JPEGS[how])
    pictures = [
        decoding.read_bytes(data + film) for film in (b"", b"ftypmp42\xff\xda\0\x08film", data[:-700], b"\0" * 99)
    ]
    for picture in pictures:
        np.testing.assert_array_equal(picture.pixels, pictures[0].pixels)
        assert picture.remarks == Remarks()


@pytest.mark.parametrize("how", JPEGS)
def test_a_jpeg_is_refused_wherever_it_is_cut_off(photograph: Image.Image, how: str) -> None:
    small = encoded(photograph.resize((60, 40)), "JPEG")
    data = encoded(photograph, "JPEG", exif=b"Exif\x00\x00" + small, **JPEGS[how])
    start = data.index(b"\xff\xda", data.index(small) + len(small))
    for place in np.linspace(start + 20, len(data) - 1, 25).astype(int):  # within each of several scans too
        with pytest.raises(DataError, match="cut off before the end"):
            decoding.read_bytes(data[:place])


@pytest.mark.parametrize("how", JPEGS)
def test_damaged_jpegs_are_named_and_others_are_not(photograph: Image.Image, how: str) -> None:
    rng = np.random.default_rng(0)
    named = dict.fromkeys(("zeroed", "dropped", "overwritten"), 0)
    for quality in range(60, 80):
        data = encoded(photograph, "JPEG", quality=quality, **JPEGS[how])
        assert decoding.read_bytes(data).remarks == Remarks()
        place, size = int(rng.integers(len(data) // 3, len(data) - 700)), 512
        before, behind = data[:place], data[place + size :]
        noise = rng.integers(0, 256, size).astype(np.uint8).tobytes()
        for what, instead in {"zeroed": bytes(size), "dropped": b"", "overwritten": noise}.items():
            try:
                named[what] += decoding.read_bytes(before + instead + behind).remarks.damage != ""
            except DataError:  # a marker was lost or made
                named[what] += 1
    assert min(named.values()) >= 18, named


def test_plain_and_black_jpegs_are_not_called_damaged() -> None:
    for shade in (0, 255, 90):
        for options in JPEGS.values():
            data = encoded(Image.new("RGB", (333, 77), (shade, shade, 0)), "JPEG", **options)
            assert decoding.read_bytes(data).remarks == Remarks()
    whole = cv2.imencode(".jpg", RGB, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2, cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1]
    assert decoding.read_bytes(whole.tobytes()).remarks == Remarks()


def test_a_png_whose_checksum_is_wrong_is_damaged() -> None:
    data = bytearray(encoded(Image.fromarray(RGB), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(DataError, match="damaged: the checksum of its IDAT is wrong"):
        decoding.read_bytes(bytes(data))


def test_the_name_of_the_last_chunk_of_a_png_may_stand_elsewhere() -> None:
    said = chunk(b"tEXt", b"Comment\0no IEND yet")
    data = png(RGB.astype(np.uint16), 8, 2, False, said)
    np.testing.assert_array_equal(decoding.read_bytes(data + b"behind").pixels, RGB)
    with pytest.raises(DataError, match="cut off before the end"):
        decoding.read_bytes(data[:-12])


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(["TIFF", "PNG", "JPEG", "BMP", "WEBP"]),
    places=st.lists(st.integers(0, 90)),
    values=st.binary(min_size=30),
)
def test_a_file_with_any_fault_is_read_or_refused(kind: str, places: list[int], values: bytes) -> None:
    data = bytearray(encoded(Image.new("RGB", (4, 4)), kind))
    for place, value in zip(places, values, strict=False):
        data[place * place % len(data)] = value
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(DataError):
        patch.setenv("ZOO_MAX_PIXELS", "10000")
        assert decoding.read_bytes(bytes(data)).pixels.dtype == np.uint8
