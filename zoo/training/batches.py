"""Batches for Keras: shuffled, augmented, and the same again for the same (seed, stage, epoch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.errors import PluginError, ZooError
from zoo.interfaces import Augmenter, Stage


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 (n, 1) for two classes, one-hot (n, classes) for more."""
    if classes == 2:
        return labels.astype(np.float32).reshape(-1, 1)
    return np.eye(classes, dtype=np.float32)[labels]


class Batches(keras.utils.PyDataset):
    """The images of a subset in order: (uint8 images, targets) a batch."""

    def __init__(self, subset: Subset, classes: int, batch_size: int) -> None:
        super().__init__()
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

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        positions = self.positions(batch)
        return self.images(positions), self.targets[positions]


def weights_of_classes(
    wanted: str | Mapping[str, float] | None, classes: Sequence[str], labels: np.ndarray
) -> np.ndarray:
    """One loss weight a class, float32 (classes,): as the table says (1 for a class that it leaves out), or balanced.

    Balanced weights are n / (classes * n of the class), as in scikit-learn (King and Zeng, 2001).
    """
    if wanted == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        return (len(labels) / (len(classes) * counts)).astype(np.float32)
    table = wanted if isinstance(wanted, Mapping) else {}
    return np.array([table.get(name, 1.0) for name in classes], dtype=np.float32)


def augmented(augmenter: Augmenter, image: np.ndarray, key: tuple[int, int, int, int]) -> np.ndarray:
    """One image as its key says, (seed, number of the stage, epoch, position in the subset), and nothing else."""
    return augmenter.augment(image[None], np.random.default_rng(key))[0]


def check_augmenter(augmenter: Augmenter, subset: Subset) -> None:
    """Augment one image, so that an augmenter that cannot is found before anything is trained.

    Raises PluginError.
    """
    image = subset.pixels[subset.rows[:1]]
    try:
        changed = augmenter.augment(image, np.random.default_rng(0))
    except ZooError:
        raise
    except Exception as error:
        raise PluginError(f"augmenter {augmenter.name!r} fails: {type(error).__name__}: {error}") from error
    if not isinstance(changed, np.ndarray) or changed.shape != image.shape or changed.dtype != np.uint8:
        what = f"{getattr(changed, 'dtype', type(changed).__name__)} {getattr(changed, 'shape', '')}"
        raise PluginError(f"augmenter {augmenter.name!r} returns {what}; uint8 {image.shape} is needed")


class TrainingBatches(Batches):
    """The images of a subset, shuffled anew each epoch and augmented: (images, targets, loss weights) a batch.

    `key` is (seed, number of the stage). Order and augmentation are functions of it, the epoch and the image
    alone: not of batch size, threads, or of whether the epochs before were trained in the same process.
    """

    def __init__(
        self,
        subset: Subset,
        classes: Sequence[str],
        batch_size: int,
        augmenter: Augmenter,
        stage: Stage,
        key: tuple[int, int],
        epoch: int = 0,
    ) -> None:
        super().__init__(subset, len(classes), batch_size)
        share = stage.label_smoothing
        self.targets = self.targets * (1 - share) + share / len(classes)
        self.weights = weights_of_classes(stage.class_weights, classes, subset.labels)[subset.labels]
        self.augmenter = augmenter
        self.key = key
        self.epoch = epoch
        self._shuffle()

    def _shuffle(self) -> None:
        self.order = np.random.default_rng([*self.key, self.epoch]).permutation(len(self.subset))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        positions = self.positions(batch)
        return self.images(positions), self.targets[positions], self.weights[positions]

    def images(self, positions: np.ndarray) -> np.ndarray:
        images = super().images(positions)
        if not self.augmenter.changes_images:
            return images
        for row, position in enumerate(positions):  # written back at once, while the image is in the processor's cache
            images[row] = augmented(self.augmenter, images[row], (*self.key, self.epoch, int(position)))
        return images
