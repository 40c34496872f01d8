"""Checks that backbones and heads share: what they build is saved, made again and trained."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.testing import elsewhere
from zoo.testing.subject import Subject

if TYPE_CHECKING:
    import numpy as np

    from zoo.training.model import Network


def saves_and_reloads(subject: Subject) -> None:
    """A saved model (best.keras) loads in safe mode in a fresh process, and gives the same outputs.

    Layers of your own are registered with Keras when build() has been called.
    """
    import keras
    import numpy as np

    from zoo.testing import networks

    network = networks.network(subject)
    images = networks.noise(subject.sizes[0])
    expected = networks.run(network.model, images)
    for layer in network.model.layers:
        if isinstance(layer, keras.layers.Lambda):
            raise subject.wrong(
                f"layer {layer.name!r} is a Lambda, whose code no one can load in safe mode: call keras.ops on the "
                f"tensors in build() instead, or write a layer. {_remedy(subject)}"
            )
    with tempfile.TemporaryDirectory() as folder:
        file, given, told = (Path(folder) / name for name in ("best.keras", "images.npy", "outputs.npy"))
        network.model.save(file)
        np.save(given, images)
        try:
            elsewhere.call(subject, "reload", sizes=subject.sizes, file=str(file), images=str(given), outputs=str(told))
        except elsewhere.ElsewhereError as error:
            lost = re.search(r"Could not locate (class|function) '\w+'", error.trace)
            reason = f"Keras doesn't know its {lost[0].removeprefix('Could not locate ')}" if lost else error.text
            raise subject.wrong(
                f"a saved model of it cannot be loaded in another process in safe mode: {reason}. {_remedy(subject)}"
            ) from None
        outputs = np.load(told)
    if not networks.alike(expected, outputs):
        raise subject.wrong(
            "a saved model of it gives other outputs in another process: keep all that decides the outputs in weights "
            "made by add_weight(), or in what get_config() returns"
        )


def _remedy(subject: Subject) -> str:
    return (
        "Decorate each layer class of your own with "
        f'@keras.saving.register_keras_serializable("{subject.package}"), and let its get_config() return every '
        "argument of __init__"
    )


def is_deterministic(subject: Subject) -> None:
    """The same seed (keras.utils.set_random_seed) gives the same weights; inference twice gives the same outputs.

    Another seed gives a backbone other weights: those that build() makes are random, load_weights() alone fills them.
    """
    import numpy as np

    from zoo.testing import networks

    network, again = networks.network(subject), networks.another(subject)
    weights = zip(network.model.weights, network.model.get_weights(), again.model.get_weights(), strict=True)
    for weight, ours, theirs in weights:
        if not np.array_equal(ours, theirs):
            raise subject.wrong(
                f"{weight.path} differs between two networks built with the same seed: draw random numbers with Keras' "
                "initializers or keras.random alone"
            )
    if subject.kind == "backbone":
        one, other = (_drawn(made) for made in (again, networks.another(subject, networks.SEED + 1)))
        if one and all(map(np.array_equal, one, other)):
            raise subject.wrong(
                "its weights are the same under two seeds: build() must give random weights, drawn by initializers "
                "without a seed of their own; only load_weights() may fill them from a file"
            )
    images = networks.noise(subject.sizes[0])
    if not np.array_equal(networks.run(network.model, images), networks.run(network.model, images)):
        raise subject.wrong(
            "inference twice on the same images gives different outputs: let a layer of your own draw random numbers "
            "only if its `training` argument is true"
        )


def _drawn(network: Network) -> list[np.ndarray]:
    """The trainable weights of a backbone that don't begin as a constant, as biases do."""
    from zoo.training.checkpoint import values

    layers = [layer for layer in network.model.layers if not network.is_head(layer)]
    drawn = [value for layer in layers for value in values(layer.trainable_weights)]
    return [value for value in drawn if value.size and value.min() < value.max()]


def works_with(subject: Subject, backend: str) -> None:
    """Under this Keras backend, in a process of its own, it builds, runs, and trains for one step; all is finite."""
    import keras

    from zoo.testing import networks

    if backend == keras.backend.backend():
        networks.works(subject)
    else:
        try:
            elsewhere.call(subject, "works", backend, sizes=list(subject.sizes))
        except elsewhere.ElsewhereError as error:
            raise AssertionError(
                f"{error}\n{subject} doesn't work under the Keras backend {backend}: use keras.ops and Keras' layers, "
                'or declare what it works under, such as backends = ("torch",)'
            ) from None
