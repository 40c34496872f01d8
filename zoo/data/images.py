"""Decode every distinct image once, into a memory-mapped uint8 array that later runs reuse.

How files become RGB 0..255 is told in zoo.data.decoding. Images are stretched to a square of the wanted size, by area
averaging when they shrink and bilinearly when they grow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zoo.data import cache, remarks
from zoo.data.decoding import DECODER_VERSION, max_pixels, read_image
from zoo.data.in_use import Mark
from zoo.data.remarks import Remarks
from zoo.errors import DataError, TrainingError, one_line, shorten
from zoo.files import hash_file, identity, read_csv

# What to say of a store that was there when the run began.
AGAIN = "the decoded images in {} are no longer as they were; run the same command again, which decodes them anew"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageStore:
    """Decoded images: `pixels` is uint8 RGB (n, size, size, 3), memory-mapped; `hashes` has one entry a row; `remarks`
    says what to know of files that `decode` was asked for, by the first path of each.

    A hash is the sha256 of the image's shape and pixels as decoded, before resizing: what tells whether two
    files are the same picture. While `mark` is held no process deletes the store. `notes` says what was wrong with it.
    """

    folder: Path
    pixels: np.ndarray
    hashes: tuple[str, ...]
    remarks: Mapping[str, Remarks] = field(default_factory=dict)
    mark: Mark | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Tells this store from all that hold other images, or the same at another size."""
        return self.folder.name

    def rows(self, hashes: Iterable[str]) -> np.ndarray:
        """The row of each image hash. Raises KeyError for an image that isn't stored."""
        row_of = {digest: row for row, digest in enumerate(self.hashes)}
        return np.asarray([row_of[digest] for digest in hashes], dtype=np.int64)


def open_store(folder: Path) -> ImageStore:
    """The store that `decode` made in that folder.

    Raises TrainingError if it is no longer there, or damaged: `decode` makes it anew.
    """
    try:
        index = read_csv(folder / "index.csv")
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        store = ImageStore(folder, pixels, tuple(index["image"]))
    except (OSError, ValueError, KeyError, DataError) as error:
        what = f"damaged: {one_line(error)}" if folder.exists() else "gone"
        raise TrainingError(f"{AGAIN.format(folder)} ({what})") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != len(store.hashes):
        raise TrainingError(f"{AGAIN.format(folder)} (damaged)")
    return store


def decode(
    root: Path, paths: Sequence[str], size: int, progress: Progress | None = None
) -> tuple[ImageStore, dict[str, str]]:
    """All of the files (relative to `root`) in a store, and the image hash of each path.

    Files with the same bytes are decoded once. The store is keyed by the bytes of all files and the size, so it
    is reused until a file changes, and made anew if it is damaged; its mark is held. `progress` is called with images
    done and in all.

    Raises DataError that names every file that cannot be read, ConfigError for a wrong ZOO_MAX_PIXELS or
    ZOO_CACHE_LIMIT.
    """
    max_pixels()  # a wrong ZOO_MAX_PIXELS is refused whether anything has to be decoded or not
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        file_hashes = _hash_files(root, paths, pool)
        files: dict[str, list[Path]] = {}
        for path, digest in file_hashes.items():
            files.setdefault(digest, []).append(root / path)
        digests = sorted(files)
        key = hashlib.sha256("\n".join([f"{DECODER_VERSION} {size}", *digests]).encode()).hexdigest()[:32]

        def fill(folder: Path) -> None:
            _decode_into(folder, [files[digest] for digest in digests], digests, size, pool, progress)

        needed = len(digests) * size * size * 3
        folder = cache.folder("images", f"{key}-{size}")
        mark, notes = cache.use(folder), list[str]()
        cache.make_once(folder, fill, needed, notes.append)
    index = read_csv(folder / "index.csv")
    image_of_file = dict(zip(index["file"], index["image"], strict=True))
    first_path = {digest: path for path, digest in reversed(file_hashes.items())}
    told = {
        first_path[file]: remarks.parse(text)
        for file, text in zip(index["file"], index["remarks"], strict=True)
        if text
    }
    store = dataclasses.replace(open_store(folder), remarks=told, mark=mark, notes=tuple(notes))
    return store, {path: image_of_file[digest] for path, digest in file_hashes.items()}


def _hash_files(root: Path, paths: Sequence[str], pool: ThreadPoolExecutor) -> dict[str, str]:
    """sha256 of each file's bytes; hard links to one file (ten folds of the same images) are read once."""
    try:
        identities = {path: identity(root / path) for path in dict.fromkeys(paths)}
        one_path = {key: path for path, key in identities.items()}
        digests = dict(zip(one_path, pool.map(lambda key: hash_file(root / one_path[key]), one_path), strict=True))
    except OSError as error:
        raise DataError(f"image {error.filename} cannot be read: {error.strerror}") from error
    return {path: digests[key] for path, key in identities.items()}


def _decode_into(
    folder: Path,
    files: Sequence[Sequence[Path]],
    digests: Sequence[str],
    size: int,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
) -> None:
    pixels = np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(files), size, size, 3)
    )

    def work(row: int) -> tuple[str, str, str]:
        try:
            picture = read_image(files[row][0])
        except DataError as error:
            return "", "", str(error)
        except OSError as error:
            return "", "", f"cannot be read: {error.strerror}"
        pixels[row] = resize(picture.pixels, size)
        return hash_image(picture.pixels), str(picture.remarks), ""

    hashes: list[str] = []
    told: list[str] = []
    faults: list[str] = []
    for row, (digest, remark, fault) in enumerate(pool.map(work, range(len(files)))):
        hashes.append(digest)
        told.append(remark)
        if fault:
            faults += [f"{file}: {fault}" for file in files[row]]
        if progress:
            progress(row + 1, len(files))
    if faults:
        count = f"{len(faults)} image{'s' if len(faults) > 1 else ''} cannot be used"
        raise DataError(f"{count}; mend or remove:\n{shorten(sorted(faults))}")
    pixels.flush()
    pd.DataFrame({"file": digests, "image": hashes, "remarks": told}).to_csv(folder / "index.csv", index=False)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Stretch (height, width, 3) to (size, size, 3)."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = image.shape[0] * image.shape[1] > size * size
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def hash_image(image: np.ndarray) -> str:
    """sha256 of an image's shape and pixels."""
    digest = hashlib.sha256("x".join(map(str, image.shape)).encode() + b":")
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
