"""Keras' optimisers and learning-rate schedules, as a stage asks for them."""

from __future__ import annotations

import keras

from zoo.interfaces import Cosine, Decay, Stage


def learning_rate(stage: Stage, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A constant, or Keras' schedule over the steps of the stage."""
    if isinstance(stage.decay, Decay):
        return keras.optimizers.schedules.ExponentialDecay(
            stage.learning_rate,
            decay_steps=stage.decay.every_steps or max(1, round(stage.decay.every_epochs * steps_per_epoch)),
            decay_rate=stage.decay.rate,
            staircase=stage.decay.staircase,
        )
    if isinstance(stage.decay, Cosine):
        warmup = round(stage.decay.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else stage.learning_rate,
            decay_steps=max(1, stage.epochs * steps_per_epoch - warmup),
            alpha=stage.decay.final,
            warmup_target=stage.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    return stage.learning_rate


def optimizer(stage: Stage, steps_per_epoch: int) -> keras.Optimizer:
    """The optimiser of a stage."""
    name, parameters = stage.optimizer_parts()
    kind = type(keras.optimizers.get(name))
    return kind(learning_rate=learning_rate(stage, steps_per_epoch), **parameters)
