"""Schedules: in which stages a network is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import zoo


@dataclass(frozen=True)
class ThreeStage(zoo.Schedule):
    """The study's fine-tuning: the head, then the last 20 layers, then everything.

    `learning_rates` has one rate a stage. `top` is what the second stage unfreezes, as in `Stage.unfreeze`.
    """

    name = "three-stage"
    epochs: int = 200
    patience: int = 70
    optimizer: str = "rmsprop"
    learning_rates: tuple[float, float, float] = (1e-3, 1e-4, 1e-5)
    decay: zoo.Decay | None = None
    top: int | str = 20

    def __post_init__(self) -> None:
        self.stages()

    def stages(self) -> Sequence[zoo.Stage]:
        head, top, everything = self.learning_rates
        stage = partial(
            zoo.Stage, epochs=self.epochs, patience=self.patience, optimizer=self.optimizer, decay=self.decay
        )
        return [
            stage("head", learning_rate=head, unfreeze=0),
            stage("top", learning_rate=top, unfreeze=self.top),
            stage("all", learning_rate=everything, unfreeze="all", batchnorm="train"),
        ]


@zoo.hookimpl
def zoo_schedules() -> Sequence[type[zoo.Schedule]]:
    return [ThreeStage]
