"""Batches for Keras: shuffled, augmented, and the same again for the same (seed, stage, epoch)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.interfaces import Augmenter


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 (n, 1) for two classes, one-hot (n, classes) for more."""
    if classes == 2:
        return labels.astype(np.float32).reshape(-1, 1)
    return np.eye(classes, dtype=np.float32)[labels]


class Batches(keras.utils.PyDataset):
    """The images of a subset in order: (uint8 images, targets) a batch."""

    def __init__(self, subset: Subset, classes: int, batch_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.subset = subset
        self.targets = targets(subset.labels, classes)
        self.batch_size = batch_size
        self.order = np.arange(len(subset))

    def __len__(self) -> int:
        return -(-len(self.subset) // self.batch_size)

    def positions(self, batch: int) -> np.ndarray:
        """Which images of the subset make up a batch."""
        return self.order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def images(self, positions: np.ndarray) -> np.ndarray:
        """uint8 (n, size, size, 3), read from the store."""
        return self.subset.pixels[self.subset.rows[positions]]

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        positions = self.positions(batch)
        return self.images(positions), self.targets[positions]


class TrainingBatches(Batches):
    """The images of a subset, shuffled anew each epoch and augmented.

    Order and augmentation are functions of (seed, stage, epoch, image) alone: not of batch size, threads, or of
    whether the epochs before were trained in the same process.
    """

    def __init__(
        self, subset: Subset, classes: int, batch_size: int, augmenter: Augmenter, seed: int, stage: int, epoch: int
    ) -> None:
        super().__init__(subset, classes, batch_size)
        self.augmenter = augmenter
        self.key = (seed, stage)
        self.epoch = epoch
        self._shuffle()

    def _shuffle(self) -> None:
        self.order = np.random.default_rng([*self.key, self.epoch]).permutation(len(self.subset))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()

    def images(self, positions: np.ndarray) -> np.ndarray:
        images = super().images(positions)
        if not self.augmenter.changes_images:
            return images
        return np.concatenate(
            [
                self.augmenter.augment(image[None], np.random.default_rng([*self.key, self.epoch, position]))
                for image, position in zip(images, positions, strict=True)
            ]
        )
