"""Checks of an augmenter."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zoo.testing.subject import Subject

if TYPE_CHECKING:
    import numpy as np


def _pictures(size: int) -> np.ndarray:
    """Four colourful images: uint8 (4, size, size, 3)."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.uint8)


def _augment(subject: Subject, images: np.ndarray, seed: int) -> np.ndarray:
    """Each image as the core has it augmented: by itself, with a generator of its own."""
    import numpy as np

    from zoo.training.batches import augmented

    return np.stack([augmented(subject.part, image, (seed, number)) for number, image in enumerate(images)])


def keeps_shape_and_type(subject: Subject) -> None:
    """uint8 (n, size, size, 3) in, the same out: for one image and for several, at even and odd sizes."""
    import numpy as np

    for size in (*subject.sizes, 33):
        for images in (_pictures(size), _pictures(size)[:1]):
            changed = subject.part.augment(images.copy(), np.random.default_rng(0))
            if not isinstance(changed, np.ndarray) or changed.shape != images.shape or changed.dtype != np.uint8:
                what = f"{getattr(changed, 'dtype', type(changed).__name__)} {getattr(changed, 'shape', '')}"
                raise subject.wrong(
                    f"of uint8 {images.shape} it makes {what}: return a numpy array of the same shape, rounded, "
                    "clipped to 0..255 and cast to uint8"
                )


def takes_any_picture(subject: Subject) -> None:
    """Black, white and single-coloured images go through without an error or a warning of numpy."""
    import numpy as np

    size = subject.sizes[0]
    for value in (0, 128, 255):
        images = np.full((1, size, size, 3), value, np.uint8)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                _augment(subject, images, 0)
        except Exception as error:
            raise subject.wrong(
                f"it fails on an image that is {value} everywhere ({error}): don't divide by what an image holds"
            ) from error


def leaves_its_input_alone(subject: Subject) -> None:
    """It writes nothing into the images that it is given: they are the stored ones, which cannot be written to."""
    images = _pictures(subject.sizes[0])
    images.flags.writeable = False
    before = images.tobytes()
    remedy = "work on a copy, images.copy()"
    try:
        _augment(subject, images, 0)
    except Exception as error:
        if "read-only" in str(error) or "read only" in str(error):
            raise subject.wrong(f"it writes into the images that it is given: {remedy}") from error
        raise
    if images.tobytes() != before:
        raise subject.wrong(f"it has changed the images that it was given: {remedy}")


def draws_from_rng_alone(subject: Subject) -> None:
    """The same generator gives the same images whatever else was drawn before, another one gives others.

    With changes_images = False the images stay as they are.
    """
    import numpy as np

    images = _pictures(subject.sizes[0])
    changed = []
    state, numpys = random.getstate(), np.random.get_state()
    try:
        for seed in (0, 1):
            random.seed(seed)
            np.random.seed(seed)
            changed.append(_augment(subject, images, 0))
    finally:
        random.setstate(state)
        np.random.set_state(numpys)
    if not np.array_equal(changed[0], changed[1]):
        raise subject.wrong(
            "the same generator gives different images: draw every random number from `rng`, none from random, "
            "np.random or a generator that is kept, and keep no state between calls"
        )
    if not subject.part.changes_images:
        if not np.array_equal(changed[0], images):
            raise subject.wrong(
                "it changes images though changes_images = False says that it doesn't, so that zoo won't call it"
            )
        return
    if all(np.array_equal(changed[0], _augment(subject, images, seed)) for seed in range(1, 17)):
        raise subject.wrong(
            "another generator gives the same images: draw random numbers from `rng`; if it is to change nothing, say "
            "changes_images = False"
        )


def works_in_threads(subject: Subject) -> None:
    """Images augmented by two threads at once are the same as one after the other: zoo reads ahead in threads."""
    import numpy as np

    images = _pictures(subject.sizes[0])[:2]
    seeds: Sequence[int] = range(8)
    expected = [_augment(subject, images, seed) for seed in seeds]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that a thread is interrupted where it matters
    try:
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda seed: _augment(subject, images, seed), seeds))
    finally:
        sys.setswitchinterval(interval)
    if not all(np.array_equal(one, other) for one, other in zip(expected, together, strict=True)):
        raise subject.wrong(
            "two threads at once get other images than one after the other: keep nothing in the part, its class or its "
            "module that a call changes, or guard it by a threading.Lock"
        )


CHECKS = (keeps_shape_and_type, takes_any_picture, leaves_its_input_alone, draws_from_rng_alone, works_in_threads)
