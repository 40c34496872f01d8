"""One image file -> RGB 0..255, and what to know of it.

All through OpenCV: greyscale is repeated over the three channels; an alpha channel is dropped (the colour stored
beneath it counts); 16 bits become 8 by dividing by 257 and rounding; CMYK is converted; an EXIF orientation is applied.
What OpenCV would decode to other pixels than are stored is put right or refused.

Memory is bounded: an image of more pixels than `max_pixels` is refused before it is decoded, and of those of more
than 16 million one is decoded at a time.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zoo import limits
from zoo.data import formats, jpeg, tiff
from zoo.data.remarks import NARROW, Remarks
from zoo.errors import DataError

# Part of every cache key: raise it when decoding or resizing changes, so that old caches are not reused.
DECODER_VERSION = 2

MAX_PIXELS = 100_000_000
LARGE = 16_000_000  # pixels
_one_large = threading.Lock()

# What is wrong with a file is said by whoever reads it, not by OpenCV in lines of its own. OpenCV 5 renamed this.
(getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)


@dataclass(frozen=True)
class Picture:
    """`pixels` is uint8 RGB (height, width, 3), not resized."""

    pixels: np.ndarray
    remarks: Remarks


def max_pixels() -> int:
    """The largest image that is decoded: $ZOO_MAX_PIXELS, else 100 million pixels.

    Raises ConfigError for a wrong ZOO_MAX_PIXELS.
    """
    pixels: int = limits.MAX_PIXELS.of_environment("ZOO_MAX_PIXELS", MAX_PIXELS)
    return pixels


def read_image(file: Path) -> Picture:
    """Decode one file as this module's docstring says. Raises DataError saying why it cannot be used, and OSError."""
    return read_bytes(file.read_bytes())


def read_bytes(data: bytes) -> Picture:
    """As `read_image`, of a file's content."""
    if not data:
        raise DataError("empty file")
    width, height = formats.pixels(data)
    if width * height > max_pixels():
        raise DataError(
            f"{width} x {height} pixels, more than the {max_pixels():,} that are decoded; shrink it, or raise "
            "ZOO_MAX_PIXELS"
        )
    formats.check_format(data)
    with _one_large if width * height > LARGE else nullcontext():
        return _decode(data)


def _decode(data: bytes) -> Picture:
    kind = formats.name(data)
    files, white_is_zero = tiff.readable(data) if kind == "TIFF" else ([data], False)
    if len(files) == 1:
        image = cv2.cvtColor(_imdecode(files[0]), cv2.COLOR_BGR2RGB)
    else:
        image = np.dstack([_imdecode(plane)[..., 0] for plane in files])
    span = (int(image.min()), int(image.max())) if image.dtype == np.uint16 else (0, 0)
    remarks = Remarks(
        further=formats.pictures(data) - 1,
        span=span if 0 < span[1] - span[0] < NARROW else (0, 0),
        damage=jpeg.damage(data) if kind == "JPEG" else "",
    )
    if white_is_zero:
        image = cv2.bitwise_not(image)
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    return Picture(np.asarray(image), remarks)


def _imdecode(data: bytes) -> np.ndarray:
    """uint8 or uint16 (height, width, 3), blue first.

    IMREAD_COLOR_RGB gives colours of 16 bits that are whatever was in memory (OpenCV 4.11 to 5.0).
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise DataError(f"OpenCV cannot decode it ({' '.join(error.err.split())})") from error
    if image is None:
        raise DataError("not an image that OpenCV can decode, or damaged; save it as PNG of 8 or 16 bits a channel")
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"pixels are {image.dtype}; save it with 8 or 16 bits a channel")
    return np.asarray(image)
