"""What a frozen prefix of a network makes of every image, computed once and kept for all folds, models and runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from filelock import FileLock, Timeout

from zoo.data import cache
from zoo.files import replacing
from zoo.training.batches import predict_batch
from zoo.training.device import jit

BATCH = 64  # images at a time; only memory and speed depend on it
WAIT = 0.1  # seconds
# How far a stored feature may lie from one computed now before it is taken to be of another network.
TOLERANCE = 1e-3
CHECKED = 4  # images whose stored features are compared with fresh ones

_agreed: set[tuple[str, int]] = set()  # what this process has compared: the name of the file, and when it was written

# Called with images done and in all.
Progress = Callable[[int, int], None]


def load_features(
    prefix: keras.Model,
    pixels: np.ndarray,
    name: str,
    progress: Progress,
    check: bool = True,
    tell: cache.Tell = lambda line: None,
) -> np.ndarray:
    """The prefix's outputs for all images in inference mode, memory-mapped: (n, …), in the order of `pixels`.

    `pixels` is uint8 (n, size, size, 3), and `name` says which images these are, by content. The outputs are stored in
    the user cache under a hash of the prefix's layers and weights, and of `name`: whatever computes the same takes
    them from there, and no process deletes them while the array is in use. With `check` a few of those are computed
    anew, in case the code of a layer has changed without a sign. `tell` is given a line where the stored ones are
    damaged, and therefore computed anew.

    Raises DataError if the disk has no room or the cache cannot be written.
    """
    key = hashlib.sha256(f"{fingerprint(prefix)} {name}".encode()).hexdigest()[:32]
    place = cache.folder("features", key)
    mark = cache.use(place)
    try:
        stored = _open(place) if cache.find(place, tell) else None
        if stored is not None and check and not _agrees(prefix, pixels, stored):
            cache.discard(place)
            stored = None
        if stored is None:
            stored = _open(_computed(prefix, pixels, place, progress))
    except BaseException:
        mark.release()
        raise
    weakref.finalize(stored, mark.release)
    return np.asarray(stored)


def fingerprint(prefix: keras.Model) -> str:
    """sha256 of what decides the outputs: layers but not their names, weights, backend and its version."""
    config = {**prefix.get_config(), "name": ""}
    layers = json.dumps(config, sort_keys=True, default=str)
    for number, operation in enumerate(prefix.operations):  # names count up with every layer built in a process
        layers = layers.replace(f'"{operation.name}"', f'"#{number}"')
    digest = hashlib.sha256(f"{keras.backend.backend()} {keras.__version__} {layers}".encode())
    for weight in prefix.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def _open(folder: Path) -> np.memmap[Any, Any]:
    return np.load(folder / "features.npy", mmap_mode="r")


def _computed(prefix: keras.Model, pixels: np.ndarray, place: Path, progress: Progress) -> Path:
    """The folder of the features, made unless another process is first.

    A batch at a time, each a file: processes that need the same features divide the batches among themselves, and
    those that a killed process has left are not computed again.
    """
    shape = (len(pixels), *prefix.output_shape[1:])
    dtype = np.dtype(np.float32)
    size = int(np.prod(shape)) * dtype.itemsize
    parts = cache.unfinished(place)
    mark = cache.use(parts)

    def join(folder: Path) -> None:
        features = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=dtype, shape=shape)
        for start in range(0, len(pixels), BATCH):
            features[start : start + BATCH] = _read(parts / f"{start}.npz")
        features.flush()

    try:
        cache.make_room(place.parent, 2 * size)
        if parts.is_file():
            parts.unlink()
        parts.mkdir(exist_ok=True)
        _compute(prefix, pixels, place, parts, progress)
        with FileLock(parts / "join.lock"):
            cache.make_once(place, join, size)
            shutil.rmtree(parts, ignore_errors=True)
    except OSError as error:
        if not place.exists():  # else another process was done first, and took the parts away
            raise cache.unwritable(parts, error) from error
    finally:
        mark.release()
    return place


def _compute(prefix: keras.Model, pixels: np.ndarray, place: Path, parts: Path, progress: Progress) -> None:
    """Compute every batch that nobody has computed or is computing, until all are there."""
    prefix.compile(jit_compile=jit())
    missing = [*range(0, len(pixels), BATCH)]
    while missing and not place.exists():
        for start in missing:
            file = parts / f"{start}.npz"
            with contextlib.suppress(Timeout), FileLock(parts / f"{start}.lock", timeout=0):
                if not _is_whole(file):  # of a process that was killed, and who knows by what
                    outputs = predict_batch(prefix, pixels[start : start + BATCH], min(BATCH, len(pixels)))
                    with replacing(file) as draft, draft.open("wb") as opened:
                        np.savez(opened, np.asarray(outputs, dtype=np.float32))
                done = sum(min(BATCH, len(pixels) - int(part.stem)) for part in parts.glob("[0-9]*.npz"))
                progress(done, len(pixels))
        missing = [start for start in missing if not (parts / f"{start}.npz").exists()]
        if missing:
            time.sleep(WAIT)  # for whoever computes the last ones


def _read(file: Path) -> np.ndarray:
    with file.open("rb") as opened, np.load(opened) as archive:  # which checks a sum over all bytes
        return archive["arr_0"]


def _is_whole(file: Path) -> bool:
    try:
        return _read(file).size > 0
    except Exception:  # whatever damage makes of it
        return False


def _agrees(prefix: keras.Model, pixels: np.ndarray, stored: np.memmap[Any, Any]) -> bool:
    """Whether the code of this process gives what is stored, as far as a few images tell."""
    file = Path(str(stored.filename))
    if (known := (str(file), file.stat().st_mtime_ns)) in _agreed:
        return True
    rows = np.unique(np.linspace(0, len(pixels) - 1, CHECKED).astype(int))
    # Called as it stands: to trace it as a whole would take longer.
    fresh = keras.ops.convert_to_numpy(prefix(np.ascontiguousarray(pixels[rows]), training=False))
    if stored[rows].shape != fresh.shape or not np.allclose(stored[rows], fresh, rtol=TOLERANCE, atol=TOLERANCE):
        return False
    _agreed.add(known)
    return True
