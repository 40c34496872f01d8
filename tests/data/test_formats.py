"""The size in a file's header, against Pillow, and the refusal of whatever is no image."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.data import formats
from zoo.errors import DataError

KINDS = {
    "png": ("RGB", "PNG", {}),
    "one bit png": ("1", "PNG", {}),
    "jpeg": ("RGB", "JPEG", {}),
    "progressive jpeg": ("RGB", "JPEG", {"progressive": True}),
    "jpeg with a comment": (
        "L",
        "JPEG",
        {"comment": b"\xff\xd8 SOI in a comment", "exif": b"Exif\x00\x00" + 500 * b"x"},
    ),
    "bmp": ("RGB", "BMP", {}),
    "tiff": ("RGB", "TIFF", {}),
    "packed tiff": ("L", "TIFF", {"compression": "tiff_lzw"}),
    "big tiff": ("RGB", "TIFF", {"big_tiff": True}),
    "lossy webp": ("RGB", "WEBP", {"quality": 50}),
    "lossless webp": ("RGB", "WEBP", {"lossless": True}),
    "extended webp": ("RGBA", "WEBP", {"exif": b"Exif\x00\x00"}),
}


def encode(mode: str, kind: str, options: dict[str, object], size: tuple[int, int] = (300, 7)) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", KINDS)
def test_size_from_the_header(name: str) -> None:
    data = encode(*KINDS[name])
    assert Image.open(io.BytesIO(data)).size == (300, 7)
    assert formats.pixels(data) == (300, 7)


def test_a_tiff_of_the_other_byte_order() -> None:
    entries = [b"\x01\x00\x00\x03\x00\x00\x00\x01\x01\x2c\x00\x00", b"\x01\x01\x00\x04\x00\x00\x00\x01\x00\x00\x00\x07"]
    data = b"MM\x00*\x00\x00\x00\x08\x00\x02" + b"".join(entries) + bytes(4)
    assert formats.pixels(data) == (300, 7)


def test_a_bmp_with_rows_downwards() -> None:
    data = bytearray(encode("RGB", "BMP", {}))
    data[22:26] = (-7).to_bytes(4, "little", signed=True)
    assert formats.pixels(bytes(data)) == (300, 7)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (encode("P", "GIF", {}), "a GIF; save it as PNG, JPEG"),
        (b"%PDF-1.7 ", "a PDF; save it"),
        (b"PK\x03\x04rest", "a zip archive; save it"),
        (bytes(128) + b"DICM" + bytes(9), "a DICOM file; export it"),
        (b"These are not pixels.", "not an image"),
        (b"P3 1 1 255 0 0 0", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "cut off within its header"),
        (b"\xff\xd8\xff\xe0", "cut off within its header"),
        (b"\xff\xd8nothing like a segment", "damaged"),
        (b"", "not an image"),
    ],
    ids=["gif", "pdf", "zip", "dicom", "text", "ppm", "png header", "jpeg header", "jpeg junk", "empty"],
)
def test_what_is_no_image_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        formats.pixels(data)


BEGINNINGS = [encode(*kind)[:40] for kind in KINDS.values()] + [b"", b"BM", b"II*\0", b"MM\0+", b"RIFF    WEBPVP8 "]


@settings(deadline=None, max_examples=300)
@given(start=st.sampled_from(BEGINNINGS), kept=st.integers(0, 40), rest=st.binary(max_size=80))
def test_any_bytes_are_a_size_or_an_error(start: bytes, kept: int, rest: bytes) -> None:
    try:
        width, height = formats.pixels(start[:kept] + rest)
    except DataError:
        return
    assert width >= 0
    assert height >= 0
