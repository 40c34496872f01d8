"""Networks for checks, assembled by the core's own functions from the part under test and a plain one beside it."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass

import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.interfaces import Backbone, Head, Part, Stage
from zoo.testing.subject import Subject
from zoo.training import batchnorm
from zoo.training import model as training
from zoo.training.batches import targets
from zoo.training.checkpoint import values
from zoo.training.model import Network
from zoo.training.optimizer import optimizer

SEED = 0
# Outputs that should be the same may differ by so much of the largest: sums are rounded otherwise in other batches.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class PlainHead(Head):
    """Pooling over whatever the backbone gives, and the output layer."""

    name = "plain"

    def build(self, features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        layers = keras.layers
        pool = {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}.get(
            len(features.shape), layers.Flatten
        )
        x = pool(name="plain_head_pool")(features)
        if classes == 2:
            return layers.Dense(1, activation="sigmoid", name="plain_head_output")(x)
        return layers.Dense(classes, activation="softmax", name="plain_head_output")(x)


@dataclass(frozen=True)
class PlainBackbone(Backbone):
    """A convolution with batch normalisation."""

    name = "plain"

    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        layers = keras.layers
        images = keras.Input(image_shape)
        x = layers.Rescaling(1 / 127.5, offset=-1, name="plain_rescale")(images)
        x = layers.Conv2D(16, 3, strides=4, name="plain_conv")(x)
        x = layers.BatchNormalization(name="plain_batchnorm")(x)
        return keras.Model(images, layers.ReLU(name="plain_relu")(x))


@dataclass(frozen=True)
class _Order:
    """What to assemble; parts are compared by class and by what they are made of: their fields may have no hash."""

    cls: type[Part]
    parts: str
    size: int
    classes: int
    backbone: Backbone = dataclasses.field(compare=False)
    head: Head = dataclasses.field(compare=False)


def network(subject: Subject, size: int | None = None, classes: int = 2) -> Network:
    """The part in a network as it was first built: checks share it, and get it back with its weights restored.

    Raises AssertionError if Keras runs under a backend that the part isn't for, PluginError if it cannot be built.
    """
    made, weights = _kept(_order(subject, size or subject.sizes[0], classes))
    for layer in batchnorm.flatten(made.model):
        layer.trainable = True
    made.model.set_weights(weights)
    return made


def built(subject: Subject, seed: int = SEED) -> keras.Model:
    """What a backbone builds, anew."""
    check_backend(subject)
    keras.utils.set_random_seed(seed)
    return subject.part.build((subject.sizes[0], subject.sizes[0], 3))


def another(subject: Subject, seed: int = SEED) -> Network:
    """The part in a network built anew."""
    order = _order(subject, subject.sizes[0], 2)
    keras.utils.set_random_seed(seed)
    return training.assemble(order.backbone, order.head, (order.size, order.size, 3), order.classes)


def _order(subject: Subject, size: int, classes: int) -> _Order:
    check_backend(subject)
    part: Part = subject.bare()
    backbone = part if isinstance(part, Backbone) else PlainBackbone(weights="none")
    head = part if isinstance(part, Head) else PlainHead()
    parts = json.dumps([backbone.table(), head.table()], default=str)
    return _Order(type(part), parts, size, classes, backbone, head)


@functools.lru_cache(maxsize=2)
def _kept(order: _Order) -> tuple[Network, list[np.ndarray]]:
    keras.utils.set_random_seed(SEED)
    made = training.assemble(order.backbone, order.head, (order.size, order.size, 3), order.classes)
    return made, values(made.model.weights)


def check_backend(subject: Subject) -> None:
    """Raises AssertionError if Keras runs under a backend that the part isn't for."""
    backend = keras.backend.backend()
    if subject.part.backends and backend not in subject.part.backends:
        wanted = subject.part.backends[0]
        raise subject.wrong(
            f"it is for {' and '.join(subject.part.backends)}, and Keras runs under {backend} here: run the tests as "
            f"KERAS_BACKEND={wanted} pytest, or put this at the top of tests/conftest.py:\n\nimport os\n"
            f'os.environ["KERAS_BACKEND"] = "{wanted}"'
        )


def features(network: Network) -> keras.Model:
    """The backbone alone."""
    head = next(layer for layer in network.model.layers if network.is_head(layer))
    return keras.Model(network.model.inputs[0], head.input)


def noise(size: int, images: int = 4, seed: int = 0) -> np.ndarray:
    """Images as the core feeds them: uint8 (n, size, size, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (images, size, size, 3)).astype(np.uint8)


def run(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The outputs of a model in inference mode."""
    return np.array(keras.ops.convert_to_numpy(model(images, training=False)))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether outputs are the same but for rounding."""
    scale = float(np.abs(one).max()) if one.size else 0.0
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=TOLERANCE * scale))


def fit_batchnorm(network: Network, images: np.ndarray) -> None:
    """What the trainer does with random weights."""
    names = tuple(map(str, range(len(images))))
    rows = np.arange(len(images))
    batchnorm.fit(network.model, Subset(images, rows, rows % 2, names, names, "conformance"), SEED)


def step(network: Network, stage: Stage, images: np.ndarray, classes: int = 2) -> float:
    """One step of a stage as the trainer takes it, but for the compiler; the loss.

    Layers that are frozen are set by `unfreeze` before.
    """
    prefix, rest = training.split(network, training.unfreeze(network, stage))
    model = training.join(prefix, rest)
    model.compile(
        optimizer=optimizer(stage, 1),
        loss="binary_crossentropy" if classes == 2 else "categorical_crossentropy",
        jit_compile=_compiles(),
        run_eagerly=not _compiles(),
    )
    return float(np.asarray(model.train_on_batch(images, targets(np.arange(len(images)) % classes, classes))))


def _compiles() -> bool:
    """Whether to compile a network for a single step: JAX would compile each operation, the others take longer so."""
    return bool(keras.backend.backend() == "jax")


def works(subject: Subject) -> None:
    """Build, run and train the part for one step under the backend at hand; AssertionError if that fails."""
    size = subject.sizes[0]
    images = noise(size)
    made = network(subject)
    where = f"under the backend {keras.backend.backend()}"
    outputs = made.model.predict_on_batch(images) if _compiles() else run(made.model, images)
    if not np.isfinite(outputs).all():
        raise subject.wrong(f"its outputs are not finite {where}")
    everything = Stage("all", 1, 1, 1e-3, unfreeze="all", batchnorm="train")
    loss = step(made, everything, images)
    if not np.isfinite(loss) or not all(np.isfinite(weight).all() for weight in values(made.model.weights)):
        raise subject.wrong(f"its weights or loss ({loss}) are not finite {where} after one step of training")
