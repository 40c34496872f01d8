"""Batch normalisation in a network: frozen as a stage asks, and given statistics where a network begins at random.

There are two kinds: Keras' own layers, and under the torch backend modules of torch within a layer, of which Keras
sees no more than the parameters.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from zoo.data.splits import Subset

STATISTICS_PIXELS = 2**20
# What keeps a module of torch in inference mode, while something does.
_kept: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def flatten(layer: keras.Layer) -> Iterator[keras.Layer]:
    """The layer, and every layer in it: it may be a model, or a layer made of others."""
    yield from layer._flatten_layers()


def _modules(layer: keras.Layer) -> list[Any]:
    """Every module of torch in a layer, layers included: under torch these are modules too."""
    if keras.backend.backend() != "torch":
        return []
    # What a layer keeps in lists torch doesn't find by itself.
    return list(dict.fromkeys(module for inner in flatten(layer) for module in inner.modules()))


def torch_modules(layer: keras.Layer) -> list[Any]:
    """The modules of torch in a layer that keep moving statistics."""
    return [module for module in _modules(layer) if getattr(module, "running_mean", None) is not None]


def freeze_torch(layer: keras.Layer, frozen: bool) -> None:
    """Keep torch's batch normalisation in a layer in inference mode, its parameters as they are, or let it train again.

    A layer switches its modules to training mode whenever it is called so, frozen or not: each of these is switched
    back right before it runs.
    """
    modules = torch_modules(layer)
    parameters = {id(parameter) for module in modules for parameter in module.parameters(recurse=False)}
    for variable in layer.variables:
        if id(variable.value) in parameters:
            variable.trainable = layer.trainable and not frozen
    for module in modules:
        if frozen and module not in _kept:
            _kept[module] = module.register_forward_pre_hook(_to_inference)
        elif not frozen and module in _kept:
            _kept.pop(module).remove()


def weights(layer: keras.Layer) -> list[keras.Variable]:
    """Those of the batch normalisation in a layer, of either kind, moving statistics included."""
    found = [
        weight
        for inner in flatten(layer)
        if isinstance(inner, keras.layers.BatchNormalization)
        for weight in inner.weights
    ]
    tensors = [
        tensor
        for module in torch_modules(layer)
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    ]
    places = {tensor.data_ptr() for tensor in tensors}
    return found + [weight for weight in layer.weights if places and weight.value.data_ptr() in places]


def _to_inference(module: Any, inputs: Any) -> None:
    module.eval()


def unknown_to_keras(model: keras.Model) -> list[str]:
    """The names of moving statistics and the like in modules of torch that are no variables of the model.

    They would be lost where weights are put back: those of the best epoch, or of a checkpoint.
    """
    known = {variable.value.data_ptr() for variable in model.variables} if keras.backend.backend() == "torch" else set()
    return [
        f"{type(module).__name__}.{name}"
        for module in _modules(model)
        for name, buffer in module.named_buffers(recurse=False)
        if name in module.state_dict(keep_vars=True) and buffer.numel() and buffer.data_ptr() not in known
    ]


def fit(model: keras.Model, training: Subset, seed: int) -> None:
    """Set the statistics of all batch normalisation to those of about a million pixels of training images.

    For networks that start from random weights. Keras starts the statistics at mean 0 and variance 1, with
    which a frozen random network passes on almost nothing of its input, and stages that freeze it learn
    nothing (a deep one on the demo: AUC 0.4). Data-dependent initialisation in the sense of Mishkin and
    Matas, "All you need is a good init" (2016), through the layers that are there anyway.
    """
    # In Keras the momentum is the weight of the old statistics, in torch that of the new.
    whole = [(layer, 0.0) for layer in flatten(model) if isinstance(layer, keras.layers.BatchNormalization)]
    whole += [(module, 1.0) for module in torch_modules(model)]
    momenta = [layer.momentum for layer, _ in whole]
    height, width = training.pixels.shape[1:3]
    most = max(16, STATISTICS_PIXELS // (height * width))  # more at once takes gigabytes of memory
    chosen = np.random.default_rng([seed, 0]).permutation(len(training))[:most]
    for layer, momentum in whole:
        layer.momentum = momentum  # the statistics of one batch replace the old ones
    try:
        model(training.pixels[training.rows[np.sort(chosen)]], training=True)
    finally:
        for (layer, _), momentum in zip(whole, momenta, strict=True):
            layer.momentum = momentum
