"""Small parts for tests of the training room, and images for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import zoo
from tests.conftest import disc
from zoo.data.splits import Subset
from zoo.interfaces import Recipe
from zoo_augment import NoAugmentation


@dataclass(frozen=True)
class Residual(zoo.Backbone):
    """A stem, a residual block with dropout on its branch, and a plain convolution."""

    name = "residual"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import keras
        from keras import layers

        inputs = keras.Input(image_shape)
        x = layers.Rescaling(1 / 255, name="rescale")(inputs)
        x = layers.Conv2D(8, 3, strides=4, name="stem_conv")(x)
        x = stem = layers.BatchNormalization(name="stem_bn")(x)
        x = layers.Conv2D(8, 3, padding="same", name="block1_conv")(x)
        x = layers.BatchNormalization(name="block1_bn")(x)
        x = layers.Dropout(0.5, name="block1_dropout")(x)
        x = layers.Add(name="block1_add")([stem, x])
        x = layers.Conv2D(8, 3, name="block2_conv")(x)
        return keras.Model(inputs, layers.ReLU(name="block2_relu")(x))


@dataclass(frozen=True)
class Linear(zoo.Head):
    """Pooling and one dense layer: nothing that behaves otherwise in training."""

    name = "linear"

    def build(self, features: Any, classes: int) -> Any:
        from keras import layers

        x = layers.GlobalAveragePooling2D(name="pool")(features)
        last = {"units": 1, "activation": "sigmoid"} if classes == 2 else {"units": classes, "activation": "softmax"}
        return layers.Dense(**last, name="output")(x)


@dataclass(frozen=True)
class Brighten(zoo.Augmenter):
    """A random constant added to each image."""

    name = "brighten"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.clip(images + rng.integers(0, 100, (len(images), 1, 1, 1)), 0, 255).astype(np.uint8)


def subset(images: int = 24, classes: int = 2, seed: int = 0, size: int = 32) -> Subset:
    """Images whose class can be seen."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    pixels = np.stack([disc(rng, bool(label), size) // (label + 1 if label > 1 else 1) for label in labels])
    names = tuple(f"{seed}-{number}" for number in range(images))
    name = f"test {images} {classes} {seed} {size}"
    return Subset(pixels.astype(np.uint8), np.arange(images), labels, names, names, name)


def stage(name: str = "head", **changes: Any) -> zoo.Stage:
    return zoo.Stage(**{"name": name, "epochs": 3, "patience": 3, "learning_rate": 0.01} | changes)


@dataclass(frozen=True)
class Given(zoo.Schedule):
    """The stages that it is given."""

    name = "given"
    given: tuple[zoo.Stage, ...] = ()

    def stages(self) -> Sequence[zoo.Stage]:
        return self.given


def recipe(stages: Sequence[zoo.Stage], **changes: Any) -> Recipe:
    """What the trainer asks a recipe for: stages, an augmenter, a size of batches and a seed."""
    usual: dict[str, Any] = {"augmenter": NoAugmentation(), "batch_size": 8, "seed": 0}
    return Recipe("tested", Residual(), Linear(), Given(tuple(stages)), **usual | changes, source="tests")


def named(layers: Sequence[Any]) -> list[str]:
    return [layer.name for layer in layers]
