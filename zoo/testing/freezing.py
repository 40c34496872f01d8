"""Whether a stage trains exactly what it declares."""

from __future__ import annotations

import keras
import numpy as np

from zoo.interfaces import Stage
from zoo.testing import networks
from zoo.testing.subject import Subject
from zoo.training import batchnorm
from zoo.training import model as training
from zoo.training.checkpoint import values
from zoo.training.model import Network


def check(subject: Subject, network: Network, stage: Stage, images: np.ndarray) -> None:
    """Unfreeze a network as the stage says and train it for one step; AssertionError if other weights change.

    `network` is as it was built, with every layer set to train.
    """
    model = network.model
    networks.fit_batchnorm(network, images)
    learnable = {id(weight) for weight in model.trainable_weights}
    first = training.unfreeze(network, stage)
    declared = _declared(network, first, stage)
    expected = {id(weight) for weight in declared} & learnable
    actual = {id(weight) for weight in model.trainable_weights}
    for wrong, what in ((actual - expected, "can be trained"), (expected - actual, "cannot be trained")):
        if wrong:
            raise subject.wrong(
                f"with {stage.name} {_names(model, wrong)} {what}: set `trainable` nowhere in build() or in layers of "
                "your own, and make weights by add_weight()"
            )
    before = values(model.weights)
    networks.step(network, stage, images)
    after = values(model.weights)
    changed = {id(weight) for weight, old, new in zip(model.weights, before, after, strict=True) if not _same(old, new)}
    may = {id(weight) for weight in declared}
    if changed - may:
        raise subject.wrong(
            f"with {stage.name} {_names(model, changed - may)} changed in a step of training, though it is frozen: a "
            "layer may change its own weights only if it is called with training=True"
        )
    for layer in model.layers[first:]:
        mine = {id(weight) for weight in layer.weights} & expected
        if mine:
            if not mine & changed:
                raise subject.wrong(
                    f"with {stage.name} no gradient reaches {_names(model, mine)}: nothing in the network may stop it, "
                    "such as keras.ops.stop_gradient or a step through numpy"
                )
            break


def _same(old: np.ndarray, new: np.ndarray) -> bool:
    return old.tobytes() == new.tobytes()


def _declared(network: Network, first: int, stage: Stage) -> list[keras.Variable]:
    """The weights that a stage may change: those from layer `first` on, without batch normalisation that is frozen."""
    found: list[keras.Variable] = []
    for index, layer in enumerate(network.model.layers):
        if index >= first or network.is_head(layer):
            keeps = stage.batchnorm == "frozen" and not network.is_head(layer)
            frozen = {id(weight) for weight in batchnorm.weights(layer)} if keeps else set()
            found += [weight for weight in layer.weights if id(weight) not in frozen]
    return found


def _names(model: keras.Model, wanted: set[int]) -> str:
    names = [weight.path for weight in model.weights if id(weight) in wanted]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
