"""Pictures to be answered for: files, folders and tables of them, bytes, or arrays; decoded ahead of the networks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from zoo.data import search, table
from zoo.data.decoding import max_pixels, read_bytes, read_image
from zoo.data.folders import images_below
from zoo.data.images import hash_image, resize
from zoo.data.remarks import Remarks
from zoo.errors import ConfigError, DataError

NOTHING = Remarks()
# A picture to read: its file, or what a file holds, or pixels, under a name.
Picture = Path | tuple[str, bytes | np.ndarray]


@dataclass(frozen=True)
class Read:
    """A picture as the networks take it: uint8 RGB (size, size, 3), and the hash of its pixels before resizing.

    `fault` says why there is none of it, '' if there is.
    """

    path: str
    pixels: np.ndarray | None = None
    image: str = ""
    remarks: Remarks = NOTHING
    fault: str = ""


def files(given: Iterable[str | Path]) -> list[Path]:
    """The files that are given; of each folder all image files in and below it, and of a table those that it lists.

    A table is CSV, TSV, Excel or Parquet with a column `path`, whose paths are absolute or begin at the table's folder.

    Raises DataError for a folder or a table without any.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            inside = images_below(path)
            if not inside:
                raise DataError(f"{path} holds no image files")
            found += inside
        elif path.suffix.lower() in table.ENDINGS:
            found += _listed(path)
        else:
            found.append(path)
    return found


def _listed(file: Path) -> list[Path]:
    cells = table.read_table(file)
    table.columns(cells, str(file), ["path"])
    if cells.empty:
        raise DataError(f"{file} lists no image")
    paths, _ = search.by_name(cells["path"], file.parent, str(file))
    cells = cells.assign(path=paths)
    return [file.parent / path for path in table.paths(cells, "path", file.parent, str(file), strict=False)]


def pictures(images: object) -> list[Picture]:
    """What Python gives to be answered for, see `Predictor.predict`.

    Raises DataError for arrays of other shapes or types, ConfigError for what is neither paths, bytes nor arrays.
    """
    if isinstance(images, str | Path | bytes):
        images = [images]
    if isinstance(images, np.ndarray):
        images = [images] if images.ndim == 3 else [*images]
    if not isinstance(images, Iterable):
        raise ConfigError(f"images are paths, bytes or uint8 arrays, not {type(images).__name__}")
    found: list[Picture] = []
    for number, image in enumerate(images):
        if isinstance(image, str | Path):
            found += files([image])
        elif isinstance(image, bytes):
            found.append((str(number), image))
        elif isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise DataError(f"image {number} is {image.dtype} {image.shape}, not uint8 RGB (height, width, 3)")
            found.append((str(number), image))
        else:
            raise ConfigError(f"images are paths, bytes or uint8 arrays, not {type(image).__name__}")
    return found


def read(images: Sequence[Picture], size: int, ahead: int) -> Iterator[Read]:
    """The pictures in order, at most `ahead` of them decoded before they are asked for.

    Raises ConfigError for a wrong ZOO_MAX_PIXELS.
    """
    max_pixels()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rest = iter(images)
        waiting: deque[Future[Read]] = deque(pool.submit(_read, each, size) for each in islice(rest, ahead))
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting += [pool.submit(_read, each, size) for each in islice(rest, 1)]
                yield done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(picture: Picture, size: int) -> Read:
    name, content = picture if isinstance(picture, tuple) else (str(picture), picture)
    if isinstance(content, np.ndarray):
        return Read(name, resize(content, size), hash_image(content))
    try:
        if isinstance(content, bytes):
            decoded = read_bytes(content)
        elif content.exists() and not content.is_file():  # a pipe would be waited for without end
            return Read(name, fault="is no ordinary file, but a pipe, a device or a folder")
        else:
            decoded = read_image(content)
    except DataError as error:
        return Read(name, fault=str(error))
    except OSError as error:
        return Read(name, fault=f"cannot be read: {error.strerror}")
    except ValueError as error:  # a name with a null character, which no file has
        return Read(name, fault=f"cannot be read: {error}")
    return Read(name, resize(decoded.pixels, size), hash_image(decoded.pixels), decoded.remarks)
