"""Schedules: in which stages a network is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import zoo


@dataclass(frozen=True)
class ThreeStage(zoo.Schedule):
    """The study's fine-tuning: the head, then the last 20 layers, then everything.

    `learning_rates` has one rate a stage, of which the first `count` are trained. `top` is what the second stage
    unfreezes, as in `Stage.unfreeze`. `epochs`, `patience`, `optimizer`, `decay`, `label_smoothing` and
    `class_weights` are those of every stage.
    """

    name = "three-stage"
    count: int = 3
    epochs: int = 200
    patience: int = 70
    optimizer: str | dict[str, str | float | bool] = "rmsprop"
    learning_rates: tuple[float, float, float] = (1e-3, 1e-4, 1e-5)
    decay: zoo.Decay | zoo.Cosine | None = None
    top: int | str = 20
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | dict[str, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 3:
            raise ValueError(f"count must be 1, 2 or 3, not {self.count}")
        self.stages()

    def stages(self) -> Sequence[zoo.Stage]:
        head, top, everything = self.learning_rates
        stage = partial(
            zoo.Stage,
            epochs=self.epochs,
            patience=self.patience,
            optimizer=self.optimizer,
            decay=self.decay,
            label_smoothing=self.label_smoothing,
            class_weights=self.class_weights,
        )
        stages = [
            stage("head", learning_rate=head, unfreeze=0),
            stage("top", learning_rate=top, unfreeze=self.top),
            stage("all", learning_rate=everything, unfreeze="all", batchnorm="train"),
        ]
        return stages[: self.count]


@dataclass(frozen=True)
class Stages(zoo.Schedule):
    """Any stages, each a table with the fields of zoo.Stage."""

    name = "stages"
    each: tuple[zoo.Stage, ...] = ()

    def __post_init__(self) -> None:
        if not self.each:
            raise ValueError("each must list one or more stages, each with name, epochs, patience and learning_rate")

    def stages(self) -> Sequence[zoo.Stage]:
        return self.each


@zoo.hookimpl
def zoo_schedules() -> Sequence[type[zoo.Schedule]]:
    return [ThreeStage, Stages]
