"""Take apart the models within a model, as a wrapped network is one."""

from __future__ import annotations

from typing import Any

import keras


def flat(model: keras.Model) -> keras.Model:
    """The same network without models within it: their layers are then its own, to be counted and named.

    One stays a layer where two layers would have one name. Whatever class of model it was, it is a plain one then.
    """

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        return (layer.call if _is_functional(layer) else layer)(*inputs, **options)

    plain = inner = keras.Model(model.inputs[0], model.outputs[0])
    while any(_is_functional(layer) for layer in inner.layers):
        layers = [each for layer in inner.layers for each in (layer.layers if _is_functional(layer) else [layer])]
        names = [layer.name for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
        if len(set(names)) < len(names):
            break
        inner = keras.models.clone_model(inner, inner.input, lambda layer: layer, call)
    if inner is plain:
        return plain
    # Made anew, since each layer still belongs to the model that it was in, and says that its inputs come from there.
    classes = {type(layer).__name__: type(layer) for layer in inner.layers}
    fresh = keras.Model.from_config(inner.get_config(), custom_objects=classes)
    for layer in fresh.layers:
        layer.set_weights(inner.get_layer(layer.name).get_weights())
    return fresh


def _is_functional(layer: keras.Layer) -> bool:
    """Whether a layer is a model that is a graph of layers."""
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and hasattr(layer, "operations"))
