"""Heads: from a feature map to class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    import keras


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
        if classes == 2:
            return layers.Dense(1, activation="sigmoid", name="head_output")(x)
        return layers.Dense(classes, activation="softmax", name="head_output")(x)


@zoo.hookimpl
def zoo_heads() -> Sequence[type[zoo.Head]]:
    return [Pooled]
