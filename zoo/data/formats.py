"""What a file says without being decoded: which image format it is, how many pixels and pictures it holds, and whether
it ends where it should."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from zoo.data import jpeg, tiff
from zoo.errors import DataError

FORMATS = "PNG, JPEG, BMP, TIFF or WebP"

# Other formats that people have, by how they begin.
_OTHERS = {b"GIF8": "a GIF", b"%PDF": "a PDF", b"PK\x03\x04": "a zip archive", b"\x00\x00\x00\x0cjP": "a JPEG 2000"}


def name(data: bytes) -> str:
    """PNG, JPEG, BMP, TIFF or WebP; '' for whatever else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8"):
        return "JPEG"
    if data.startswith(b"BM"):
        return "BMP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    return "WebP" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else ""


def pixels(data: bytes) -> tuple[int, int]:
    """(width, height) of an image file, from its header alone: nothing is decoded.

    Raises DataError for what is no PNG, JPEG, BMP, TIFF or WebP, whatever its name, and for a header that is cut off.
    """
    readers = {"PNG": _png, "JPEG": jpeg.size, "BMP": _bmp, "TIFF": tiff.size, "WebP": _webp}
    try:
        if known := name(data):
            return readers[known](data)
    except (struct.error, OverflowError, IndexError):
        raise DataError("not an image: cut off within its header") from None
    if data[128:132] == b"DICM":
        raise DataError(f"a DICOM file; export it as {FORMATS}")
    for start, other in _OTHERS.items():
        if data.startswith(start):
            raise DataError(f"{other}; save it as {FORMATS}")
    raise DataError(f"not an image (no {FORMATS})")


def pictures(data: bytes) -> int:
    """How many pictures the file holds: pages of a TIFF, frames of an animation, those that a JPEG lists."""
    kind = name(data)
    if kind == "JPEG":
        return jpeg.pictures(data)
    if kind == "TIFF":
        return tiff.pages(data)
    if kind == "PNG":
        return _frames(data)
    if kind == "WebP":
        return max(1, sum(chunk == b"ANMF" for chunk in _riff(data)))
    return 1


def check_format(data: bytes) -> None:
    """Raise DataError for a JPEG or PNG that ends too early, which decoders may fill with grey and say nothing, and for
    a PNG whose checksums are wrong."""
    kind = name(data)
    whole = jpeg.is_whole(data) if kind == "JPEG" else True
    if kind == "PNG":
        whole = False
        for chunk, start, stop in _chunks(data):
            whole = chunk == b"IEND"
            if chunk[:1].isupper() and zlib.crc32(data[start - 4 : stop]) != int.from_bytes(data[stop : stop + 4]):
                raise DataError(f"damaged: the checksum of its {chunk.decode('latin-1')} is wrong")
    if not whole:
        raise DataError("cut off before the end of the image")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, and where the content begins and ends, of each chunk of a PNG that is there as a whole, up to IEND."""
    place = 8
    while place + 12 <= len(data):
        length, chunk = struct.unpack_from(">I4s", data, place)
        start, stop = place + 8, place + 8 + length
        place = stop + 4
        if place <= len(data):
            yield chunk, start, stop
        if chunk == b"IEND":
            return


def _frames(data: bytes) -> int:
    """Frames of an animated PNG; its first image is none of them unless a frame's header stands before it."""
    starts: dict[bytes, int] = {}
    for chunk, start, _ in _chunks(data):
        starts.setdefault(chunk, start)
    if b"acTL" not in starts:
        return 1
    apart = starts.get(b"fcTL", len(data)) > starts.get(b"IDAT", 0)
    return max(1, struct.unpack_from(">I", data, starts[b"acTL"])[0] + apart)


def _riff(data: bytes) -> Iterator[bytes]:
    """The name of each chunk of a WebP."""
    place = 12
    while place + 8 <= len(data):
        chunk, length = struct.unpack_from("<4sI", data, place)
        yield chunk
        place += 8 + length + length % 2


def _png(data: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", data, 16)


def _bmp(data: bytes) -> tuple[int, int]:
    """The size, of a file that OpenCV decodes rightly.

    Of 15 or 16 bits it makes a white of 248; of 32 it takes every channel to have 8, and heeds the order of channels
    only where the header has 108 bytes or more.
    """
    header = struct.unpack_from("<I", data, 14)[0]
    if header == 12:  # that of OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    if bits == 16:
        raise DataError("a BMP of 16 bits a pixel; save it with 24")
    if bits == 32 and packing in (3, 6):
        masks = struct.unpack_from("<III", data, 54)
        usual = (0xFF0000, 0xFF00, 0xFF)
        if masks != usual and (header < 108 or any(mask not in (*usual, 0xFF000000) for mask in masks)):
            raise DataError("a BMP with channels in an unusual place; save it with 24 bits a pixel")
    return abs(width), abs(height)  # a negative height means that the rows run downwards


def _webp(data: bytes) -> tuple[int, int]:
    """Lossy, lossless and extended files each keep their size in a place of their own."""
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", data, 24)
    return low_w + (high_w << 16) + 1, low_h + (high_h << 16) + 1
