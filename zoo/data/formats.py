"""What the first bytes of a file say: which image format it is, and how many pixels decoding it would make."""

from __future__ import annotations

import struct

from zoo.errors import DataError

FORMATS = "PNG, JPEG, BMP, TIFF or WebP"

# JPEG markers that begin a frame, and so hold the image's size; C4, C8 and CC are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Other formats that people have, by how they begin.
_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000",
}


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
    readers = {"PNG": _png, "JPEG": _jpeg, "BMP": _bmp, "TIFF": _tiff, "WebP": _webp}
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


def _png(data: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", data, 16)


def _jpeg(data: bytes) -> tuple[int, int]:
    """The size stands in the start-of-frame segment, after any number of others."""
    place = 2
    while True:
        mark, marker = struct.unpack_from(">BB", data, place)
        if mark != 0xFF:
            raise DataError("not an image: a JPEG whose header is damaged")
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]


def _bmp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the header of OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means that the rows run downwards


def _tiff(data: bytes) -> tuple[int, int]:
    """Tags 256 and 257 of the first directory; BigTIFF has wider entries."""
    order = "<" if data.startswith(b"II") else ">"
    if data[2:4] in (b"+\0", b"\0+"):
        place = struct.unpack_from(f"{order}Q", data, 8)[0]
        count, first, size, at = struct.unpack_from(f"{order}Q", data, place)[0], place + 8, 20, 12
    else:
        place = struct.unpack_from(f"{order}I", data, 4)[0]
        count, first, size, at = struct.unpack_from(f"{order}H", data, place)[0], place + 2, 12, 8
    found = {}
    for entry in range(first, first + min(count, 4096) * size, size):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (256, 257):
            found[tag] = struct.unpack_from(order + {3: "H", 16: "Q"}.get(kind, "I"), data, entry + at)[0]
    if len(found) < 2:
        raise DataError("not an image: a TIFF without a size")
    return found[256], found[257]


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
