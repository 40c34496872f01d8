from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from zoo import Decay, Stage


def test_a_stage_is_frozen() -> None:
    stage = Stage("head", epochs=1, patience=1, learning_rate=0.1)
    with pytest.raises(FrozenInstanceError):
        stage.epochs = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("epochs", 0, "epochs must be a whole number from 1"),
        ("patience", 0, "patience must be a whole number from 1"),
        ("learning_rate", 0.0, "learning_rate must be above 0"),
        ("learning_rate", float("nan"), "learning_rate must be above 0"),
        ("optimizer", "rmsprob", "one of rmsprop"),
        ("unfreeze", -1, "unfreeze must be 0 or more"),
        ("batchnorm", "thaw", "'frozen' or 'train'"),
        ("layer_decay", 0.0, "layer_decay must be above 0 and at most 1"),
        ("focal_gamma", -1.0, "focal_gamma must be a number from 0"),
        ("mixup", -0.1, "mixup must be a number from 0"),
        ("cutmix", float("inf"), "cutmix must be a number from 0"),
        ("optimizer", {"name": "adam", "ema_momentum": 0.9}, "ema_momentum does nothing without use_ema"),
        ("optimizer", {"name": "sgd", "nesterov": True}, "nesterov does nothing without momentum"),
    ],
)
def test_a_stage_refuses_what_cannot_be_trained(field: str, value: Any, says: str) -> None:
    fields: dict[str, Any] = {"epochs": 1, "patience": 1, "learning_rate": 0.1, field: value}
    with pytest.raises(ValueError, match=says):
        Stage("head", **fields)


@pytest.mark.parametrize("fields", [{"rate": 0}, {"rate": 1.5}, {"rate": 0.5, "every_epochs": 0}], ids=str)
def test_a_decay_refuses_what_does_not_decay(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Decay(**fields)
