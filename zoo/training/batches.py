"""Batches for Keras: shuffled, augmented, and the same again for the same (seed, stage, epoch)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.errors import PluginError, ZooError
from zoo.interfaces import Augmenter, Stage, title
from zoo.plugins.isolation import blaming
from zoo.training.device import cores

QUEUE = 4  # batches that are augmented ahead of the training step


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 (n, 1) for two classes, one-hot (n, classes) for more."""
    if classes == 2:
        return labels.astype(np.float32).reshape(-1, 1)
    return np.eye(classes, dtype=np.float32)[labels]


class Batches(keras.utils.PyDataset):
    """The images of a subset in order, `mirrored` left to right if wanted: (uint8 images, targets) a batch."""

    def __init__(self, subset: Subset, classes: int, batch_size: int, mirrored: bool = False, **ahead: int) -> None:
        super().__init__(**ahead)
        self.subset = subset
        self.mirrored = mirrored
        self.targets = targets(subset.labels, classes)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.subset) // self.batch_size)

    def images(self, positions: np.ndarray) -> np.ndarray:
        """What the store holds for these positions in the subset: uint8 (n, size, size, 3), or features."""
        images = self.subset.pixels[self.subset.rows[positions]]
        return images[:, :, ::-1] if self.mirrored else images

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        positions = np.arange(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.subset)))
        return self.images(positions), self.targets[positions]

    def outputs(self, model: keras.Model) -> np.ndarray:
        """What a compiled model makes of the images in order: float32 (n, ...).

        Unlike `predict` it makes no dataset, which takes longer to begin and to end than a head to answer.
        """
        return np.concatenate([model.predict_on_batch(self[number][0]) for number in range(len(self))])


def predict_batch(model: keras.Model, images: np.ndarray, size: int) -> np.ndarray:
    """What a compiled model makes of a batch, which is filled up where it has fewer than `size` images.

    One of another size would be traced or compiled anew, which takes longer.
    """
    count = len(images)
    if count < size:
        images = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), images.dtype)])
    return np.asarray(model.predict_on_batch(np.ascontiguousarray(images)))[:count]


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


def augmented(augmenter: Augmenter, image: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """One image as its key says, (seed, number of the stage, epoch, position in the subset), and nothing else.

    Raises PluginError if the augmenter fails, or returns anything but a uint8 image of the same size.
    """
    with blaming(title(augmenter), "fails"):
        changed = augmenter.augment(image[None], np.random.default_rng(key))
    if not isinstance(changed, np.ndarray) or changed.shape != image[None].shape or changed.dtype != np.uint8:
        what = f"{getattr(changed, 'dtype', type(changed).__name__)} {getattr(changed, 'shape', '')}"
        raise PluginError(f"{title(augmenter)} returns {what}; uint8 {image[None].shape} is needed")
    return changed[0]


class TrainingBatches(Batches):
    """The images of a subset, shuffled anew each epoch, augmented, mixed: (images, targets, loss weights) a batch.

    Batches count on over the epochs, without end, so that Keras reads ahead of a step across the turn of an epoch and
    never starts over: batch `i` is number `i % len` of epoch `first_epoch + i // len`. `key` is (seed, number of the
    stage). Order and augmentation are functions of it, the epoch and the image alone: not of batch size, threads, or
    of whether the epochs before were trained in the same process.
    """

    num_batches = None  # tells Keras that there is no end

    def __init__(
        self,
        subset: Subset,
        classes: Sequence[str],
        batch_size: int,
        augmenter: Augmenter,
        stage: Stage,
        key: tuple[int, int],
        first_epoch: int = 0,
    ) -> None:
        # From two workers on Keras reads ahead in threads, whatever the backend.
        drawn = augmenter.changes_images or stage.mixes
        ahead: dict[str, Any] = {"workers": max(2, cores()), "max_queue_size": QUEUE} if drawn else {}
        super().__init__(subset, len(classes), batch_size, **ahead)
        share = stage.label_smoothing
        self.targets = self.targets * (1 - share) + share / len(classes)
        self.weights = weights_of_classes(stage.class_weights, classes, subset.labels)[subset.labels]
        self.augmenter = augmenter
        self.stage = stage
        self.key = key
        self.failure: ZooError | None = None  # of the augmenter; a backend may pass on no more than its words
        self.first_epoch = first_epoch
        self._order = functools.lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([*key, epoch]).permutation(len(subset))
        )

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        turns, number = divmod(batch, len(self))
        epoch = self.first_epoch + turns
        order = self._order(epoch)
        places = np.arange(number * self.batch_size, min((number + 1) * self.batch_size, len(order)))
        positions = order[places]
        images = self._drawn(positions, epoch)
        if not self.stage.mixes:
            return images, self.targets[positions], self.weights[positions]
        # Each with the image before it in the epoch's order, the first with the last.
        others = order[places - 1]
        before = np.concatenate([self._drawn(others[:1], epoch), images[:-1]])
        mixed = [
            mix(image, other, self.stage, np.random.default_rng((*self.key, epoch, int(position), 1)))
            for image, other, position in zip(images, before, positions, strict=True)
        ]
        shares = np.array([share for _, share in mixed], dtype=np.float32)
        # The cross-entropy is linear in its target: one target and one weight are what the two images would cost.
        own, lent = shares * self.weights[positions], (1 - shares) * self.weights[others]
        both = own[:, None] * self.targets[positions] + lent[:, None] * self.targets[others]
        return np.stack([image for image, _ in mixed]), both / (own + lent)[:, None], own + lent

    def as_epochs(self) -> TrainingBatches:
        """The same images with an epoch as one batch."""
        epochs = copy.copy(self)
        epochs.batch_size = len(self.subset)
        return epochs

    def _drawn(self, positions: np.ndarray, epoch: int) -> np.ndarray:
        """Images as the augmenter makes them in an epoch."""
        images = self.images(positions)
        if self.augmenter.changes_images:
            try:
                for row, position in enumerate(positions):  # written back while the image is in the processor's cache
                    images[row] = augmented(self.augmenter, images[row], (*self.key, epoch, int(position)))
            except ZooError as error:
                self.failure = error
                raise
        return images


def for_fit(batches: TrainingBatches, together: bool = False) -> Any:
    """These batches as `fit` should be given them: under TensorFlow as a dataset that tf.data doesn't tune.

    Its tuner sleeps for as long as it has lived, a minute at most, and whoever ends the dataset waits until it wakes
    (TensorFlow 2.21): stages would take up to twice their time. Keras leaves the tuner out where it reads ahead in
    threads of its own, which takes a tenth of a second an epoch. For what it doesn't, it accepts an adapter, of which
    it has no public name: where that is gone, the batches are given as they are.

    With `together` tf.data asks for a whole epoch at a time and cuts it itself: each way into Python and back takes as
    long as a step of a head. They should be small then.
    """
    if keras.backend.backend() != "tensorflow" or batches.workers > 1:
        return batches
    try:
        from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
    except ImportError:
        return batches
    size, steps = batches.batch_size, len(batches)

    class Untuned(PyDatasetAdapter):
        def get_tf_dataset(self) -> Any:
            dataset = super().get_tf_dataset()
            options = type(dataset.options())()
            options.autotune.enabled = False
            if together:
                numbers = dataset.range(steps)
                dataset = dataset.flat_map(lambda *epoch: numbers.map(lambda number: _batch(epoch, number, size)))
            return dataset.with_options(options)

    return Untuned(batches.as_epochs() if together else batches)


def _batch(epoch: tuple[Any, ...], number: Any, size: int) -> tuple[Any, ...]:
    return tuple(each[number * size : (number + 1) * size] for each in epoch)


def mix(image: np.ndarray, other: np.ndarray, stage: Stage, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """An image with another one blended or pasted in, see `Stage`; (uint8 of the same shape, the share that it keeps).

    A box pasted in has its centre anywhere, and what of it would be outside is cut off, as in Yun et al. (2019).
    """
    if stage.mixup and not (stage.cutmix and rng.random() < 0.5):
        share = rng.beta(stage.mixup, stage.mixup)
        return cv2.addWeighted(image, share, other, 1 - share, 0), share
    sides = np.array(image.shape[:2])
    half = sides * np.sqrt(1 - rng.beta(stage.cutmix, stage.cutmix)) / 2
    centre = rng.uniform(0, sides)
    top, left = np.round(np.maximum(centre - half, 0)).astype(int)
    bottom, right = np.round(np.minimum(centre + half, sides)).astype(int)
    pasted = image.copy()
    pasted[top:bottom, left:right] = other[top:bottom, left:right]
    return pasted, float(1 - (bottom - top) * (right - left) / np.prod(sides))
