"""Batches are functions of (seed, stage, epoch, image) and of nothing else."""

from __future__ import annotations

import numpy as np

import zoo
from tests.parts import Brighten, subset
from zoo.training.batches import Batches, TrainingBatches, targets
from zoo_augment import NoAugmentation


def training(batch_size: int = 5, augmenter: zoo.Augmenter | None = None, **key: int) -> TrainingBatches:
    return TrainingBatches(
        subset(24), 2, batch_size, augmenter or Brighten(), **{"seed": 0, "stage": 0, "epoch": 0} | key
    )


def everything(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    pairs = [batches[number] for number in range(len(batches))]
    return np.concatenate([images for images, _ in pairs]), np.concatenate([labels for _, labels in pairs])


def test_targets() -> None:
    assert targets(np.array([0, 1, 1]), 2).tolist() == [[0], [1], [1]]
    assert targets(np.array([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_plain_batches_keep_order_and_pixels() -> None:
    images, labels = everything(Batches(subset(24), 2, 5))
    np.testing.assert_array_equal(images, subset(24).pixels)
    np.testing.assert_array_equal(labels[:, 0], subset(24).labels)
    assert len(Batches(subset(24), 2, 5)) == 5


def test_an_epoch_shows_every_image_once_with_its_label() -> None:
    images, labels = everything(training(augmenter=NoAugmentation()))
    original = {image.tobytes(): label for image, label in zip(subset(24).pixels, subset(24).labels, strict=True)}
    assert {image.tobytes(): label[0] for image, label in zip(images, labels, strict=True)} == original


def test_without_augmentation_pixels_stay_uint8() -> None:
    images, _ = training(augmenter=NoAugmentation())[0]
    assert images.dtype == np.uint8


def test_batch_size_does_not_change_what_is_drawn() -> None:
    for whole, split in zip(everything(training(batch_size=24)), everything(training(batch_size=7)), strict=True):
        np.testing.assert_array_equal(whole, split)


def test_batches_may_be_read_in_any_order_and_again() -> None:
    batches = training()
    backwards = [batches[number][0] for number in reversed(range(len(batches)))][::-1]
    np.testing.assert_array_equal(np.concatenate(backwards), everything(batches)[0])


def test_a_later_epoch_is_the_same_whether_the_earlier_ones_ran_or_not() -> None:
    walked = training()
    for _ in range(3):
        walked.on_epoch_end()
    np.testing.assert_array_equal(everything(walked)[0], everything(training(epoch=3))[0])


def test_seed_stage_and_epoch_each_change_order_and_augmentation() -> None:
    first = everything(training())[0]
    for other in (training(seed=1), training(stage=1), training(epoch=1)):
        images = everything(other)[0]
        assert (images != first).any()
        assert sorted(images.mean(axis=(1, 2, 3))) != sorted(first.mean(axis=(1, 2, 3)))
