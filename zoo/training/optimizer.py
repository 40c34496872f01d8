"""Keras' optimisers, learning-rate schedules and losses, as a stage asks for them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import keras

from zoo.interfaces import Cosine, Decay, Stage


def learning_rate(
    stage: Stage, steps_per_epoch: int, share: float = 1.0
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A constant, or Keras' schedule over the steps of the stage; that share of it."""
    highest = stage.learning_rate * share
    if isinstance(stage.decay, Decay):
        return keras.optimizers.schedules.ExponentialDecay(
            highest,
            decay_steps=stage.decay.every_steps or max(1, round(stage.decay.every_epochs * steps_per_epoch)),
            decay_rate=stage.decay.rate,
            staircase=stage.decay.staircase,
        )
    if isinstance(stage.decay, Cosine):
        warmup = round(stage.decay.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else highest,
            decay_steps=max(1, stage.epochs * steps_per_epoch - warmup),
            alpha=stage.decay.final,
            warmup_target=highest if warmup else None,
            warmup_steps=warmup,
        )
    return highest


def optimizer(stage: Stage, steps_per_epoch: int, depths: Mapping[int, int] | None = None) -> keras.Optimizer:
    """The optimiser of a stage.

    `depths` maps the id of a weight to the depth of its group, 0 for the head (and for weights that it doesn't have):
    what `layer_decay` is raised to.
    """
    name, parameters = stage.optimizer_parts()
    kind = type(keras.optimizers.get(name))
    made = functools.cache(
        lambda depth: kind(learning_rate(stage, steps_per_epoch, stage.layer_decay**depth), **parameters)
    )
    if stage.layer_decay == 1:
        return made(0)
    known = depths or {}
    return keras.optimizers.MultiOptimizer(lambda weight: made(known.get(id(weight), 0)))


def highest_rate(optimizer: keras.Optimizer) -> float:
    """The learning rate at hand: that of the head, where each group of layers has its own."""
    each = getattr(optimizer, "optimizers", None) or [optimizer]
    return max(float(one.learning_rate) for one in each)


def loss(stage: Stage, classes: int) -> keras.Loss | str:
    """What a stage minimises, before class weights: cross-entropy, or focal loss."""
    if not stage.focal_gamma:
        return "binary_crossentropy" if classes == 2 else "categorical_crossentropy"
    if classes == 2:
        return keras.losses.BinaryFocalCrossentropy(gamma=stage.focal_gamma)
    return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=stage.focal_gamma)
