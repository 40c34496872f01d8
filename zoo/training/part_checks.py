"""What the code of a part may not do while it builds: change Keras for all others, or build what cannot train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from zoo.errors import PluginError
from zoo.interfaces import Head, Part, title
from zoo.plugins.isolation import blaming, keras_settings, restoring


@contextmanager
def building(part: Part, what: str) -> Iterator[None]:
    """Raise PluginError if the code within fails, `what` it couldn't do, or changes settings of Keras (put back)."""
    with blaming(title(part), what), restoring(keras_settings) as changed:
        yield
    if changed:
        raise PluginError(
            f"{title(part)} changes {', '.join(changed)}; give layers what they need as arguments instead"
        )


def check_probabilities(head: Head, end: keras.Model) -> None:
    """Raise PluginError for a head whose outputs for some features are no probabilities, see `Head.build`.

    `end` is the network from its features on. Found out now rather than when the whole training is over and nothing
    can be scored.
    """
    if None in end.input_shape[1:]:
        return
    features = np.random.default_rng(0).normal(scale=10, size=(4, *end.input_shape[1:])).astype("float32")
    given: Any = keras.ops.convert_to_numpy(end(features, training=False))
    sums = given.sum(axis=1) if given.shape[1] > 1 else 1.0
    if not np.isfinite(given).all():
        raise PluginError(f"{title(head)} gives outputs that are no numbers")
    if given.min() < 0 or given.max() > 1 or not np.allclose(sums, 1, atol=1e-3):
        raise PluginError(
            f"{title(head)} gives outputs from {given.min():.3g} to {given.max():.3g}, which are no probabilities: end "
            "it with a sigmoid for two classes, a softmax for more"
        )


def check_finite(part: Part, model: keras.Model) -> None:
    """Raise PluginError for weights that are no numbers."""
    for weight in model.weights:
        values: Any = keras.ops.convert_to_numpy(weight)
        if not np.isfinite(values.astype("float32")).all():
            raise PluginError(f"{title(part)} begins with weights that are no numbers: {weight.path}")
