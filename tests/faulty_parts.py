"""Schedules and augmenters that each have one fault, for the proof that each check of zoo.testing can fail."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import zoo


@dataclass(frozen=True)
class GoodSchedule(zoo.Schedule):
    """One stage."""

    name = "good-schedule"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage()]

    def stage(self, **changes: Any) -> zoo.Stage:
        return zoo.Stage(**{"name": "head", "epochs": 3, "patience": 3, "learning_rate": 0.01} | changes)


@dataclass(frozen=True)
class NoStages(GoodSchedule):
    """Trains nothing."""

    name = "no-stages"

    def stages(self) -> Sequence[zoo.Stage]:
        return []


@dataclass(frozen=True)
class Namesakes(GoodSchedule):
    """Two stages of one name."""

    name = "namesakes"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage(), self.stage(unfreeze="all")]


@dataclass(frozen=True)
class Drawn(GoodSchedule):
    """Another learning rate each time."""

    name = "drawn"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage(learning_rate=random.uniform(0.1, 0.2))]


@dataclass(frozen=True)
class Asking(GoodSchedule):
    """Loads a library to describe itself."""

    name = "asking"

    def stages(self) -> Sequence[zoo.Stage]:
        import pandas  # noqa: F401

        return super().stages()


@dataclass(frozen=True)
class Arrays(GoodSchedule):
    """Weights of classes that are no numbers of JSON."""

    name = "arrays"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage(class_weights={"normal": np.float32(2)})]


@dataclass(frozen=True)
class NotTyped(GoodSchedule):
    """A number of epochs that is a float."""

    name = "not-typed"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage(epochs=3.5)]


@dataclass(frozen=True)
class NoOptimizer(GoodSchedule):
    """A momentum that Keras refuses."""

    name = "no-optimizer"

    def stages(self) -> Sequence[zoo.Stage]:
        return [self.stage(optimizer={"name": "sgd", "momentum": 2.0})]


# --- augmenters -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodAugmenter(zoo.Augmenter):
    """Adds a random number to each image."""

    name = "good-augmenter"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        added = rng.integers(0, 256, (len(images), 1, 1, 1))
        return np.minimum(images + added, 255).astype(np.uint8)


@dataclass(frozen=True)
class Floats(GoodAugmenter):
    """Gives floats."""

    name = "floats"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return super().augment(images, rng) / np.float32(255)


@dataclass(frozen=True)
class EvenSizes(GoodAugmenter):
    """Crops images to an even size."""

    name = "even-sizes"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        even = images.shape[1] // 2 * 2
        return super().augment(images[:, :even, :even], rng)


@dataclass(frozen=True)
class Stretches(GoodAugmenter):
    """Divides by the range of an image, which is 0 in a black one."""

    name = "stretches"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        low, high = images.min(), images.max()
        return super().augment((255 * ((images - low) / (high - low))).astype(np.uint8), rng)


@dataclass(frozen=True)
class InPlace(GoodAugmenter):
    """Writes into the images that it is given."""

    name = "in-place"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images[:] = super().augment(images, rng)
        return images


@dataclass(frozen=True)
class OtherGenerator(GoodAugmenter):
    """Draws from numpy's global generator as well."""

    name = "other-generator"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        np.random.seed(int(rng.integers(2**31)) + random.randrange(10**6))
        return np.roll(images, np.random.randint(images.shape[2]), axis=2)


@dataclass(frozen=True)
class Always(GoodAugmenter):
    """Makes the same change each time."""

    name = "always"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.flip(images, 2)


@dataclass(frozen=True)
class NotIdle(GoodAugmenter):
    """Says that it changes nothing."""

    name = "not-idle"
    changes_images = False

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.flip(images, 2)


@dataclass(frozen=True)
class SharedState(GoodAugmenter):
    """Keeps what it has drawn where every thread writes it."""

    name = "shared-state"
    drawn: ClassVar[list[int]] = [0]

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self.drawn[0] = int(rng.integers(0, 256))
        for _ in itertools.repeat(None, 3):
            time.sleep(0.001)
        return np.minimum(images + np.uint16(self.drawn[0]), 255).astype(np.uint8)
