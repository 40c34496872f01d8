"""A convolutional network without pre-training, small enough for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ScratchCNN(zoo.Backbone):
    """Blocks of 3x3 convolutions with batch normalisation, each block half the size and twice as wide as the last.

    `width` is the number of channels of the first block, `depth` the number of blocks, `convolutions` those in a
    block. Random weights are all there are.
    """

    name = "scratch-cnn"
    weights: str = "none"
    width: int = 24
    depth: int = 4
    convolutions: int = 2

    def __post_init__(self) -> None:
        for field, most in (("width", 4096), ("depth", 12), ("convolutions", 100)):
            if not 1 <= getattr(self, field) <= most:
                raise ValueError(f"{field} must be at least 1 and at most {most}, not {getattr(self, field)}")

    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        import keras
        from keras import layers

        inputs = keras.Input(image_shape)
        x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
        for block in range(1, self.depth + 1):
            for number in range(1, self.convolutions + 1):
                name = f"block{block}_{number}"
                # Strides rather than pooling: a fourth of the work at full size, which is most of it.
                x = layers.Conv2D(
                    self.width * 2 ** (block - 1),
                    3,
                    strides=2 if number == 1 else 1,
                    padding="same",
                    use_bias=False,
                    kernel_initializer="he_normal",
                    name=f"{name}_conv",
                )(x)
                x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
                x = layers.ReLU(name=f"{name}_relu")(x)
        return keras.Model(inputs, x)


@zoo.hookimpl
def zoo_backbones() -> Sequence[type[zoo.Backbone]]:
    return [ScratchCNN]
