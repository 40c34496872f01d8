"""Batches are functions of (seed, stage, epoch, image) and of nothing else."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.trainers.data_adapters import get_data_adapter
from scipy import stats
from sklearn.utils.class_weight import compute_class_weight

import zoo
from tests.parts import Brighten, stage, subset
from zoo.training.batches import (
    Batches,
    TrainingBatches,
    augmented,
    for_fit,
    mix,
    predict_batch,
    targets,
    weights_of_classes,
)
from zoo_augment import NoAugmentation


def training(
    batch_size: int = 5,
    augmenter: zoo.Augmenter | None = None,
    key: tuple[int, int] = (0, 0),
    epoch: int = 0,
    **options: Any,
) -> TrainingBatches:
    how = augmenter or Brighten()
    return TrainingBatches(subset(24), ["a", "b"], batch_size, how, stage(**options), key, epoch)


def everything(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    each = [batches[number] for number in range(len(batches))]
    return np.concatenate([batch[0] for batch in each]), np.concatenate([batch[1] for batch in each])


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
    images = training(augmenter=NoAugmentation())[0][0]
    assert images.dtype == np.uint8


def test_batch_size_does_not_change_what_is_drawn() -> None:
    for whole, split in zip(everything(training(batch_size=24)), everything(training(batch_size=7)), strict=True):
        np.testing.assert_array_equal(whole, split)


def test_batches_may_be_read_in_any_order_and_again() -> None:
    batches = training()
    backwards = [batches[number][0] for number in reversed(range(len(batches)))][::-1]
    np.testing.assert_array_equal(np.concatenate(backwards), everything(batches)[0])


def test_a_later_epoch_is_the_same_whether_the_earlier_ones_ran_or_not() -> None:
    walked, begun = training(), training(epoch=3)
    for number in range(len(walked)):
        np.testing.assert_array_equal(walked[3 * len(walked) + number][0], begun[number][0])


def test_seed_stage_and_epoch_each_change_order_and_augmentation() -> None:
    first = everything(training())[0]
    for other in (training(key=(1, 0)), training(key=(0, 1)), training(epoch=1)):
        images = everything(other)[0]
        assert (images != first).any()
        assert sorted(images.mean(axis=(1, 2, 3))) != sorted(first.mean(axis=(1, 2, 3)))


@pytest.mark.parametrize(
    ("augmenter", "together"), [(NoAugmentation(), False), (NoAugmentation(), True), (Brighten(), False)]
)
def test_nothing_that_tensorflow_reads_is_tuned(augmenter: zoo.Augmenter, together: bool) -> None:
    """Ending a tuned dataset takes up to a minute. What is read is the same, also where tf.data cuts whole epochs."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("others know no datasets")
    batches = TrainingBatches(subset(), ["a", "b"], 7, augmenter, stage(), (7, 0), first_epoch=1)
    assert len(subset()) % 7
    adapter = get_data_adapter(for_fit(batches, together))
    adapter.on_epoch_begin()
    dataset = adapter.get_tf_dataset()
    assert dataset.options().autotune.enabled is False
    for number, read in zip(range(2 * len(batches)), dataset, strict=False):
        for ours, theirs in zip(batches[number], read, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    adapter.on_epoch_end()


@pytest.mark.parametrize("count", [0, 3, 4, 10])
def test_batches_of_one_size_are_predicted_and_traced_once(count: int) -> None:
    shapes = []

    class Doubled(keras.layers.Layer):
        def call(self, images: Any) -> Any:
            shapes.append(images.shape[0])
            return 2.0 * images

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Doubled()(inputs))
    model.compile()
    shapes.clear()
    images = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    outputs = [predict_batch(model, images[start : start + 4], min(4, count)) for start in range(0, count, 4)]
    np.testing.assert_array_equal(np.concatenate([images[:0], *outputs]), 2 * images)
    assert set(shapes) == ({min(count, 4)} if count else set())


def test_label_smoothing_moves_targets_towards_each_other() -> None:
    plain, smooth = everything(training())[1], everything(training(label_smoothing=0.2))[1]
    np.testing.assert_allclose(smooth, plain * 0.8 + 0.1, rtol=1e-6)
    three = TrainingBatches(subset(24, 3), ["a", "b", "c"], 5, Brighten(), stage(label_smoothing=0.3), (0, 0))
    np.testing.assert_allclose(three.targets.sum(axis=1), 1, rtol=1e-6)


def test_balanced_class_weights_are_scikit_learn_s() -> None:
    labels = np.array([0] * 9 + [1] * 3 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights_of_classes("balanced", ["a", "b", "c"], labels), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "weights"), [(None, [1, 1]), ({"b": 3.0}, [1, 3]), ({"a": 2.0, "b": 0.5}, [2, 0.5])]
)
def test_every_image_has_the_weight_of_its_class(wanted: Any, weights: list[float]) -> None:
    batches = training(class_weights=wanted)
    _, labels, drawn = batches[0]
    assert drawn.tolist() == [weights[int(label)] for label in labels[:, 0]]


# --- images mixed with each other ------------------------------------------------------------------------------------

MIXED = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]


@pytest.mark.parametrize("how", MIXED, ids=str)
def test_mixing_knows_neither_batch_size_nor_the_epochs_before(how: dict[str, float]) -> None:
    plain = everything(training())[0]
    whole, split = (training(batch_size=size, epoch=2, **how) for size in (24, 7))
    walked = training(batch_size=7, **how)
    later = np.concatenate([walked[2 * len(walked) + number][0] for number in range(len(walked))])
    np.testing.assert_array_equal(everything(whole)[0], everything(split)[0])
    np.testing.assert_array_equal(everything(whole)[1], everything(split)[1])
    np.testing.assert_array_equal(later, everything(split)[0])
    assert (everything(training(**how))[0] != plain).any(axis=(1, 2, 3)).sum() > 12


@pytest.mark.parametrize("how", MIXED, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_mixed_image_costs_what_its_two_images_would(how: dict[str, float], classes: int) -> None:
    """Whatever the classes weigh: the share of each in the cross-entropy is its share in the image."""
    names = [*"abc"[:classes]]
    black = dataclasses.replace(subset(24, classes), pixels=np.arange(24, dtype=np.uint8)[:, None, None, None] * 10)
    black = dataclasses.replace(black, pixels=np.broadcast_to(black.pixels, (24, 32, 32, 3)))
    weighted = stage(class_weights={"b": 7.0}, label_smoothing=0.1, **how)
    batches = TrainingBatches(black, names, 24, NoAugmentation(), weighted, (0, 0))
    images, goals, weights = batches[0]
    order = batches._order(0)
    guess = np.random.default_rng(0).dirichlet(np.ones(classes), 24)
    for row, position in enumerate(order):
        own, other = (black.pixels[place].mean() for place in (position, order[row - 1]))
        share = (images[row].mean() - other) / (own - other)
        each = [batches.targets[place] for place in (position, order[row - 1])]
        expected = sum(
            part * batches.weights[place] * entropy(target, guess[row])
            for part, place, target in zip((share, 1 - share), (position, order[row - 1]), each, strict=True)
        )
        assert weights[row] * entropy(goals[row], guess[row]) == pytest.approx(expected, rel=0.02, abs=0.06)


def entropy(target: np.ndarray, guess: np.ndarray) -> float:
    if len(target) == 1:
        target = np.array([1 - target[0], target[0]])
    return float(-(target * np.log(guess)).sum())


def test_mixup_blends_and_cutmix_pastes_a_box() -> None:
    white, black = np.full((64, 64, 3), 200, np.uint8), np.zeros((64, 64, 3), np.uint8)
    shares = []
    for number in range(200):
        blended, share = mix(white, black, stage(mixup=1.0), np.random.default_rng(number))
        assert (blended == round(200 * share)).all()
        pasted, kept = mix(white, black, stage(cutmix=1.0), np.random.default_rng(number))
        rows, columns = np.nonzero(pasted[..., 0] == 0)
        assert pasted.dtype == np.uint8
        assert kept == pytest.approx((pasted[..., 0] == 200).mean())
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        shares.append(share)
    assert stats.kstest(shares, "uniform").pvalue > 0.001  # Beta(1, 1)


def test_mirrored_images_are_left_to_right() -> None:
    plain, mirrored = (everything(Batches(subset(24), 2, 5, mirrored=swap))[0] for swap in (False, True))
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


@dataclass(frozen=True)
class Odd(zoo.Augmenter):
    """Returns, or raises, whatever it is told."""

    name = "odd"
    result: Any = None

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


FAULTS: list[tuple[Any, str]] = [
    (None, "returns NoneType"),
    (np.zeros((1, 32, 32, 3)), "returns float64"),
    (np.zeros((1, 16, 16, 3), np.uint8), "returns uint8 (1, 16, 16, 3); uint8 (1, 32, 32, 3) is needed"),
    (KeyError("x"), "fails: KeyError"),
]


@pytest.mark.parametrize(("result", "says"), FAULTS, ids=[says for _, says in FAULTS])
def test_an_augmenter_that_cannot_is_named(result: Any, says: str) -> None:
    with pytest.raises(zoo.PluginError, match=re.escape(says)):
        augmented(Odd(result), subset(4).pixels[0], (0, 0, 0, 0))
    augmented(Brighten(), subset(4).pixels[0], (0, 0, 0, 0))
