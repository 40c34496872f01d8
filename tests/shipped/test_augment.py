"""Augmenters; the study's against Keras' own ImageDataGenerator."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_sample_image

import zoo
from zoo_augment import Flips, KerasLayers, NoAugmentation, Photo, Study, affine_map

keras = pytest.importorskip("keras")

SIZE = 48


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def images() -> np.ndarray:
    return rng().integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8)


KERAS = KerasLayers(("RandomFlip", {"name": "RandomBrightness", "factor": 0.3}))
AUGMENTERS = [Study(), Photo(vertical=True, erase=0.5), Flips(), Flips(vertical=True), KERAS]


@pytest.mark.parametrize("augmenter", AUGMENTERS, ids=lambda a: repr(a)[:40])
def test_uint8_in_and_out_and_all_randomness_from_rng(augmenter: zoo.Augmenter, images: np.ndarray) -> None:
    before = images.copy()
    first, again, other = (augmenter.augment(images, rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(images, before)


def test_none_changes_nothing_and_says_so(images: np.ndarray) -> None:
    assert NoAugmentation().augment(images, rng()) is images
    assert not NoAugmentation.changes_images


# --- the study's augmentation against ImageDataGenerator -----------------------------------------------------------


@pytest.fixture(scope="module")
def generator() -> Any:
    """Keras' legacy class with the study's arguments."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(
        rotation_range=20,
        zoom_range=0.15,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.15,
        horizontal_flip=True,
        fill_mode="nearest",
    )


def our_map(parameters: dict[str, Any]) -> np.ndarray:
    """Our map of what ImageDataGenerator drew."""
    return affine_map(
        SIZE,
        SIZE,
        rotation=parameters["theta"],
        shift_x=parameters["tx"],
        shift_y=parameters["ty"],
        shear=parameters["shear"],
        zoom_x=parameters["zx"],
        zoom_y=parameters["zy"],
        flip=bool(parameters["flip_horizontal"]),
    )


def their_map(generator: Any, parameters: dict[str, Any]) -> np.ndarray:
    """Its map as its pixels show it: a picture of coordinates, transformed, and a plane fitted to its inside."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    picture = np.stack([x, y, np.zeros_like(x)], axis=-1)
    moved = generator.apply_transform(picture, parameters)
    inside = ((moved[..., :2] > 1) & (moved[..., :2] < SIZE - 2)).all(axis=-1)  # the edge repeats outside
    design = np.stack([x[inside], y[inside], np.ones(inside.sum())], axis=-1)
    solution, *_ = np.linalg.lstsq(design, moved[inside][:, :2], rcond=None)
    return np.asarray(solution.T)


def test_the_same_values_give_the_same_six_entries(generator: Any) -> None:
    for seed in range(50):
        parameters = generator.get_random_transform((SIZE, SIZE, 3), seed=seed)
        np.testing.assert_allclose(our_map(parameters), their_map(generator, parameters), atol=1e-6)


def test_the_same_map_gives_the_same_pixels(generator: Any) -> None:
    """To within rounding: OpenCV interpolates with fewer bits, and rounds where Keras truncates."""
    smooth = cv2.GaussianBlur(rng().integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8), (0, 0), 2)
    for seed in range(20):
        parameters = generator.get_random_transform((SIZE, SIZE, 3), seed=seed)
        theirs = generator.apply_transform(smooth.astype(np.float64), parameters)
        ours = cv2.warpAffine(
            smooth,
            our_map(parameters),
            (SIZE, SIZE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        assert np.abs(ours - theirs).max() < 2.5
        assert np.abs(ours - theirs).mean() < 0.5


@pytest.mark.parametrize("entry", range(6))
def test_the_maps_have_the_same_distribution(generator: Any, entry: int) -> None:
    """Each of the six entries, by a two-sample Kolmogorov-Smirnov test on 3,000 maps each."""
    ours = [Study().draw(SIZE, SIZE, rng(seed)).flat[entry] for seed in range(3000)]
    theirs = [our_map(generator.get_random_transform((SIZE, SIZE, 3), seed=seed)).flat[entry] for seed in range(3000)]
    assert stats.ks_2samp(ours, theirs).pvalue > 0.001
    # and the test is sharp enough to tell a rotation of 25 degrees from one of 20
    others = [Study(rotation=25).draw(SIZE, SIZE, rng(seed)).flat[entry] for seed in range(3000)]
    if entry in (1, 3):
        assert stats.ks_2samp(others, theirs).pvalue < 0.001


def test_an_augmentation_with_no_range_is_no_change(images: np.ndarray) -> None:
    still = Study(rotation=0.0, zoom=(1.0, 1.0), shift=0.0, shear=0.0, flip=False)
    np.testing.assert_array_equal(still.augment(images, rng()), images)


def test_a_flip_is_a_flip(images: np.ndarray) -> None:
    flipped = Study(rotation=0.0, zoom=(1.0, 1.0), shift=0.0, shear=0.0).augment(images, rng(3))
    for image, result in zip(images, flipped, strict=True):
        assert (result == image).all() or (result == image[:, ::-1]).all()
    assert (flipped != images).any()


@pytest.mark.parametrize(
    "fields",
    [{"zoom": (1.2, 0.8)}, {"zoom": (0.0, 1.0)}, {"shift": -0.1}, {"erase": 1.1}, {"saturation": -0.1}],
    ids=str,
)
def test_ranges_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Photo(**fields)


# --- photographs ---------------------------------------------------------------------------------------------------

STILL: dict[str, Any] = {"rotation": 0.0, "zoom": (1.0, 1.0), "shift": 0.0, "shear": 0.0, "flip": False}
NO_COLOUR = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


class Fixed:
    """A generator that draws what it is told, in the place of brightness, contrast and saturation."""

    def __init__(self, *drawn: float) -> None:
        self.drawn = [*drawn]

    def uniform(self, *_: float) -> float:
        return self.drawn.pop(0)


@pytest.mark.parametrize("factors", [(1.3, 1, 1), (0.7, 1, 1), (1, 1.4, 1), (1, 0.6, 1), (1, 1, 1.5), (1, 1, 0.4)])
def test_colours_change_as_in_pillow(factors: tuple[float, float, float]) -> None:
    from PIL import Image, ImageEnhance

    picture = cv2.resize(load_sample_image("flower.jpg"), (SIZE, SIZE))
    expected = Image.fromarray(picture)
    for kind, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors, strict=True):
        expected = kind(expected).enhance(factor)
    changed = picture.copy()
    Photo()._colour(changed, Fixed(*(factor - 1 for factor in factors)))  # type: ignore[arg-type]
    assert np.abs(changed.astype(int) - np.asarray(expected)).max() <= 3
    assert (changed != picture).any()


def test_colours_are_drawn_evenly_within_their_range() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    how = Photo(**STILL | NO_COLOUR | {"brightness": 0.5})
    drawn = [how.augment(grey, rng(seed)).mean() / 100 for seed in range(2000)]
    assert stats.kstest(drawn, stats.uniform(0.5, 1).cdf).pvalue > 0.001


def test_a_box_of_2_to_20_percent_is_erased() -> None:
    noise = rng().integers(0, 256, (1, 100, 100, 3)).astype(np.uint8)
    how = Photo(**STILL | NO_COLOUR | {"erase": 1.0})
    shares = []
    for seed in range(300):
        gone = (how.augment(noise, rng(seed))[0] == noise.mean(axis=(0, 1, 2)).astype(int)).all(axis=-1)
        rows, columns = np.nonzero(gone & (noise[0] != gone[..., None]).any(axis=-1))
        shares.append(gone.mean())
        assert 0.25 < (np.ptp(rows) + 1) / (np.ptp(columns) + 1) < 4
    assert 0.015 < min(shares) < 0.05
    assert 0.15 < max(shares) < 0.21


def test_photo_without_colour_is_the_study_s(images: np.ndarray) -> None:
    np.testing.assert_array_equal(Photo(**NO_COLOUR).augment(images[:1], rng()), Study().augment(images[:1], rng()))


def test_upside_down_half_of_the_time(images: np.ndarray) -> None:
    how = Photo(**STILL | NO_COLOUR | {"vertical": True})
    turned = [(how.augment(images[:1], rng(seed)) == images[:1, ::-1]).all() for seed in range(200)]
    assert stats.binomtest(sum(turned), 200).pvalue > 0.001


@pytest.mark.parametrize("name", ["MixUp", "CutMix", "AugMix"])
def test_layers_that_would_do_nothing_or_never_the_same_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*(`mixup`|`cutmix`|RandAugment)"):
        KerasLayers(({"name": name},))


# --- the others ----------------------------------------------------------------------------------------------------


def test_flips_happen_half_of_the_time(images: np.ndarray) -> None:
    many = np.repeat(images[:1], 2000, axis=0)
    for augmenter, axis in ((Flips(), 2), (Flips(horizontal=False, vertical=True), 1)):
        changed = augmenter.augment(many, rng())
        flipped = (changed == np.flip(many, axis)).all(axis=(1, 2, 3))
        assert (flipped | (changed == many).all(axis=(1, 2, 3))).all()
        assert stats.binomtest(int(flipped.sum()), len(many)).pvalue > 0.001


def test_keras_layers_take_arguments(images: np.ndarray) -> None:
    always = KerasLayers(({"name": "RandomBrightness", "factor": [1.0, 1.0]},))
    assert (always.augment(images, rng()) == 255).all()
    augmented = KerasLayers(({"name": "RandAugment", "num_ops": 2, "factor": 0.8},)).augment(images, rng())
    assert (augmented != images).any()


@pytest.mark.parametrize("layer", ["RandomNonsense", {"name": "RandomFlip", "sideways": True}], ids=str)
def test_a_layer_that_keras_does_not_have(images: np.ndarray, layer: Any) -> None:
    with pytest.raises(zoo.ConfigError, match="augmenter keras-layers: "):
        KerasLayers((layer,)).augment(images, rng())
