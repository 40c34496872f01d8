"""What a frozen prefix of a network makes of every image, computed once and kept for all folds, models and runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from zoo.data import cache
from zoo.training.device import jit

BATCH = 64  # images at a time; only memory and speed depend on it
# How far a stored feature may lie from one computed now before it is taken to be of another network.
TOLERANCE = 1e-3
CHECKED = 4  # images whose stored features are compared with fresh ones

# Called with images done and in all.
Progress = Callable[[int, int], None]


def load(prefix: keras.Model, pixels: np.ndarray, name: str, progress: Progress) -> np.ndarray:
    """The prefix's outputs for all images in inference mode, memory-mapped: (n, …), in the order of `pixels`.

    `pixels` is uint8 (n, size, size, 3), and `name` says which images these are, by content. The outputs are stored in
    the user cache under a hash of the prefix's layers and weights, and of `name`: whatever computes the same takes
    them from there. A few of those are computed anew, in case the code of a layer has changed without a sign.

    Raises DataError if the disk has no room or the cache cannot be written.
    """
    shape = (len(pixels), *prefix.output_shape[1:])
    key = hashlib.sha256(f"{fingerprint(prefix)} {name}".encode()).hexdigest()[:32]
    place = cache.folder("features", key)

    def fill(folder: Path) -> None:
        _compute(prefix, pixels, shape, folder / "features.npy", progress)

    dtype = np.dtype(keras.backend.standardize_dtype(prefix.outputs[0].dtype))
    size = int(np.prod(shape)) * dtype.itemsize
    kept = place.exists()
    stored = _open(cache.make_once(place, fill, size))
    if kept and not _agrees(prefix, pixels, stored):
        cache.remove(place)
        stored = _open(cache.make_once(place, fill, size))
    return stored


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


def _open(folder: Path) -> np.ndarray:
    return np.asarray(np.load(folder / "features.npy", mmap_mode="r"))


def _compute(prefix: keras.Model, pixels: np.ndarray, shape: tuple[int, ...], file: Path, progress: Progress) -> None:
    prefix.compile(jit_compile=jit())
    features = None
    for start in range(0, len(pixels), BATCH):
        outputs = np.asarray(prefix.predict_on_batch(np.ascontiguousarray(pixels[start : start + BATCH])))
        if features is None:
            features = np.lib.format.open_memmap(file, mode="w+", dtype=outputs.dtype, shape=shape)
        features[start : start + len(outputs)] = outputs
        progress(min(start + BATCH, len(pixels)), len(pixels))
    assert features is not None
    features.flush()


def _agrees(prefix: keras.Model, pixels: np.ndarray, stored: np.ndarray) -> bool:
    rows = np.unique(np.linspace(0, len(pixels) - 1, CHECKED).astype(int))
    # Called as it stands: to trace it as a whole would take longer.
    fresh = keras.ops.convert_to_numpy(prefix(np.ascontiguousarray(pixels[rows]), training=False))
    return stored[rows].shape == fresh.shape and np.allclose(stored[rows], fresh, rtol=TOLERANCE, atol=TOLERANCE)
