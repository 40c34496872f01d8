"""How recipes are trained, beside what they say themselves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError, unknown
from zoo.interfaces import PRECISIONS
from zoo.limits import EPOCHS, MIN_LEARNING_RATE


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a user asks for (a Request) and each of its jobs passes on to whoever trains.

    `max_epochs` is the most of a stage, None for no limit, and `min_learning_rate` what the rate of a stage is raised
    to if it begins with less. `feature_cache`: whether outputs of frozen layers are kept and reused. `start_from` is a
    model file (.keras) whose weights training starts from. `allow_leak`: train and score even where weights have seen
    test images, and mark the numbers. `precision` is what the backbone computes in while it is trained, one of
    PRECISIONS.

    Raises ConfigError for epochs and rates out of their limits, see zoo.limits, and for an unknown precision.
    """

    max_epochs: int | None = None
    min_learning_rate: float = 0.0
    feature_cache: bool = True
    start_from: str | None = None
    allow_leak: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Raise ConfigError, see the class."""
        if self.max_epochs is not None:
            object.__setattr__(self, "max_epochs", EPOCHS.check("max_epochs", self.max_epochs))
        rate = MIN_LEARNING_RATE.check("min_learning_rate", self.min_learning_rate)
        object.__setattr__(self, "min_learning_rate", rate)
        if self.start_from is not None:
            object.__setattr__(self, "start_from", str(self.start_from))
        if self.precision not in PRECISIONS:
            raise ConfigError(unknown("precision", self.precision, [*PRECISIONS]))

    def training(self, **changes: Any) -> TrainingOptions:
        """These options alone, of whatever class this is, some of them changed."""
        fields = [field.name for field in dataclasses.fields(TrainingOptions)]
        return TrainingOptions(**{name: getattr(self, name) for name in fields} | changes)
