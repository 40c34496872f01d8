"""What the code of a part may not do while it builds: change Keras for all others, or build what cannot train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from zoo.errors import PluginError
from zoo.interfaces import Head, Part, title
from zoo.plugins.surroundings import KERAS

CLASSES = (keras.Model, keras.Layer, keras.Optimizer, keras.Variable)


@contextmanager
def keras_unchanged(part: Part) -> Iterator[None]:
    """Raise PluginError if the code within has changed settings or classes of Keras, and put them back."""
    settings = {name: getattr(keras.config, name)() for name in KERAS}
    attributes = [(each, dict(vars(each))) for each in CLASSES]
    try:
        yield
    finally:
        changed = []
        for name, value in settings.items():
            if getattr(keras.config, name)() != value:
                getattr(keras.config, f"set_{name}")(value)
                changed.append(f"keras.config.{name}")
        for each, before in attributes:
            changed += [f"keras.{each.__name__}.{name}" for name in _put_back(each, before)]
    if changed:
        raise PluginError(
            f"{title(part)} changes {', '.join(changed)}; give layers what they need as arguments instead"
        )


def _put_back(each: type, before: dict[str, Any]) -> list[str]:
    """The attributes of a class that were replaced, or hide one that it inherits; they are as before then."""
    replaced = [name for name, value in before.items() if vars(each).get(name, before) is not value]
    hiding = [name for name in set(vars(each)) - set(before) if any(name in vars(base) for base in each.__mro__[1:])]
    for name in replaced:
        setattr(each, name, before[name])
    for name in hiding:
        delattr(each, name)
    return [*replaced, *hiding]


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
