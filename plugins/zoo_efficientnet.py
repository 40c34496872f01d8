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
OPEN = 6.0  # what a gate's sigmoid is given so that nearly all passes: 0.998


@dataclass(frozen=True)
class EfficientNetB0(zoo.Backbone):
    """EfficientNetB0 without its top; it rescales and normalises 0..255 images itself.

    Where its own ImageNet weights cannot be had, it starts from those of EfficientNet-Lite0, which come with zoo: the
    convolutions and batch normalisation of both are alike. The gates of squeeze-and-excitation, which Lite0 lacks, are
    opened.
    """

    name = "efficientnet-b0"
    starts = ("imagenet", "efficientnet-lite0")

    def pretrained(self) -> dict[str, zoo.WeightsFile]:
        import zoo_efficientnet_lite as lite

        own = zoo.WeightsFile(
            "efficientnetb0_notop.h5",
            "md5 50bc09e76180e00e4465e1a485ddc09d",
            "Apache-2.0",
            16.7,
            url="https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5",
        )
        return {"imagenet": own, "efficientnet-lite0": lite.installed()}

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
        elif source == "efficientnet-lite0":
            _take_over_lite0(model)
        else:
            super().load_weights(model, source)
        _normalise(model)


def _take_over_lite0(model: keras.Model) -> None:
    """Fill the network with the weights of EfficientNet-Lite0, whose layers have the same names.

    Lite0's images are (image - 127) / 128: the stem's kernels are scaled to the images that this network gets. What
    is shifted by that, and by swish instead of ReLU6, is for batch normalisation to make up for, once its statistics
    are those of training images.
    """
    import numpy as np

    import zoo_efficientnet_lite as lite

    lite.fill(model, lite.read_tensors(lite.weights_file()))
    for layer in model.layers:
        if layer.name.endswith("_se_expand"):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.zeros_like(kernel), np.full_like(bias, OPEN)])
    stem = model.get_layer("stem_conv")
    scale = 255 / 128 * np.asarray(IMAGENET_STD, np.float32)
    stem.set_weights([stem.get_weights()[0] * scale[:, None]])


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
