"""ConvMixer (Trockman and Kolter, "Patches Are All You Need?", 2022) as a backbone for zoo."""

import functools
from dataclasses import dataclass

import zoo

ZOO_API = ">=1,<2"


@functools.cache
def mixer_block():
    """The class of the layer; in a function, since importing this module must not load Keras."""
    import keras

    @keras.saving.register_keras_serializable("zoo-patches")
    class MixerBlock(keras.layers.Layer):
        """Mixes each channel over its surroundings, then the channels with each other."""

        def __init__(self, width, kernel, **options):
            super().__init__(**options)
            self.width, self.kernel = width, kernel
            self.space = keras.layers.DepthwiseConv2D(kernel, padding="same", activation="gelu", name="space")
            self.space_norm = keras.layers.BatchNormalization(name="space_norm")
            self.channels = keras.layers.Dense(width, activation="gelu", name="channels")
            self.channels_norm = keras.layers.BatchNormalization(name="channels_norm")

        def call(self, x, training=None):
            x = x + self.space_norm(self.space(x), training=training)
            return self.channels_norm(self.channels(x), training=training)

        def get_config(self):
            return {**super().get_config(), "width": self.width, "kernel": self.kernel}

    return MixerBlock


@dataclass(frozen=True)
class Patches(zoo.Backbone):
    """Patches of `patch` pixels a side, mixed by `depth` blocks of `width` channels and kernels of `kernel` patches."""

    name = "patches"
    weights: str = "none"
    width: int = 32
    depth: int = 3
    patch: int = 4
    kernel: int = 5

    def build(self, image_shape):
        import keras

        inputs = keras.Input(image_shape)
        x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
        x = keras.layers.Conv2D(self.width, self.patch, strides=self.patch, activation="gelu", name="patches")(x)
        for number in range(1, self.depth + 1):
            x = mixer_block()(self.width, self.kernel, name=f"block{number}")(x)
        return keras.Model(inputs, x)


@zoo.hookimpl
def zoo_backbones():
    return [Patches]


@zoo.hookimpl
def zoo_models():
    return {"patches": {"backbone": "patches", "schedule": {"name": "three-stage", "top": "block3"}}}
