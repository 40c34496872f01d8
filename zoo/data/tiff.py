"""What the directories of a TIFF say, so that OpenCV is given only what it decodes rightly.

Some layouts are decoded to wrong pixels without a word (OpenCV 4.11 and 5.0, compared with tifffile and Pillow). Such a
file gets another directory, which says the same of the same pixels in words that are understood: a plane of 16 bits is
a greyscale picture, alpha is a channel of no meaning. What cannot be put right is refused by name.

Tags and types: TIFF 6.0, and BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from zoo.errors import DataError

WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES, PLANAR, EXTRA, FORMAT = 256, 257, 258, 262, 277, 284, 338, 339
SUBFILE, FIRST_TILE = 254, 324
PLACES = (273, 279, 324, 325)  # where strips or tiles begin, and how long they are: of one plane after the other

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
OTHERS = {4: "a mask", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB", 32803: "unprocessed camera pixels", 34892: "linear raw"}
DEEP = (10, 12, 14, 16)  # bits a channel that OpenCV makes 16
TRANSPARENT = 2  # a channel that says how opaque a pixel is, by which its colours are not yet multiplied

JPEG_TABLES = 347
# What decoding depends on; besides these: compression, fill order, orientation, rows per strip, predictor, colour map,
# size of tiles, subsampling of YCbCr.
_NAMED = (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES, PLANAR, EXTRA, FORMAT, JPEG_TABLES, *PLACES)
_TAGS = frozenset((*_NAMED, 259, 266, 274, 278, 317, 320, 322, 323, 530, 531))
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
_MOST_VALUES = 1 << 20

# The values of a directory by tag.
Directory = Mapping[int, tuple[int, ...]]


def directories(data: bytes) -> Iterator[Directory]:
    """The directory of each page, in order. Raises struct.error where the file is cut off."""
    order, big = _kind(data)
    number, count_size, entry_size = ("Q", 8, 20) if big else ("I", 2, 12)
    place = struct.unpack_from(order + number, data, 8 if big else 4)[0]
    seen = set()
    while place and place not in seen:
        seen.add(place)
        count = struct.unpack_from(order + ("Q" if big else "H"), data, min(place, len(data)))[0]
        first = place + count_size
        end = first + min(count, 4096) * entry_size
        yield dict(_entries(data, order, big, range(first, end, entry_size)))
        place = struct.unpack_from(order + number, data, end)[0]


def _kind(data: bytes) -> tuple[str, bool]:
    """The byte order, < or >, and whether this is BigTIFF."""
    return "<" if data.startswith(b"II") else ">", data[2:4] in (b"+\0", b"\0+")


def _entries(data: bytes, order: str, big: bool, places: range) -> Iterator[tuple[int, tuple[int, ...]]]:
    head, inline = (order + "HHQ", 8) if big else (order + "HHI", 4)
    for place in places:
        tag, kind, count = struct.unpack_from(head, data, place)
        if tag in _TAGS and kind in _TYPES and 0 < count <= _MOST_VALUES:
            at = place + struct.calcsize(head)
            if count * struct.calcsize(_TYPES[kind]) > inline:
                at = struct.unpack_from(order + ("Q" if big else "I"), data, at)[0]
            yield tag, struct.unpack_from(f"{order}{count}{_TYPES[kind]}", data, min(at, len(data)))


def size(data: bytes) -> tuple[int, int]:
    """(width, height) of the first page."""
    first = next(directories(data), {})
    if not first.get(WIDTH) or not first.get(HEIGHT):
        raise DataError("not an image: a TIFF without a size")
    return first[WIDTH][0], first[HEIGHT][0]


def pages(data: bytes) -> int:
    """How many pages there are that are no smaller version or mask of another."""
    try:
        return sum(not page.get(SUBFILE, (0,))[0] & 5 for page in directories(data))
    except struct.error:  # what lies behind the first page is no reason to refuse it
        return 1


def readable(data: bytes) -> tuple[list[bytes], bool]:
    """The first page in files that OpenCV decodes rightly, one or a greyscale one for each of red, green and blue; and
    whether white is 0 in what it decodes.

    Raises DataError for a kind of pixels that neither can be.
    """
    page = next(directories(data))
    photometric = page.get(PHOTOMETRIC, (BLACK_IS_ZERO,))[0]
    samples = page.get(SAMPLES, (1,))[0]
    bits = page.get(BITS, (1,))[0]
    in_planes = samples > 1 and page.get(PLANAR, (1,))[0] == 2
    extra = page.get(EXTRA, ())
    _check(page, photometric, samples, bits)
    if bits in DEEP:
        if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) or (in_planes and bits != 16) or samples == 2:
            what = "alpha" if samples == 2 else "these colours" if not in_planes else "separate planes"
            raise DataError(f"a TIFF of {bits}-bit channels with {what}; save it as RGB, or as PNG")
        if in_planes:
            return [_plane(data, page, plane) for plane in range(3)], False
        return [data], photometric == WHITE_IS_ZERO
    if samples == 2 and FIRST_TILE in page:
        raise DataError("a TIFF in tiles of grey and alpha; save it without alpha, or as PNG")
    if TRANSPARENT in extra:  # else the colours are multiplied by alpha
        return [_with_directory(data, {**page, EXTRA: (0,) * len(extra)})], False
    return [data], False


def _check(page: Directory, photometric: int, samples: int, bits: int) -> None:
    """Raise DataError for pixels that are no grey, palette, RGB, CMYK or YCbCr of few whole bits."""
    if page.get(SUBFILE, (0,))[0] & 1:
        raise DataError("its first picture is a small version of another (camera raw files have these); save it as PNG")
    if photometric not in CHANNELS:
        colours = OTHERS.get(photometric, f"photometric interpretation {photometric}")
        raise DataError(f"a TIFF whose pixels are {colours}; save it as RGB or greyscale")
    kinds = {1: "", 2: "signed", 3: "floating-point", 4: "", 5: "complex", 6: "complex"}
    if kind := next((kinds.get(number, "other") for number in page.get(FORMAT, ()) if kinds.get(number) != ""), ""):
        raise DataError(f"pixels are {kind} numbers of {bits} bits; save it with 8 or 16 bits a channel, 0 being black")
    if len(set(page.get(BITS, (1,)))) > 1 or bits not in (1, 8, *DEEP) or (bits == 1 and samples > 1):
        raise DataError(f"a TIFF of {bits}-bit channels; save it with 8 or 16 bits a channel, or as PNG")
    if not CHANNELS[photometric] <= samples <= CHANNELS[photometric] + 1:
        raise DataError(f"a TIFF of {samples} channel{'s' * (samples > 1)}; save it as RGB or greyscale")


def _plane(data: bytes, page: Directory, plane: int) -> bytes:
    """The file with a directory that calls one plane of its first page a greyscale picture."""
    samples = page[SAMPLES][0]
    grey = {tag: values for tag, values in page.items() if tag not in (EXTRA, FORMAT, SAMPLES, PLANAR)}
    grey |= {BITS: page[BITS][:1], PHOTOMETRIC: (BLACK_IS_ZERO,)}
    for tag in PLACES:
        if tag in page:
            each = len(page[tag]) // samples
            grey[tag] = page[tag][plane * each : (plane + 1) * each]
    return _with_directory(data, grey)


def _with_directory(data: bytes, page: Directory) -> bytes:
    """The file with another directory, written behind it, as its first and only one."""
    order, big = _kind(data)
    number, head, inline = ("Q", "HHQ", 8) if big else ("I", "HHI", 4)
    data += bytes(-len(data) % 8)
    count = struct.pack(order + ("Q" if big else "H"), len(page))
    behind = len(data) + len(count) + len(page) * (struct.calcsize("=" + head) + inline) + inline
    entries, values = b"", b""
    for tag, numbers in sorted(page.items()):
        kind = 7 if tag == JPEG_TABLES else 3 if max(numbers, default=0) < 1 << 16 else 16 if big else 4
        packed = struct.pack(f"{order}{len(numbers)}{_TYPES[kind]}", *numbers)
        entries += struct.pack(order + head, tag, kind, len(numbers))
        if len(packed) > inline:
            entries += struct.pack(order + number, behind + len(values))
            values += packed + bytes(-len(packed) % 8)
        else:
            entries += packed.ljust(inline, b"\0")
    start = struct.pack(order + number, len(data))
    first = 8 if big else 4
    return data[:first] + start + data[first + len(start) :] + count + entries + bytes(inline) + values
