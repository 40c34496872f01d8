"""What the tables are to say of a run: the [evaluation] table of registry.toml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zoo import limits
from zoo.errors import ConfigError
from zoo.interfaces import STRICT


@dataclass(frozen=True)
class Cost:
    """What a missed positive and a false alarm cost, in any unit."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    missed: float
    false_alarm: float = 1.0

    def __post_init__(self) -> None:
        limits.require(self, missed=limits.COST, false_alarm=limits.COST)


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold is to reach: one of the fields is given. For two classes.

    `threshold` is one itself; `sensitivity` and `specificity` are shares that new images are to reach; `youden` is the
    largest sum of both (Youden 1950, Index for rating diagnostic tests); `cost` the least cost.

    Raises ValueError unless exactly one is given, within its limits.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    threshold: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    youden: bool = False
    cost: Cost | None = None

    def __post_init__(self) -> None:
        if len(self.table()) != 1:
            raise ValueError(f"must be one of {', '.join(vars(self))}, not {len(self.table())} of them")
        limits.require(self, threshold=limits.THRESHOLD, sensitivity=limits.SHARE, specificity=limits.SHARE)

    def __str__(self) -> str:
        if self.cost:
            return f"cost {self.cost.missed:g} to {self.cost.false_alarm:g}"
        if self.youden:
            return "Youden's index"
        names = ("threshold", "sensitivity", "specificity")
        return "".join(f"{name} {value:g}" for name in names if (value := getattr(self, name)) is not None)

    def table(self) -> dict[str, Any]:
        """The field that is given, as registry.toml has it."""
        fields = dataclasses.asdict(self).items()
        return {name: value for name, value in fields if value is not None and value is not False}


HALF = OperatingPoint(threshold=0.5)


@dataclass(frozen=True)
class EvaluationConfig:
    """The [evaluation] table.

    `prevalence` is the share of positives where predictive values are wanted, None for that of the test role.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    operating_point: OperatingPoint = OperatingPoint(sensitivity=0.95)
    prevalence: float | None = None

    def __post_init__(self) -> None:
        limits.require(self, prevalence=limits.SHARE)

    def table(self) -> dict[str, Any]:
        """As registry.toml has it, and run.json."""
        prevalence = {} if self.prevalence is None else {"prevalence": self.prevalence}
        return {"operating_point": self.operating_point.table(), **prevalence}


def require_two(classes: Sequence[str], where: str = "") -> None:
    """Raise ConfigError if there are more than two classes, for which there is no operating point."""
    if len(classes) != 2:
        raise ConfigError(f"{where}an operating point is for two classes, not {len(classes)}")


def point_of(fields: Mapping[str, Any]) -> OperatingPoint:
    """An operating point from its table, as Python and the command line give it. Raises ConfigError."""
    try:
        cost = fields.get("cost")
        return OperatingPoint(**{**fields, **({"cost": Cost(**cost)} if isinstance(cost, Mapping) else {})})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"operating point: {error}") from None
