"""Augmenters: random changes to training images."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import zoo

if TYPE_CHECKING:
    import keras
    import numpy as np


@dataclass(frozen=True)
class NoAugmentation(zoo.Augmenter):
    """Every image as it is."""

    name = "none"
    changes_images = False

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return images


@dataclass(frozen=True)
class Study(zoo.Augmenter):
    """The study's augmentation: rotation, zoom, shift, shear and flip as one affine map an image.

    The ranges and their units are those of Keras' ImageDataGenerator, and so is the distribution of the maps:
    `rotation` and `shear` in degrees either way, `zoom` a factor drawn for each axis by itself, `shift` a share of
    the height and of the width either way, `flip` left to right with probability 1/2. Bilinear; what comes from
    outside repeats the nearest edge pixel.
    """

    name = "study"
    rotation: float = 20.0
    zoom: tuple[float, float] = (0.85, 1.15)
    shift: float = 0.2
    shear: float = 0.15
    flip: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom must be two rising numbers above 0, not {list(self.zoom)}")
        for field in ("rotation", "shift", "shear"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import cv2
        import numpy as np

        height, width = images.shape[1:3]
        changed = np.empty_like(images)
        for image, out in zip(images, changed, strict=True):
            cv2.warpAffine(
                image,
                self.draw(height, width, rng),
                (width, height),
                dst=out,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return changed

    def draw(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """A random affine map, float64 (2, 3): from (x, y, 1) in the result to (x, y) in the image, in pixels."""
        return affine_map(
            height,
            width,
            rotation=rng.uniform(-self.rotation, self.rotation),
            shift_x=rng.uniform(-self.shift, self.shift) * width,
            shift_y=rng.uniform(-self.shift, self.shift) * height,
            shear=rng.uniform(-self.shear, self.shear),
            zoom_x=rng.uniform(*self.zoom),
            zoom_y=rng.uniform(*self.zoom),
            flip=self.flip and rng.uniform() < 0.5,
        )


def affine_map(
    height: int,
    width: int,
    rotation: float,
    shift_x: float,
    shift_y: float,
    shear: float,
    zoom_x: float,
    zoom_y: float,
    flip: bool,
) -> np.ndarray:
    """The map that Keras' ImageDataGenerator makes of these values, as `Study.draw` returns it.

    Angles are in degrees, shifts in pixels. Keras composes rotation, shift, shear and zoom in this order, about the
    image's centre, and flips the result. (Of images that aren't square it gets the centre wrong; this doesn't.)
    """
    import numpy as np

    turn, slant = np.deg2rad(rotation), np.deg2rad(shear)
    rotate = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    move = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
    skew = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
    scale = np.diag([zoom_x, zoom_y, 1])
    centre = np.array([[1, 0, width / 2 - 0.5], [0, 1, height / 2 - 0.5], [0, 0, 1]])
    whole = centre @ rotate @ move @ skew @ scale @ np.linalg.inv(centre)
    if flip:
        whole = whole @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    return np.asarray(whole[:2])


@dataclass(frozen=True)
class Photo(Study):
    """For photographs: the affine map of `study`, then colour, then a box that is erased.

    `brightness`, `contrast` and `saturation` each draw a factor between 1 - x and 1 + x: of all values, of their
    distance from the mean grey, and of their distance from the grey of the pixel (as torchvision's ColorJitter).
    `vertical` flips upside down with probability 1/2. With probability `erase` a box of 2 to 20 % of the area, its
    sides in a ratio of 0.3 to 3.3, gets the image's mean colour (random erasing, Zhong et al., 2020).
    """

    name = "photo"
    vertical: bool = False
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    erase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("brightness", "contrast", "saturation", "erase"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must be between 0 and 1, not {getattr(self, field)}")

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        changed = super().augment(images, rng)
        for image in changed:
            if self.vertical and rng.uniform() < 0.5:
                image[:] = image[::-1].copy()
            self._colour(image, rng)
            if rng.uniform() < self.erase:
                top, left, height, width = _box(image.shape[0], image.shape[1], rng)
                image[top : top + height, left : left + width] = image.mean(axis=(0, 1))
        return changed

    def _colour(self, image: np.ndarray, rng: np.random.Generator) -> None:
        """Change the colours of an image in place."""
        import cv2
        import numpy as np

        bright, contrast, saturation = (
            1 + rng.uniform(-most, most) for most in (self.brightness, self.contrast, self.saturation)
        )
        if self.brightness or self.contrast:
            mean = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
            table = bright * (mean + contrast * (np.arange(256) - mean))
            cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8), dst=image)
        if self.saturation:
            grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            cv2.addWeighted(image, saturation, grey, 1 - saturation, 0, dst=image)


def _box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A random box within an image: top, left, height, width."""
    import numpy as np

    area, ratio = height * width * rng.uniform(0.02, 0.2), np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
    tall, wide = (max(1, round(np.sqrt(side))) for side in (area * ratio, area / ratio))
    tall, wide = min(tall, height), min(wide, width)
    return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide


# What keras.layers has and this augmenter cannot use, and why.
UNFIT = {
    "MixUp": "an augmenter gets one image, without its label; a stage has `mixup`",
    "CutMix": "an augmenter gets one image, without its label; a stage has `cutmix`",
    "AugMix": "it draws from Python's own generator, so that no training could be repeated; RandAugment can",
}


@dataclass(frozen=True)
class Flips(zoo.Augmenter):
    """Flips left to right (`horizontal`) and upside down (`vertical`), each with probability 1/2 if it is wanted."""

    name = "flips"
    horizontal: bool = True
    vertical: bool = False

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        for axis, wanted in ((2, self.horizontal), (1, self.vertical)):
            if wanted:
                flipped = rng.uniform(size=len(images)) < 0.5
                images = np.where(flipped[:, None, None, None], np.flip(images, axis), images)
        return images


@dataclass(frozen=True)
class KerasLayers(zoo.Augmenter):
    """Any of Keras' random preprocessing layers, one after the other.

    Each of `layers` is the name of a class in keras.layers, or a table with its name and arguments, such as
    { name = "RandAugment", num_ops = 2 }. Images reach the layers as float 0..255.
    """

    name = "keras-layers"
    layers: tuple[str | dict[str, Any], ...] = ("RandAugment",)

    def __post_init__(self) -> None:
        if not all(isinstance(layer, str) or isinstance(layer.get("name"), str) for layer in self.layers):
            raise ValueError("each of layers must be the name of a Keras layer, or a table with a name")
        for layer in self.layers:
            name = layer if isinstance(layer, str) else layer["name"]
            if name in UNFIT:
                raise ValueError(f"{name}: {UNFIT[name]}")

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np
        from keras import ops

        changed = images.astype(np.float32)
        for layer in _keras_layers(json.dumps(self.layers), threading.get_ident()):
            for state in layer.variables:
                if len(state.shape) == 1 and "seed" in state.path:
                    state.assign(rng.integers(0, 2**31, state.shape).astype(np.uint32))
            changed = layer(changed, training=True)
        return np.clip(np.round(ops.convert_to_numpy(changed)), 0, 255).astype(np.uint8)


@lru_cache
def _keras_layers(tables: str, thread: int) -> list[keras.Layer]:
    """The layers of a thread, built once, which would take most of the time if it were done for every image.

    Each thread has its own, since it sets their seeds.
    """
    import keras

    made = []
    for table in json.loads(tables):
        arguments = {"name": table} if isinstance(table, str) else dict(table)
        name = arguments.pop("name")
        kind = getattr(keras.layers, name, None)
        if kind is None:
            raise zoo.ConfigError(f"augmenter keras-layers: keras.layers has no {name!r}")
        try:
            made.append(kind(**arguments))
        except (TypeError, ValueError) as error:
            raise zoo.ConfigError(f"augmenter keras-layers: {name}: {error}") from error
    return made


@zoo.hookimpl
def zoo_augmenters() -> Sequence[type[zoo.Augmenter]]:
    return [NoAugmentation, Study, Photo, Flips, KerasLayers]
