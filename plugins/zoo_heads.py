"""Heads: from a feature map to class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    import keras


MOST_UNITS = 65536  # of a dense layer


@dataclass(frozen=True)
class Pooled(zoo.Head):
    """Global average pooling, batch normalisation, dropout, and the output layer."""

    name = "pooled"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 or more and below 1, not {self.dropout}")

    def build(self, features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        from keras import layers

        x = layers.GlobalAveragePooling2D(name="head_pool")(features)
        x = layers.BatchNormalization(name="head_batchnorm")(x)
        x = layers.Dropout(self.dropout, name="head_dropout")(x)
        return _output(x, classes)


@dataclass(frozen=True)
class Dense(zoo.Head):
    """Global average pooling, dense layers, each with batch normalisation and dropout if wanted, and the output layer.

    `units` has the number of features of each dense layer, `activation` is Keras' name of what follows it. With
    `batchnorm` each is normalised. `dropout` is one rate for all layers, or one for each; 0 means none.
    """

    name = "dense"
    units: tuple[int, ...] = (1024, 512, 256)
    activation: str = "relu"
    batchnorm: bool = False
    dropout: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if not self.units or not 1 <= min(self.units) <= max(self.units) <= MOST_UNITS:
            raise ValueError(f"units must be one or more numbers from 1 to {MOST_UNITS}, not {list(self.units)}")
        if isinstance(self.dropout, tuple) and len(self.dropout) != len(self.units):
            raise ValueError(f"dropout must be one rate, or one for each of the {len(self.units)} layers")
        if not all(0 <= rate < 1 for rate in self._rates()):
            raise ValueError(f"dropout must be 0 or more and below 1, not {self.dropout}")

    def _rates(self) -> tuple[float, ...]:
        return self.dropout if isinstance(self.dropout, tuple) else (self.dropout,) * len(self.units)

    def build(self, features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        from keras import layers

        x = layers.GlobalAveragePooling2D(name="head_pool")(features)
        for number, (units, rate) in enumerate(zip(self.units, self._rates(), strict=True), start=1):
            x = layers.Dense(units, activation=self.activation, name=f"head_dense{number}")(x)
            if self.batchnorm:
                x = layers.BatchNormalization(name=f"head_batchnorm{number}")(x)
            if rate:
                x = layers.Dropout(rate, name=f"head_dropout{number}")(x)
        return _output(x, classes)


def _output(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """A sigmoid for two classes, a softmax for more."""
    from keras import layers

    if classes == 2:
        return layers.Dense(1, activation="sigmoid", name="head_output")(x)
    return layers.Dense(classes, activation="softmax", name="head_output")(x)


@zoo.hookimpl
def zoo_heads() -> Sequence[type[zoo.Head]]:
    return [Pooled, Dense]
