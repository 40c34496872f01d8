"""Backbones and heads that each have one fault, for the proof that each check of zoo.testing can fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo


def always_dropout(name: str) -> Any:
    """Dropout that goes on in inference."""
    from keras.layers import Dropout

    return layer("Always", Dropout, call=lambda self, x: Dropout.call(self, x, training=True))(0.5, name=name)


def layer(name: str, base: Any = None, **members: Any) -> Any:
    """A layer class of one's own, registered with Keras."""
    import keras

    made = type(name, (base or keras.layers.Layer,), members)
    return keras.saving.register_keras_serializable("faulty")(made)


@dataclass(frozen=True)
class Good(zoo.Backbone):
    """Two convolutions of `width` channels, and whatever a subclass puts between."""

    name = "good"
    width: int = 4

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import keras

        inputs = keras.Input(image_shape)
        x = self.first(keras.layers.Rescaling(1 / 255, name="rescale")(inputs))
        x = self.convolution(name="block1_conv")(x)
        x = self.between(keras.layers.BatchNormalization(name="block1_bn")(x))
        x = keras.layers.Conv2D(self.width, 3, strides=4, name="block2_conv")(x)
        return keras.Model(inputs, x)

    def first(self, x: Any) -> Any:
        return x

    def convolution(self, name: str) -> Any:
        import keras

        return keras.layers.Conv2D(self.width, 3, strides=4, name=name)

    def between(self, x: Any) -> Any:
        return x


@dataclass(frozen=True)
class OneSize(Good):
    """Takes images of 64 pixels alone."""

    name = "one-size"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        if image_shape[0] != 64:
            raise ValueError("only 64")
        return super().build(image_shape)


@dataclass(frozen=True)
class Misdeclared(Good):
    """Says that it gives another shape than it does."""

    name = "misdeclared"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import keras

        def declare(self: Any, x: Any) -> Any:
            return keras.KerasTensor((x.shape[0], x.shape[1] // 2, *x.shape[2:]), x.dtype)

        model = super().build(image_shape)
        halved = layer("Halved", call=lambda self, x: x, compute_output_spec=declare)
        return keras.Model(model.inputs[0], halved()(model.outputs[0]))


@dataclass(frozen=True)
class AnySize(Good):
    """Declares no size of images."""

    name = "any-size"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        return super().build((None, None, 3))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Clipped(Good):
    """Takes images to be 0..1."""

    name = "clipped"

    def first(self, x: Any) -> Any:
        import keras

        return keras.ops.clip(x * 255, 0, 1)


@dataclass(frozen=True)
class DividedByItself(Good):
    """Divides each image by its brightest value, which is 0 in a black one."""

    name = "divided-by-itself"

    def first(self, x: Any) -> Any:
        import keras

        return x / keras.ops.max(x, axis=(1, 2, 3), keepdims=True)


@dataclass(frozen=True)
class Counting(Good):
    """Counts the images that pass, frozen or not."""

    name = "counting"

    def first(self, x: Any) -> Any:
        def build(self: Any, shape: Any) -> None:
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def call(self: Any, x: Any) -> Any:
            self.seen.assign(self.seen + 1)
            return x

        return layer("Counter", build=build, call=call)(name="counter")(x)


@dataclass(frozen=True)
class Stubborn(Good):
    """A layer that cannot be frozen."""

    name = "stubborn"

    def convolution(self, name: str) -> Any:
        import keras

        always = property(lambda self: True, lambda self, value: None)
        stubborn = layer("Stubborn", keras.layers.Conv2D, trainable=always)
        return stubborn(self.width, 3, strides=4, name=name)


@dataclass(frozen=True)
class NoGradient(Good):
    """Stops the gradient before the first convolution."""

    name = "no-gradient"

    def between(self, x: Any) -> Any:
        import keras

        return keras.ops.stop_gradient(x)


@dataclass(frozen=True)
class WithLambda(Good):
    """Code in the model file."""

    name = "with-lambda"

    def between(self, x: Any) -> Any:
        import keras

        return keras.layers.Lambda(lambda x: x * 2, name="twice")(x)


@dataclass(frozen=True)
class Unregistered(Good):
    """A layer that Keras doesn't know when it loads the model."""

    name = "unregistered"

    def between(self, x: Any) -> Any:
        import keras

        return type("Mine", (keras.layers.Layer,), {"call": lambda self, x: x * 2})()(x)


@dataclass(frozen=True)
class Forgetful(Good):
    """A layer that doesn't save its parameter."""

    name = "forgetful"

    def between(self, x: Any) -> Any:
        def init(self: Any, factor: float = 1.0, **options: Any) -> None:
            super(kind, self).__init__(**options)
            self.factor = factor

        config = {"get_config": lambda self: {"name": self.name}}
        kind = layer("Times", __init__=init, call=lambda self, x: x * self.factor, **config)
        return kind(factor=3.0)(x)


@dataclass(frozen=True)
class AmongOthers(Good):
    """Centres each batch."""

    name = "among-others"

    def between(self, x: Any) -> Any:
        import keras

        return x - keras.ops.mean(x, axis=0, keepdims=True)


@dataclass(frozen=True)
class Unseeded(Good):
    """Draws its weights from a generator of its own."""

    name = "unseeded"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import numpy as np

        model = super().build(image_shape)
        rng = np.random.default_rng()
        model.set_weights([weight + rng.normal(0, 0.01, weight.shape) ** 2 for weight in model.get_weights()])
        return model


@dataclass(frozen=True)
class LoadsInBuild(Good):
    """Comes with its weights, whatever is asked for."""

    name = "loads-in-build"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import numpy as np

        model = super().build(image_shape)
        stored = np.random.default_rng(7)  # as if they were read from a file
        filled = [stored.normal(0, 0.1, weight.shape) if weight.ndim > 1 else weight for weight in model.get_weights()]
        model.set_weights(filled)
        return model


@dataclass(frozen=True)
class AlwaysDropout(Good):
    """Drops out in inference too."""

    name = "always-dropout"

    def between(self, x: Any) -> Any:
        return always_dropout("dropout")(x)


@dataclass(frozen=True)
class IgnoresFile(Good):
    """Reads no weights."""

    name = "ignores-file"

    def load_weights(self, model: Any, source: str) -> None:
        pass


@dataclass(frozen=True)
class TakesAnyFile(Good):
    """Is content with any file."""

    name = "takes-any-file"

    def load_weights(self, model: Any, source: str) -> None:
        import contextlib

        with contextlib.suppress(Exception):
            super().load_weights(model, source)


@dataclass(frozen=True)
class FileForgotten(Good):
    """Comes with a file that isn't there."""

    name = "file-forgotten"
    weights: str = str(Path(__file__).with_name("forgotten.weights.h5"))


@dataclass(frozen=True)
class FileUnread(Good):
    """Cannot read the file that it comes with."""

    name = "file-unread"
    weights: str = __file__

    def load_weights(self, model: Any, source: str) -> None:
        raise OSError("no such format")


@dataclass(frozen=True)
class PathFile(Good):
    """Comes with weights that Python would take for a list of folders."""

    name = "path-file"
    weights: str = str(Path(__file__).parents[1] / "weights.pth")  # beside the package


@dataclass(frozen=True)
class OneBackend(Good):
    """Works under TensorFlow alone, and doesn't say so."""

    name = "one-backend"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        import keras

        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("where is tf.nn?")
        return super().build(image_shape)


@dataclass(frozen=True)
class Undocumented(Good):
    name = "undocumented"


@dataclass(frozen=True)
class Untold(Good):
    """Has a parameter of which nobody knows."""

    name = "untold"
    depth: int = 3


@dataclass(frozen=True)
class Mistyped(Good):
    """Has a parameter whose default isn't of its type."""

    name = "mistyped"
    rate: float = "high"  # type: ignore[assignment]  # for registry.toml


@dataclass(frozen=True)
class NotPlain(Good):
    """Has a parameter that no TOML file holds."""

    name = "not-plain"
    sizes: frozenset[int] = frozenset({3})  # of kernels


class Undecorated(Good):
    """Is no dataclass of its own."""

    name = "undecorated"
    depth: int = 3  # which zoo never learns of


# --- heads ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodHead(zoo.Head):
    """Pooling, `units` features, and the output layer."""

    name = "good-head"
    units: int = 4

    def build(self, features: Any, classes: int) -> Any:
        from keras import layers

        x = layers.GlobalAveragePooling2D(name="head_pool")(features)
        x = self.between(layers.Dense(self.units, name="head_dense")(x))
        if classes == 2:
            return layers.Dense(1, self.activation(classes), name="head_output")(x)
        return layers.Dense(classes, self.activation(classes), name="head_output")(x)

    def between(self, x: Any) -> Any:
        return x

    def activation(self, classes: int) -> str:
        return "sigmoid" if classes == 2 else "softmax"


@dataclass(frozen=True)
class Logits(GoodHead):
    """Gives no probabilities."""

    name = "logits"

    def activation(self, classes: int) -> str:
        return "linear"


@dataclass(frozen=True)
class Independent(GoodHead):
    """Gives probabilities that don't sum to 1."""

    name = "independent"

    def activation(self, classes: int) -> str:
        return "sigmoid"


@dataclass(frozen=True)
class Unnamed(GoodHead):
    """Leaves it to Keras to name a layer."""

    name = "unnamed"

    def between(self, x: Any) -> Any:
        import keras

        return keras.layers.Dropout(0.1)(x)


@dataclass(frozen=True)
class HalfTrained(GoodHead):
    """Stops the gradient behind its first layer."""

    name = "half-trained"

    def between(self, x: Any) -> Any:
        import keras

        return keras.ops.stop_gradient(x)


@dataclass(frozen=True)
class LambdaHead(GoodHead):
    """Code in the model file."""

    name = "lambda-head"

    def between(self, x: Any) -> Any:
        import keras

        return keras.layers.Lambda(lambda x: x * 2, name="head_twice")(x)


@dataclass(frozen=True)
class NoisyHead(GoodHead):
    """Draws random numbers in inference."""

    name = "noisy-head"

    def between(self, x: Any) -> Any:
        return always_dropout("head_dropout")(x)
