"""Mixed precision: layers that compute in half of the bits, while weights, head, loss and scores keep all of them.

What a process computes in is Keras' own global dtype policy, which the worker sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

FULL = "float32"


@contextmanager
def full() -> Iterator[None]:
    """Layers that are made meanwhile compute in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(FULL)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_full(model: keras.Model) -> keras.Model:
    """The functional model with every layer computing in float32, and the same weights: itself if all do already."""
    if all(layer.compute_dtype == FULL for layer in model.layers):
        return model

    def copy(layer: keras.Layer) -> keras.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": FULL})

    with full():
        copied = keras.models.clone_model(model, clone_function=copy, recursive=True)
    copied.set_weights(model.get_weights())
    return copied
