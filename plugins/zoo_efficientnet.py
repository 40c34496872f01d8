"""EfficientNetB0 (Tan and Le, 2019) as a backbone, from keras.applications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    import keras

# Channel statistics of ImageNet, RGB 0..1, as in keras.applications.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EfficientNetB0(zoo.Backbone):
    """EfficientNetB0 without its top; it rescales and normalises 0..255 images itself."""

    name = "efficientnet-b0"

    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        import keras

        model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=image_shape)
        _normalise(model)
        return model

    def load_weights(self, model: keras.Model, source: str) -> None:
        import keras

        if source == "imagenet":
            donor = keras.applications.EfficientNetB0(
                include_top=False, weights="imagenet", input_shape=model.input_shape[1:]
            )
            model.set_weights(donor.get_weights())
        else:
            super().load_weights(model, source)
        _normalise(model)


def _normalise(model: keras.Model) -> None:
    """Make the network compute (image / 255 - mean) / std, with any weights.

    Keras' ImageNet file stores std where its Normalization layer expects the variance, and Keras makes up for
    it with one more rescaling layer that it adds only when it loads that file itself. Writing the variance
    proper gives the same function with the same layers whichever way the weights came.
    """
    import keras
    import numpy as np

    (layer,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    variance = np.square(IMAGENET_STD)
    layer.load_own_variables({"0": np.asarray(IMAGENET_MEAN), "1": variance, "2": np.asarray(0)})


@zoo.hookimpl
def zoo_backbones() -> Sequence[type[zoo.Backbone]]:
    return [EfficientNetB0]
