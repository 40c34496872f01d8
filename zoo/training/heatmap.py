"""What a network looked at: how much each part of an image speaks for a class.

The parts of the last feature map are blanked one after the other, and the log odds of the class fall by what each has
said. This is occlusion (Zeiler and Fergus 2014, Visualizing and understanding convolutional networks) of features
instead of pixels. It needs no gradient, and is the same under each backend of Keras. Where a head averages the map and
is linear from there on, it is the class activation map (Zhou et al. 2016, Learning deep features for discriminative
localization), which Grad-CAM and HiResCAM are there too, but for a factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from weakref import WeakKeyDictionary

import keras
import numpy as np
from scipy.special import logit, logsumexp

from zoo.errors import ConfigError
from zoo.evaluation.metrics import LEAST
from zoo.training import model as networks
from zoo.training.batches import predict_batch
from zoo.training.device import jit

MOST = 8  # parts a side: a finer map is blanked by blocks
BATCH = 8  # images whose features are made at once

_known: WeakKeyDictionary[keras.Model, tuple[keras.Model, keras.Model]] = WeakKeyDictionary()


def heat_maps(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By how much the log odds of a class fall when a part of the image is blanked: float32 (n, rows, columns).

    `model` is a network as zoo.load_model gives it, `images` are uint8 or float RGB 0..255 (n, size, size, 3), `labels`
    (n,) the number of the class asked about for each. Above 0 a part speaks for the class, below 0 against it.

    Raises ConfigError for a network without a map of features.
    """
    halves = _halves(model)
    if halves is None:
        raise ConfigError("its features are no map of the image, so that it cannot be told where it looked")
    before, after = halves
    _, height, width, _ = after.inputs[0].shape
    masks = keras.ops.convert_to_tensor(_masks(height, width))
    size = min(BATCH, len(images))
    maps = [
        _of_image(after, each, int(label), masks)
        for start in range(0, len(images), BATCH)
        for each, label in zip(
            predict_batch(before, images[start : start + BATCH], size), labels[start : start + BATCH], strict=True
        )
    ]
    rows, columns = len(_edges(height)) - 1, len(_edges(width)) - 1
    return np.array(maps, dtype=np.float32).reshape(len(images), rows, columns)


def _halves(model: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """What makes the map of features, and what makes the output of it; made once for each network. None for no map."""
    if model not in _known:
        features = networks.feature_map(model)
        if features is None:
            return None
        before = keras.Model(model.inputs[0], features)
        before.compile(jit_compile=jit())  # layer by layer it would take a gigabyte for these images, and no less time
        _known[model] = (before, keras.Model(features, model.outputs[0]))
    return _known[model]


def is_cheap(network: networks.Network) -> bool:
    """Whether nothing but the head has to be computed again for each part of an image."""
    halves = _halves(network.model)
    return halves is not None and not any(layer.weights for layer in halves[1].layers if not network.is_head(layer))


def _of_image(after: keras.Model, features: np.ndarray, label: int, masks: keras.KerasTensor) -> np.ndarray:
    """The fall of the log odds (parts,) for the features (height, width, channels) of one image."""
    with _without_activation(after) as bare:
        blanked = keras.ops.multiply(features[None], masks)
        outputs = _numpy(after(blanked, training=False)).astype(np.float64)
    if outputs.shape[1] == 1:
        of_positive = outputs[:, 0] if bare else np.asarray(logit(np.clip(outputs[:, 0], LEAST, 1 - LEAST)))
        odds = of_positive if label == 1 else -of_positive
    else:
        logits = outputs if bare else np.log(np.maximum(outputs, LEAST))
        odds = logits[:, label] - logsumexp(np.delete(logits, label, axis=1), axis=1)
    return np.asarray(odds[0] - odds[1:])


@contextmanager
def _without_activation(model: keras.Model) -> Iterator[bool]:
    """Whether the last layer gives logits within, as it does where its sigmoid or softmax can be left out.

    A network that is very sure gives a probability of 1 whatever is blanked: only its logits tell of the difference.
    """
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    if activation not in (keras.activations.sigmoid, keras.activations.softmax):
        yield False
        return
    last.activation = keras.activations.linear
    try:
        yield True
    finally:
        last.activation = activation


def _masks(height: int, width: int) -> np.ndarray:
    """Factors (1 + parts, height, width, 1): first all 1, then 0 in one part after the other, row by row."""
    down, across = pairwise(_edges(height)), pairwise(_edges(width))
    parts = list(product(down, across))
    masks = np.ones((1 + len(parts), height, width, 1), dtype=np.float32)
    for mask, (rows, columns) in zip(masks[1:], parts, strict=True):
        mask[slice(*rows), slice(*columns)] = 0
    return masks


def _edges(length: int) -> list[int]:
    """Where the parts of a side begin, and its end: as even as can be."""
    return [round(edge) for edge in np.linspace(0, length, min(length, MOST) + 1)]


def _numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
